"""Which of the numbers that match a request are affordable: a pure rule."""

from collections.abc import Mapping
from decimal import Decimal


def affordable(totals_usd: Mapping[str, Decimal], budget_usd: Decimal) -> tuple[str, ...]:
    """The cheapest of the numbers that together stay within the budget, cheapest first."""
    chosen: list[str] = []
    for number, total_usd in sorted(totals_usd.items(), key=lambda item: (item[1], item[0])):
        budget_usd -= total_usd
        if budget_usd < 0:
            break
        chosen.append(number)
    return tuple(chosen)
