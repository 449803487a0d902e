"""Each example does what its header says, on a real Valkey and the sandbox over HTTP."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from didflow import Didflow, SearchAndBuy
from producers.business_events import BusinessEvents
from producers.churn import Churn
from tests.support.cluster import until
from tests.support.inline_worker import InlineWorker, numbers
from tests.support.sweeping import sweep
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "examples"
IN_LA = SearchAndBuy(country="US", city="LOS ANGELES, CA")


@pytest.fixture
def environment(inline: InlineWorker, valkey: EmbeddedValkey) -> dict[str, str]:
    """What an example is given: the ledger, and a `PATH` with the installed command."""
    didflow = {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": inline.settings.namespace}
    return os.environ | didflow | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture
def didflow(inline: InlineWorker) -> Didflow:
    return Didflow(inline.ledger.client, inline.settings.namespace)


def run(environment: dict[str, str], *command: object) -> str:
    """What it prints on stdout."""
    ran = subprocess.run([str(one) for one in command], env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_every_example_is_listed_and_says_how_to_run_it() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    files = [file for file in EXAMPLES.iterdir() if file.suffix in (".py", ".sh", ".csv", ".mjs")]
    assert len(files) > 5
    assert [file.name for file in files if f"({file.name})" not in listed] == []
    headers = {file.name: file.read_text()[:1200] for file in files if file.suffix != ".csv"}
    assert [name for name, header in headers.items() if "Shows: " not in header or f"examples/{name}" not in header] == []


def refused(environment: dict[str, str], *command: object, code: int = 1) -> str:
    """What an example says that ends with this code."""
    words = [str(one) for one in command]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stdout) == (code, ""), ended
    return ended.stderr


@contextmanager
def started(environment: dict[str, str], *command: object) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen([str(one) for one in command], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(30)
        assert child.stdout is not None
        child.stdout.close()


def asked(url: str, body: dict[str, object] | None = None) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, None if body is None else json.dumps(body).encode(), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_onboarding_service_orders_once_and_provisions(environment: dict[str, str], inline: InlineWorker) -> None:
    order: dict[str, object] = {"order": "4711", "customer": "acme", "quantity": 2}
    with started(environment, sys.executable, EXAMPLES / "onboarding_service.py", "--port", 0) as service, working(inline):
        assert service.stdout is not None
        url = service.stdout.readline().strip()
        first, again = (asked(f"{url}/orders", order) for _ in range(2))
        provisioned = json.loads(service.stdout.readline())
        shown = asked(f"{url}/orders/4711")
        wrong = [asked(f"{url}/orders", order | {"quantity": 3})[0], asked(f"{url}/orders", {"order": "1"})[0], asked(f"{url}/orders/1")[0]]
    assert (first[0], first[1]["new"], again) == (202, True, (202, {"job": first[1]["job"], "new": False}))
    assert set(provisioned.pop("numbers")) == inline.owned()
    assert provisioned == {"order": "4711", "customer": "acme", "state": "succeeded"}
    assert shown == (200, {"job": first[1]["job"], "state": "succeeded", "reason": None})
    assert wrong == [409, 400, 404]
    assert len(inline.owned()) == 2


def test_an_order_by_redis_commands_is_bought_once_and_its_result_is_read(
    environment: dict[str, str], inline: InlineWorker, didflow: Didflow
) -> None:
    events, taken = BusinessEvents(didflow), []

    def consume() -> None:
        for one in events.take_in():
            taken.append(one)
            if len(taken) == 2:
                return

    consumer = threading.Thread(target=consume, daemon=True)
    consumer.start()
    client = f"{sys.executable} {PROJECT / 'tests/support/redis_cli.py'}"
    with working(inline):
        said = run(environment | {"REDIS_CLI": client}, "sh", EXAMPLES / "event_intake.sh", "4711", "acme")
        consumer.join(60)
    assert [one.job.is_new for one in taken if one.job] == [True, False]
    assert len(inline.owned()) == 2
    (data,) = [json.loads(line) for line in said.splitlines() if line.startswith('{"')]
    assert (data["reference"], data["state"]) == ("acme", "succeeded")
    assert {number["number"] for number in data["numbers"]} == inline.owned()


def booked_by(environment: dict[str, str], file: Path) -> list[str]:
    """The first two lines of a consumer, which is ended then."""
    with started(environment, sys.executable, EXAMPLES / "result_consumer.py", file) as consumer:
        assert consumer.stdout is not None
        return [consumer.stdout.readline().strip() for _ in range(2)]


def test_the_result_consumer_books_each_charge_once(
    environment: dict[str, str], inline: InlineWorker, didflow: Didflow, tmp_path: Path
) -> None:
    views = [inline.finish(inline.submit(IN_LA, reference=customer)) for customer in ("acme", "globex")]
    file = tmp_path / "charges.sqlite"
    assert booked_by(environment, file) == [f"{view.id} succeeded booked" for view in views]
    # As if it had died before it acknowledged: the group gets the same events again.
    inline.ledger.client.xgroup_setid(inline.ledger.keys.results, "billing", "0")
    assert booked_by(environment, file) == [f"{view.id} succeeded was booked before" for view in views]
    booked = sqlite3.connect(file)
    assert booked.execute("SELECT reference, state FROM charges ORDER BY reference").fetchall() == [
        ("acme", "succeeded"),
        ("globex", "succeeded"),
    ]
    charges = [str(usd) for (usd,) in booked.execute("SELECT usd FROM charges ORDER BY reference")]
    assert charges == [str(view.result.totals.charged_usd) for view in views if view.result]
    booked.close()


def test_the_failover_runbook_moves_away_and_back(environment: dict[str, str], inline: InlineWorker) -> None:
    mine = inline.own(3, "sip:pbx@example.net")
    runbook = ("sh", EXAMPLES / "failover_runbook.sh")
    incident = ("INC-31", "pbx@example.net", "sip:backup@example.net")
    with working(inline):
        run(environment, *runbook, "look", *incident)
        assert set(map(tuple, inline.routes().values())) == {("pbx@example.net",)}
        assert f"confirmed\t{len(mine)}\t" in run(environment, *runbook, "move", *incident)
        assert set(map(tuple, inline.routes().values())) == {("backup@example.net",)}
        assert f"confirmed\t{len(mine)}\t" in run(environment, *runbook, "back", "INC-31")
    assert set(map(tuple, inline.routes().values())) == {("pbx@example.net",)}


def test_the_churn_file_releases_and_calls_off(environment: dict[str, str], inline: InlineWorker, didflow: Didflow) -> None:
    of = {name: numbers(inline.finish(inline.submit(IN_LA, reference=name)))[0].number for name in ("acme", "globex", "initech")}
    left = Churn(didflow).churned("initech")
    with working(inline):
        said = run(environment, "sh", EXAMPLES / "churn_csv.sh", EXAMPLES / "churn.csv")
        again = [line.outcome for line in Churn(didflow).from_csv((EXAMPLES / "churn.csv").read_text().splitlines())]
        until(lambda: inline.routes()[of["acme"]] == ["goodbye@example.net"])
    lines = [line.split("\t")[1:4] for line in said.splitlines() if line[0].isdigit()]
    assert lines[:3] == [["acme", "churned", "new"], ["globex", "churned", "new"], ["initech", "returned", "kept"]]
    assert lines[3:] == [["acme", "churned", "submitted"], ["globex", "churned", "submitted"], ["initech", "returned", "kept"]]
    assert again == ["same", "same", "kept"]
    assert didflow.get(left.id).state == "cancelled"
    assert inline.owned() == set(of.values())


def test_a_new_kind_of_job_runs_from_the_request_to_the_result(environment: dict[str, str]) -> None:
    first, *others = run(environment, sys.executable, EXAMPLES / "new_job_kind.py").splitlines()
    assert first == "check_calls partial"
    assert [line.split(maxsplit=1)[1] for line in others] == ["unchanged takes calls", "unchanged takes calls", "not_found takes no calls"]


def test_the_price_list_has_prices_and_documents(environment: dict[str, str], inline: InlineWorker) -> None:
    with working(inline):
        berlin = run(environment, sys.executable, EXAMPLES / "price_list.py", "DE", "Berlin").splitlines()
        assert berlin[0].startswith("30 numbers in Berlin, as of ")
        assert berlin[1].endswith("needs: Any form of ID, Proof of local address")
        assert "did you mean Berlin" in refused(environment, sys.executable, EXAMPLES / "price_list.py", "DE", "Berln")
    assert refused(environment, sys.executable, EXAMPLES / "price_list.py") == "usage: price_list.py COUNTRY CITY\n"
    nowhere = environment | {"DIDFLOW_REDIS_URL": "redis://127.0.0.1:1/0"}
    assert "check DIDFLOW_REDIS_URL" in refused(nowhere, sys.executable, EXAMPLES / "price_list.py", "DE", "Berlin")


@pytest.mark.parametrize("step", ["look", "move"])
def test_a_step_of_the_runbook_without_its_destinations_says_how_to_call_it(environment: dict[str, str], step: str) -> None:
    said = refused(environment, "sh", EXAMPLES / "failover_runbook.sh", step, "INC-31", code=2)
    assert said == f"usage: failover_runbook.sh {step} INCIDENT FROM TO\n"


def test_an_order_by_redis_commands_needs_a_client(environment: dict[str, str]) -> None:
    without = environment | {"REDIS_CLI": "no-such-client -u redis://127.0.0.1"}
    assert "no-such-client isn't installed" in refused(without, "sh", EXAMPLES / "event_intake.sh", "4711", "acme", code=2)


def test_the_inventory_report(environment: dict[str, str], inline: InlineWorker) -> None:
    owned = inline.own(2)
    inline.sandbox.order("set_number", number=owned[0].removeprefix("+"), paid_until="2020-01-01")
    sweep(inline)
    said = run(environment, sys.executable, EXAMPLES / "inventory_report.py").splitlines()
    assert said[0].startswith("2 numbers, ")
    assert said[1].startswith("1 renew within 7 days")
