"""Numbers without documents are followed from the moment they are ours: what is missing, what the review says, until they take calls."""

import json
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import cast

import pytest
import redis

from didflow import Didflow
from didflow.client.sync.documents import Documents
from didflow.contract.document_file import read_paper
from didflow.contract.events import NumberEvent, event_adapter
from didflow.contract.jobs import Job, JobView
from didflow.contract.provider import Yes
from didflow.contract.requests import FollowDocuments, Release, SearchAndBuy
from didflow.contract.states import JobState
from tests.support.simulation.bought_inactive import GERMAN, bought, result
from tests.support.simulation.dying_workers import DyingWorkers, play_on
from tests.support.simulation.dying_workers import Play as Playing
from tests.support.simulation.simulation import Attempt, Killed, Simulation
from worker.jobs.purchase.locations import find_country
from worker.operate.reconcile import Desk

HOUR_MS = 3_600_000
TWO = GERMAN.model_copy(update={"quantity": 2})


def look(simulation: Simulation, job: Job) -> JobView:
    """Its time has come."""
    simulation.make_due(job)
    return simulation.run(job)


def hand_in(simulation: Simulation, number: str, *kinds: str) -> None:
    for kind in kinds:
        owned = next(one for one in simulation.provider.owned(page=1, search=number).items)
        assert simulation.provider.upload_paper([owned.record_id], read_paper(kind, b"%PDF-1.4 a passport")) == Yes(None)


def review(simulation: Simulation, number: str, verdict: str = "approved", kind: int | None = None) -> None:
    simulation.sandbox.order("review_documents", number=number.removeprefix("+"), verdict=verdict, kind=kind)


def reported(simulation: Simulation, number: str | None = None) -> list[str]:
    """What the events stream tells of numbers, in the words of the types."""
    entries = cast("list[tuple[str, dict[str, str]]]", simulation.ledger.client.xrange(simulation.ledger.keys.events))
    events = [event_adapter().validate_python(fields | {"data": json.loads(fields["data"])}) for _, fields in entries]
    about = [event for event in events if isinstance(event, NumberEvent) and number in (None, event.subject)]
    assert len({event.id for event in about}) == len(about)
    return [event.type.split(".")[2] for event in about]


def redis_now_s(simulation: Simulation) -> float:
    seconds, micros = simulation.ledger.client.time()
    return seconds + micros / 1_000_000


def test_a_number_is_followed_from_missing_documents_to_its_first_call(simulation: Simulation) -> None:
    (number,), job = bought(simulation)
    assert simulation.view(job).state is JobState.SCHEDULED
    waiting = look(simulation, job)
    assert (waiting.state, waiting.reason, waiting.progress) == ("waiting", "documents", "0 of 1 numbers")
    hand_in(simulation, number, "id")
    look(simulation, job)
    hand_in(simulation, number, "localaddress")
    look(simulation, job)
    assert reported(simulation) == ["documents_missing", "documents_missing", "documents_in_review"], "one of two is not all"
    look(simulation, job)
    assert len(reported(simulation)) == 3, "nothing new, nothing reported"
    review(simulation, number)
    ended = look(simulation, job)
    assert ended.state is JobState.SUCCEEDED
    assert [(one.number, one.outcome, one.documents_needed) for one in result(ended)] == [(number, "activated", ())]
    assert reported(simulation)[3:] == ["activated"]


def test_what_is_missing_is_named_and_goes_when_it_is_handed_in(simulation: Simulation) -> None:
    (number,), _ = bought(simulation)
    asked = FollowDocuments(numbers=(number, "+12135550100"), dry_run=True)
    first = simulation.run(simulation.submit(asked))
    assert first.state is JobState.SUCCEEDED
    assert {one.number: (one.outcome, one.documents_needed) for one in result(first)} == {
        number: ("bought_inactive", ("id", "localaddress")),
        "+12135550100": ("not_found", ()),
    }
    hand_in(simulation, number, "id")
    (second, _) = result(simulation.run(simulation.submit(asked)))
    assert second.documents_needed == ("localaddress",)
    assert reported(simulation) == [], "a dry run tells nothing"


def test_each_rejection_is_reported_and_the_next_document_is_followed(simulation: Simulation) -> None:
    (number,), job = bought(simulation)
    hand_in(simulation, number, "localaddress")
    for _ in range(2):
        hand_in(simulation, number, "id")
        review(simulation, number, "rejected", kind=1)
        assert look(simulation, job).state is JobState.WAITING
        look(simulation, job)
    assert reported(simulation) == ["documents_rejected"] * 2, "the second one was never seen under review"
    hand_in(simulation, number, "id")
    review(simulation, number)
    assert look(simulation, job).state is JobState.SUCCEEDED


