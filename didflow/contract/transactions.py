"""The provider's transactions of an account: independent evidence of what jobs report as spent."""

import re
from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from didflow.contract.numbers import from_provider

#: Transaction types that a purchase may be charged as (official SDK 1.1.1).
ACTIVATION_FEE, MONTHLY_FEE, NUMBER_ORDER = 2, 3, 44
NUMBER_CHARGES = (ACTIVATION_FEE, MONTHLY_FEE, NUMBER_ORDER)
#: A charge with this status was taken back.
REVERTED = "reverted"

_NUMBER = re.compile(r"(?<!\d)\+?(\d{8,15})(?!\d)")


class Transaction(BaseModel):
    """One transaction. `amount_usd` is below zero where money left the account; `balance_after_usd` None where it isn't shown.

    `details` are the provider's words; how they name a number is not published.
    """

    model_config = ConfigDict(frozen=True)

    id: int
    at: datetime
    type: int
    amount_usd: Decimal
    balance_after_usd: Decimal | None = None
    details: str = ""
    status: str = ""

    @property
    def charged_usd(self) -> Decimal:
        """What it took from the account; zero if it was taken back."""
        return Decimal(0) if self.status.lower() == REVERTED else -self.amount_usd

    @property
    def numbers(self) -> tuple[str, ...]:
        """What may be phone numbers in its details, as E.164, each once."""
        return tuple(dict.fromkeys(from_provider(digits) for digits in _NUMBER.findall(self.details)))
