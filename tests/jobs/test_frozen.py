"""Jobs under a freeze: nothing is bought and nothing goes; what may have happened is settled on, and everything can still be cancelled."""

from datetime import timedelta

import pytest

from didflow import Didflow
from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Release, Reroute, SearchAndBuy
from didflow.ledger import script_calls
from tests.support.inline_worker import InlineWorker, outcomes
from tests.support.moved_clock import MovedLedger, inline, ledger, settle

__all__ = ["inline", "ledger"]

BUY = SearchAndBuy(country="US", city=("LOS ANGELES, CA",))
PARKING = (Destination.sip("parked@example.net"),)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Frozen:
    """What a person does to the ledger."""

    def __init__(self, ledger: MovedLedger) -> None:
        self._didflow = Didflow(ledger.client, ledger.keys.namespace, actor="ann")
        self._didflow.ledger.commands = ledger.commands

    def freeze(self) -> None:
        assert self._didflow.freeze("a wrong list", timeout_s=0, actor="ann").is_new

    def lift(self) -> None:
        assert self._didflow.unfreeze() is not None


@pytest.fixture
def frozen(ledger: MovedLedger) -> Frozen:
    frozen = Frozen(ledger)
    frozen.freeze()
    return frozen


def calls(inline: InlineWorker, *names: str) -> int:
    counted: dict[str, int] = inline.sandbox.state()["calls"]
    return sum(counted.get(name, 0) for name in names)


def last_detail(inline: InlineWorker, job: Job) -> str:
    return str(inline.story(job)[-1].detail)


def is_frozen(view: JobView) -> bool:
    return (view.state, view.reason) == ("waiting", "frozen")


def test_a_purchase_asks_the_provider_nothing_says_who_froze_it_and_buys_when_that_is_lifted(inline: InlineWorker, frozen: Frozen) -> None:
    job = inline.submit(BUY)
    for _ in range(2):
        inline.make_due(job)
        assert is_frozen(inline.attempt(job))
    assert inline.sandbox.state()["calls"] == {}
    assert "frozen by ann" in last_detail(inline, job)
    assert last_detail(inline, job).endswith(": a wrong list")
    frozen.lift()
    assert inline.finish(job).state == "succeeded"


