"""Spends and limits in the form that scripts use: integers, USD in ten-thousandths."""

from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import cast

from didflow.contract.spending import LimitReached, Scope, ScopeSpending, Spend, SpendLimit, Unit

#: A spend with more decimals than this can hold is rounded up, a limit down: both err on the safe side.
UNITS_PER_USD = 10_000


def spend_fields(spend: Spend, limits: Iterable[SpendLimit] = ()) -> dict[str, object]:
    """A spend for a script, with the limits that it must keep."""
    usd = int((spend.usd * UNITS_PER_USD).to_integral_value(ROUND_CEILING))
    return {"numbers": spend.numbers, "usd": usd, "limits": [_limit(limit) for limit in limits]}


def _limit(limit: SpendLimit) -> dict[str, object]:
    per_one = UNITS_PER_USD if limit.unit == "usd" else 1
    most = int((limit.most * per_one).to_integral_value(ROUND_FLOOR))
    return {"scope": limit.scope, "unit": limit.unit, "window": limit.window, "most": most}


def limit_reached(reply: Sequence[str], asked: Spend, limits: Iterable[SpendLimit]) -> LimitReached:
    """What a script says about the limit that stands against a spend."""
    _, scope, unit, window, _, used, held, frees_ms = reply
    kind, _, name = scope.partition(":")
    limit = next(limit for limit in limits if (limit.scope, limit.unit, limit.window) == (kind, unit, window))
    return LimitReached(
        name=name,
        limit=limit,
        used=_amount(used, limit.unit),
        held=_amount(held, limit.unit),
        asked=asked.amount(limit.unit),
        frees_in_s=int(frees_ms) / 1000 if frees_ms else None,
    )


def scope_spending(told: Sequence[str]) -> ScopeSpending:
    """A script's reply for one account or reference."""
    scope, *rest = told
    kind, _, name = scope.partition(":")
    hour, day, held = (Spend(numbers=int(rest[at]), usd=_amount(rest[at + 1], "usd")) for at in (0, 2, 4))
    return ScopeSpending(scope=cast("Scope", kind), name=name, hour=hour, day=day, held=held, open_jobs=tuple(rest[6:]))


def _amount(text: str, unit: Unit) -> Decimal:
    return Decimal(text) / UNITS_PER_USD if unit == "usd" else Decimal(text)
