"""Workers die and sleep at any point of a large job and of its batches: every number is rerouted, and recorded, once."""

from contextlib import suppress
from typing import cast

import pytest
import redis

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Reroute, Selector
from didflow.contract.states import REPORTED, JobState, WaitReason
from didflow.ledger.commands import Entries
from tests.support.fan_out import names_of_batches
from tests.support.simulation.dying_workers import DyingWorkers
from tests.support.simulation.simulation import Attempt, Killed, Simulation
from tests.support.sweeping import swept
from worker.jobs.reroute.route_change import RouteChange

AWAY = Reroute(selector=Selector(all=True), destinations=(Destination.sip("pbx@example.net"),))
#: Seven numbers, two to a call: four batches.
NUMBERS, BATCH = 7, 2
SHARES = 4


def large(server: redis.Redis, request: Reroute = AWAY) -> tuple[Simulation, Job, list[str]]:
    simulation = Simulation(server, batch_size=BATCH)
    numbers = simulation.own(NUMBERS)
    return simulation, simulation.submit(request), numbers


def prepared(server: redis.Redis) -> tuple[Simulation, Job, list[str]]:
    """The same, of what a dry run has read."""
    simulation, seen, numbers = large(server, AWAY.model_copy(update={"dry_run": True}))
    simulation.run(seen)
    result = simulation.view(seen).result
    assert result is not None
    assert result.quote is not None
    ids = tuple(one.record_id for one in result.quote.numbers if one.record_id)
    simulation.ledger.client.delete(simulation.ledger.keys.results)
    return simulation, simulation.submit(AWAY.model_copy(update={"selector": None, "record_ids": ids, "snapshot_of": seen.id})), numbers


def mirrored(server: redis.Redis) -> tuple[Simulation, Job, list[str]]:
    """The same, of what the inventory shows."""
    simulation = Simulation(server, batch_size=BATCH)
    numbers = simulation.own(NUMBERS)
    swept(simulation.ledger, simulation.provider)
    return simulation, simulation.submit(AWAY), numbers


def family(simulation: Simulation, job: Job) -> list[Job]:
    """The batches that haven't ended, then the job."""
    return [Job(name, False, JobState.QUEUED) for name in names_of_batches(simulation.ledger, job)] + [job]


def play_on(simulation: Simulation, job: Job, workers: DyingWorkers | None = None) -> None:
    """Everybody in turn until the job is reported; whichever worker dies is taken over."""
    for _ in range(100):
        for one in family(simulation, job):
            simulation.expire(one)
            simulation.make_due(one)
            with suppress(Killed):
                simulation.run(one, workers)
        if simulation.view(job).state in REPORTED:
            return
    raise AssertionError(simulation.story(job))


def check(simulation: Simulation, job: Job, numbers: list[str]) -> None:
    view = simulation.view(job)
    assert view.result is not None
    assert view.state is JobState.SUCCEEDED, (view, simulation.story(job))
    assert {one.number: one.outcome for one in view.result.numbers} == dict.fromkeys(numbers, "confirmed")
    assert simulation.ledger.perform(simulation.ledger.commands.outcomes(job.id)) == {"confirmed": len(numbers)}
    assert simulation.routes() == {number: ["pbx@example.net"] for number in numbers}
    assert names_of_batches(simulation.ledger, job) == []
    entries = cast("Entries", simulation.ledger.client.xrange(simulation.ledger.keys.results))
    assert [fields["subject"] for _, fields in entries] == [job.id], "one event, of the job alone"


