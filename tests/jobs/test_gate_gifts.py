"""A person says which purchase bought a number that the gate found; a worker, which can ask the provider, gives it to the purchase."""

from typing import cast

from didflow.contract.destinations import Destination
from didflow.contract.provider import Yes
from didflow.contract.requests import Reroute, SearchAndBuy
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from didflow.ledger.gate import Findings, Gate, Gift, Turn
from didflow.ledger.script_calls import Submission
from tests.support.gate import restart
from tests.support.inline_worker import InlineWorker, numbers
from worker.jobs.ports.provider import Provider
from worker.reconcile.gatekeeper import Gatekeeper

ORDER = SearchAndBuy(country="US", city="LOS ANGELES, CA")


def closed(inline: InlineWorker) -> tuple[Gatekeeper, Gate, dict[str, int]]:
    """A gate that a number keeps closed of which no job says that it bought it."""
    country = next(one for one in inline.client.countries() if one.iso_code == "US")
    region = next(one for one in inline.client.regions(country.id) if one.name == "California")
    offers = inline.client.offers(country.id, inline.client.cities(country.id, region.id)[0].id, sms_only=False, page=1).items
    bought = next(one.number for one in offers if not one.documents)
    assert isinstance(inline.client.put_in_cart([bought]), Yes)
    assert isinstance(inline.client.check_out([bought]), Yes)
    restart(inline.ledger)
    gate = Gate(inline.ledger)
    keeper = Gatekeeper(inline.ledger, "default", cast("Provider", inline.client), settle_s=0.0, worker="test")
    for _ in range(2):  # The cart, then what is owned.
        keeper.look_again()
        keeper.look()
    found = gate.findings("default").owned
    assert len(found) == 1
    return keeper, gate, found


def turn_of(inline: InlineWorker, gate: Gate) -> Turn:
    turn = gate.take_turn("default", "test", turn_ms=1)
    assert turn is not None
    return turn


def test_a_number_that_is_given_belongs_to_its_purchase_and_the_gate_opens(inline: InlineWorker) -> None:
    job = inline.ledger.submit(Submission(ORDER))
    keeper, gate, found = closed(inline)
    ((number, record_id),) = found.items()
    gate.keep_gift("default", Gift(number=number, record_id=record_id, job=job.id, actor="ann"))
    keeper.look()
    assert (gate.closed("default"), gate.gifts("default")) == (False, {})
    before = inline.sandbox.owned()
    ended = inline.finish(job)
    assert [(one.number, one.outcome) for one in numbers(ended)] == [(number, "bought")]
    assert inline.sandbox.owned().keys() == before.keys(), "it buys one less"
    (entry,) = inline.ledger.run(script_calls.history(number)).entries
    assert (entry.happened.by, entry.happened.actor, entry.job) == ("person", "ann", job.id)


def test_a_gift_to_a_job_that_cannot_take_it_is_refused_with_the_reason(inline: InlineWorker) -> None:
    other = inline.ledger.submit(Submission(Reroute(numbers=("+12135550100",), destinations=(Destination.sip("a@example.net"),))))
    keeper, gate, found = closed(inline)
    ((number, record_id),) = found.items()
    gate.keep_gift("default", Gift(number=number, record_id=record_id, job=other.id, actor="ann"))
    for _ in range(2):
        keeper.look_again()
        keeper.look()
    assert gate.closed("default")
    assert "is not a purchase of this account" in gate.gifts("default")[number].refused


def test_a_gift_of_another_record_of_the_number_is_refused_with_the_reason(inline: InlineWorker) -> None:
    """The number went and was bought again between the person's look and the worker's."""
    job = inline.ledger.submit(Submission(ORDER))
    keeper, gate, found = closed(inline)
    ((number, record_id),) = found.items()
    other = Gift(number=number, record_id=record_id + 1, job=job.id, actor="ann")
    gate.record(turn_of(inline, gate), Findings("default", {number: other.record_id}))
    assert gate.keep_gift("default", other)
    keeper.look_again()
    keeper.look()
    assert gate.closed("default")
    assert f"{record_id}, not {other.record_id}" in gate.gifts("default")[number].refused
    gate.accept("default", found)
    keeper.look()
    assert (gate.closed("default"), gate.gifts("default")) == (False, {}), "it was said before"
    assert inline.ledger.get(job.id).state is JobState.QUEUED


def test_a_jump_of_redis_s_clock_lets_no_gate_open_by_a_list_that_may_lag(inline: InlineWorker) -> None:
    """After a restart the server's clock is set right, an hour forward. The process has known of it for a moment."""
    restart(inline.ledger)
    gate, keys, own_s = Gate(inline.ledger), inline.ledger.keys, 0.0
    provider = cast("Provider", inline.client)
    keeper = Gatekeeper(inline.ledger, "default", provider, settle_s=60.0, worker="test", clock=lambda: own_s)

    def look() -> dict[str, int]:
        keeper.look_again()
        keeper.look()
        calls: dict[str, int] = inline.sandbox.state()["calls"]
        return calls

    assert look() == {}
    inline.ledger.client.hincrby(keys.epoch, "since_ms", -3_600_000)
    assert look() == {}, "nothing that is read now would prove anything"
    own_s = 60.0
    assert list(look()) == ["cart"]
    inline.ledger.client.hincrby(keys.gate("default"), "cart_ms", -3_600_000)
    assert list(look()) == ["cart"]
    own_s = 120.0
    look()
    assert not gate.closed("default")


def test_a_gift_that_nobody_tried_says_so_when_the_gate_opens(inline: InlineWorker) -> None:
    """The number was released elsewhere after the person read the findings."""
    job = inline.ledger.submit(Submission(ORDER))
    keeper, gate, found = closed(inline)
    ((number, record_id),) = found.items()
    assert gate.keep_gift("default", Gift(number=number, record_id=record_id, job=job.id, actor="ann"))
    inline.client.release([record_id])
    keeper.look()
    assert not gate.closed("default")
    assert f"record {record_id} was none of them" in gate.gifts("default")[number].refused
    assert inline.ledger.numbers(job.id) == {}
