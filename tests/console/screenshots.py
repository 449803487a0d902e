"""`make screenshots`: the pictures of docs/console.md, of a real didflow after some hours of a made-up day."""

import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from didflow import Destination, Didflow, Reroute, SearchAndBuy, Selector
from didflow.client.webhook_endpoints import made
from didflow.contract.api_keys import ApiKey, ApiScope, new_key_id
from didflow.contract.webhooks import NewEndpoint
from didflow.ledger import api_keys, console_views
from didflow.ledger.console_views import SavedView
from producers.churn import Churn
from producers.failover import Failover
from tests.support.browser import chromium, missing, screen
from tests.support.forked_stack import ForkedStack
from tests.support.small_png import small_png

FOLDER = Path(__file__).parents[2] / "docs" / "console"
LOOKS: dict[str, dict[str, bool]] = {"light": {}, "dark": {"dark": True}, "phone": {"phone": True}}
#: Which screens are shown, and how.
EVERY_LOOK, ONLY_LIGHT = (
    ("overview", "job", "numbers", "review", "incident"),
    ("jobs", "dead-letters", "spend", "accounts", "order", "churn", "audit", "webhooks", "failover", "keys"),
)
CITY = ("LOS ANGELES, CA",)
#: So that a checkout that is lost for good is parked soon.
WAITS = {"DIDFLOW_SETTLE_SECONDS": "0.5", "DIDFLOW_SETTLE_LIMIT_SECONDS": "2", "DIDFLOW_SPEND_ACCOUNT_USD_PER_DAY": "400"}


@contextmanager
def busy() -> Iterator[tuple[ForkedStack, Didflow, dict[str, str]]]:
    """A stack with orders, a lost answer, an incident and a parked purchase; and the path of each page."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ForkedStack(processes=2, http_ports=(0,), log=Path(folder) / "log", environment=WAITS, sandbox=("--port", "0")) as stack,
    ):
        didflow, sandbox = Didflow.from_url(str(stack.redis_url), actor="ann"), stack._sandbox
        assert sandbox is not None
        fill_the_charts(didflow)
        for at in range(6):
            buy(didflow, 4711 + at, f"customer-{9 + at % 3}", at % 3 + 1)
        sandbox.add_fault("checkout", "act_and_drop", times=1)
        lost = buy(didflow, 4720, "customer-12", 2)
        numbers = [number.number for view in didflow.find(limit=20) if view.result for number in view.result.numbers]
        away = Reroute(numbers=tuple(numbers[:8]), destinations=(Destination.sip("backup@pbx.example"),))
        Failover(didflow).plan("trunk-144", Selector(trunk_id=144), away.destinations)
        didflow.wait(Failover(didflow).move("INC-31", away).id)
        for call in ("cart_remove", "cart"):
            sandbox.add_fault(call, "html_error", times=None)
        sandbox.add_fault("checkout", "html_error", times=1)
        parked = buy(didflow, 4721, "customer-12", 1)
        fill_the_lists(didflow)
        paths = {name: f"/{name}" for name in ("numbers", *ONLY_LIGHT)} | {
            "order": "/order?country=US&city=LOS+ANGELES%2C+CA&max_monthly_usd=5",
            "review": f"/review/{parked}",
            "incident": "/failover/incident?name=INC-31",
        }
        yield stack, didflow, {"overview": "/", "job": f"/jobs/{lost}", **paths}


def buy(didflow: Didflow, order: int, reference: str, quantity: int) -> str:
    request = SearchAndBuy(country="US", city=CITY, quantity=quantity, destinations=(Destination.trunk(144),))
    job = didflow.submit(request, idempotency_key=f"order-{order}", reference=reference)
    didflow.wait(job.id)
    return job.id


def fill_the_lists(didflow: Didflow) -> None:
    """Offers, an inventory with a saved view, a customer who leaves, and an endpoint of a webhook."""
    ledger = didflow.ledger
    didflow.catalogue.cities("US")
    didflow.catalogue.offers("US", CITY, max_monthly_usd="5")
    didflow.inventory.refresh(timeout_s=60)
    ledger.perform(console_views.save(ledger.commands, SavedView("moved to the backup", "destination=sip:backup@pbx.example", "ann")))
    Churn(didflow).churned("customer-9", parking=(Destination.sip("goodbye@pbx.example"),))
    new = NewEndpoint(name="billing", url="https://93.184.216.34/didflow", types=("didflow.job.*",))
    ledger.perform(made(ledger.commands, new, ()))


def fill_the_charts(didflow: Didflow) -> None:
    """What three hours might have left."""
    keys, client, chance = didflow.ledger.keys, didflow.ledger.client, random.Random(7)
    now = didflow.ledger.now_ms() // 60_000
    for minute in range(now - 180, now - 1):
        counts: dict[Any, Any] = {"ended:succeeded": chance.randint(0, 6), "ended:failed": int(chance.random() > 0.9)}
        counts |= {f"call:{bound}": chance.randint(0, 3) for bound in (50, 100, 250)} | {"call:25": chance.randint(2, 9)}
        client.hset(keys.metrics_hour(minute // 60), mapping={f"{minute % 60}:{what}": count for what, count in counts.items()})
        client.hset(keys.spent("account:default"), str(minute), f'{{"numbers":1,"usd":{chance.randint(0, 3) * 9900}}}')


def main() -> int:
    if (what := missing()) is not None:
        sys.stderr.write(f"{what}\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    with busy() as (stack, didflow, pages), chromium() as browser:
        key = ApiKey(id=new_key_id(), name="ann", scopes=frozenset({ApiScope.ADMIN}))
        empty = browser.new_page()
        secret = didflow.ledger.perform(api_keys.create(didflow.ledger.commands, key))
        for look, options in LOOKS.items():
            with screen(browser, str(stack.http_url), secret=secret, **options) as seen:
                for name in EVERY_LOOK if look != "light" else (*EVERY_LOOK, *ONLY_LIGHT):
                    seen.open(pages[name])
                    if name == "overview":
                        seen.page.wait_for_selector("[data-drawn]")
                    picture = seen.page.screenshot(full_page=look != "phone")
                    (FOLDER / f"{name}-{look}.png").write_bytes(small_png(empty, picture))
    return 0


if __name__ == "__main__":
    sys.exit(main())
