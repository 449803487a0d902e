"""The rate limiter before every request to the provider: one per account, across all worker processes and machines.

Own scripts: of limits, pyrate-limiter, throttled-py and pybreaker none assigns a call its slot, stops all callers at a Retry-After, slows
down or keeps a share; some read the client's clock, or go ahead without Redis. redis-cell is a server module that managed ones lack.
"""

import random
import time
import uuid
from collections.abc import Callable

import structlog

from didflow.contract.errors import ServiceUnavailable
from didflow.contract.provider import NotNow, NotNowReason
from didflow.ledger.ledger import Ledger
from didflow.ledger.rate_limit import LATE_S, Breaker, Pace, RateChange, Verdict, admit, report
from worker.attempt.patience import PATIENCE_S
from worker.wavix.request_gate import Heard, Leave, NotAdmitted, patience

#: A thread that waits in line looks this often whether it still should.
LISTEN_EVERY_S = 0.25
#: What the script is asked to wait at most, where a thread waits as long as it takes.
WAIT_MAX_S = 1_000_000.0
#: How soon a job comes back whose gate could not be asked.
ASK_AGAIN_S = 1.0

log = structlog.stdlib.get_logger("didflow.admission")


class SharedRateLimiter:
    """`worker.wavix.request_gate.Admission` over the ledger. Threads may share one.

    `breaker` None: asks whatever the breaker says, and has no say in it.
    """

    def __init__(
        self,
        ledger: Ledger,
        account: str,
        pace: Pace,
        breaker: Breaker | None,
        *,
        emergency: bool,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._ledger, self._account, self._pace, self._breaker, self._emergency = ledger, account, pace, breaker, emergency
        self._clock, self._sleep = clock, sleep

    def ask(self) -> Leave:
        """Return when the request may go, which is at once or some seconds later. Raises NotAdmitted."""
        ask, began_s, in_line = uuid.uuid4().hex, self._clock(), False
        while True:
            asked_s = self._clock()
            waited_s = asked_s - began_s
            verdict = self._verdict(ask, waited_s if in_line else 0.0, max(0.0, min(WAIT_MAX_S, _left_s(waited_s))))
            match verdict.word:
                case "go":
                    self._sleep(verdict.wait_s)
                    late_s = self._clock() - asked_s - verdict.wait_s
                    if late_s <= LATE_S:
                        return self._leave(verdict, late_s)
                    # Its moment is over: sent now, it could meet the next ones, and be one too many for the provider.
                    log.info("admission.too_late", account=self._account, late_ms=round(late_s * 1000))
                    in_line = True
                    if _left_s(waited_s) < 0:
                        raise NotAdmitted(NotNow(NotNowReason.RATE_LIMITED, ASK_AGAIN_S))
                case "back":
                    in_line = True
                    self._wait(began_s, verdict.wait_s)
                case "limited":
                    raise NotAdmitted(NotNow(NotNowReason.RATE_LIMITED, verdict.wait_s))
                case "down":
                    raise NotAdmitted(NotNow(NotNowReason.UNREACHABLE, verdict.wait_s))

    def _leave(self, verdict: Verdict, late_s: float) -> Leave:
        if (one := patience.get()) is not None:
            one.admitted()
        good_for_s = LATE_S - late_s + self._pace.spare_s
        return Leave(verdict.moment_us, probe=verdict.note == "probe", watched=verdict.note == "watched", good_for_s=good_for_s)

    def _wait(self, began_s: float, wait_s: float) -> None:
        """Sleep so long, or raise NotAdmitted as soon as this thread is to wait no longer."""
        until_s = self._clock() + wait_s
        while (left_s := until_s - self._clock()) > 0:
            if _left_s(self._clock() - began_s) <= 0:
                raise NotAdmitted(NotNow(NotNowReason.RATE_LIMITED, ASK_AGAIN_S))
            self._sleep(min(left_s, LISTEN_EVERY_S))

    def waits(self) -> bool:
        return _left_s(PATIENCE_S) > 0

    def _verdict(self, ask: str, waited_s: float, patience_s: float) -> Verdict:
        call = admit(
            self._account,
            ask,
            self._pace,
            emergency=self._emergency,
            waited_s=waited_s,
            patience_s=patience_s,
            probe_s=self._breaker.probe_s if self._breaker else None,
        )
        try:
            return self._ledger.run(call)
        except ServiceUnavailable as error:
            # Without the gate it isn't known how many others are sending.
            log.warning("admission.cannot_ask", account=self._account, error=str(error))
            raise NotAdmitted(NotNow(NotNowReason.UNREACHABLE, ASK_AGAIN_S)) from None

    def record(self, leave: Leave, heard: Heard) -> None:
        """Record trouble; and success, where that is news."""
        if heard.what != "limited" and self._breaker is None:
            return
        if heard.what == "fine" and not (leave.probe or leave.watched):
            return
        call = report(
            self._account,
            leave.moment_us,
            heard.what,
            heard.words,
            self._breaker or Breaker(),
            pause_s=heard.retry_after_s or 0.0,
            jitter=random.random(),
        )
        try:
            changed = self._ledger.run(call)
        except ServiceUnavailable as error:
            log.warning("admission.cannot_record", account=self._account, error=str(error))
            return
        match changed:
            case RateChange.SLOWED:
                log.warning("admission.slowed", account=self._account, retry_after_s=heard.retry_after_s, message=heard.words)
            case RateChange.OPENED:
                log.error("admission.breaker_opened", account=self._account, message=heard.words)
            case RateChange.CLOSED:
                log.info("admission.breaker_closed", account=self._account)


def _left_s(waited_s: float) -> float:
    """How much longer a call may wait in this thread."""
    one = patience.get()
    return PATIENCE_S - waited_s if one is None else one.left_s(waited_s)
