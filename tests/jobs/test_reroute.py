"""Reroute and failback: every number where it should be, each brought back to its own old place, and nobody else's change undone."""

from datetime import UTC, datetime, timedelta

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.errors import InvalidRequest
from didflow.contract.requests import Failback, Reroute, Selector
from didflow.contract.states import JobState, WaitReason
from tests.support.inline_worker import InlineWorker, numbers, outcomes

BACKUP = Destination.sip("backup@example.net")


def all_at(inline: InlineWorker, wanted: str) -> bool:
    return all(places == [wanted] for places in inline.routes().values())


def test_numbers_are_rerouted_confirmed_and_failed_back_to_their_own_old_routes(inline: InlineWorker) -> None:
    first, second = inline.own(3, "sip:one@example.net"), inline.own(2, "sip:two@example.net")
    view = inline.run(Reroute(numbers=tuple(first + second), destinations=(BACKUP,)))
    assert view.state == "succeeded"
    assert set(outcomes(view).values()) == {"confirmed"}
    assert all_at(inline, "backup@example.net")
    back = inline.run(Failback(job_id=view.id))
    assert back.state == "succeeded"
    assert inline.routes() == {number: ["one@example.net"] for number in first} | {number: ["two@example.net"] for number in second}


def test_what_is_there_already_is_not_sent_again(inline: InlineWorker) -> None:
    there, elsewhere = inline.own(2, "sip:backup@example.net"), inline.own(1)
    view = inline.run(Reroute(numbers=tuple(there + elsewhere), destinations=(BACKUP,)))
    assert outcomes(view) == {there[0]: "unchanged", there[1]: "unchanged", elsewhere[0]: "confirmed"}
    again = inline.run(Reroute(numbers=tuple(there), destinations=(BACKUP,)))
    assert again.state == "succeeded"
    assert inline.sandbox.state()["calls"]["destinations"] == 1


def test_a_number_that_is_not_ours_is_reported_and_the_others_are_rerouted(inline: InlineWorker) -> None:
    ours = inline.own(3)
    view = inline.run(Reroute(numbers=(*ours, "+12135550100"), destinations=(BACKUP,)))
    assert view.state == "partial"
    assert outcomes(view)["+12135550100"] == "not_found"
    assert all_at(inline, "backup@example.net")


