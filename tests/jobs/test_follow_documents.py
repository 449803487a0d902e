"""Numbers without documents are followed from the moment they are ours: what is missing, what the review says, until they take calls."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import cast

import pytest
import redis

from didflow import Didflow
from didflow.client.documents import Documents
from didflow.contract.document_file import read_paper
from didflow.contract.events import NumberEvent, event_adapter
from didflow.contract.jobs import Job, JobView
from didflow.contract.provider import Yes
from didflow.contract.requests import FollowDocuments, Release, SearchAndBuy
from didflow.contract.results import NumberResult
from didflow.contract.states import JobState
from tests.jobs.test_killed_at_every_point import DyingWorkers, play_on
from tests.jobs.test_killed_at_every_point import Play as Playing
from tests.support.simulation.simulation import Attempt, Killed, Scene
from worker.jobs.purchase.locations import find_country
from worker.operate.reconcile import Desk

HOUR_MS = 3_600_000
GERMAN = SearchAndBuy(country="DE", city=("Berlin",), documents="allow_inactive")
TWO = GERMAN.model_copy(update={"quantity": 2})


@pytest.fixture
def scene(quick_valkey: redis.Redis) -> Iterator[Scene]:
    scene = Scene(quick_valkey)
    yield scene
    scene.close()


def bought(scene: Scene, quantity: int = 1) -> tuple[list[str], Job]:
    """Numbers that need documents, and the job that the purchase left behind."""
    purchase = scene.submit(GERMAN.model_copy(update={"quantity": quantity}))
    scene.finish(purchase)
    numbers = [number.number for number in result(scene.view(purchase))]
    return numbers, Job(f"{purchase.id}-documents", True, JobState.SCHEDULED)


def result(view: JobView) -> tuple[NumberResult, ...]:
    assert view.result is not None
    return view.result.numbers


def look(scene: Scene, job: Job) -> JobView:
    """Its time has come."""
    scene.make_due(job)
    return scene.run(job)


def hand_in(scene: Scene, number: str, *kinds: str) -> None:
    for kind in kinds:
        owned = next(one for one in scene.provider.owned(page=1, search=number).items)
        assert scene.provider.upload_paper([owned.record_id], read_paper(kind, b"%PDF-1.4 a passport")) == Yes(None)


def review(scene: Scene, number: str, verdict: str = "approved", kind: int | None = None) -> None:
    scene.sandbox.order("review_documents", number=number.removeprefix("+"), verdict=verdict, kind=kind)


def told(scene: Scene, number: str | None = None) -> list[str]:
    """What the events stream tells of numbers, in the words of the types."""
    entries = cast("list[tuple[str, dict[str, str]]]", scene.ledger.client.xrange(scene.ledger.keys.events))
    events = [event_adapter().validate_python(fields | {"data": json.loads(fields["data"])}) for _, fields in entries]
    about = [event for event in events if isinstance(event, NumberEvent) and number in (None, event.subject)]
    assert len({event.id for event in about}) == len(about)
    return [event.type.split(".")[2] for event in about]


def redis_now_s(scene: Scene) -> float:
    seconds, micros = scene.ledger.client.time()
    return seconds + micros / 1_000_000


def test_a_number_is_followed_from_missing_papers_to_its_first_call(scene: Scene) -> None:
    (number,), job = bought(scene)
    assert scene.view(job).state is JobState.SCHEDULED
    waiting = look(scene, job)
    assert (waiting.state, waiting.reason, waiting.progress) == ("waiting", "documents", "0 of 1 numbers")
    hand_in(scene, number, "id")
    look(scene, job)
    hand_in(scene, number, "localaddress")
    look(scene, job)
    assert told(scene) == ["documents_missing", "documents_missing", "documents_in_review"], "one of two is not all"
    look(scene, job)
    assert len(told(scene)) == 3, "nothing new, nothing told"
    review(scene, number)
    ended = look(scene, job)
    assert ended.state is JobState.SUCCEEDED
    assert [(one.number, one.outcome, one.documents_needed) for one in result(ended)] == [(number, "activated", ())]
    assert told(scene)[3:] == ["activated"]


def test_what_is_missing_is_named_and_goes_when_it_is_handed_in(scene: Scene) -> None:
    (number,), _ = bought(scene)
    asked = FollowDocuments(numbers=(number, "+12135550100"), dry_run=True)
    first = scene.run(scene.submit(asked))
    assert first.state is JobState.SUCCEEDED
    assert {one.number: (one.outcome, one.documents_needed) for one in result(first)} == {
        number: ("bought_inactive", ("id", "localaddress")),
        "+12135550100": ("not_found", ()),
    }
    hand_in(scene, number, "id")
    (second, _) = result(scene.run(scene.submit(asked)))
    assert second.documents_needed == ("localaddress",)
    assert told(scene) == [], "a dry run tells nothing"


def test_a_rejection_is_told_at_each_time_and_the_next_document_is_followed(scene: Scene) -> None:
    (number,), job = bought(scene)
    hand_in(scene, number, "localaddress")
    for _ in range(2):
        hand_in(scene, number, "id")
        review(scene, number, "rejected", kind=1)
        assert look(scene, job).state is JobState.WAITING
        look(scene, job)
    assert told(scene) == ["documents_rejected"] * 2, "the second one was never seen under review"
    hand_in(scene, number, "id")
    review(scene, number)
    assert look(scene, job).state is JobState.SUCCEEDED


def test_the_deadline_ends_it_and_says_what_each_number_waits_for(scene: Scene) -> None:
    (first, second, third), job = bought(scene, 3)
    hand_in(scene, second, "id", "localaddress")
    hand_in(scene, third, "id", "localaddress")
    review(scene, third)
    assert look(scene, job).state is JobState.WAITING
    scene.clock.pass_ms(29 * 24 * HOUR_MS)
    assert look(scene, job).state is JobState.WAITING
    scene.clock.pass_ms(24 * HOUR_MS)
    ended = look(scene, job)
    assert ended.state is JobState.EXPIRED
    assert ended.error is not None
    assert ended.error.code == "documents_deadline"
    assert {one.number: one.error.code if one.error else None for one in result(ended)} == {
        first: "documents_missing",
        second: "documents_in_review",
        third: None,
    }


def test_a_deadline_of_the_request_goes_before_the_setting(scene: Scene) -> None:
    (number,), _ = bought(scene)
    deadline = scene.view(scene.jobs[0]).created_at + timedelta(hours=1)
    job = scene.submit(FollowDocuments(numbers=(number,), deadline=deadline))
    assert scene.run(job).state is JobState.WAITING
    scene.clock.pass_ms(HOUR_MS + 60_000)
    assert look(scene, job).state is JobState.EXPIRED


def test_a_number_that_left_the_account_is_waited_for_no_longer(scene: Scene) -> None:
    (first, second), job = bought(scene, 2)
    look(scene, job)
    scene.finish(scene.submit(Release(numbers=(first,))))
    hand_in(scene, second, "id", "localaddress")
    review(scene, second)
    ended = look(scene, job)
    assert ended.state is JobState.PARTIAL
    assert {one.number: one.outcome for one in result(ended)} == {first: "not_found", second: "activated"}
    assert told(scene, first) == ["documents_missing", "left"]


def test_one_that_the_list_does_not_show_for_a_moment_is_not_taken_for_gone(scene: Scene) -> None:
    (number,), job = bought(scene)
    look(scene, job)
    hand_in(scene, number, "id")
    scene.sandbox.add_fault("owned", "lag", seconds=10_000.0)
    look(scene, job)
    assert told(scene) == ["documents_missing", "documents_missing"]


def test_it_looks_seldom_and_not_all_at_once(scene: Scene) -> None:
    jobs = [bought(scene)[1] for _ in range(4)]
    pauses = []
    for job in jobs:
        view = look(scene, job)
        assert view.due_at is not None
        pauses.append(view.due_at.timestamp() - redis_now_s(scene))
    assert all(0.74 * 3600 <= pause <= 1.26 * 3600 for pause in pauses), pauses
    assert len({round(pause, 2) for pause in pauses}) == len(pauses)
    assert view.attempt == 0, "a look costs no attempt"


def test_the_last_look_is_at_the_deadline(scene: Scene) -> None:
    (number,), _ = bought(scene)
    deadline = scene.view(scene.jobs[0]).created_at + timedelta(minutes=10)
    view = scene.run(scene.submit(FollowDocuments(numbers=(number,), deadline=deadline)))
    assert view.due_at is not None
    assert view.due_at.timestamp() - redis_now_s(scene) <= 600.1


def test_called_off_it_says_how_far_the_numbers_are(scene: Scene) -> None:
    (number,), job = bought(scene)
    look(scene, job)
    scene.cancel(job)
    view = scene.run(job)
    assert view.state is JobState.CANCELLED
    assert [(one.number, one.outcome) for one in result(view)] == [(number, "bought_inactive")]


def test_a_purchase_that_goes_on_may_bring_more(scene: Scene) -> None:
    """The first look is while the purchase still sets its routes, and a second checkout could follow."""
    purchase = scene.submit(GERMAN)
    attempt = Attempt(scene, purchase)
    attempt.to("after:save.settled")
    job = Job(f"{purchase.id}-documents", True, JobState.SCHEDULED)
    first = look(scene, job)
    assert (first.state, first.reason) == ("waiting", "documents")
    attempt.end()
    (number,) = (one.number for one in result(scene.view(purchase)))
    scene.sandbox.order("approve_documents", number=number.removeprefix("+"))
    assert look(scene, job).state is JobState.SUCCEEDED


def test_wherever_the_purchase_dies_its_numbers_are_followed_once(quick_valkey: redis.Redis) -> None:
    points: list[str] = []
    place = 0
    while place <= len(points):
        scene = Scene(quick_valkey)
        play, workers = Playing(scene, scene.submit(GERMAN)), DyingWorkers(*([place] if points else []))
        play_on(play, workers)
        points = points or workers.reached
        (number,) = (one.number for one in result(scene.view(play.job)))
        job = Job(f"{play.job.id}-documents", True, JobState.SCHEDULED)
        look(scene, job)
        assert told(scene) == ["documents_missing"], workers.died
        followers = [one for one in scene.ledger.perform(scene.ledger.plans.find(limit=1000)) if one.kind == "follow_documents"]
        assert [one.id for one in followers] == [job.id], workers.died
        assert scene.ledger.numbers(job.id).keys() == {number}
        scene.close()
        place += 1
    assert "after:follow_up" in points


def test_wherever_a_look_dies_each_change_is_told_once(quick_valkey: redis.Redis) -> None:
    points: list[str] = []
    place = 0
    while place <= len(points):
        scene = Scene(quick_valkey)
        (number,), job = bought(scene)
        look(scene, job)
        hand_in(scene, number, "id", "localaddress")
        review(scene, number)
        workers = DyingWorkers(*([place] if points else []))
        scene.make_due(job)
        with suppress(Killed):
            scene.run(job, workers)
        if workers.died:
            scene.expire(job)
            look(scene, job)
        points = points or workers.reached
        assert scene.view(job).state is JobState.SUCCEEDED, workers.died
        assert Counter(told(scene)) == {"documents_missing": 1, "activated": 1}, workers.died
        scene.close()
        place += 1
    assert "after:tell" in points


def test_a_worker_that_slept_over_its_lease_tells_nothing(scene: Scene) -> None:
    (number,), job = bought(scene)
    scene.make_due(job)
    sleeper = Attempt(scene, job)
    sleeper.to("before:tell")
    scene.expire(job)
    hand_in(scene, number, "id", "localaddress")
    look(scene, job)
    sleeper.end()
    assert told(scene) == ["documents_in_review"]


def parked(scene: Scene, request: SearchAndBuy) -> Job:
    """It was bought, and the provider's list doesn't show it."""
    purchase = scene.submit(request)
    attempt = Attempt(scene, purchase)
    if request.policy == "best_effort":
        attempt.to("after:follow_up")  # The first number is ours, and followed.
    scene.sandbox.add_fault("owned", "lag", seconds=10_000.0, times=None)
    attempt.end()
    scene.clock.pass_ms(HOUR_MS)
    scene.make_due(purchase)
    assert scene.run(purchase).state is JobState.NEEDS_REVIEW
    return purchase


def resolved(scene: Scene, purchase: Job, numbers: list[str]) -> JobView:
    return Didflow(scene.ledger.client, scene.ledger.keys.namespace).resolve(purchase.id, numbers)


def test_what_a_person_found_bought_is_followed_from_then_on(scene: Scene) -> None:
    purchase = parked(scene, TWO)
    one, other = (number.number for number in result(scene.view(purchase)))
    ended = resolved(scene, purchase, [one])
    assert {number.number: (number.outcome, number.documents_needed) for number in result(ended)} == {
        one: ("bought_inactive", ("id", "localaddress")),
        other: ("failed", ()),
    }
    job = Job(f"{purchase.id}-documents", True, JobState.SCHEDULED)
    assert scene.view(job).state is JobState.SCHEDULED
    unseen = look(scene, job)
    assert (unseen.state, told(scene)) == (JobState.WAITING, []), "the list shows it to nobody yet"
    assert unseen.due_at is not None
    assert unseen.due_at.timestamp() - redis_now_s(scene) > 2000, "its purchase is over: that is looked at as seldom as the rest"
    scene.sandbox.clear_faults()
    assert look(scene, job).state is JobState.WAITING
    hand_in(scene, one, "id", "localaddress")
    review(scene, one)
    look(scene, job)
    assert scene.view(job).state is JobState.SUCCEEDED
    assert (told(scene, one), told(scene, other)) == (["documents_missing", "activated"], [])


def test_what_a_person_took_for_bought_and_never_was_is_named_at_the_deadline(scene: Scene) -> None:
    purchase = parked(scene, TWO)
    numbers = [number.number for number in result(scene.view(purchase))]
    resolved(scene, purchase, numbers)
    job = Job(f"{purchase.id}-documents", True, JobState.SCHEDULED)
    look(scene, job)
    scene.clock.pass_ms(31 * 24 * HOUR_MS)
    ended = look(scene, job)
    assert (ended.state, {one.number: one.outcome for one in result(ended)}) == ("expired", dict.fromkeys(numbers, "not_found"))


@pytest.mark.parametrize("called_off", [False, True])
def test_a_follower_that_goes_on_takes_in_what_was_found_and_one_that_has_ended_is_replaced(
    quick_valkey: redis.Redis, called_off: bool
) -> None:
    scene = Scene(quick_valkey, batch_size=1)
    purchase = parked(scene, TWO.model_copy(update={"policy": "best_effort"}))
    first = Job(f"{purchase.id}-documents", True, JobState.SCHEDULED)
    look(scene, first)
    assert told(scene) == ["documents_missing"]
    if called_off:
        scene.cancel(first)
        look(scene, first)
    (found,) = [number.number for number in result(scene.view(purchase)) if number.outcome == "unclear"]
    resolved(scene, purchase, [found])
    scene.sandbox.clear_faults()
    newest = Documents(Didflow(scene.ledger.client, scene.ledger.keys.namespace)).follower(purchase.id)
    assert newest is not None
    assert newest.id == first.id + ("-again" if called_off else "")
    look(scene, Job(newest.id, True, newest.state))
    assert told(scene, found) == ["documents_missing"]
    assert len(scene.ledger.numbers(newest.id)) == 2
    scene.close()


def test_a_number_that_a_person_gave_to_its_purchase_is_followed_and_told_as_inactive(scene: Scene) -> None:
    purchase = scene.submit(GERMAN)
    offer = next(one for one in scene.provider.offers(*berlin(scene), sms_only=False, page=1).items if one.documents)
    assert isinstance(scene.provider.put_in_cart([offer.number]), Yes)
    assert scene.provider.check_out([offer.number]) == Yes(None)
    desk = Desk("default", scene.ledger, scene.provider)
    desk.give(desk.look(), purchase.id, offer.number)
    look(scene, Job(f"{purchase.id}-documents", True, JobState.SCHEDULED))
    assert told(scene, offer.number) == ["documents_missing"]
    scene.finish(purchase)
    assert [(one.number, one.outcome) for one in result(scene.view(purchase))] == [(offer.number, "bought_inactive")]
    (entry,) = scene.histories()[offer.number].entries
    assert (entry.happened.what, entry.happened.by, entry.happened.record_id) == (
        "bought_inactive",
        "person",
        result(scene.view(purchase))[0].record_id,
    )


def berlin(scene: Scene) -> tuple[int, int]:
    country = find_country(scene.provider.countries(), "DE")
    return country.id, next(city.id for city in scene.provider.cities(country.id, None) if city.name == "Berlin")


def test_where_the_order_refused_numbers_that_need_documents_nobody_is_left_to_follow(scene: Scene) -> None:
    purchase = parked(scene, SearchAndBuy(country="US", city=("LOS ANGELES, CA",)))
    ended = resolved(scene, purchase, [number.number for number in result(scene.view(purchase))])
    assert [number.outcome for number in result(ended)] == ["bought"]
    assert scene.ledger.client.exists(scene.ledger.keys.job(f"{purchase.id}-documents")) == 0


@pytest.mark.parametrize("job_id", ["nobody", "a reroute"])
def test_only_a_purchase_of_the_account_is_followed(scene: Scene, job_id: str) -> None:
    if job_id == "a reroute":
        job_id = scene.submit(FollowDocuments(numbers=tuple(scene.own(1)), dry_run=True)).id
    view = scene.run(scene.submit(FollowDocuments(job_id=job_id)))
    assert (view.state, view.error.code if view.error else None) == ("failed", "not_a_purchase")
