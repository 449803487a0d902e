"""Spend limits, the maximum cost of a checkout, and the amounts used: pure data that settings, jobs and ledger share."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict

from didflow.contract.money import Usd

Scope = Literal["account", "reference"]
Unit = Literal["numbers", "usd"]
Window = Literal["hour", "day"]

SCOPES: tuple[Scope, ...] = ("account", "reference")
UNITS: tuple[Unit, ...] = ("numbers", "usd")
WINDOWS: tuple[Window, ...] = ("hour", "day")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Spend(_Frozen):
    """A count of numbers, and their immediate cost: activation and first month."""

    numbers: int = 0
    usd: Usd = Decimal(0)

    @classmethod
    def of(cls, costs_usd: Iterable[Decimal]) -> "Spend":
        """The spend of numbers that cost this much each."""
        costs = tuple(costs_usd)
        return cls(numbers=len(costs), usd=sum(costs, Decimal(0)))

    def __add__(self, other: "Spend") -> "Spend":
        return Spend(numbers=self.numbers + other.numbers, usd=self.usd + other.usd)

    def amount(self, unit: Unit) -> Decimal:
        return self.usd if unit == "usd" else Decimal(self.numbers)


class SpendLimit(_Frozen):
    """At most `most` (a count, or USD) in any `window` for one account or one reference."""

    scope: Scope
    unit: Unit
    window: Window
    most: Usd

    @property
    def setting(self) -> str:
        """The environment variable that sets it for all accounts, or for all references."""
        return f"DIDFLOW_SPEND_{self.scope}_{self.unit}_PER_{self.window}".upper()

    def __str__(self) -> str:
        return f"{amount_text(self.most, self.unit)} per {self.window}"


class LimitReached(_Frozen):
    """Which limit a purchase would exceed. `used` has what open checkouts hold, `held`.

    `frees_in_s`: when enough of it will have left the window; None: that depends on open checkouts.
    """

    name: str
    limit: SpendLimit
    used: Usd
    held: Usd
    asked: Usd
    frees_in_s: float | None

    def sentence(self, goes_on: str) -> str:
        """For the job's story."""
        unit = self.limit.unit
        held = f" ({amount_text(self.held, unit)} of it held by open checkouts)" if self.held else ""
        return (
            f"{self.limit.scope} {self.name} may spend {self.limit}: {amount_text(self.used, unit)} used{held}, "
            f"{amount_text(self.asked, unit)} needed; {goes_on}"
        )


class ScopeSpending(_Frozen):
    """What one account or reference has used of its windows. `held` is part of both and belongs to `open_jobs`."""

    scope: Scope
    name: str
    hour: Spend
    day: Spend
    held: Spend
    open_jobs: tuple[str, ...] = ()

    def used(self, window: Window) -> Spend:
        return self.hour if window == "hour" else self.day


def shown(amount: Decimal, unit: Unit) -> str:
    """``3``, ``12.50``; a USD amount with as many decimals as it has, two at least."""
    if unit == "numbers":
        return f"{int(amount)}"
    cents = amount.quantize(Decimal("0.01"))
    return f"{cents if cents == amount else amount.normalize():f}"


def amount_text(amount: Decimal, unit: Unit) -> str:
    """``3 numbers``, ``12.50 USD``."""
    return f"{shown(amount, unit)} " + ("USD" if unit == "usd" else "number" if amount == 1 else "numbers")