def test_the_deadline_ends_it_and_says_what_each_number_waits_for(simulation: Simulation) -> None:
    (first, second, third), job = bought(simulation, 3)
    hand_in(simulation, second, "id", "localaddress")
    hand_in(simulation, third, "id", "localaddress")
    review(simulation, third)
    assert look(simulation, job).state is JobState.WAITING
    simulation.clock.pass_ms(29 * 24 * HOUR_MS)
    assert look(simulation, job).state is JobState.WAITING
    simulation.clock.pass_ms(24 * HOUR_MS)
    ended = look(simulation, job)
    assert ended.state is JobState.EXPIRED
    assert ended.error is not None
    assert ended.error.code == "documents_deadline"
    assert {one.number: one.error.code if one.error else None for one in result(ended)} == {
        first: "documents_missing",
        second: "documents_in_review",
        third: None,
    }


def test_a_deadline_of_the_request_goes_before_the_setting(simulation: Simulation) -> None:
    (number,), _ = bought(simulation)
    deadline = simulation.view(simulation.jobs[0]).created_at + timedelta(hours=1)
    job = simulation.submit(FollowDocuments(numbers=(number,), deadline=deadline))
    assert simulation.run(job).state is JobState.WAITING
    simulation.clock.pass_ms(HOUR_MS + 60_000)
    assert look(simulation, job).state is JobState.EXPIRED


def test_a_number_that_left_the_account_is_waited_for_no_longer(simulation: Simulation) -> None:
    (first, second), job = bought(simulation, 2)
    look(simulation, job)
    simulation.finish(simulation.submit(Release(numbers=(first,))))
    hand_in(simulation, second, "id", "localaddress")
    review(simulation, second)
    ended = look(simulation, job)
    assert ended.state is JobState.PARTIAL
    assert {one.number: one.outcome for one in result(ended)} == {first: "not_found", second: "activated"}
    assert reported(simulation, first) == ["documents_missing", "left"]


def test_one_that_the_list_does_not_show_for_a_moment_is_not_taken_for_gone(simulation: Simulation) -> None:
    (number,), job = bought(simulation)
    look(simulation, job)
    hand_in(simulation, number, "id")
    simulation.sandbox.add_fault("owned", "lag", seconds=10_000.0)
    look(simulation, job)
    assert reported(simulation) == ["documents_missing", "documents_missing"]


def test_it_looks_seldom_and_not_all_at_once(simulation: Simulation) -> None:
    jobs = [bought(simulation)[1] for _ in range(4)]
    pauses = []
    for job in jobs:
        view = look(simulation, job)
        assert view.due_at is not None
        pauses.append(view.due_at.timestamp() - redis_now_s(simulation))
    assert all(0.74 * 3600 <= pause <= 1.26 * 3600 for pause in pauses), pauses
    assert len({round(pause, 2) for pause in pauses}) == len(pauses)
    assert view.attempt == 0, "a look costs no attempt"


def test_the_last_look_is_at_the_deadline(simulation: Simulation) -> None:
    (number,), _ = bought(simulation)
    deadline = simulation.view(simulation.jobs[0]).created_at + timedelta(minutes=10)
    job = simulation.submit(FollowDocuments(numbers=(number,), deadline=deadline))
    left_s = deadline.timestamp() - simulation.clock.shown_ms / 1000  # By the clock that the job reads; Redis's may be ahead of it.
    view = simulation.run(job)
    assert view.due_at is not None
    assert view.due_at.timestamp() - redis_now_s(simulation) <= left_s


def test_called_off_it_says_how_far_the_numbers_are(simulation: Simulation) -> None:
    (number,), job = bought(simulation)
    look(simulation, job)
    simulation.cancel(job)
    view = simulation.run(job)
    assert view.state is JobState.CANCELLED
    assert [(one.number, one.outcome) for one in result(view)] == [(number, "bought_inactive")]


def test_a_purchase_that_goes_on_may_bring_more(simulation: Simulation) -> None:
    """The first look is while the purchase still sets its routes, and a second checkout could follow."""
    purchase = simulation.submit(GERMAN)
    attempt = Attempt(simulation, purchase)
    attempt.to("after:save.settled")
    job = Job(f"{purchase.id}-documents", True, JobState.SCHEDULED)
    first = look(simulation, job)
    assert (first.state, first.reason) == ("waiting", "documents")
    attempt.end()
    (number,) = (one.number for one in result(simulation.view(purchase)))
    simulation.sandbox.order("approve_documents", number=number.removeprefix("+"))
    assert look(simulation, job).state is JobState.SUCCEEDED


