"""Whether the balance covers a checkout; a checkout that it can't cover isn't sent."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import accumulate

from pydantic import BaseModel, ConfigDict

from didflow.contract.money import Usd
from didflow.contract.provider import NotThere, ReadFailed
from didflow.contract.states import WaitReason
from worker.jobs.checkpoint import read_if_readable
from worker.jobs.ports.context import PurchaseContext
from worker.jobs.ports.endings import Wait
from worker.jobs.ports.provider import BalancePort
from worker.jobs.purchase.refusal import FUNDS_AGAIN_S

#: The jobs of an account that wait for funds share what one of them read this long ago.
SHARED_MS = 10_000


class BalanceNote(BaseModel):
    """The balance as some job of the account read it."""

    model_config = ConfigDict(frozen=True)

    at_ms: int
    usd: Usd


def balance_usd(provider: BalancePort) -> Decimal | None:
    """None: it can't be read now, or not with this key. Then the provider is the one who says whether it covers the checkout."""
    try:
        return provider.balance_usd(insist=False)
    except (ReadFailed, NotThere):
        return None


def shared_balance_usd(provider: BalancePort, context: PurchaseContext) -> Decimal | None:
    """The same for a job that only waits: as another one read it a moment ago, so that many that wait ask rarely."""
    now_ms = context.now_ms()
    note = read_if_readable(BalanceNote, context.notes.read("balance"))
    if note is not None and 0 <= now_ms - note.at_ms < SHARED_MS:
        return note.usd
    usd = balance_usd(provider)
    if usd is not None:
        context.notes.write("balance", BalanceNote(at_ms=now_ms, usd=usd).model_dump_json())
    return usd


def covered(balance: Decimal | None, costs_usd: Sequence[Decimal], beside_usd: Decimal, least: int) -> int:
    """How many of these, processed order, the balance covers with what costs `beside_usd`; `least` of them in any case."""
    if balance is None:
        return len(costs_usd)
    payable = sum(total_usd <= balance for total_usd in accumulate(costs_usd, initial=beside_usd)) - 1
    return min(len(costs_usd), max(payable, least, 0))


def wait_for_funds(balance: Decimal, needed_usd: Decimal) -> Wait:
    """Until the balance is topped up."""
    message = f"the balance is {balance} USD and the checkout costs {needed_usd} USD: top up; the job resumes by itself"
    return Wait(WaitReason.FUNDS, FUNDS_AGAIN_S, message)
