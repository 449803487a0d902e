"""Where numbers went at a moment, and bringing them back there: from the histories and the inventory, by the guarded job."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from didflow.client.sync.client import Didflow
from didflow.contract.destinations import Destination
from didflow.contract.errors import InvalidRequest
from didflow.contract.past_routes import Source
from didflow.contract.requests import Release, Reroute, SearchAndBuy, Selector
from didflow.contract.states import JobState
from tests.support.inline_worker import InlineWorker, numbers, outcomes, result_of
from tests.support.sweeping import sweep

ONE, TWO = Destination.sip("one@example.net"), Destination.pstn("+13235550142")


def moment(inline: InlineWorker) -> datetime:
    """Now, by the ledger's clock, and what comes after is later."""
    before_ms = inline.ledger.now_ms()
    while inline.ledger.now_ms() <= before_ms:
        pass
    return datetime.fromtimestamp(before_ms / 1000, UTC)


def didflow(inline: InlineWorker) -> Didflow:
    return Didflow(inline.ledger.client, inline.ledger.keys.namespace)


def went(inline: InlineWorker, at: datetime) -> dict[str, tuple[str, ...] | None]:
    return {one.number: one.destinations for one in didflow(inline).routes.at(at)}


def rerouted(inline: InlineWorker, some: list[str], *to: Destination) -> None:
    assert inline.run(Reroute(numbers=tuple(some), destinations=to)).state is JobState.SUCCEEDED


def test_a_number_is_shown_where_it_went_at_each_moment_of_its_history(inline: InlineWorker) -> None:
    first, second = inline.own(2)
    sweep(inline)
    begin = moment(inline)
    rerouted(inline, [first], ONE)
    then = moment(inline)
    rerouted(inline, [first, second], TWO)
    assert went(inline, begin) == {first: ("sip:old@example.net",), second: ("sip:old@example.net",)}
    assert went(inline, then) == {first: ("sip:one@example.net",), second: ("sip:old@example.net",)}
    assert went(inline, moment(inline)) == dict.fromkeys((first, second), ("pstn:+13235550142",))


def test_a_change_elsewhere_counts_from_when_a_sweep_saw_it(inline: InlineWorker) -> None:
    (number,) = inline.own(1)
    sweep(inline)
    rerouted(inline, [number], ONE)
    then = moment(inline)
    elsewhere = [{"transport": 1, "destination": "x@example.net", "priority": 1}]
    inline.sandbox.order("set_destinations", number=number.lstrip("+"), destinations=elsewhere)
    sweep(inline)
    assert went(inline, then) == {number: ("sip:one@example.net",)}
    assert went(inline, moment(inline)) == {number: ("sip:x@example.net",)}


def test_a_number_is_not_shown_before_it_was_bought_nor_after_it_was_released(inline: InlineWorker) -> None:
    before = moment(inline)
    bought = inline.run(SearchAndBuy(country="US", city="LOS ANGELES, CA", destinations=(ONE,)))
    number = numbers(bought)[0].number
    sweep(inline)
    then = moment(inline)
    assert inline.run(Release(numbers=(number,))).state is JobState.SUCCEEDED
    assert (went(inline, before), went(inline, then), went(inline, moment(inline))) == ({}, {number: ("sip:one@example.net",)}, {})
    (asked,) = didflow(inline).routes.at(before, numbers=[number])
    assert asked.source is Source.NOT_OURS


def test_the_difference_of_two_moments_has_the_numbers_that_went_elsewhere(inline: InlineWorker) -> None:
    first, _ = inline.own(2)
    sweep(inline)
    begin = moment(inline)
    rerouted(inline, [first], ONE)
    (found,) = didflow(inline).routes.difference(begin, moment(inline))
    assert (found.number, found.before.destinations, found.after.destinations) == (
        first,
        ("sip:old@example.net",),
        ("sip:one@example.net",),
    )


def test_routes_of_a_moment_are_restored_each_number_to_its_own(inline: InlineWorker) -> None:
    ours = inline.own(3) + inline.own(2, "sip:two@example.net")
    sweep(inline)
    begin, was = moment(inline), inline.routes()
    rerouted(inline, ours[:4], ONE)
    rerouted(inline, ours[3:], TWO)
    look = inline.run(Reroute(selector=Selector(all=True), back_to=begin, dry_run=True))
    quote = result_of(look).quote
    assert quote is not None
    assert len(quote.numbers) == 5
    view = inline.run(Reroute(selector=Selector(all=True), back_to=begin, expected_count=5))
    assert (view.state, inline.routes()) == (JobState.SUCCEEDED, was)


def test_what_was_not_ours_then_is_not_meant_and_what_is_not_known_is_left_as_it_is(inline: InlineWorker) -> None:
    (old,) = inline.own(1)
    sweep(inline)
    begin = moment(inline)
    (late,) = inline.own(1, "sip:late@example.net")
    rerouted(inline, [old, late], ONE)  # The history has the route of `late` before it, and not since when it was ours.
    bought = numbers(inline.run(SearchAndBuy(country="US", city="LOS ANGELES, CA", destinations=(ONE,))))[0].number
    (unseen,) = inline.own(1, "sip:unseen@example.net")
    view = inline.run(Reroute(selector=Selector(all=True), back_to=begin, expected_count=3))
    assert outcomes(view) == {old: "confirmed", late: "confirmed", unseen: "failed"}
    assert inline.routes() == {
        old: ["old@example.net"],
        late: ["late@example.net"],
        unseen: ["unseen@example.net"],
        bought: ["one@example.net"],
    }
    (error,) = (one.error for one in numbers(view) if one.error)
    assert error.code == "route_unknown"


def test_a_moment_before_all_numbers_is_named_as_the_reason(inline: InlineWorker) -> None:
    begin = moment(inline)
    inline.run(SearchAndBuy(country="US", city="LOS ANGELES, CA"))
    view = inline.run(Reroute(selector=Selector(all=True), back_to=begin.astimezone(timezone(timedelta(hours=1)))))
    assert view.error is not None
    assert view.error.code == "nothing_selected"
    assert view.error.message == f"the account had none of the selected numbers at {begin:%Y-%m-%dT%H:%M:%SZ}; nothing was changed"


@pytest.mark.parametrize(
    "fields",
    [
        {"numbers": ("+12135550100",)},
        {"numbers": ("+12135550100",), "destinations": (ONE,), "back_to": datetime(2026, 1, 1, tzinfo=UTC)},
        {"record_ids": (1,), "snapshot_of": "abc", "back_to": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_reroute_names_destinations_or_a_moment(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match="back_to"):
        Reroute.model_validate(fields)


def test_the_future_has_no_routes(inline: InlineWorker) -> None:
    with pytest.raises(InvalidRequest, match="future"):
        next(iter(didflow(inline).routes.at(datetime.now(UTC) + timedelta(days=1))), None)
