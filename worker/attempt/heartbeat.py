"""The leases that this process holds, renewed by one heartbeat thread."""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import redis
import structlog

from didflow.contract.errors import DidflowError
from didflow.contract.states import WaitReason
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.replies import LeaseState
from didflow.ledger.worker_settings import AGAIN_AFTER_S, RunningWith, note_running
from worker.jobs.ports.endings import LostLease, Wait
from worker.wavix.calls_in_flight import CallsUnderWay

#: The heartbeat comes at least this often, whatever the lease: it also shows that the process lives.
BEAT_AT_MOST_S = 2.0

#: The first beats come faster: others that start just now wait for one, see WorkerProcess.
FIRST_BEAT_S = 0.25

log = structlog.stdlib.get_logger("didflow.leases")


@dataclass
class LeaseFlags:
    """What the heartbeat learned about one lease. Moments are monotonic, seconds.

    valid_until_s  beyond it another party may have the job
    send_until_s   a change of routes that was claimed may be sent until then
    """

    valid_until_s: float
    lost: bool = False
    cancel: bool = False
    send_until_s: float = float("inf")

    def check_before_change(self) -> None:
        """Raises LostLease if another party may have the job by now; Wait if the change of routes that is to be sent comes too late."""
        now_s = time.monotonic()
        if self.lost or now_s >= self.valid_until_s:
            raise LostLease
        if now_s >= self.send_until_s:
            raise Wait(WaitReason.RATE_LIMITED, 0.5, "the change of routes could not be sent in time")


class Leases(threading.Thread):
    """Renews every held lease a few times within its length. The ledger should have a connection of its own.

    It also says how old the oldest of the `calls` to the provider is that this process has under way, and what the process is `running`
    with.
    """

    def __init__(
        self, ledger: Ledger, *, lease_s: float, worker: str, calls: CallsUnderWay | None = None, running: RunningWith | None = None
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._calls = calls or CallsUnderWay()
        self._ledger, self._lease_s, self.worker = ledger, lease_s, worker
        self._running, self._noted_s = running, float("-inf")
        self._held: dict[tuple[str, str], LeaseFlags] = {}
        self._lock = threading.Lock()
        self._stop_event = threading.Event()
        self.last_beat_s = time.monotonic()

    def add(self, claim: Claim, asked_s: float) -> LeaseFlags | None:
        """Keep the lease alive from now on, until it is dropped. `asked_s`: when the claim was first sent (monotonic).

        None: it is held here already. Two threads with one token would take each other's writes for their own.
        """
        # Cancelled while it waited: this attempt is there to end, and must not wait for a heartbeat to learn it.
        flags = LeaseFlags(asked_s + self._lease_s, cancel=claim.fields.get("cancel") == "1")
        with self._lock:
            if (claim.job_id, claim.token) in self._held:
                return None
            self._held[claim.job_id, claim.token] = flags
        return flags

    @property
    def count(self) -> int:
        """How many leases are held."""
        return len(self._held)

    def drop(self, claim: Claim) -> None:
        """The attempt is over, however."""
        with self._lock:
            self._held.pop((claim.job_id, claim.token), None)

    def run(self) -> None:
        every_s, wait_s = min(self._lease_s / 3, BEAT_AT_MOST_S), FIRST_BEAT_S
        while not self._stop_event.wait(min(every_s, wait_s)):
            # After a failure soon again: who is silent for long can't say of a server that came back whether anything is missing.
            wait_s = wait_s * 2 if self.beat() else FIRST_BEAT_S
        with suppress(DidflowError, redis.RedisError):
            self._send_counts()

    def stop(self) -> None:
        self._stop_event.set()

    def _send_counts(self) -> None:
        if (batch := self._calls.batch()).counts:
            self._ledger.count_calls(self.worker, batch.batch, batch.counts)
            self._calls.added(batch)

    def beat(self) -> bool:
        """Renew all leases once; one that could not be renewed for its whole length counts as lost. False if the ledger didn't answer."""
        with self._lock:
            held = dict(self._held)
        sent_s = time.monotonic()
        answered = True
        try:
            replies = self._ledger.renew(held, lease_ms=int(self._lease_s * 1000))
            self._ledger.worker_alive(self.worker, lease_ms=int(self._lease_s * 1000))
            self._ledger.is_seen()
            if self._running is not None and sent_s - self._noted_s > AGAIN_AFTER_S:
                self._ledger.perform(note_running(self._ledger.keys, self.worker, self._running))
                self._noted_s = sent_s
            if (oldest_s := self._calls.oldest_s()) is not None:
                self._ledger.call_under_way(self.worker, int((time.monotonic() - oldest_s) * 1000))
            self._send_counts()
        except (DidflowError, redis.RedisError) as error:
            # Whatever the server says, this thread continues: without it the process would end, and with it what it runs.
            log.warning("leases.not_renewed", leases=len(held), error=f"{type(error).__name__}: {error}")
            replies, answered = {}, False
        self.last_beat_s = time.monotonic()
        for lease, flags in held.items():
            match replies.get(lease):
                case None:
                    flags.lost = flags.lost or self.last_beat_s > flags.valid_until_s
                case LeaseState.LOST:
                    flags.lost = True
                case reply:
                    flags.valid_until_s = sent_s + self._lease_s
                    flags.cancel = reply is LeaseState.CANCELLED
        return answered
