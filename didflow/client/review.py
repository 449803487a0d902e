"""How a person's finding ends a parked job: a pure decision. The finding names the numbers that took effect; the others didn't."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from didflow.contract.destinations import Route, same_route
from didflow.contract.errors import InvalidRequest, JobError, WrongJob
from didflow.contract.follow_ups import UNPARK
from didflow.contract.history import Happened, Happening
from didflow.contract.jobs import JobView
from didflow.contract.requests import Failback, Release, SearchAndBuy
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.spending import Spend
from didflow.contract.states import OURS, JobState, Outcome
from didflow.ledger.replies import ParkedAgain, Resolved, ResolveReply, Unchanged
from didflow.ledger.script_calls import Call, follow_up_args, follower_args, resolve

RELEASED = frozenset({Outcome.RELEASED, Outcome.ALREADY_RELEASED})


@dataclass(frozen=True)
class Finding:
    """How the job ends, the cost of the numbers that took effect, and a step for the job's log.

    `job_id` and `token`: the job, as the person read it. `follows`: some that were bought may wait for documents. `unparks`: some that
    weren't released may be parked.
    """

    job_id: str
    token: int
    account: str
    state: JobState
    result: Result
    bought: Spend
    detail: str
    history: Mapping[str, Happened]
    follows: bool
    unparks: bool = False
    actor: str = ""


def open_numbers(view: JobView) -> tuple[NumberResult, ...]:
    """The numbers of a parked job whose outcome isn't known. Raises WrongJob if the job isn't parked or doesn't name them."""
    if view.state is not JobState.NEEDS_REVIEW:
        raise WrongJob(f"job {view.id} is {view.state.value}: only one that needs a review is resolved")
    found = tuple(number for number in view.result.numbers if number.outcome is Outcome.UNCLEAR) if view.result else ()
    if not found or not isinstance(view.request, SearchAndBuy | Release):
        raise WrongJob(f"job {view.id} doesn't say which numbers are open: run `didflow retry {view.id}`")
    return found


def at_stake_usd(view: JobView) -> Decimal:
    """What the open numbers cost: activation and first month. Raises WrongJob as `open_numbers` does."""
    return sum(map(_cost, open_numbers(view)), Decimal(0))


def finding(view: JobView, took_effect: Collection[str], actor: str = "") -> Finding:
    """The end of the job if these open numbers were bought (or released) and the other open ones were not, as `actor` found.

    Raises WrongJob as `open_numbers` does; InvalidRequest for a number that isn't open.
    """
    open_ones = {number.number for number in open_numbers(view)}
    if strange := sorted(set(took_effect) - open_ones):
        raise InvalidRequest(f"{', '.join(strange)}: not open in job {view.id}; open are {', '.join(sorted(open_ones))}")
    before = view.result or Result(totals=Totals(requested=0, done=0))
    buying = isinstance(view.request, SearchAndBuy)
    yes, good = (Outcome.BOUGHT, OURS) if buying else (Outcome.RELEASED, RELEASED)
    no = JobError(code="resolved_as_no", message="a person found that it didn't take effect")
    numbers = tuple(
        number
        if number.number not in open_ones
        else number.model_copy(
            update={"outcome": _took_effect(number, yes), "error": None}
            if number.number in took_effect
            else {"outcome": Outcome.FAILED, "error": no, "documents_needed": ()}
        )
        for number in before.numbers
    )
    done = [number for number in numbers if number.outcome in good]
    totals = _paid(before.totals, done) if buying else before.totals.model_copy(update={"done": len(done)})
    state = JobState.SUCCEEDED if len(done) >= totals.requested else JobState.PARTIAL if done else JobState.FAILED
    error = None if state is JobState.SUCCEEDED else no
    result = before.model_copy(update={"numbers": numbers, "totals": totals, "error": error})
    not_taken = tuple(sorted(open_ones - set(took_effect)))
    told = f"{yes.value}: {' '.join(sorted(took_effect)) or 'none'}; not {yes.value}: {' '.join(not_taken) or 'none'}"
    bought = Spend.of(_cost(number) for number in done if number.number in took_effect) if buying else Spend()
    not_so = Happening.NOT_BOUGHT if buying else Happening.NOT_RELEASED
    history = {
        number.number: Happened(
            what=not_so if number.outcome is Outcome.FAILED else Happening(number.outcome or yes),
            record_id=number.record_id,
            by="person",
            actor=actor or None,
        )
        for number in numbers
        if number.number in open_ones
    }
    # It isn't known yet whether these numbers are active.
    follows = isinstance(view.request, SearchAndBuy) and view.request.may_need_documents and bool(took_effect)
    parking = view.request.parking if isinstance(view.request, Release) else ()
    unparks = bool(parking) and any(_may_be_parked(number, parking) for number in before.numbers if number.number not in took_effect)
    return Finding(view.id, view.token, view.account, state, result, bought, told, history, follows, unparks, actor)


def _may_be_parked(number: NumberResult, parking: Route) -> bool:
    """Whether a release has left it at its parking destination, as far as it says."""
    if number.outcome in RELEASED:
        return False
    is_there = number.route_after is not None and same_route(number.route_after, parking)
    return is_there or (number.error is not None and number.error.code == "still_parked")


def resolving(found: Finding) -> Call[ResolveReply]:
    """The verb that ends the job so."""
    follower = follower_args(found.job_id, found.account) if found.follows else ()
    if found.unparks:
        follower = follow_up_args(UNPARK, Failback(job_id=found.job_id), found.account, delay_ms=0)
    return resolve(found.job_id, found.token, found.state, found.result, found.bought, found.detail, found.history, follower, found.actor)


def the_same(job_id: str, seen: JobView | None) -> JobView | None:
    """The job as it was seen. Raises WrongJob if that is another one."""
    if seen is not None and seen.id != job_id:
        raise WrongJob(f"what was seen is job {seen.id}, not {job_id}")
    return seen


def check_resolved(job_id: str, reply: ResolveReply) -> None:
    """Raises WrongJob if another person ended the job first, or if it was retried meanwhile."""
    match reply:
        case Resolved():
            return
        case ParkedAgain():
            raise WrongJob(
                f"job {job_id} was retried and parked again after you read it: see its new findings with `didflow explain {job_id}`,"
                " and resolve it by that"
            )
        case Unchanged():
            raise WrongJob(f"job {job_id} is now {reply}: see `didflow status {job_id}`")


def _took_effect(number: NumberResult, yes: Outcome) -> Outcome:
    """One that needed documents when it was put into the cart takes no calls yet, as far as anybody knows."""
    return Outcome.BOUGHT_INACTIVE if yes is Outcome.BOUGHT and number.documents_needed else yes


def _cost(number: NumberResult) -> Decimal:
    return (number.setup_usd or Decimal(0)) + (number.monthly_usd or Decimal(0))


def _paid(before: Totals, bought: Collection[NumberResult]) -> Totals:
    setup = sum((number.setup_usd or Decimal(0) for number in bought), Decimal(0))
    monthly = sum((number.monthly_usd or Decimal(0) for number in bought), Decimal(0))
    return before.model_copy(update={"done": len(bought), "setup_usd": setup, "monthly_usd": monthly, "charged_usd": setup + monthly})
