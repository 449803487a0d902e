"""Workers die and sleep at any point of a large job and of its batches: every number is moved, and told, once."""

from contextlib import suppress
from typing import cast

import pytest
import redis

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Reroute, Selector
from didflow.contract.states import REPORTED, JobState, WaitReason
from didflow.ledger.commands import Entries
from tests.jobs.test_killed_at_every_point import DyingWorkers
from tests.support.fan_out import names_of_batches
from tests.support.simulation.simulation import Attempt, Killed, Scene

AWAY = Reroute(selector=Selector(all=True), destinations=(Destination.sip("pbx@example.net"),))
#: Seven numbers, two to a call: four batches.
NUMBERS, BATCH = 7, 2
SHARES = 4


def large(server: redis.Redis, request: Reroute = AWAY) -> tuple[Scene, Job, list[str]]:
    scene = Scene(server, batch_size=BATCH)
    numbers = scene.own(NUMBERS)
    return scene, scene.submit(request), numbers


def prepared(server: redis.Redis) -> tuple[Scene, Job, list[str]]:
    """The same, of what a dry run has read."""
    scene, seen, numbers = large(server, AWAY.model_copy(update={"dry_run": True}))
    scene.run(seen)
    result = scene.view(seen).result
    assert result is not None
    assert result.quote is not None
    ids = tuple(one.record_id for one in result.quote.numbers if one.record_id)
    scene.ledger.client.delete(scene.ledger.keys.results)
    return scene, scene.submit(AWAY.model_copy(update={"selector": None, "record_ids": ids, "snapshot_of": seen.id})), numbers


def family(scene: Scene, job: Job) -> list[Job]:
    """The batches that haven't ended, then the job."""
    return [Job(name, False, JobState.QUEUED) for name in names_of_batches(scene.ledger, job)] + [job]


def play_on(scene: Scene, job: Job, workers: DyingWorkers | None = None) -> None:
    """Everybody in turn until the job is reported; whoever dies is taken over."""
    for _ in range(100):
        for one in family(scene, job):
            scene.expire(one)
            scene.make_due(one)
            with suppress(Killed):
                scene.run(one, workers)
        if scene.view(job).state in REPORTED:
            return
    raise AssertionError(scene.story(job))


def check(scene: Scene, job: Job, numbers: list[str]) -> None:
    view = scene.view(job)
    assert view.result is not None
    assert view.state is JobState.SUCCEEDED, (view, scene.story(job))
    assert {one.number: one.outcome for one in view.result.numbers} == dict.fromkeys(numbers, "confirmed")
    assert scene.ledger.perform(scene.ledger.plans.outcomes(job.id)) == {"confirmed": len(numbers)}
    assert scene.routes() == {number: ["pbx@example.net"] for number in numbers}
    assert names_of_batches(scene.ledger, job) == []
    entries = cast("Entries", scene.ledger.client.xrange(scene.ledger.keys.results))
    assert [fields["subject"] for _, fields in entries] == [job.id], "one event, of the job alone"


@pytest.mark.parametrize("share", range(SHARES))
def test_whoever_dies_at_any_point_is_replaced(quick_valkey: redis.Redis, share: int) -> None:
    scene, job, numbers = large(quick_valkey)
    play_on(scene, job, undisturbed := DyingWorkers())
    check(scene, job, numbers)
    assert {"after:fan_out", "before:save.fanned_out", "after:set_route", "before:save.confirmed"} <= set(undisturbed.reached)
    for place in range(share, len(undisturbed.reached), SHARES):
        scene, job, numbers = large(quick_valkey)
        play_on(scene, job, workers := DyingWorkers(place))
        assert workers.died == [undisturbed.reached[place]]
        check(scene, job, numbers)
        scene.close()


def test_whoever_dies_before_the_batches_of_a_prepared_one_is_replaced(quick_valkey: redis.Redis) -> None:
    scene, job, numbers = prepared(quick_valkey)
    play_on(scene, job, undisturbed := DyingWorkers())
    check(scene, job, numbers)
    first = undisturbed.reached.index("before:set_route")
    assert [any("owned" in point for point in part) for part in (undisturbed.reached[:first], undisturbed.reached[first:])] == [False, True]
    for place in range(first):
        scene, job, numbers = prepared(quick_valkey)
        play_on(scene, job, workers := DyingWorkers(place))
        assert workers.died == [undisturbed.reached[place]]
        check(scene, job, numbers)
        scene.close()


def test_a_batch_that_sleeps_at_any_point_changes_nothing_when_it_wakes(quick_valkey: redis.Redis) -> None:
    place, over = 0, False
    while not over:
        place += 1
        scene, job, numbers = large(quick_valkey)
        scene.run(job)
        sleeper = Attempt(scene, family(scene, job)[0])
        for _ in range(place):
            sleeper.step()
        over = sleeper.over
        play_on(scene, job)
        check(scene, job, numbers)
        told = scene.view(job)
        sleeper.end()
        check(scene, job, numbers)
        assert scene.view(job) == told
        scene.close()
    assert place > 8, "it was stopped at each of its points"


def test_a_sleeping_batch_of_an_older_job_is_minded_by_a_newer_one(quick_valkey: redis.Redis) -> None:
    """Its call is out when it falls asleep, or goes out when it wakes: the newer request has the last word."""
    for point in ("before:set_route", "after:claim_routes"):
        scene, older, numbers = large(quick_valkey)
        scene.run(older)
        sleeper = Attempt(scene, family(scene, older)[0])
        sleeper.to(point)
        newer = scene.submit(AWAY.model_copy(update={"destinations": (Destination.sip("newer@example.net"),)}))
        scene.run(newer)
        for one in family(scene, newer):
            scene.make_due(one)
            scene.run(one)
        assert scene.view(newer).reason == WaitReason.SETTLING, "what is shown as asked may still change"
        sleeper.end()
        play_on(scene, newer)
        play_on(scene, older)
        assert scene.routes() == {number: ["newer@example.net"] for number in numbers}, point
        result = scene.view(older).result
        assert result is not None
        assert {one.outcome for one in result.numbers} == {"superseded"}
        scene.close()