def test_one_bad_id_in_a_batch_costs_a_few_calls_and_nothing_else(inline: InlineWorker) -> None:
    ours = inline.own(16)
    job = inline.submit(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    inline.sandbox.add_fault("destinations", "rate_limit", seconds=0.0)
    inline.attempt(job)  # The snapshot is taken; then one number leaves the account.
    inline.client.release([int(inline.sandbox.owned()[ours[5][1:]]["record_id"])])
    view = inline.finish(job)
    assert outcomes(view)[ours[5]] == "not_found"
    assert sorted(outcomes(view).values()) == ["confirmed"] * 15 + ["not_found"]  # type: ignore[type-var]
    assert inline.sandbox.state()["calls"]["destinations"] == 1 + 1 + 2 * 4, "the 429, the batch, and 16 bisected"


@pytest.mark.parametrize("kind", ["act_and_drop", "drop", "cut_json", "act_then_html", "act_and_hang", "status_500_before"])
def test_an_unclear_answer_is_looked_at_and_only_the_rest_repeated(inline: InlineWorker, kind: str) -> None:
    ours = inline.own(4)
    inline.sandbox.add_fault("destinations", kind, seconds=0.5)
    view = inline.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    assert view.state == "succeeded"
    assert all_at(inline, "backup@example.net")
    happened = kind not in ("drop", "status_500_before")
    assert inline.sandbox.state()["calls"]["destinations"] == (1 if happened else 2)


def test_a_change_that_shows_late_is_waited_for(inline: InlineWorker) -> None:
    ours = inline.own(2)
    inline.sandbox.order("reconfigure", apply_late_s=0.2)
    view = inline.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    assert set(outcomes(view).values()) == {"confirmed"}


def test_a_change_that_never_shows_is_accepted_and_not_called_confirmed(inline: InlineWorker) -> None:
    ours = inline.own(1)
    inline.sandbox.order("reconfigure", apply_late_s=60.0)
    view = inline.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    assert outcomes(view) == {ours[0]: "accepted"}
    assert view.state == "partial"
    error = numbers(view)[0].error
    assert error is not None
    assert error.code == "not_confirmed"


def test_a_change_by_a_person_while_ours_is_awaited_is_reported_and_left(inline: InlineWorker) -> None:
    ours = inline.own(1)
    inline.sandbox.order("reconfigure", apply_late_s=60.0)
    job = inline.submit(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    assert inline.attempt(job).reason == WaitReason.SETTLING
    by_hand = [{"transport": 1, "destination": "hand@example.net", "priority": 1}]
    inline.sandbox.order("set_destinations", number=ours[0][1:], destinations=by_hand)
    view = inline.finish(job)
    assert outcomes(view) == {ours[0]: "changed_elsewhere"}
    assert view.state == "failed"
    assert inline.sandbox.state()["calls"]["destinations"] == 1


def test_the_newest_request_wins_whatever_the_order_of_execution(inline: InlineWorker) -> None:
    ours = inline.own(2)
    older = inline.submit(Reroute(numbers=tuple(ours), destinations=(Destination.sip("older@example.net"),)))
    newer = inline.submit(Reroute(numbers=tuple(ours), destinations=(Destination.sip("newer@example.net"),)))
    assert inline.finish(newer).state == "succeeded"
    late = inline.finish(older)
    assert set(outcomes(late).values()) == {"superseded"}
    assert all_at(inline, "newer@example.net")


def test_failback_leaves_alone_what_a_person_changed_since(inline: InlineWorker) -> None:
    ours = inline.own(2)
    moved = inline.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    by_hand = [{"transport": 1, "destination": "hand@example.net", "priority": 1}]
    inline.sandbox.order("set_destinations", number=ours[0][1:], destinations=by_hand)
    back = inline.run(Failback(job_id=moved.id))
    assert outcomes(back) == {ours[0]: "changed_elsewhere", ours[1]: "confirmed"}
    assert inline.routes()[ours[0]] == ["hand@example.net"]


def test_sms_callbacks_are_kept_through_both_ways(inline: InlineWorker) -> None:
    ours = inline.own(3)
    inline.sandbox.order("set_number", number=ours[1][1:], sms_relay_url="https://example.net/own-sms")
    moved = inline.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    inline.run(Failback(job_id=moved.id))
    callbacks = {number: record["sms_relay_url"] for number, record in inline.sandbox.owned().items()}
    assert callbacks == {ours[0][1:]: None, ours[1][1:]: "https://example.net/own-sms", ours[2][1:]: None}


def test_a_callback_that_the_provider_drops_is_reported_and_not_called_confirmed(inline: InlineWorker) -> None:
    ours = inline.own(3)
    inline.sandbox.order("set_number", number=ours[1][1:], sms_relay_url="https://example.net/own-sms")
    inline.sandbox.order("reconfigure", destinations_drop_callback=True)
    view = inline.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    assert view.state == "partial"
    assert outcomes(view) == {ours[0]: "confirmed", ours[1]: "accepted", ours[2]: "confirmed"}
    errors = [one.error.code for one in numbers(view) if one.error]
    assert (errors, inline.sandbox.state()["calls"]["destinations"]) == (["sms_callback_lost"], 2), "and it is sent once"
    assert all_at(inline, "backup@example.net")


def test_a_callback_that_another_party_changes_meanwhile_is_theirs(inline: InlineWorker) -> None:
    (ours,) = inline.own(1)
    inline.sandbox.order("set_number", number=ours[1:], sms_relay_url="https://example.net/own-sms")
    inline.sandbox.order("reconfigure", apply_late_s=0.1)
    job = inline.submit(Reroute(numbers=(ours,), destinations=(BACKUP,)))
    assert inline.attempt(job).reason == WaitReason.SETTLING
    inline.sandbox.order("set_number", number=ours[1:], sms_relay_url="https://example.net/another")
    assert outcomes(inline.finish(job)) == {ours: "confirmed"}
    assert inline.sandbox.owned()[ours[1:]]["sms_relay_url"] == "https://example.net/another"


def test_strange_routes_that_the_provider_shows_come_back_as_they_were(inline: InlineWorker) -> None:
    ours = inline.own(1)
    strange = [
        {"transport": 1, "destination": "[did]@pbx.example.net", "priority": 200},
        {"transport": 4, "destination": "12135550101", "priority": 1},
    ]
    inline.sandbox.order("set_destinations", number=ours[0][1:], destinations=strange)
    moved = inline.run(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    back = inline.run(Failback(job_id=moved.id))
    assert back.state == "succeeded"
    assert inline.routes()[ours[0]] == ["[did]@pbx.example.net", "12135550101"]


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
def test_selectors_find_what_is_there_now(inline: InlineWorker, selector: dict[str, object], count: int) -> None:
    inline.own(3, "sip:one@example.net")
    inline.own(2, "sip:two@example.net", label="vip")
    view = inline.run(Reroute(selector=Selector.model_validate(selector), destinations=(BACKUP,)))
    assert sum(places == ["backup@example.net"] for places in inline.routes().values()) == count
    assert (view.state == "succeeded") == (count > 0) or view.error is not None


def test_guards_refuse_before_anything_is_rerouted(inline: InlineWorker) -> None:
    ours = tuple(inline.own(4))
    everything = Selector(all=True)
    refused = {
        "unexpected_count": Reroute(selector=everything, expected_count=3, destinations=(BACKUP,)),
        "too_large_fraction": Reroute(selector=everything, max_fraction=0.5, destinations=(BACKUP,)),
        "unknown_trunk": Reroute(numbers=ours, destinations=(Destination.trunk(999),)),
    }
    for code, request in refused.items():
        view = inline.run(request)
        assert view.state == "failed"
        assert view.error is not None
        assert view.error.code == code
    expired = inline.run(Reroute(numbers=ours, destinations=(BACKUP,), deadline=datetime.now(UTC) - timedelta(seconds=1)))
    assert expired.state == "expired"
    assert all_at(inline, "old@example.net")


def test_a_canary_that_is_not_confirmed_stops_the_rest(inline: InlineWorker) -> None:
    ours = tuple(inline.own(5))
    inline.sandbox.order("reconfigure", apply_late_s=60.0)
    view = inline.run(Reroute(numbers=ours, destinations=(BACKUP,), canary=2))
    assert view.error is not None
    assert view.error.code == "canary_failed"
    assert inline.sandbox.state()["calls"]["destinations"] == 1
    inline.sandbox.order("reconfigure", apply_late_s=0.0)
    assert inline.run(Reroute(numbers=ours, destinations=(BACKUP,), canary=2)).state == "succeeded"


def test_a_dry_run_reports_what_would_be_rerouted(inline: InlineWorker) -> None:
    there, elsewhere = inline.own(1, "sip:backup@example.net"), inline.own(1)
    view = inline.run(Reroute(numbers=tuple(there + elsewhere), destinations=(BACKUP,), dry_run=True))
    assert view.result is not None
    assert view.result.quote is not None
    assert {number.number: number.outcome for number in view.result.quote.numbers} == {there[0]: "unchanged", elsewhere[0]: None}
    assert "destinations" not in inline.sandbox.state()["calls"]


def test_failback_waits_for_the_reroute_it_undoes(inline: InlineWorker) -> None:
    job = inline.submit(Reroute(numbers=tuple(inline.own(1)), destinations=(BACKUP,)))
    back = inline.submit(Failback(job_id=job.id))
    view = inline.attempt(back)
    assert (view.state, view.reason) == (JobState.WAITING, WaitReason.DEPENDS)
    inline.finish(job)
    assert inline.finish(back).state == "succeeded"
    assert all_at(inline, "old@example.net")


@pytest.mark.parametrize(("status", "html"), [(404, False), (403, True), (400, False), (422, False), (429, False), (503, False)])
@pytest.mark.parametrize("count", [1, 3])
def test_a_route_that_is_set_and_then_refused_is_confirmed(inline: InlineWorker, status: int, html: bool, count: int) -> None:
    ours = tuple(inline.own(count))
    inline.sandbox.add_fault("destinations", "act_then_refuse", status=status, html=html, times=2 if count > 1 else 1)
    view = inline.run(Reroute(numbers=ours, destinations=(BACKUP,)))
    assert (view.state, outcomes(view)) == ("succeeded", dict.fromkeys(ours, "confirmed"))
    assert all_at(inline, "backup@example.net")
    assert not inline.ledger.account_state("default").paused


def test_a_route_that_is_refused_is_said_so_when_it_was_read_back(inline: InlineWorker) -> None:
    ours = tuple(inline.own(2))
    inline.sandbox.add_fault("destinations", "refuse", status=422, times=None)
    view = inline.run(Reroute(numbers=ours, destinations=(BACKUP,)))
    assert (view.state, outcomes(view)) == ("failed", dict.fromkeys(ours, "refused"))
    assert {number.error.code if number.error else None for number in numbers(view)} == {"route_refused"}
    assert [step.detail for step in inline.story(view) if step.name == "waiting"] == ["settling"], "both wait together, once"
    assert all_at(inline, "old@example.net")


def test_an_empty_list_and_duplicates_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="exactly one way"):
        Reroute(numbers=(), destinations=(BACKUP,))
    with pytest.raises(ValueError, match=r"\+12135550100"):
        Reroute(numbers=("+12135550100", "12135550100"), destinations=(BACKUP,))
    assert issubclass(InvalidRequest, Exception)
