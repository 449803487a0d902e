"""What an account was charged, as `GET /v1/billing/transactions` lists it. Types and fields are those of the official SDK 1.1.1."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

#: Transaction types, by what they are charged for.
ACTIVATION, MONTHLY, ORDER = 2, 3, 44

#: How a checkout is charged: an activation fee and a monthly fee for each number, one order for all, or not in the list at all.
Charges = Literal["fees", "order", "unlisted"]


@dataclass(frozen=True)
class Transaction:
    """One line. `amount_usd` is below zero where money left the account."""

    id: int
    at: datetime
    type: int
    amount_usd: Decimal
    balance_after_usd: Decimal
    details: str
    status: str = "Committed"


def charges_of(bought: Iterable[tuple[str, Decimal, Decimal]], charges: Charges) -> Iterator[tuple[int, Decimal, str]]:
    """Type, amount and details of what a checkout of these numbers (digits, activation fee, monthly fee) is charged as."""
    numbers = list(bought)
    match charges:
        case "fees":
            for number, setup_usd, monthly_usd in numbers:
                yield ACTIVATION, setup_usd, f"Phone number activation fee {number}"
                yield MONTHLY, monthly_usd, f"Phone number monthly fee {number}"
        case "order":
            total = sum((setup_usd + monthly_usd for _, setup_usd, monthly_usd in numbers), Decimal(0))
            yield ORDER, total, f"Phone number order {', '.join(number for number, _, _ in numbers)}"
        case "unlisted":
            return


def matching(transactions: Iterable[Transaction], query: dict[str, list[str]], words_filter: str) -> list[Transaction]:
    """Those of the days requested, newest first. Raises ValueError for a date that is missing or isn't one.

    `words_filter`: what `details_contains` does: it works, is ignored, or is silent.
    """
    since, until = (date.fromisoformat(query.get(name, [""])[0]) for name in ("from_date", "to_date"))
    kind, part = query.get("type", [""])[0], query.get("details_contains", [""])[0]
    if part and words_filter == "silent":
        return []
    part = "" if words_filter == "ignored" else part
    found = [one for one in transactions if since <= one.at.date() <= until and kind in ("", str(one.type)) and part in one.details]
    return found[::-1]


def shown(one: Transaction) -> dict[str, Any]:
    """The contract has plain JSON numbers for amounts."""
    return {
        "id": one.id,
        "date": one.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "amount": float(one.amount_usd),
        "balance_after": float(one.balance_after_usd),
        "details": one.details,
        "status": one.status,
        "type": one.type,
        "show_invoice": False,
    }
