"""The fence and the one checkout behind it."""

from collections.abc import Collection, Sequence

from worker.jobs.purchase.refusal import is_put_off, next_step, refusal_of, what_is_known
from worker.jobs.purchase.state import Checkout, ItemStatus, Phase
from worker.jobs.purchase.written_purchase import WrittenPurchase, listed


def fence(purchase: WrittenPurchase, in_cart: Collection[str]) -> None:
    """The durable token check before money moves, with what may be spent held. Numbers that are bound and not confirmed are burned.

    Raises SpendLimitReached; then nothing has changed.
    """
    bound = purchase.with_status(ItemStatus.BOUND)
    rest = {number: item.as_status(ItemStatus.BURNED) for number, item in bound.items() if number not in in_cart}
    carted = {number: item.as_status(ItemStatus.CARTED) for number, item in bound.items() if number in in_cart}
    purchase.write(
        "fence",
        listed(carted),
        carted | rest,
        taint=rest,
        hold=purchase.cost_of(carted),
        refused=None,
        refusal=None,
        short_usd=None,
        phase=Phase.CARTED,
        checkout=Checkout.UNKNOWN,
        fenced_ms=purchase.context.now_ms(),
        revoked_ms=None,
        first_look_ms=None,
        checkouts=purchase.checkpoint.checkouts + 1,
    )
    if rest:
        purchase.provider.remove_from_cart(sorted(rest))  # Tidiness only, whatever it answers: these are never checked out.


def check_out(purchase: WrittenPurchase, numbers: Sequence[str]) -> None:
    """Send the one checkout, and store what it answered. What came of it is looked up, whatever that says."""
    answer = purchase.provider.check_out(numbers)
    known, detail = what_is_known(answer)
    refusal = refusal_of(answer)
    checkouts = purchase.checkpoint.checkouts - is_put_off(refusal)
    purchase.write(f"checkout_{known.value}", detail, checkout=known, refusal=refusal, checkouts=checkouts)


def heed(purchase: WrittenPurchase) -> None:
    """Act on a refusal once it is settled what the refused checkout did. Raises Wait or AttemptFailed, as it says."""
    refusal = purchase.checkpoint.refusal
    if refusal is None:
        return
    purchase.context.check_interrupts()
    purchase.write("refusal_heeded", f"{refusal.code}: {refusal.message}", refusal=None)
    if step := next_step(refusal, purchase.checkpoint):
        raise step
