"""Redis comes back without its last writes, at every moment of a purchase: nothing is bought twice, and what can't be known is asked."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from didflow.contract.requests import Release, SearchAndBuy
from didflow.contract.states import JobState
from tests.support.cluster import cluster, until
from tests.support.inline_worker import outcomes
from tests.support.ledger_roles import stream
from tests.support.lossy_valkey import LosingValkey, Plot
from worker.reconcile.gatekeeper import Gatekeeper
from worker.wavix.client import WavixClient
from worker.wavix.locations import LocationCache
from worker.wavix.sandbox import Sandbox, SandboxOptions
from worker.wavix.sandbox.options import SANDBOX_KEY

TWO = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2)
ONE = SearchAndBuy(country="CA", city=("TORONTO, ON",))
#: The writes of a purchase, in order: what is lost begins with this one.
WRITES = ["submit", "claim", "save.bind", "save.fence", "save.checkout_yes", "save.settled", "save.bought", "finish"]

pytestmark = pytest.mark.faults


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[LosingValkey]:
    server = LosingValkey(tmp_path / "valkey")
    yield server
    server.stop()


@pytest.fixture
def plot(valkey: LosingValkey, sandbox: Sandbox, namespace: str) -> Iterator[Plot]:
    plot = Plot(valkey, sandbox, namespace)
    plot.finish(plot.inline.submit(ONE))  # The ledger has a past.
    plot.sizes.clear()
    yield plot
    plot.close()


def gate_events(plot: Plot) -> list[str]:
    return [entry["type"].split(".")[2] for entry in stream(plot.ledger, "events") if entry["type"].startswith("didflow.ledger.")]


@pytest.mark.parametrize("torn", [0, 9], ids=["whole", "torn"])
@pytest.mark.parametrize("lost", WRITES)
def test_whatever_of_a_purchase_is_lost_it_is_not_bought_twice(plot: Plot, valkey: LosingValkey, lost: str, torn: int) -> None:
    before_submit = valkey.size
    job = plot.inline.submit(TWO)
    bought = set(outcomes(plot.finish(job)))
    assert [point for point, _ in plot.sizes] == WRITES[1:]
    keep = dict([("submit", before_submit), *plot.sizes])[lost]
    valkey.die(keep=keep + torn)
    valkey.restart()
    if lost in ("submit", "claim", "save.bind"):  # The numbers are in no job's record: that is for a person.
        again = plot.inline.submit(TWO, "again") if lost == "submit" else job
        plot.go_on(again, lambda: plot.gate.findings("default"))
        findings = plot.gate.findings("default")
        assert set(findings.owned) == bought
        assert findings.candidates == (again.id,)
        assert (plot.ledger.get(again.id).state, plot.ledger.get(again.id).reason) == (JobState.WAITING, "reconciling")
        assert gate_events(plot) == ["gate_closed", "gate_findings"]
    else:
        view = plot.finish(job)
        assert view.state is JobState.SUCCEEDED
        assert set(outcomes(view)) == bought
        plot.go_on(job, lambda: not plot.gate.closed("default"))
        assert gate_events(plot) == ["gate_closed", "gate_opened"]
    assert len(plot.inline.sandbox.ledger()) == 3
    assert plot.inline.owned() >= bought


@pytest.mark.parametrize("lost", ["claim", "save.selected", "save.releasing", "quarantine", "save.released", "finish"])
def test_whatever_of_a_release_is_lost_it_goes_once_and_hits_no_newer_purchase(plot: Plot, valkey: LosingValkey, lost: str) -> None:
    mine, other = plot.own(2)
    job = plot.inline.submit(Release(numbers=(mine,)))
    plot.finish(job)
    assert mine not in plot.inline.owned()
    valkey.die(keep=dict(plot.sizes)[lost])
    valkey.restart()
    again = plot.finish(job)
    assert again.state is (JobState.FAILED if lost in ("claim", "save.selected") else JobState.SUCCEEDED)
    assert set(outcomes(again).values()) <= {"released", "already_released", "not_found"}
    assert other in plot.inline.owned()


def test_a_number_that_was_bought_again_is_not_given_back_by_a_release_that_was_forgotten(plot: Plot, valkey: LosingValkey) -> None:
    (mine,) = plot.own(1)
    job = plot.inline.submit(Release(numbers=(mine,)))
    plot.finish(job)
    plot.inline.sandbox.order("reconfigure", restock_s=0.0)
    while mine not in plot.inline.owned():  # The first that is for sale is the one that was given back.
        assert plot.inline.own(1, days_ago=0)
    valkey.die(keep=dict(plot.sizes)["save.released"])
    valkey.restart()
    plot.go_on(job, lambda: plot.gate.findings("default"))
    plot.gate.accept("default", plot.gate.findings("default").owned)
    assert set(outcomes(plot.finish(job)).values()) == {"released"}
    assert mine in plot.inline.owned()


def test_a_checkout_that_is_out_while_redis_forgets_its_fence_can_buy_nothing_later(plot: Plot, valkey: LosingValkey) -> None:
    """The old attempt lives on: its call acts after the recovery has begun, and then it wants to write."""
    slow = Plot(valkey, plot.inline.sandbox, plot.ledger.keys.namespace, http_timeout=10.0)
    plot.inline.sandbox.add_fault("checkout", "slow", seconds=1.0)
    job = slow.inline.submit(TWO)
    zombie = threading.Thread(target=slow.inline.attempt, args=(job,))
    zombie.start()
    until(lambda: plot.inline.sandbox.state()["faults"].get("checkout:slow"), what="the checkout")
    valkey.die(keep=dict(slow.sizes)["save.fence"])
    valkey.restart()
    view = plot.finish(job)
    zombie.join()
    slow.close()
    assert view.state is JobState.SUCCEEDED
    assert plot.ledger.get(job.id) == view, "what the zombie did later changed nothing"
    assert len(plot.inline.sandbox.ledger()) == 3
    assert set(outcomes(view)) <= plot.inline.owned()


def test_numbers_in_the_cart_that_a_forgotten_attempt_may_still_check_out_keep_the_gate_closed(plot: Plot, valkey: LosingValkey) -> None:
    slow = Plot(valkey, plot.inline.sandbox, plot.ledger.keys.namespace, http_timeout=10.0)
    plot.inline.sandbox.add_fault("checkout", "slow", seconds=3.0)
    job = slow.inline.submit(TWO)
    zombie = threading.Thread(target=slow.inline.attempt, args=(job,))
    zombie.start()
    until(lambda: plot.inline.sandbox.state()["faults"].get("checkout:slow"), what="the checkout")
    in_cart = {f"+{number}" for number in plot.inline.sandbox.state()["accounts"]["default"]["cart"]}
    valkey.die(keep=dict(slow.sizes)["save.bind"])
    valkey.restart()
    plot.go_on(job, lambda: plot.gate.findings("default"))
    assert set(plot.gate.findings("default").in_cart) == in_cart
    zombie.join()
    slow.close()
    assert len(plot.inline.sandbox.ledger()) == 3, "it bought them, and the job buys nothing beside them"
    plot.keeper.look_again()
    plot.go_on(job, lambda: plot.gate.findings("default").owned)
    assert set(plot.gate.findings("default").owned) == in_cart
    assert len(plot.inline.sandbox.ledger()) == 3


def test_when_a_person_says_that_the_numbers_are_no_jobs_the_job_buys_its_own(plot: Plot, valkey: LosingValkey) -> None:
    job = plot.inline.submit(TWO)
    others = set(outcomes(plot.finish(job)))
    valkey.die(keep=dict(plot.sizes)["save.bind"])
    valkey.restart()
    plot.go_on(job, lambda: plot.gate.findings("default"))
    plot.gate.accept("default", plot.gate.findings("default").owned)
    view = plot.finish(job)
    assert view.state is JobState.SUCCEEDED
    assert not set(outcomes(view)) & others
    assert len(plot.inline.sandbox.ledger()) == 5
    assert gate_events(plot) == ["gate_closed", "gate_findings", "gate_opened"]


def test_two_servers_never_have_the_same_epoch_though_the_second_knows_nothing_of_the_first(plot: Plot, valkey: LosingValkey) -> None:
    """Else an attempt of the first one could write with a token that the second one gave to another."""
    valkey.die()
    valkey.restart()
    plot.ledger.sweep(max_crashes=5)
    epochs, keep = [], valkey.size
    for _ in range(4):
        valkey.die(keep=keep)
        valkey.restart()
        plot.ledger.sweep(max_crashes=5)
        epochs.append(plot.client.hget(plot.ledger.keys.epoch, "number"))
    assert len(set(epochs)) == 4, epochs


def test_a_restart_that_lost_nothing_delays_jobs_only_briefly(plot: Plot, valkey: LosingValkey) -> None:
    valkey.die()
    valkey.restart()
    back_s = time.monotonic()
    assert plot.finish(plot.inline.submit(TWO)).state is JobState.SUCCEEDED
    assert time.monotonic() - back_s < 15.0
    assert gate_events(plot) == ["gate_closed", "gate_opened"]


def test_numbers_that_the_ledgers_jobs_bought_are_nothing_to_ask_about(plot: Plot, valkey: LosingValkey) -> None:
    bought = plot.finish(plot.inline.submit(TWO))
    valkey.die()
    valkey.restart()
    assert plot.finish(plot.inline.submit(ONE)).state is JobState.SUCCEEDED
    assert set(outcomes(bought)) < plot.inline.owned()
    assert "gate_findings" not in gate_events(plot)


def test_an_account_whose_key_is_wrong_stays_closed_and_blocks_no_other(valkey: LosingValkey, namespace: str, tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(accounts={"default": SANDBOX_KEY, "other": "other-key"})) as sandbox:
        plot = Plot(valkey, sandbox, namespace)
        job = plot.inline.submit(ONE)
        bad = WavixClient(sandbox.url, SecretStr("wrong"), "mydids", timeout_s=1.0, locations=LocationCache())
        other = Gatekeeper(plot.ledger, "other", bad, settle_s=0.1, worker="plot")
        valkey.die()
        valkey.restart()

        def both() -> bool:
            other.look()
            return not plot.gate.closed("default")

        plot.go_on(job, both)
        other.look()
        assert plot.gate.closed("other")
        bad.close()
        plot.close()


def test_worker_processes_go_on_after_redis_forgot_a_fence(tmp_path: Path, valkey: LosingValkey) -> None:
    with cluster(tmp_path, redis_url=valkey.url) as running:
        running.wait(running.submit(ONE))
        running.sandbox.add_fault("checkout", "act_and_hang", seconds=1.5)
        job = running.submit(TWO)
        until(lambda: running.sandbox.state()["faults"].get("checkout:act_and_hang"), what="the checkout")
        valkey.die_before(b"fence")
        valkey.restart()
        back_s = time.monotonic()
        view = running.wait(job)
        assert view.state is JobState.SUCCEEDED
        assert view.result is not None
        assert "doubt" in [step.name for step in running.didflow.explain(job.id)]
        assert len(running.charged()) == len(set(running.charged())) == 3
        assert {number.number for number in view.result.numbers} < set(running.charged())
        assert len(running.results_of(job)) == 1
        assert running.wait(running.submit(ONE)).state is JobState.SUCCEEDED
        assert time.monotonic() - back_s < 40.0
        types = [entry["type"].split(".")[2] for entry in stream(running.ledger, "events")]
        assert [one for one in types if one.startswith("gate")] == ["gate_closed", "gate_opened"]
        said = [json.loads(line)["event"] for line in running.log.read_text().splitlines()]
        assert {"gate.closed", "gate.writes_lost", "gate.opened"} <= set(said)


def test_worker_processes_go_on_within_seconds_after_a_plain_restart(tmp_path: Path, valkey: LosingValkey) -> None:
    """However long the provider's lists may lag: every process found all that it had written, so nothing has to be looked up."""
    with cluster(tmp_path, redis_url=valkey.url, DIDFLOW_SETTLE_SECONDS="60") as running:
        running.wait(running.submit(ONE))
        valkey.die()
        valkey.restart()
        back_s = time.monotonic()
        assert running.wait(running.submit(TWO)).state is JobState.SUCCEEDED
        assert time.monotonic() - back_s < 30.0
        assert len(running.charged()) == 3
        assert "every worker process found all" in running.log.read_text()
