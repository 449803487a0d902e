"""What the spend limits let a purchase do: pure rules. The ledger enforces them across all jobs."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import accumulate

from didflow.contract.errors import JobError
from didflow.contract.spending import LimitReached, Spend, SpendLimit, Unit, amount_text
from didflow.contract.states import WaitReason
from worker.jobs.ports.endings import Refused, Wait
from worker.jobs.purchase.criteria import affordable

#: A waiting job asks the ledger again after this long at most: limits may be raised.
ASK_AGAIN_S = 600.0
#: The same where open checkouts hold part of the limit: they may give it back at any moment.
HELD_AGAIN_S = 60.0


def limits_for(limits: Iterable[SpendLimit], reference: str) -> tuple[SpendLimit, ...]:
    """Those that a job with this reference (or none) has to keep."""
    return tuple(limit for limit in limits if limit.scope == "account" or reference)


def tightest(limits: Iterable[SpendLimit], unit: Unit) -> SpendLimit | None:
    """The least that is ever allowed of it, with nothing else spent."""
    return min((limit for limit in limits if limit.unit == unit), key=lambda limit: limit.most, default=None)


def most_numbers(limits: Iterable[SpendLimit], wanted: int, floor: int) -> int:
    """How many of the wanted numbers one checkout may ever have. Raises Refused if that is less than the floor."""
    limit = tightest(limits, "numbers")
    if limit is None:
        return wanted
    if limit.most < floor:
        raise Refused(too_low(limit, Decimal(floor)))
    return min(wanted, int(limit.most))


def most_affordable(limits: Iterable[SpendLimit], costs_usd: Sequence[Decimal], beside_usd: Decimal, least: int) -> int:
    """How many of these, processed order, can ever be bought in one checkout with what costs `beside_usd`.

    `least` of them in any case: that even they are too dear is judged by the cart's fees.
    """
    limit = tightest(limits, "usd")
    if limit is None:
        return len(costs_usd)
    affordable_ones = sum(total_usd <= limit.most for total_usd in accumulate(costs_usd, initial=beside_usd)) - 1
    return min(len(costs_usd), max(affordable_ones, least, 0))


def within_limits(limits: Iterable[SpendLimit], costs_usd: Mapping[str, Decimal], floor: int) -> tuple[str, ...]:
    """The cheapest of the numbers that one checkout may ever buy. Raises Refused if those are fewer than the floor."""
    limit = tightest(limits, "usd")
    if limit is None:
        return tuple(costs_usd)
    chosen = affordable(costs_usd, limit.most)
    if len(chosen) < floor <= len(costs_usd):
        raise Refused(too_low(limit, sum(sorted(costs_usd.values())[:floor], Decimal(0))))
    return chosen


def fitting_now(reached: LimitReached, costs_usd: Mapping[str, Decimal]) -> tuple[str, ...]:
    """The cheapest of the numbers that the reached limit leaves room for at this moment."""
    left = max(Decimal(0), reached.limit.most - reached.used)
    if reached.limit.unit == "numbers":
        return tuple(sorted(costs_usd, key=lambda number: (costs_usd[number], number))[: int(left)])
    return affordable(costs_usd, left)


def too_low(limit: SpendLimit, needed: Decimal) -> JobError:
    """Waiting would be for ever."""
    own = " (or what the account's own table says)" if limit.scope == "account" else ""
    return JobError(
        code="spend_limit_too_low",
        message=f"this needs {amount_text(needed, limit.unit)} at once, and the {limit.scope} may never spend more than {limit}: raise"
        f" {limit.setting}{own}, or order fewer (--quantity; field quantity) or cheaper numbers (--max-monthly; field max_monthly_usd)"
        " in a new job",
    )


def worth_asking(refused: Spend | None, limits: Sequence[SpendLimit], wanted: int) -> Spend:
    """What must fit before the provider is troubled: what was refused last time, else the numbers alone. Never more than can ever fit."""
    ask = refused or Spend(numbers=wanted)
    usd, numbers = tightest(limits, "usd"), tightest(limits, "numbers")
    return Spend(
        numbers=ask.numbers if numbers is None else min(ask.numbers, int(numbers.most)),
        usd=ask.usd if usd is None else min(ask.usd, usd.most),
    )


def wait_for(reached: LimitReached, now_ms: int) -> Wait:
    """Until it may continue, with what an operator wants to know."""
    again_s = HELD_AGAIN_S if reached.held else ASK_AGAIN_S
    if reached.frees_in_s is None:
        return Wait(WaitReason.SPEND_LIMIT, again_s, reached.sentence("it resumes when open checkouts are settled"))
    at = datetime.fromtimestamp(now_ms / 1000 + reached.frees_in_s, UTC)
    goes_on = f"enough is free at {at:%Y-%m-%d %H:%M:%S} UTC" + (", or when open checkouts release their holds" if reached.held else "")
    return Wait(WaitReason.SPEND_LIMIT, min(reached.frees_in_s, again_s), reached.sentence(goes_on))
