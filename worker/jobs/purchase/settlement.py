"""Decides the outcome of a checkout from what was read: a pure function, and the core of "never guessed"."""

from collections.abc import Set
from dataclasses import dataclass

from worker.jobs.ports.rules import Rules
from worker.jobs.purchase.state import Checkout, PurchaseCheckpoint

#: The shortest pause between two looks.
SOON_S = 0.05


@dataclass(frozen=True)
class Settled:
    """It is known: `kept` are ours, `absent` are not. `in_flight`: a request for the absent ones may still be under way somewhere."""

    kept: Set[str]
    absent: Set[str]
    in_flight: bool
    witness: str


@dataclass(frozen=True)
class LookAgain:
    """The lists may still lag: check again after `after_s`."""

    after_s: float


@dataclass(frozen=True)
class Unsettled:
    """The settle limit has passed. A person must look; `why` says at what."""

    why: str


def judge(
    carted: Set[str], owned: Set[str], checkpoint: PurchaseCheckpoint, now_ms: int, rules: Rules, *, charged: Set[str] = frozenset()
) -> Settled | LookAgain | Unsettled:
    """What a read of the owned list shows about the carted numbers. `charged`: numbers that a charge since the checkout names.

    Owned is believed at once (A1: no other party can have bought it for us). Not owned is believed
    - if the checkout was never sent: no connection was made;
    - else only when the numbers have been out of the cart for the settle time and the owned list is still silent (A2, A3). That holds for
      a refusal, too: a proxy may have sent the call twice, and a gateway may refuse what it passed on. A charge that names one of them
      says that the owned list lags for longer than A3 allows: then it isn't believed, and a person looks when the settle limit is over.
    The stock list is no witness: A3 doesn't speak of it, and one that lags would offer a number that is already ours.
    """
    absent = carted - owned
    if not absent:
        return Settled(carted & owned, absent, False, "owned list shows all")
    match checkpoint.checkout:
        case Checkout.NOT_SENT:
            return Settled(carted & owned, absent, False, "never sent, owned list silent")
        case Checkout.YES:
            if _passed(checkpoint.first_look_ms, rules.settle_limit_s, now_ms):
                return Unsettled("the provider accepted the checkout, but its owned list doesn't show these numbers")
            return LookAgain(_patience(checkpoint.first_look_ms, now_ms))
        case Checkout.UNKNOWN | Checkout.REFUSED | Checkout.UNCLEAR:
            if absent & charged:
                if _passed(checkpoint.first_look_ms, rules.settle_limit_s, now_ms):
                    return Unsettled("the transactions show a charge for these numbers, but the owned list doesn't show them")
                return LookAgain(_patience(checkpoint.first_look_ms, now_ms))
            if _passed(checkpoint.revoked_ms, rules.settle_s, now_ms):
                return Settled(carted & owned, absent, True, f"out of the cart for {rules.settle_s:g} s, owned list silent")
            if checkpoint.revoked_ms is None and _passed(checkpoint.first_look_ms, rules.settle_limit_s, now_ms):
                return Unsettled("the numbers can't be taken out of the cart, so a checkout still in flight could buy them")
            # Not before this can the cart, or the owned list, prove anything.
            since_ms = checkpoint.fenced_ms if checkpoint.revoked_ms is None else checkpoint.revoked_ms
            left_s = rules.settle_s - (now_ms - since_ms) / 1000
            patience_s = _patience(checkpoint.first_look_ms, now_ms)
            return LookAgain(min(patience_s, max(SOON_S, left_s)) if left_s > 0 else patience_s)


def _passed(since_ms: int | None, limit_s: float, now_ms: int) -> bool:
    return since_ms is not None and now_ms - since_ms >= limit_s * 1000


def _patience(since_ms: int | None, now_ms: int) -> float:
    """Look often at first and less often later: a tenth of the time waited so far, between half a second and 30 s."""
    waited_s = (now_ms - since_ms) / 1000 if since_ms is not None else 0.0
    return min(30.0, max(0.5, waited_s / 10))
