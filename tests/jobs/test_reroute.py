"""Reroute and failback: every number where it should be, each brought back to its own old place, and nobody else's change undone."""

from datetime import UTC, datetime, timedelta

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.errors import InvalidRequest
from didflow.contract.requests import Failback, Reroute, Selector
from didflow.contract.states import JobState, WaitReason
from tests.support.inline_worker import Stage, numbers, outcomes

BACKUP = Destination.sip("backup@example.net")


def all_at(stage: Stage, wanted: str) -> bool:
    return all(places == [wanted] for places in stage.routes().values())


def test_numbers_are_moved_confirmed_and_brought_back_to_their_own_old_routes(stage: Stage) -> None:
    first, second = stage.own(3, "sip:one@example.net"), stage.own(2, "sip:two@example.net")
    view = stage.run(Reroute(numbers=tuple(first + second), destinations=(BACKUP,)))
    assert view.state == "succeeded"
    assert set(outcomes(view).values()) == {"confirmed"}
    assert all_at(stage, "backup@example.net")
    back = stage.run(Failback(job_id=view.id))
    assert back.state == "succeeded"
    assert stage.routes() == {number: ["one@example.net"] for number in first} | {number: ["two@example.net"] for number in second}


def test_what_is_there_already_is_not_sent_again(stage: Stage) -> None:
    there, elsewhere = stage.own(2, "sip:backup@example.net"), stage.own(1)
    view = stage.run(Reroute(numbers=tuple(there + elsewhere), destinations=(BACKUP,)))
    assert outcomes(view) == {there[0]: "unchanged", there[1]: "unchanged", elsewhere[0]: "confirmed"}
    again = stage.run(Reroute(numbers=tuple(there), destinations=(BACKUP,)))
    assert again.state == "succeeded"
    assert stage.sandbox.state()["calls"]["destinations"] == 1


def test_a_number_that_is_not_ours_is_told_and_the_others_move(stage: Stage) -> None:
    ours = stage.own(3)
    view = stage.run(Reroute(numbers=(*ours, "+12135550100"), destinations=(BACKUP,)))
    assert view.state == "partial"
    assert outcomes(view)["+12135550100"] == "not_found"
    assert all_at(stage, "backup@example.net")


