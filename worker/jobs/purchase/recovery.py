"""What became of an open round: the numbers are taken out of the cart, then the owned list says which of them are ours."""

from collections.abc import Mapping

from didflow.contract.follow_ups import DOCUMENTS, FIRST_LOOK_S
from didflow.contract.provider import Barred, NotNow, OwnedNumber, ReadFailed
from didflow.contract.requests import FollowDocuments
from didflow.contract.states import WaitReason
from worker.jobs.owned_numbers import find_owned, find_surely
from worker.jobs.ports.endings import Wait
from worker.jobs.provider_answers import waiting_for
from worker.jobs.purchase.cart import Cart
from worker.jobs.purchase.charges import charged_numbers, charges_seen
from worker.jobs.purchase.settlement import LookAgain, Settled, Unsettled, judge
from worker.jobs.purchase.state import Checkout, ItemStatus, Phase
from worker.jobs.purchase.written_purchase import WrittenPurchase, listed


class UnsettledPurchase(Exception):
    """What became of a checkout can't be detected: `why`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def recover(purchase: WrittenPurchase, cart: Cart) -> None:
    """Bring an open round to an end: afterwards every number is kept, burned or free, and the phase is `new`.

    Raises Wait while the provider's lists need time, UnsettledPurchase past the settle limit.
    """
    if purchase.checkpoint.epoch != purchase.context.money.epoch:
        doubt(purchase)
    sent = purchase.checkpoint.checkout is not Checkout.NOT_SENT
    match purchase.checkpoint.phase:
        case Phase.BOUND:
            cart.burn_bound("recover_bound", "an earlier attempt's cart add was never confirmed")
        case Phase.CARTED:
            try:
                if sent and purchase.checkpoint.checkout is not Checkout.YES:
                    revoke(purchase)
                look(purchase, cart)
            except ReadFailed as failed:
                if sent and not isinstance(failed.answer, Barred) and _past_settle_limit(purchase):
                    raise UnsettledPurchase("the provider's lists couldn't be read for the whole settle limit") from None
                raise
        case Phase.NEW | Phase.BOUGHT:
            pass


def doubt(purchase: WrittenPurchase) -> None:
    """After the ledger's server changed: what is written may be older than what was done.

    Bound numbers may have been fenced and checked out. A checkout that wasn't sent, or the time of the revoking, may be of an earlier
    round with the same numbers. Only a clear yes stays true. So all open numbers are taken for carted, and nothing is known of their
    checkout.
    """
    if purchase.checkpoint.phase not in (Phase.BOUND, Phase.CARTED):
        return
    accepted = purchase.checkpoint.phase is Phase.CARTED and purchase.checkpoint.checkout is Checkout.YES
    items = {
        number: item.as_status(ItemStatus.CARTED) for number, item in purchase.with_status(ItemStatus.BOUND, ItemStatus.CARTED).items()
    }
    purchase.write(
        "doubt",
        f"{purchase.checkpoint.phase.value} when Redis restarted: {listed(items)}",
        items,
        phase=Phase.CARTED,
        checkout=Checkout.YES if accepted else Checkout.UNKNOWN,
        fenced_ms=purchase.context.now_ms(),
        revoked_ms=None,
        first_look_ms=None,
    )


def _past_settle_limit(purchase: WrittenPurchase) -> bool:
    return purchase.context.now_ms() - purchase.checkpoint.fenced_ms >= purchase.rules.settle_limit_s * 1000


def revoke(purchase: WrittenPurchase) -> None:
    """Take the carted numbers out of the cart, so that a checkout still in flight finds nothing to buy.

    No answer to a removal is believed: it may be done late or not at all, and a refusal ("not all of these are in the cart") may have
    removed none. What the cart still shows is removed again, and restarts the settle time. A cart that shows none of them proves that
    they are out only when it can't be the cart from before they were added (A3).
    """
    carted = purchase.with_status(ItemStatus.CARTED).keys()
    if purchase.checkpoint.first_look_ms is None:
        answer = purchase.provider.remove_from_cart(sorted(carted))
        if isinstance(answer, NotNow):
            raise waiting_for(answer)
    read_ms = purchase.context.now_ms()
    left = sorted({offer.number for offer in purchase.provider.cart()} & carted)
    if left:
        purchase.provider.remove_from_cart(left)
        purchase.write("revoke_again", listed(left), revoked_ms=None)
    elif purchase.checkpoint.revoked_ms is None and read_ms - purchase.checkpoint.fenced_ms >= purchase.rules.settle_s * 1000:
        purchase.write("revoke", listed(carted), revoked_ms=read_ms)


def look(purchase: WrittenPurchase, cart: Cart) -> None:
    """Look at the owned list and draw the conclusion that it allows."""
    carted = purchase.with_status(ItemStatus.CARTED)
    # The time before the read: a list that took long to arrive is as old as its request.
    now_ms = purchase.context.now_ms()
    owned = find_owned(purchase.provider, carted)
    if purchase.checkpoint.first_look_ms is None:
        purchase.checkpoint = purchase.checkpoint.model_copy(update={"first_look_ms": now_ms})
    verdict = judge(carted.keys(), owned.keys(), purchase.checkpoint, now_ms, purchase.rules)
    if isinstance(verdict, Settled) and verdict.in_flight:
        # Before a number counts as not ours it is looked up by a second read of another kind, which neither a filter that doesn't work
        # nor pages that shift can mislead.
        owned |= find_surely(purchase.provider, verdict.absent)
        hidden = carted.keys() - owned.keys()
        charged = charged_numbers(purchase.provider, hidden, purchase.checkpoint.fenced_ms, purchase.context.now_ms())
        verdict = judge(carted.keys(), owned.keys(), purchase.checkpoint, now_ms, purchase.rules, charged=charged)
        if charged and not isinstance(verdict, Settled):
            purchase.write("charged_not_shown", listed(charged))
    elif purchase.checkpoint.checkout is Checkout.YES and now_ms - purchase.checkpoint.fenced_ms >= purchase.rules.settle_s * 1000:
        # It was accepted, and a search doesn't show it: the search may be at fault.
        owned |= find_surely(purchase.provider, carted.keys() - owned.keys())
        verdict = judge(carted.keys(), owned.keys(), purchase.checkpoint, now_ms, purchase.rules)
    match verdict:
        case Settled():
            _settle(purchase, cart, verdict, owned)
        case LookAgain(after_s):
            purchase.write("look_again", f"{len(owned)} of {len(carted)} shown")
            raise Wait(WaitReason.SETTLING, after_s)
        case Unsettled(why):
            purchase.write("unsettled", why)
            seen = charges_seen(purchase.provider, carted, purchase.checkpoint.fenced_ms, purchase.context.now_ms())
            purchase.write("transactions", seen)
            raise UnsettledPurchase(why)


def _settle(purchase: WrittenPurchase, cart: Cart, verdict: Settled, owned: Mapping[str, OwnedNumber]) -> None:
    """Write which of the carted numbers are ours, and what they cost."""
    kept, absent = verdict.kept, verdict.absent
    burned = absent if verdict.in_flight else cart.take_out(dict.fromkeys(absent, True))
    items = {number: purchase.items[number].kept(owned[number]) for number in kept}
    items |= {n: purchase.items[n].as_status(ItemStatus.BURNED if n in burned else ItemStatus.FREE) for n in absent}
    if not all(owned[number].is_active for number in kept):  # Before they are ours for certain: then it can't be forgotten.
        request = FollowDocuments(job_id=purchase.context.job_id)
        purchase.context.jobs.follow_up(DOCUMENTS, request, after_s=min(FIRST_LOOK_S, purchase.rules.documents_every_s))
    refusal = purchase.checkpoint.refusal
    purchase.write(
        "settled",
        f"ours: {listed(kept)}; not ours: {listed(absent)}",
        items,
        witness=verdict.witness,
        taint=burned,
        free=absent - burned,
        keep=kept,
        settle=purchase.cost_of(kept),
        phase=Phase.NEW,
        refusals=purchase.checkpoint.refusals + 1 if refusal and not kept else 0,
        refusal=refusal if absent else None,
    )