def test_a_freeze_that_comes_while_the_cart_is_filled_leaves_nothing_in_it(
    inline: InlineWorker, ledger: MovedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, fill = Frozen(ledger), inline.client.put_in_cart

    def filled(*args: object, **kwargs: object) -> object:
        answer = fill(*args, **kwargs)  # type: ignore[arg-type]
        frozen.freeze()
        return answer

    monkeypatch.setattr(inline.client, "put_in_cart", filled)
    job = inline.submit(BUY)
    assert is_frozen(inline.attempt(job))
    assert (calls(inline, "checkout"), inline.sandbox.state()["accounts"]["default"]["cart"]) == (0, [])
    monkeypatch.undo()
    frozen.lift()
    assert inline.finish(job).state == "succeeded"
    assert len(inline.owned()) == 1


@pytest.mark.parametrize("fault", ["act_and_drop", "drop"])
def test_a_checkout_without_an_answer_is_settled_under_a_freeze(inline: InlineWorker, ledger: MovedLedger, fault: str) -> None:
    frozen = Frozen(ledger)
    inline.sandbox.add_fault("checkout", fault)
    job = inline.submit(BUY)
    inline.attempt(job)
    frozen.freeze()
    view = settle(inline, ledger, job)
    if fault == "act_and_drop":
        assert view.state == "succeeded"
    else:
        assert is_frozen(view), "it is settled that nothing was bought; the next round waits"
        frozen.lift()
        assert settle(inline, ledger, job).state == "succeeded"
    assert len(inline.sandbox.ledger()) == 1


def test_a_dry_run_and_a_reroute_go_through(inline: InlineWorker, ledger: MovedLedger) -> None:
    ours = inline.own(1)
    Frozen(ledger).freeze()
    assert inline.run(BUY.model_copy(update={"dry_run": True})).state == "succeeded"
    assert inline.run(Reroute(numbers=tuple(ours), destinations=(Destination.sip("pbx@example.net"),))).state == "succeeded"


def test_a_standing_order_ends_at_its_time(inline: InlineWorker, ledger: MovedLedger, frozen: Frozen) -> None:
    job = inline.submit(BUY.model_copy(update={"wait_until": ledger.now() + HOUR}))
    assert is_frozen(inline.attempt(job))
    ledger.pass_time(HOUR)
    assert settle(inline, ledger, job).state == "expired"
    assert inline.owned() == set()


def test_a_release_sends_nothing_and_keeps_nothing_from_other_jobs(inline: InlineWorker, ledger: MovedLedger) -> None:
    ours = inline.own(2)
    frozen = Frozen(ledger)
    frozen.freeze()
    job = inline.submit(Release(numbers=tuple(ours)))
    assert is_frozen(inline.attempt(job))
    assert calls(inline, "release") == 0
    assert ledger.client.hgetall(ledger.keys.going("default")) == {}
    frozen.lift()
    assert outcomes(inline.finish(job)) == dict.fromkeys(ours, "released")


def test_a_release_without_an_answer_is_looked_after_and_not_sent_again(inline: InlineWorker, ledger: MovedLedger) -> None:
    ours = inline.own(2)
    frozen = Frozen(ledger)
    inline.sandbox.add_fault("release", "drop")
    job = inline.submit(Release(numbers=tuple(ours)))
    inline.attempt(job)
    frozen.freeze()
    assert is_frozen(settle(inline, ledger, job))
    inline.client.release([int(inline.sandbox.owned()[ours[0][1:]]["record_id"])])  # The lost call acts late.
    inline.make_due(job)
    assert is_frozen(inline.attempt(job))
    assert inline.ledger.numbers(job.id)[ours[0]].find('"outcome":"released"') > 0
    assert inline.owned() == {ours[1]}
    frozen.lift()
    assert outcomes(settle(inline, ledger, job)) == dict.fromkeys(ours, "released")


def test_a_grace_period_runs_on_and_its_end_waits(inline: InlineWorker, ledger: MovedLedger) -> None:
    ours = inline.own(1)
    frozen = Frozen(ledger)
    job = inline.submit(Release(numbers=tuple(ours), grace=HOUR, parking=PARKING))
    settle(inline, ledger, job)
    frozen.freeze()
    assert inline.attempt(job).reason == "grace"
    ledger.pass_time(HOUR)
    assert is_frozen(settle(inline, ledger, job))
    assert (inline.owned(), calls(inline, "release")) == (set(ours), 0)
    frozen.lift()
    assert settle(inline, ledger, job).state == "succeeded"


def test_a_release_that_would_park_waits_before_it_takes_the_number(inline: InlineWorker, ledger: MovedLedger) -> None:
    (ours,) = inline.own(1)
    before = inline.routes()
    frozen = Frozen(ledger)
    frozen.freeze()
    job = inline.submit(Release(numbers=(ours,), grace=HOUR, parking=PARKING))
    assert is_frozen(settle(inline, ledger, job))
    assert (inline.routes(), ledger.client.hgetall(ledger.keys.parked("default"))) == (before, {})
    frozen.lift()
    assert settle(inline, ledger, job).reason == "grace"


def test_a_frozen_release_is_cancelled_and_its_number_gets_its_route_back(inline: InlineWorker, ledger: MovedLedger) -> None:
    ours = inline.own(1)
    before = inline.routes()
    job = inline.submit(Release(numbers=tuple(ours), grace=HOUR, parking=PARKING))
    settle(inline, ledger, job)
    Frozen(ledger).freeze()
    ledger.pass_time(HOUR)
    assert is_frozen(settle(inline, ledger, job))
    ledger.run(script_calls.cancel(job.id))
    assert settle(inline, ledger, job).state == "cancelled"
    assert (inline.owned(), inline.routes()) == (set(ours), before)


def test_a_number_whose_renewal_passes_under_a_freeze_stays_for_what_is_paid(inline: InlineWorker, ledger: MovedLedger) -> None:
    (ours,) = inline.own(1)
    frozen = Frozen(ledger)
    inline.sandbox.order("set_number", number=ours[1:], paid_until=(ledger.now() + 20 * DAY).date().isoformat())
    job = inline.submit(Release(numbers=(ours,), before_renewal=DAY))
    settle(inline, ledger, job)
    frozen.freeze()
    ledger.pass_time(timedelta(days=19))
    assert is_frozen(settle(inline, ledger, job))
    assert "its numbers renew from" in last_detail(inline, job)
    inline.sandbox.order("set_number", number=ours[1:], paid_until=(ledger.now() + 31 * DAY).date().isoformat())
    ledger.pass_time(2 * DAY)
    assert settle(inline, ledger, job).reason == "grace"
    looked = [step.detail for step in inline.story(job) if step.name == "looked"]
    assert looked[-1] == "1 of 1 numbers renewed before they were released: they stay for what is paid now"
    frozen.lift()
    assert inline.attempt(job).reason == "grace"
    ledger.pass_time(timedelta(days=29))
    assert settle(inline, ledger, job).state == "succeeded"
