"""Releases that park their numbers during a grace period, and reroutes of the same numbers."""

from datetime import timedelta

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Release, Request, Reroute
from didflow.contract.results import NumberResult
from didflow.contract.states import Outcome, WaitReason
from tests.support.simulation.simulation import Simulation

PARKING, BACKUP, OTHER = ((Destination.sip(f"{name}@example.net"),) for name in ("parked", "backup", "other"))


GRACE = timedelta(days=2)


def away(numbers: list[str], to: tuple[Destination, ...] = BACKUP) -> Reroute:
    return Reroute(numbers=tuple(numbers), destinations=to)


def leaving(*numbers: str, **more: object) -> Release:
    return Release.model_validate({"numbers": numbers, "grace": GRACE, "parking": PARKING, **more})


def counting_down(simulation: Simulation, request: Request) -> Job:
    """A release that waits for its numbers' time."""
    job = simulation.submit(request)
    on_to_its_grace(simulation, job)
    return job


def on_to_its_grace(simulation: Simulation, job: Job) -> None:
    for _ in range(10):
        if simulation.view(job).reason == WaitReason.GRACE:
            return
        simulation.make_due(job)
        simulation.run(job)
    raise AssertionError(simulation.story(job))


def reported(simulation: Simulation, job: Job) -> dict[str, NumberResult]:
    result = simulation.view(job).result
    return {one.number: one for one in result.numbers} if result else {}


def outcome(simulation: Simulation, job: Job, number: str) -> Outcome | None:
    return reported(simulation, job)[number].outcome


def goes_to(simulation: Simulation, number: str) -> str:
    (place,) = simulation.routes()[number]
    return place.removesuffix("@example.net")
