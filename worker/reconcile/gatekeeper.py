"""Opens an account's gate after a restart of Redis, as soon as no purchase can have been lost.

At once, if every worker process that may have written at the end lives and says that nothing of its writes is missing
(`didflow.ledger.witness`). One died, or misses something: then it has to be looked up.

What may be lost is what was written last: that numbers were bound, put in the cart, checked out. So, in this order:

    settle   every purchase that the ledger shows as open determines by itself what became of it (`Purchase.doubt`)
    cart     a checkout that a forgotten attempt may still send finds nothing to buy if the cart holds no number that the ledger
             doesn't know (A2). Believed of a list that can't be older than the restart (A3)
    owned    numbers that were added since, and that no job claims, were perhaps bought by a forgotten step; read a settle time
             later, when the list can't miss a purchase made before the cart was read (A3)

Nothing unknown: the gate opens. Else it stays closed, and a person decides (`didflow reconcile`): it can't be known who bought them.
"""

import threading
import time
from collections.abc import Callable

import structlog

from didflow.contract.errors import AlreadyDecided, InvalidRequest, JobNotFound, ServiceUnavailable
from didflow.contract.provider import OwnedNumber, ReadFailed
from didflow.ledger.gate import Findings, Gate, Gift, Turn
from didflow.ledger.ledger import Ledger
from didflow.ledger.replies import Vouched
from didflow.ledger.witness import Witness
from worker.attempt.patience import UntilStopped
from worker.jobs.owned_numbers import owned_whole
from worker.jobs.ports.provider import Provider
from worker.reconcile.diff import added_since, candidates, strangers, unclaimed
from worker.reconcile.give import give
from worker.reconcile.ledger_view import read_books
from worker.wavix.request_gate import with_patience

LOOK_EVERY_S = 0.5
#: The pause after the provider didn't answer, and that between two looks at the same findings.
AFTER_TROUBLE_S = 5.0
AFTER_FINDINGS_S = 60.0
#: So long one process alone looks for an account.
TURN_MS = 3_000

log = structlog.stdlib.get_logger("didflow.gate")