def test_wherever_the_purchase_dies_its_numbers_are_followed_once(quick_valkey: redis.Redis) -> None:
    points: list[str] = []
    place = 0
    while place <= len(points):
        simulation = Simulation(quick_valkey)
        play, workers = Playing(simulation, simulation.submit(GERMAN)), DyingWorkers(*([place] if points else []))
        play_on(play, workers)
        points = points or workers.reached
        (number,) = (one.number for one in result(simulation.view(play.job)))
        job = Job(f"{play.job.id}-documents", True, JobState.SCHEDULED)
        look(simulation, job)
        assert reported(simulation) == ["documents_missing"], workers.died
        followers = [
            one for one in simulation.ledger.perform(simulation.ledger.commands.find(limit=1000)) if one.kind == "follow_documents"
        ]
        assert [one.id for one in followers] == [job.id], workers.died
        assert simulation.ledger.numbers(job.id).keys() == {number}
        simulation.close()
        place += 1
    assert "after:follow_up" in points


def test_wherever_an_attempt_dies_each_change_is_reported_once(quick_valkey: redis.Redis) -> None:
    points: list[str] = []
    place = 0
    while place <= len(points):
        simulation = Simulation(quick_valkey)
        (number,), job = bought(simulation)
        look(simulation, job)
        hand_in(simulation, number, "id", "localaddress")
        review(simulation, number)
        workers = DyingWorkers(*([place] if points else []))
        simulation.make_due(job)
        with suppress(Killed):
            simulation.run(job, workers)
        if workers.died:
            simulation.expire(job)
            look(simulation, job)
        points = points or workers.reached
        assert simulation.view(job).state is JobState.SUCCEEDED, workers.died
        assert Counter(reported(simulation)) == {"documents_missing": 1, "activated": 1}, workers.died
        simulation.close()
        place += 1
    assert "after:emit" in points


def test_a_worker_that_slept_over_its_lease_emits_nothing(simulation: Simulation) -> None:
    (number,), job = bought(simulation)
    simulation.make_due(job)
    sleeper = Attempt(simulation, job)
    sleeper.to("before:emit")
    simulation.expire(job)
    hand_in(simulation, number, "id", "localaddress")
    look(simulation, job)
    sleeper.end()
    assert reported(simulation) == ["documents_in_review"]


def parked(simulation: Simulation, request: SearchAndBuy) -> Job:
    """It was bought, and the provider's list doesn't show it."""
    purchase = simulation.submit(request)
    attempt = Attempt(simulation, purchase)
    if request.policy == "best_effort":
        attempt.to("after:follow_up")  # The first number is ours, and followed.
    simulation.sandbox.add_fault("owned", "lag", seconds=10_000.0, times=None)
    attempt.end()
    simulation.clock.pass_ms(HOUR_MS)
    simulation.make_due(purchase)
    assert simulation.run(purchase).state is JobState.NEEDS_REVIEW
    return purchase


def resolved(simulation: Simulation, purchase: Job, numbers: list[str]) -> JobView:
    return Didflow(simulation.ledger.client, simulation.ledger.keys.namespace).resolve(purchase.id, numbers)


def test_what_a_person_found_bought_is_followed_from_then_on(simulation: Simulation) -> None:
    purchase = parked(simulation, TWO)
    one, other = (number.number for number in result(simulation.view(purchase)))
    ended = resolved(simulation, purchase, [one])
    assert {number.number: (number.outcome, number.documents_needed) for number in result(ended)} == {
        one: ("bought_inactive", ("id", "localaddress")),
        other: ("failed", ()),
    }
    job = Job(f"{purchase.id}-documents", True, JobState.SCHEDULED)
    assert simulation.view(job).state is JobState.SCHEDULED
    unseen = look(simulation, job)
    assert (unseen.state, reported(simulation)) == (JobState.WAITING, []), "the list shows it to nobody yet"
    assert unseen.due_at is not None
    assert unseen.due_at.timestamp() - redis_now_s(simulation) > 2000, "its purchase is over: that is looked at as seldom as the rest"
    simulation.sandbox.clear_faults()
    assert look(simulation, job).state is JobState.WAITING
    hand_in(simulation, one, "id", "localaddress")
    review(simulation, one)
    look(simulation, job)
    assert simulation.view(job).state is JobState.SUCCEEDED
    assert (reported(simulation, one), reported(simulation, other)) == (["documents_missing", "activated"], [])


