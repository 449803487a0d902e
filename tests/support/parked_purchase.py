"""A purchase whose checkout had no clear answer, as a worker leaves it for a person."""

from decimal import Decimal

from didflow.contract.attempt_write import Write
from didflow.contract.errors import JobError
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.spending import Spend
from didflow.contract.states import JobState, Outcome
from didflow.ledger.ledger import Claim, Ledger
from tests.support.ledger_roles import claimed, submitted


def park_purchase(ledger: Ledger, *numbers: str, usd: str = "4.25", reference: str | None = None, answer: str = "timeout") -> str:
    """The job's id. Each open number costs `usd`; `answer`: what the provider said to the checkout."""
    job = submitted(ledger, reference=reference)
    running = claimed(ledger, job.id)
    named = " ".join(numbers)
    ledger.save(running, 1, Write("bind", detail=named, reserve=numbers))
    ledger.save(running, 2, Write("fence", detail=named, hold=Spend(numbers=len(numbers), usd=Decimal(usd) * len(numbers))))
    ledger.save(running, 3, Write("checkout_unclear", detail=answer))
    park_again(ledger, job.id, *numbers, usd=usd, running=running, message=answer)
    return job.id


def park_again(
    ledger: Ledger, job_id: str, *numbers: str, usd: str = "4.25", running: Claim | None = None, message: str = "timeout"
) -> None:
    """A worker parks it (again)."""
    open_ones = tuple(NumberResult(number=number, outcome=Outcome.UNCLEAR, setup_usd=Decimal(usd)) for number in numbers)
    error = JobError(code="purchase_unsettled", message=message)
    result = Result(numbers=open_ones, totals=Totals(requested=len(numbers), done=0), error=error)
    assert ledger.finish(running or claimed(ledger, job_id), JobState.NEEDS_REVIEW, result)
