"""A fresh answer begins after its question, and a look gives way to the requests of other jobs."""

import threading
import time
from datetime import datetime
from typing import cast

from didflow.client.sync.client import Didflow
from didflow.contract.catalogue import CatalogueAnswer
from didflow.contract.provider import Country, Page
from didflow.contract.requests import CatalogueLook
from didflow.contract.states import Lane
from didflow.ledger.rate_limit import Pace, admit, others_wait
from didflow.ledger.script_calls import Submission
from tests.support.cluster import until
from tests.support.inline_worker import InlineWorker
from tests.support.ledger_roles import claimed
from tests.support.working_thread import working
from worker.attempt.ledger_ports.catalogue import LedgerCatalogue
from worker.jobs.ports.provider import Provider
from worker.wavix.client import WavixClient

FOREVER_US = 50_000_000


class Amid(InlineWorker):
    """Stops the first look when it has read its page, until `goes_on` is set."""

    def provider(self, account: str, lane: Lane) -> Provider:
        found: Provider = _Held(self.client, self.read, self.goes_on)  # type: ignore[assignment]
        return found

    read = threading.Event()
    goes_on = threading.Event()


class _Held:
    def __init__(self, client: WavixClient, read: threading.Event, goes_on: threading.Event) -> None:
        self._client, self._read, self._goes_on = client, read, goes_on

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    def countries_page(self, page: int) -> Page[Country]:
        found = self._client.countries_page(page)
        self._read.set()
        self._goes_on.wait(30)
        return found


def test_a_look_that_is_under_way_is_not_fresh(inline: InlineWorker, didflow: Didflow) -> None:
    """It may have read its page before the question. All who ask meanwhile share the next one."""
    amid = Amid(inline.ledger, inline.sandbox)
    answers: list[CatalogueAnswer[Country]] = []
    asking = [threading.Thread(target=lambda: answers.append(didflow.catalogue.countries(fresh=True))) for _ in range(3)]
    with working(amid):
        first = threading.Thread(target=didflow.catalogue.countries)
        first.start()
        assert amid.read.wait(30)
        asked_ms = inline.ledger.now_ms()
        for one in asking:
            one.start()
        until(lambda: cast("dict[str, int]", inline.ledger.client.info("clients"))["blocked_clients"] >= 4)
        amid.goes_on.set()
        for one in (first, *asking):
            one.join(30)
    amid.close()
    began: list[datetime] = [one.looked_at for one in answers]
    assert len(began) == 3
    assert min(began).timestamp() * 1000 >= asked_ms
    looks = [view for view in inline.ledger.perform(inline.ledger.commands.find()) if view.kind == "catalogue_look"]
    assert len(looks) == 2


def test_a_line_of_requests_is_noticed(inline: InlineWorker) -> None:
    """As the rate limiter makes it: a second request a minute after the first has to wait for its turn."""
    ledger = inline.ledger
    assert not ledger.perform(others_wait(ledger.keys, "default"))
    pace = Pace(interval_us=5_000_000, emergency_share=0.5)
    words = [ledger.run(admit("default", f"ask-{one}", pace, emergency=False, patience_s=60.0, probe_s=None)).word for one in range(2)]
    assert words == ["go", "back"]
    assert ledger.perform(others_wait(ledger.keys, "default"))


def test_a_look_gives_way_for_its_share_and_no_longer(inline: InlineWorker) -> None:
    ledger = inline.ledger
    job = ledger.submit(Submission(CatalogueLook(what="countries")))
    catalogue, checked = LedgerCatalogue(ledger, claimed(ledger, job.id)), []
    rate = ledger.keys.rate("default")

    def leave_the_line() -> None:
        checked.append(1)
        ledger.client.hdel(rate, "line_other_us")

    catalogue.give_way(60.0, leave_the_line)
    assert not checked, "nobody waits"
    ledger.client.hset(rate, "line_other_us", str(ledger.now_ms() * 1000 + FOREVER_US))
    catalogue.give_way(60.0, leave_the_line)
    assert checked == [1], "it went on when the line was empty"
    ledger.client.hset(rate, "line_other_us", str(ledger.now_ms() * 1000 + FOREVER_US))
    began_s = time.monotonic()
    catalogue.give_way(0.2, lambda: None)
    assert time.monotonic() - began_s >= 0.2


def test_a_look_ends_although_others_always_wait(inline: InlineWorker, didflow: Didflow) -> None:
    polite = InlineWorker(inline.ledger, inline.sandbox, rate_limit=200.0)
    inline.ledger.client.hset(inline.ledger.keys.rate("default"), "line_other_us", str(inline.ledger.now_ms() * 1000 + FOREVER_US))
    with working(polite):
        assert didflow.catalogue.countries().complete
    polite.close()