class Gatekeeper(threading.Thread):
    """One account's, in every worker process that knows the account; one of them looks at a time.

    `provider` gives a client for this thread. `witness` is the process's memory, if it has one. `is_its_ledger`:
    whether the account is known to be the one that the ledger's jobs belong to; before that nothing is decided by what it owns.
    """

    def __init__(
        self,
        ledger: Ledger,
        account: str,
        provider: Provider,
        *,
        settle_s: float,
        worker: str,
        witness: Witness | None = None,
        is_its_ledger: Callable[[str], bool] = lambda _: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_its_ledger, self._clock = is_its_ledger, clock
        super().__init__(name=f"gate {account}", daemon=True)
        self._ledger, self._gate, self._account, self._provider = ledger, Gate(ledger), account, provider
        self._settle_ms, self._worker = int(settle_s * 1000), worker
        self._stop_event = threading.Event()
        self._witness = witness
        self._vouched = 0
        self._told_epoch = 0
        self._again_s = 0.0
        self._accepted: frozenset[str] = frozenset()
        self._known_since_s: dict[tuple[int, str], float] = {}

    def run(self) -> None:
        while not self._stop_event.wait(LOOK_EVERY_S):
            self.look()

    def stop(self) -> None:
        self._stop_event.set()

    def look(self) -> None:
        """One look. Redis or the provider being away only postpones it; whatever else goes wrong leaves the gate closed."""
        try:
            self._vouch()
            turn = self._gate.take_turn(self._account, self._worker, turn_ms=TURN_MS)
            if turn is None:
                return
            self._say_closed(turn)
            if turn.open_jobs == 0 and self._is_time() and self._is_its_ledger(self._account):
                with with_patience(UntilStopped(self._stop_event)):
                    self._decide(turn)
        except ServiceUnavailable as error:
            log.warning("gate.ledger_unreachable", account=self._account, error=str(error))
        except ReadFailed as error:
            log.warning("gate.provider_unreachable", account=self._account, error=str(error))
            self._again_s = time.monotonic() + AFTER_TROUBLE_S
        except Exception:
            # Reroutes need this process, so it must not end for this; the gate stays closed, which is safe.
            log.exception("gate.bug", account=self._account)
            self._again_s = time.monotonic() + AFTER_TROUBLE_S

    def _vouch(self) -> None:
        """Say once of each server that was lost whether this process misses anything that it wrote there."""
        before = self._witness.before() if self._witness else None
        if before is None or before.epoch == self._vouched:
            return
        if before.healthy:
            match self._gate.vouch(self._account, self._worker, before):
                case Vouched.WAITING:
                    return  # Said for this account; another one may yet be opened by the same word.
                case Vouched.OPENED:
                    log.warning("gate.opened", account=self._account, because="every worker process found all that it had written")
                case Vouched.LOST:
                    log.error("gate.writes_lost", account=self._account, next="the lost writes are looked up at the provider")
        self._vouched = before.epoch

    def look_again(self) -> None:
        """Don't wait for the next look to be due."""
        self._again_s = 0.0

    def _say_closed(self, turn: Turn) -> None:
        if turn.epoch != self._told_epoch:
            self._told_epoch, self._again_s = turn.epoch, 0.0
            self._known_since_s = {(turn.epoch, "restart"): self._clock()}
            log.error(
                "gate.closed", account=self._account, epoch=turn.epoch, open_jobs=turn.open_jobs, next="opens by itself if nothing was lost"
            )

    def _is_time(self) -> bool:
        """Not at once after trouble or findings; at once when a person accepted or gave something."""
        gifts = self._gate.gifts(self._account).values()
        accepted = self._gate.accepted(self._account) | {f"{one.number} {one.job}" for one in gifts if not one.refused}
        changed, self._accepted = accepted != self._accepted, accepted
        return changed or time.monotonic() >= self._again_s

    def _decide(self, turn: Turn) -> None:
        findings = self._find(turn)
        if findings is None:
            return
        if self._gate.record(turn, findings) and findings:
            log.error("gate.unknown_numbers", **findings.as_fields(), next="`didflow reconcile`")
        if findings:
            self._again_s = time.monotonic() + AFTER_FINDINGS_S
        elif self._gate.let_through(turn, self._account):
            log.warning("gate.opened", account=self._account, epoch=turn.epoch)
            self._close_gifts()

    def _close_gifts(self) -> None:
        """An open gate carries out no gift, and takes no new one. One that was never tried says so until the gate opens again."""
        for gift in self._gate.gifts(self._account).values():
            if gift.refused:
                self._gate.forget_gift(self._account, gift)
            else:
                self._refuse(gift, f"no unknown number was left when the gate opened, and record {gift.record_id} was none of them")

    def _find(self, turn: Turn) -> Findings | None:
        """Unknown numbers; None while the lists may still be outdated."""
        now_ms = self._ledger.now_ms()
        if not self._has_settled(turn.epoch, "restart", turn.since_ms, now_ms):
            return None
        if not turn.cart_ms:
            in_cart = [offer.number for offer in self._provider.cart()]
            books = read_books(self._ledger, self._account)
            if unknown := strangers(books, in_cart, now_ms):
                return Findings(self._account, {}, unknown, candidates(books, unknown))
            self._gate.saw_cart(turn, self._account, self._worker, turn_ms=TURN_MS)
            self._known_since_s[turn.epoch, "cart"] = self._clock()
            return None
        if not self._has_settled(turn.epoch, "cart", turn.cart_ms, now_ms):
            return None
        owned = owned_whole(self._provider)
        books = read_books(self._ledger, self._account)
        orphans = added_since(unclaimed(books, owned), turn.after_ms)
        numbers = {one.number: one.record_id for one in orphans if not self._was_given(one)}
        return Findings(self._account, numbers, (), candidates(books, numbers) if numbers else ())

    def _has_settled(self, epoch: int, what: str, since_ms: int, now_ms: int) -> bool:
        """By Redis's clock, and by that of this process since it knows of it: after a restart a server's clock is often set right, and no
        list gets younger by that."""
        now_s = self._clock()
        known_s = now_s - self._known_since_s.setdefault((epoch, what), now_s)
        return min(now_ms - since_ms, known_s * 1000) >= self._settle_ms

    def _was_given(self, orphan: OwnedNumber) -> bool:
        """Whether a person said which purchase bought it, and the purchase has it now."""
        gift = self._gate.gifts(self._account).get(orphan.number)
        if gift is None or gift.refused:
            return False
        if gift.record_id != orphan.record_id:
            self._refuse(gift, f"the account owns another record of this number now: {orphan.record_id}, not {gift.record_id}")
            return False
        try:
            give(self._ledger, self._account, gift.job, orphan, gift.actor)
        except (InvalidRequest, JobNotFound, AlreadyDecided) as error:
            self._refuse(gift, str(error))
            return False
        return True

    def _refuse(self, gift: Gift, why: str) -> None:
        """The person sees it beside the findings."""
        if self._gate.refuse_gift(self._account, gift, why):
            log.error("gate.gift_refused", account=self._account, number=gift.number, job_id=gift.job, error=why)
