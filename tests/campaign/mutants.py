"""Eight wrong protocols that look right. Each must make the campaign fail: they test the tests."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from didflow.contract.errors import JobError
from didflow.contract.provider import Answer
from didflow.contract.states import Outcome
from didflow.ledger import commands, script_loader
from worker.attempt.job_context import LedgerJobContext
from worker.jobs.purchase import checkout, recovery
from worker.jobs.purchase.cart import Cart
from worker.jobs.purchase.refusal import what_is_known
from worker.jobs.purchase.state import Checkout, ItemStatus, Phase
from worker.jobs.purchase.stock_search import StockSearch
from worker.jobs.purchase.written_purchase import WrittenPurchase
from worker.jobs.release.executor import ReleaseExecutor
from worker.jobs.release.grace_period import Countdown
from worker.jobs.release.state import ReleaseItem


def no_token_check() -> None:
    """A worker that held the lease once may write for ever."""
    right = script_loader.load_script.__wrapped__

    def wrong(name: str, *, shebang: bool = True) -> script_loader.Script:
        source = right(name, shebang=shebang).source.replace("return f[1] == token and f[2] == 'running'", "return f[1] ~= false")
        return script_loader.Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())

    vars(commands)["load_script"] = wrong


def look_first() -> None:
    """After an unclear checkout: look, without taking the numbers out of the cart."""

    def wrong(purchase: WrittenPurchase) -> None:
        if purchase.checkpoint.revoked_ms is None:
            purchase.write("revoke", revoked_ms=purchase.context.now_ms())

    vars(recovery)["revoke"] = wrong


def reuse_tainted() -> None:
    """A number whose add was unclear is as good as any other; and nobody tidies the cart up, which would hide that most of the time."""

    def wrong(self: Cart, step: str, detail: str) -> None:
        bound = {number: pick.as_status(ItemStatus.FREE) for number, pick in self._purchase.with_status(ItemStatus.BOUND).items()}
        self._purchase.write(step, detail, bound, free=bound, phase=Phase.NEW)

    Cart.burn_bound = wrong  # type: ignore[method-assign]
    Cart.tidy = lambda self: None  # type: ignore[method-assign]
    right_next: Callable[..., Any] = StockSearch.next
    StockSearch.next = lambda self, wanted, used: right_next(self, wanted, ())  # type: ignore[method-assign]


def believe_refusals() -> None:
    """A checkout that was refused was never carried out."""
    right = what_is_known

    def wrong(answer: Answer[None]) -> tuple[Checkout, str]:
        known, detail = right(answer)
        return (Checkout.NOT_SENT if known is Checkout.REFUSED else known), detail

    vars(checkout)["what_is_known"] = wrong


def deaf_to_cancels() -> None:
    """A release that runs to its end although its cancel has returned."""
    right: Callable[..., None] = LedgerJobContext.save
    LedgerJobContext.check_interrupts = lambda self: None  # type: ignore[method-assign]
    LedgerJobContext.save = lambda self, write: right(self, replace(write, unless_cancelled=False))  # type: ignore[method-assign]


def leaves_parked() -> None:
    """Cancelled is cancelled: no number goes, and where its calls go is another party's business."""
    Countdown.call_off = lambda self: None  # type: ignore[method-assign]


def believe_yes_to_releases() -> None:
    """What was said yes to is gone."""
    right = ReleaseExecutor._answered

    def wrong(self: ReleaseExecutor, step: str, batch: Sequence[ReleaseItem], refusal: JobError | None, *, alone: bool = False) -> None:
        right(self, step, batch, refusal, alone=alone)
        if refusal is None:
            self._book.record_gone(self._now(batch))

    ReleaseExecutor._answered = wrong  # type: ignore[method-assign]


def believe_refused_releases() -> None:
    """What was refused is still here."""

    def wrong(self: ReleaseExecutor, batch: Sequence[ReleaseItem]) -> None:
        self._book.write("refused", [one.became(Outcome.REFUSED, one.refusal) for one in batch])

    ReleaseExecutor._after_refusal = wrong  # type: ignore[method-assign]


OF_PURCHASES = (no_token_check, look_first, reuse_tainted, believe_refusals)
OF_COUNTDOWNS = (deaf_to_cancels, leaves_parked)
OF_RELEASES = (believe_yes_to_releases, believe_refused_releases)
MUTANTS: dict[str, Callable[[], None]] = {one.__name__: one for one in (*OF_PURCHASES, *OF_COUNTDOWNS, *OF_RELEASES)}


def mutate(name: str) -> None:
    """Make this process's code that mutant."""
    MUTANTS[name]()