def test_one_bad_id_in_a_batch_costs_a_few_calls_and_nothing_else(stage: Stage) -> None:
    ours = stage.own(16)
    job = stage.submit(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    stage.sandbox.add_fault("destinations", "rate_limit", seconds=0.0)
    stage.attempt(job)  # The snapshot is taken; then one number leaves the account.
    stage.client.release([int(stage.sandbox.owned()[ours[5][1:]]["record_id"])])
    view = stage.finish(job)
    assert outcomes(view)[ours[5]] == "not_found"
    assert sorted(outcomes(view).values()) == ["confirmed"] * 15 + ["not_found"]  # type: ignore[type-var]
    assert stage.sandbox.state()["calls"]["destinations"] == 1 + 1 + 2 * 4, "the 429, the batch, and 16 bisected"


@pytest.mark.parametrize("kind", ["act_and_drop", "drop", "cut_json", "act_then_html", "act_and_hang", "status_500_before"])
def test_an_unclear_answer_is_looked_at_and_only_the_rest_repeated(stage: Stage, kind: str) -> None:
    ours = stage.own(4)
    stage.sandbox.add_fault("destinations", kind, seconds=0.5)
    view = stage.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    assert view.state == "succeeded"
    assert all_at(stage, "backup@example.net")
    happened = kind not in ("drop", "status_500_before")
    assert stage.sandbox.state()["calls"]["destinations"] == (1 if happened else 2)


def test_a_change_that_shows_late_is_waited_for(stage: Stage) -> None:
    ours = stage.own(2)
    stage.sandbox.order("reconfigure", apply_late_s=0.2)
    view = stage.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    assert set(outcomes(view).values()) == {"confirmed"}


def test_a_change_that_never_shows_is_accepted_and_not_called_confirmed(stage: Stage) -> None:
    ours = stage.own(1)
    stage.sandbox.order("reconfigure", apply_late_s=60.0)
    view = stage.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    assert outcomes(view) == {ours[0]: "accepted"}
    assert view.state == "partial"
    error = numbers(view)[0].error
    assert error is not None
    assert error.code == "not_confirmed"


def test_a_change_by_somebody_else_while_ours_is_awaited_is_told_and_left(stage: Stage) -> None:
    ours = stage.own(1)
    stage.sandbox.order("reconfigure", apply_late_s=60.0)
    job = stage.submit(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    assert stage.attempt(job).reason == WaitReason.SETTLING
    by_hand = [{"transport": 1, "destination": "hand@example.net", "priority": 1}]
    stage.sandbox.order("set_destinations", number=ours[0][1:], destinations=by_hand)
    view = stage.finish(job)
    assert outcomes(view) == {ours[0]: "changed_elsewhere"}
    assert view.state == "failed"
    assert stage.sandbox.state()["calls"]["destinations"] == 1


def test_the_newest_request_wins_whatever_the_order_of_execution(stage: Stage) -> None:
    ours = stage.own(2)
    older = stage.submit(Reroute(numbers=tuple(ours), destinations=(Destination.sip("older@example.net"),)))
    newer = stage.submit(Reroute(numbers=tuple(ours), destinations=(Destination.sip("newer@example.net"),)))
    assert stage.finish(newer).state == "succeeded"
    late = stage.finish(older)
    assert set(outcomes(late).values()) == {"superseded"}
    assert all_at(stage, "newer@example.net")


def test_failback_leaves_alone_what_somebody_changed_since(stage: Stage) -> None:
    ours = stage.own(2)
    moved = stage.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    by_hand = [{"transport": 1, "destination": "hand@example.net", "priority": 1}]
    stage.sandbox.order("set_destinations", number=ours[0][1:], destinations=by_hand)
    back = stage.run(Failback(job_id=moved.id))
    assert outcomes(back) == {ours[0]: "changed_elsewhere", ours[1]: "confirmed"}
    assert stage.routes()[ours[0]] == ["hand@example.net"]


def test_sms_callbacks_are_kept_through_both_ways(stage: Stage) -> None:
    ours = stage.own(3)
    stage.sandbox.order("set_number", number=ours[1][1:], sms_relay_url="https://example.net/own-sms")
    moved = stage.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    stage.run(Failback(job_id=moved.id))
    callbacks = {number: record["sms_relay_url"] for number, record in stage.sandbox.owned().items()}
    assert callbacks == {ours[0][1:]: None, ours[1][1:]: "https://example.net/own-sms", ours[2][1:]: None}


def test_strange_routes_that_the_provider_shows_come_back_as_they_were(stage: Stage) -> None:
    ours = stage.own(1)
    strange = [
        {"transport": 1, "destination": "[did]@pbx.example.net", "priority": 200},
        {"transport": 4, "destination": "12135550101", "priority": 1},
    ]
    stage.sandbox.order("set_destinations", number=ours[0][1:], destinations=strange)
    moved = stage.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    back = stage.run(Failback(job_id=moved.id))
    assert back.state == "succeeded"
    assert stage.routes()[ours[0]] == ["[did]@pbx.example.net", "12135550101"]


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        ({"destination": "sip:one@example.net"}, 3),
        ({"label": "vip"}, 2),
        ({"country": "us"}, 5),
        ({"all": True}, 5),
        ({"destination": "one@example.net", "label": "vip"}, 0),
    ],
)
def test_selectors_find_what_is_there_now(stage: Stage, selector: dict[str, object], count: int) -> None:
    stage.own(3, "sip:one@example.net")
    stage.own(2, "sip:two@example.net", label="vip")
    view = stage.run(Reroute(selector=Selector.model_validate(selector), destinations=(BACKUP,)))
    assert sum(places == ["backup@example.net"] for places in stage.routes().values()) == count
    assert (view.state == "succeeded") == (count > 0) or view.error is not None


