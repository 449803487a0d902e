"""What an account of the sandbox has: money, a cart, numbers; and the ledger that says where the money went."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from worker.wavix.sandbox.documents import Paper
from worker.wavix.sandbox.stock import StockNumber
from worker.wavix.sandbox.timeline import Timeline
from worker.wavix.sandbox.transactions import Transaction

Destinations = tuple[dict[str, Any], ...]


@dataclass
class Record:
    """One purchase of a number; a number that is bought again gets another record. `release_came_s`: when the call came that gave it
    back, by the wall clock; it may have acted later."""

    id: int
    stock: StockNumber
    setup_usd: Decimal
    monthly_usd: Decimal
    added: datetime
    paid_until: date
    ours: Timeline[bool]
    destinations: Timeline[Destinations]
    approved: bool
    label: str | None = None
    seconds: int = 0
    sms_relay_url: str | None = None
    sms_enabled: bool = False
    papers: list[Paper] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    release_came_s: float = 0.0

    @property
    def number(self) -> str:
        return self.stock.number


@dataclass(frozen=True)
class LedgerEntry:
    """Money that left an account. Amounts in USD as text, so that no reader makes a float of them."""

    time: str
    account: str
    number: str
    record_id: int
    setup_usd: str
    monthly_usd: str
    amount_usd: str


@dataclass
class AccountState:
    """`cart` says over time which numbers were in it. `records` keeps released numbers too; `ours` says until when they were."""

    name: str
    key: str
    balance_usd: Decimal
    flex_pro: bool = True
    key_valid: bool = True
    cart: dict[str, Timeline[bool]] = field(default_factory=dict)
    records: dict[int, Record] = field(default_factory=dict)
    transactions: list[Transaction] = field(default_factory=list)

    def in_cart(self, number: str, moment_s: float) -> bool:
        held = self.cart.get(number)
        return held is not None and held.at(moment_s)

    def put_in_cart(self, number: str, moment_s: float) -> None:
        self.cart.setdefault(number, Timeline(False)).set(moment_s, True)

    def take_from_cart(self, number: str, moment_s: float) -> None:
        self.cart[number].set(moment_s, False)

    def cart_at(self, moment_s: float) -> list[str]:
        return [number for number, held in self.cart.items() if held.at(moment_s)]

    def list_charges(self, charges: Iterable[tuple[int, Decimal, str]], ids: Iterator[int]) -> None:
        """Type, amount and details of what was just taken from the balance; `ids` of the new transactions."""
        listed = list(charges)
        after_usd = self.balance_usd + sum((usd for _, usd, _ in listed), Decimal(0))
        for kind, usd, details in listed:
            after_usd -= usd
            self.transactions.append(Transaction(next(ids), now_utc(), kind, -usd, after_usd, details))

    def owned_at(self, moment_s: float) -> list[Record]:
        return [record for record in self.records.values() if record.ours.at(moment_s)]


def month_later(day: datetime) -> date:
    """The day until which a purchase is paid."""
    year, month = divmod(day.year * 12 + day.month, 12)
    return date(year, month + 1, min(day.day, 28))


def now_utc() -> datetime:
    return datetime.now(UTC)
