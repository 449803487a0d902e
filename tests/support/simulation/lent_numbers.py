"""Releases whose parked numbers may be assigned to purchases, until all jobs have ended."""

from contextlib import suppress
from datetime import timedelta

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Release, SearchAndBuy
from didflow.contract.states import REPORTED, Outcome, WaitReason
from tests.support.simulation.dying_workers import DyingWorkers
from tests.support.simulation.simulation import Killed, Simulation

LABEL = "spare"


PARKING, PBX = ((Destination.sip(f"{name}@example.net"),) for name in ("parked", "pbx"))


GRACE = timedelta(hours=1)


ASKED = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), reuse=True, destinations=PBX)


def parked(simulation: Simulation, **changes: object) -> tuple[Job, list[str]]:
    """A release of two numbers that counts down, and may lend them."""
    numbers = simulation.own(2)
    terms = {"numbers": tuple(numbers), "grace": GRACE, "parking": PARKING, "reusable": True}
    leaving = simulation.submit(Release.model_validate(terms | changes))
    assert simulation.run(leaving).reason == WaitReason.GRACE
    assert {simulation.routes()[number][0] for number in numbers} == {"parked@example.net"}
    return leaving, numbers


def ordered(simulation: Simulation, **changes: object) -> Job:
    return simulation.submit(ASKED.model_copy(update=changes))


def play(simulation: Simulation, *jobs: Job, workers: DyingWorkers | None = None) -> None:
    """All to their ends; the grace period passes, and who dies is replaced."""
    for _ in range(60):
        left = [job for job in jobs if simulation.view(job).state not in REPORTED]
        for job in left:
            if simulation.view(job).reason == WaitReason.GRACE:
                simulation.clock.pass_ms(int(GRACE.total_seconds() * 1000))
            simulation.make_due(job)
            with suppress(Killed):
                simulation.run(job, workers)
            simulation.expire(job)
        if not left:
            return
    raise AssertionError([simulation.story(job) for job in jobs])


def outcomes(simulation: Simulation, job: Job) -> dict[str, Outcome | None]:
    result = simulation.view(job).result
    return {one.number: one.outcome for one in result.numbers} if result else {}


def all_to(name: str, numbers: list[str]) -> dict[str, list[str]]:
    return {number: [f"{name}@example.net"] for number in numbers}


def reused(simulation: Simulation, job: Job) -> list[str]:
    return [number for number, outcome in outcomes(simulation, job).items() if outcome is Outcome.REUSED]
