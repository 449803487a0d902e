"""A purchase of numbers that need documents, and the job that follows them."""

from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import NumberResult
from didflow.contract.states import JobState
from tests.support.simulation.simulation import Simulation

GERMAN = SearchAndBuy(country="DE", city=("Berlin",), documents="allow_inactive")


def bought(simulation: Simulation, quantity: int = 1) -> tuple[list[str], Job]:
    """Numbers that need documents, and the job that the purchase left behind."""
    purchase = simulation.submit(GERMAN.model_copy(update={"quantity": quantity}))
    simulation.finish(purchase)
    numbers = [number.number for number in result(simulation.view(purchase))]
    return numbers, Job(f"{purchase.id}-documents", True, JobState.SCHEDULED)


def result(view: JobView) -> tuple[NumberResult, ...]:
    assert view.result is not None
    return view.result.numbers