def test_what_a_person_took_for_bought_and_never_was_is_named_at_the_deadline(simulation: Simulation) -> None:
    purchase = parked(simulation, TWO)
    numbers = [number.number for number in result(simulation.view(purchase))]
    resolved(simulation, purchase, numbers)
    job = Job(f"{purchase.id}-documents", True, JobState.SCHEDULED)
    look(simulation, job)
    simulation.clock.pass_ms(31 * 24 * HOUR_MS)
    ended = look(simulation, job)
    assert (ended.state, {one.number: one.outcome for one in result(ended)}) == ("expired", dict.fromkeys(numbers, "not_found"))


@pytest.mark.parametrize("called_off", [False, True])
def test_a_follower_that_goes_on_takes_in_what_was_found_and_one_that_has_ended_is_replaced(
    quick_valkey: redis.Redis, called_off: bool
) -> None:
    simulation = Simulation(quick_valkey, batch_size=1)
    purchase = parked(simulation, TWO.model_copy(update={"policy": "best_effort"}))
    first = Job(f"{purchase.id}-documents", True, JobState.SCHEDULED)
    look(simulation, first)
    assert reported(simulation) == ["documents_missing"]
    if called_off:
        simulation.cancel(first)
        look(simulation, first)
    (found,) = [number.number for number in result(simulation.view(purchase)) if number.outcome == "unclear"]
    resolved(simulation, purchase, [found])
    simulation.sandbox.clear_faults()
    newest = Documents(Didflow(simulation.ledger.client, simulation.ledger.keys.namespace)).follower(purchase.id)
    assert newest is not None
    assert newest.id == first.id + ("-again" if called_off else "")
    look(simulation, Job(newest.id, True, newest.state))
    assert reported(simulation, found) == ["documents_missing"]
    assert len(simulation.ledger.numbers(newest.id)) == 2
    simulation.close()


def test_a_number_that_a_person_gave_to_its_purchase_is_followed_and_reported_as_inactive(simulation: Simulation) -> None:
    purchase = simulation.submit(GERMAN)
    offer = next(one for one in simulation.provider.offers(*berlin(simulation), sms_only=False, page=1).items if one.documents)
    assert isinstance(simulation.provider.put_in_cart([offer.number]), Yes)
    assert simulation.provider.check_out([offer.number]) == Yes(None)
    desk = Desk("default", simulation.ledger, simulation.provider)
    desk.give(desk.look(), purchase.id, offer.number)
    look(simulation, Job(f"{purchase.id}-documents", True, JobState.SCHEDULED))
    assert reported(simulation, offer.number) == ["documents_missing"]
    simulation.finish(purchase)
    assert [(one.number, one.outcome) for one in result(simulation.view(purchase))] == [(offer.number, "bought_inactive")]
    (entry,) = simulation.histories()[offer.number].entries
    assert (entry.happened.what, entry.happened.by, entry.happened.record_id) == (
        "bought_inactive",
        "person",
        result(simulation.view(purchase))[0].record_id,
    )


def berlin(simulation: Simulation) -> tuple[int, int]:
    country = find_country(simulation.provider.countries(), "DE")
    return country.id, next(city.id for city in simulation.provider.cities(country.id, None) if city.name == "Berlin")


def test_an_order_that_refuses_numbers_with_documents_leaves_none_to_follow(simulation: Simulation) -> None:
    purchase = parked(simulation, SearchAndBuy(country="US", city=("LOS ANGELES, CA",)))
    ended = resolved(simulation, purchase, [number.number for number in result(simulation.view(purchase))])
    assert [number.outcome for number in result(ended)] == ["bought"]
    assert simulation.ledger.client.exists(simulation.ledger.keys.job(f"{purchase.id}-documents")) == 0


@pytest.mark.parametrize("job_id", ["nobody", "a reroute"])
def test_only_a_purchase_of_the_account_is_followed(simulation: Simulation, job_id: str) -> None:
    if job_id == "a reroute":
        job_id = simulation.submit(FollowDocuments(numbers=tuple(simulation.own(1)), dry_run=True)).id
    view = simulation.run(simulation.submit(FollowDocuments(job_id=job_id)))
    assert (view.state, view.error.code if view.error else None) == ("failed", "not_a_purchase")