def test_guards_refuse_before_anything_moves(stage: Stage) -> None:
    ours = tuple(stage.own(4))
    everything = Selector(all=True)
    refused = {
        "unexpected_count": Reroute(selector=everything, expected_count=3, destinations=(BACKUP,)),
        "too_large_fraction": Reroute(selector=everything, max_fraction=0.5, destinations=(BACKUP,)),
        "unknown_trunk": Reroute(numbers=ours, destinations=(Destination.trunk(999),)),
    }
    for code, request in refused.items():
        view = stage.run(request)
        assert view.state == "failed"
        assert view.error is not None
        assert view.error.code == code
    expired = stage.run(Reroute(numbers=ours, destinations=(BACKUP,), deadline=datetime.now(UTC) - timedelta(seconds=1)))
    assert expired.state == "expired"
    assert all_at(stage, "old@example.net")


def test_a_canary_that_is_not_confirmed_stops_the_rest(stage: Stage) -> None:
    ours = tuple(stage.own(5))
    stage.sandbox.order("reconfigure", apply_late_s=60.0)
    view = stage.run(Reroute(numbers=ours, destinations=(BACKUP,), canary=2))
    assert view.error is not None
    assert view.error.code == "canary_failed"
    assert stage.sandbox.state()["calls"]["destinations"] == 1
    stage.sandbox.order("reconfigure", apply_late_s=0.0)
    assert stage.run(Reroute(numbers=ours, destinations=(BACKUP,), canary=2)).state == "succeeded"


def test_a_dry_run_tells_what_would_move(stage: Stage) -> None:
    there, elsewhere = stage.own(1, "sip:backup@example.net"), stage.own(1)
    view = stage.run(Reroute(numbers=tuple(there + elsewhere), destinations=(BACKUP,), dry_run=True))
    assert view.result is not None
    assert view.result.quote is not None
    assert {number.number: number.outcome for number in view.result.quote.numbers} == {there[0]: "unchanged", elsewhere[0]: None}
    assert "destinations" not in stage.sandbox.state()["calls"]


def test_failback_waits_for_the_reroute_it_undoes(stage: Stage) -> None:
    job = stage.submit(Reroute(numbers=tuple(stage.own(1)), destinations=(BACKUP,)))
    back = stage.submit(Failback(job_id=job.id))
    view = stage.attempt(back)
    assert (view.state, view.reason) == (JobState.WAITING, WaitReason.DEPENDS)
    stage.finish(job)
    assert stage.finish(back).state == "succeeded"
    assert all_at(stage, "old@example.net")


@pytest.mark.parametrize(("status", "html"), [(404, False), (403, True), (400, False), (422, False), (429, False), (503, False)])
@pytest.mark.parametrize("count", [1, 3])
def test_a_route_that_is_set_and_then_refused_is_confirmed(stage: Stage, status: int, html: bool, count: int) -> None:
    ours = tuple(stage.own(count))
    stage.sandbox.add_fault("destinations", "act_then_refuse", status=status, html=html, times=2 if count > 1 else 1)
    view = stage.run(Reroute(numbers=ours, destinations=(BACKUP,)))
    assert (view.state, outcomes(view)) == ("succeeded", dict.fromkeys(ours, "confirmed"))
    assert all_at(stage, "backup@example.net")
    assert not stage.ledger.account_state("default").paused


def test_a_route_that_is_refused_is_said_so_when_it_was_read_back(stage: Stage) -> None:
    ours = tuple(stage.own(2))
    stage.sandbox.add_fault("destinations", "refuse", status=422, times=None)
    view = stage.run(Reroute(numbers=ours, destinations=(BACKUP,)))
    assert (view.state, outcomes(view)) == ("failed", dict.fromkeys(ours, "refused"))
    assert {number.error.code if number.error else None for number in numbers(view)} == {"route_refused"}
    assert [step.detail for step in stage.story(view) if step.name == "waiting"] == ["settling"], "both wait together, once"
    assert all_at(stage, "old@example.net")


def test_an_empty_list_and_duplicates_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="exactly one way"):
        Reroute(numbers=(), destinations=(BACKUP,))
    with pytest.raises(ValueError, match=r"\+12135550100"):
        Reroute(numbers=("+12135550100", "12135550100"), destinations=(BACKUP,))
    assert issubclass(InvalidRequest, Exception)
