"""What a job has done so far, from what it wrote: for a job that ends where none of its own steps can say it."""

from didflow.contract.errors import JobError
from didflow.contract.requests import Failback, FollowDocuments, Release, Request, Reroute, SearchAndBuy
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import Outcome
from worker.jobs.checkpoint import read_stored
from worker.jobs.documents.job import known_following
from worker.jobs.ports import JobContext
from worker.jobs.purchase.result import known_purchase
from worker.jobs.purchase.state import PurchaseRecord
from worker.jobs.release.state import GOOD as GONE
from worker.jobs.release.state import STILL_PARKED, ReleaseItem
from worker.jobs.reroute.fan_out import result_of_pages
from worker.jobs.reroute.route_change import GOOD as MOVED
from worker.jobs.reroute.route_change import RouteChange, RouteChangeBatch


def known_so_far(request: Request | RouteChangeBatch, context: JobContext, error: JobError) -> Result:
    """The numbers with what is known of each; nothing is asked of the provider. Raises NeedsReview if it can't be read."""
    match request:
        case SearchAndBuy():
            return known_purchase(PurchaseRecord(request, context.checkpoint, context.numbers()), error)
        case Reroute() | Failback() if context.page_of_numbers(0) is not None:
            return result_of_pages(context, error, dry_run=request.dry_run)
        case Reroute() | Failback():
            moved = [read_stored(RouteChange, text).result() for text in context.numbers().values()]
            return _counted(moved, MOVED, error)
        case Release():
            leaving = [read_stored(ReleaseItem, text).result() for text in context.numbers().values()]
            return _counted(leaving, GONE, error)
        case FollowDocuments():
            return known_following(context, error)
        case RouteChangeBatch():
            return Result(totals=Totals(requested=0, done=0), error=error)  # Its parent knows its numbers.


def nothing_done(request: Request | RouteChangeBatch, error: JobError | None = None) -> Result:
    """The result of a job that ended before it did anything."""
    match request:
        case SearchAndBuy():
            requested = request.quantity
        case Reroute() | Release() | FollowDocuments():
            requested = len(request.numbers) or len(request.record_ids)  # What a selector means wasn't settled.
        case Failback() | RouteChangeBatch():
            requested = 0
    return Result(totals=Totals(requested=requested, done=0), error=error)


def in_doubt(result: Result) -> bool:
    """Whether it leaves open what became of a number, or where one goes that is to have its old route again."""
    counted = result.summary.outcomes if result.summary else {}
    open_ones = (number.outcome is Outcome.UNCLEAR or number.error == STILL_PARKED for number in result.numbers)
    return Outcome.UNCLEAR.value in counted or any(open_ones)


def _counted(numbers: list[NumberResult], good: frozenset[Outcome], error: JobError) -> Result:
    shown = tuple(sorted(numbers, key=lambda number: number.number))
    return Result(numbers=shown, totals=Totals(requested=len(shown), done=sum(number.outcome in good for number in shown)), error=error)