@pytest.mark.parametrize("share", range(SHARES))
def test_a_worker_that_dies_at_any_point_is_replaced(quick_valkey: redis.Redis, share: int) -> None:
    simulation, job, numbers = large(quick_valkey)
    play_on(simulation, job, undisturbed := DyingWorkers())
    check(simulation, job, numbers)
    assert {"after:fan_out", "before:save.fanned_out", "after:set_route", "before:save.confirmed"} <= set(undisturbed.reached)
    for place in range(share, len(undisturbed.reached), SHARES):
        simulation, job, numbers = large(quick_valkey)
        play_on(simulation, job, workers := DyingWorkers(place))
        assert workers.died == [undisturbed.reached[place]]
        check(simulation, job, numbers)
        simulation.close()


def test_a_worker_that_dies_before_the_batches_of_a_prepared_reroute_is_replaced(quick_valkey: redis.Redis) -> None:
    simulation, job, numbers = prepared(quick_valkey)
    play_on(simulation, job, undisturbed := DyingWorkers())
    check(simulation, job, numbers)
    first = undisturbed.reached.index("before:set_route")
    assert [any("owned" in point for point in part) for part in (undisturbed.reached[:first], undisturbed.reached[first:])] == [False, True]
    for place in range(first):
        simulation, job, numbers = prepared(quick_valkey)
        play_on(simulation, job, workers := DyingWorkers(place))
        assert workers.died == [undisturbed.reached[place]]
        check(simulation, job, numbers)
        simulation.close()


def test_a_worker_that_dies_before_the_batches_of_a_failover_from_the_inventory_is_replaced(quick_valkey: redis.Redis) -> None:
    simulation, job, numbers = mirrored(quick_valkey)
    play_on(simulation, job, undisturbed := DyingWorkers())
    check(simulation, job, numbers)
    first = undisturbed.reached.index("before:set_route")
    assert undisturbed.reached[:first].count("after:write_chunk") == 4
    assert not any("owned" in point for point in undisturbed.reached[:first])
    for place in range(first):
        simulation, job, numbers = mirrored(quick_valkey)
        play_on(simulation, job, workers := DyingWorkers(place))
        assert workers.died == [undisturbed.reached[place]]
        check(simulation, job, numbers)
        kept = map(RouteChange.model_validate_json, simulation.ledger.numbers(job.id).values())
        assert {str(change.before[0]) for change in kept} == {"sip:old@example.net"}, "what a failback restores"
        simulation.close()


def test_a_batch_that_sleeps_at_any_point_changes_nothing_when_it_wakes(quick_valkey: redis.Redis) -> None:
    place, over = 0, False
    while not over:
        place += 1
        simulation, job, numbers = large(quick_valkey)
        simulation.run(job)
        sleeper = Attempt(simulation, family(simulation, job)[0])
        for _ in range(place):
            sleeper.step()
        over = sleeper.over
        play_on(simulation, job)
        check(simulation, job, numbers)
        reported = simulation.view(job)
        sleeper.end()
        check(simulation, job, numbers)
        assert simulation.view(job) == reported
        simulation.close()
    assert place > 8, "it was stopped at each of its points"


def test_a_newer_job_waits_for_a_sleeping_batch_of_an_older_one(quick_valkey: redis.Redis) -> None:
    """Its call is out when it falls asleep, or goes out when it wakes: the newer request has the last word."""
    for point in ("before:set_route", "after:claim_routes"):
        simulation, older, numbers = large(quick_valkey)
        simulation.run(older)
        sleeper = Attempt(simulation, family(simulation, older)[0])
        sleeper.to(point)
        newer = simulation.submit(AWAY.model_copy(update={"destinations": (Destination.sip("newer@example.net"),)}))
        simulation.run(newer)
        for one in family(simulation, newer):
            simulation.make_due(one)
            simulation.run(one)
        assert simulation.view(newer).reason == WaitReason.SETTLING, "what is shown as asked may still change"
        sleeper.end()
        play_on(simulation, newer)
        play_on(simulation, older)
        assert simulation.routes() == {number: ["newer@example.net"] for number in numbers}, point
        result = simulation.view(older).result
        assert result is not None
        assert {one.outcome for one in result.numbers} == {"superseded"}
        simulation.close()
