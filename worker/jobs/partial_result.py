"""Results of jobs that are ended from outside their handler, built from their records."""

from collections.abc import Collection

from didflow.contract.errors import JobError
from didflow.contract.parked_numbers import STILL_PARKED
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import Outcome


def counted(numbers: Collection[NumberResult], good: frozenset[Outcome], error: JobError) -> Result:
    """The result with these numbers, of which those with a good outcome are done."""
    shown = tuple(sorted(numbers, key=lambda number: number.number))
    return Result(numbers=shown, totals=Totals(requested=len(shown), done=sum(number.outcome in good for number in shown)), error=error)


def nothing_of(requested: int, error: JobError | None = None) -> Result:
    """The result with none of the `requested` numbers done."""
    return Result(totals=Totals(requested=requested, done=0), error=error)


def in_doubt(result: Result) -> bool:
    """Whether it leaves open what became of a number, or where one goes that is to have its old route again."""
    counts = result.summary.outcomes if result.summary else {}
    open_ones = (number.outcome is Outcome.UNCLEAR or number.error == STILL_PARKED for number in result.numbers)
    return Outcome.UNCLEAR.value in counts or any(open_ones)
