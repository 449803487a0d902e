"""Numbers of our own pool, and what a purchase took of them."""

from didflow import Didflow
from didflow.client.sync.number_pool import Pool
from didflow.contract.jobs import JobView
from didflow.contract.results import NumberResult
from tests.support.simulation.simulation import Simulation

LABEL = "spare"


def spare(simulation: Simulation, count: int = 1, label: str = LABEL, city: str | None = None) -> list[str]:
    """Numbers that wait for someone; of the first city that has any for sale, if none is named: Los Angeles."""
    return [f"+{number}" for number in simulation.sandbox.order("seed_owned", count=count, label=label, city=city)]


def numbers(view: JobView) -> tuple[NumberResult, ...]:
    assert view.result is not None
    return view.result.numbers


def outcomes(view: JobView) -> dict[str, str | None]:
    return {one.number: one.outcome.value if one.outcome else None for one in numbers(view)}


def bought(simulation: Simulation) -> int:
    return len(simulation.sandbox.ledger())


def handed_out(simulation: Simulation) -> set[str]:
    return {one.number for one in Pool(Didflow(simulation.ledger.client, simulation.ledger.keys.namespace)).handed_out()}
