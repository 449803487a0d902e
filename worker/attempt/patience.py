"""How long calls to the provider wait for their slot in their threads, if the rate is low or many others wait.

What an attempt has read of a list is in its memory, so one that gave up in the middle would begin the list again, and at a low rate
never finish it. A place in the ledger would not help: which records were seen on which page has to be compared at the end (see `listed`),
and a page that was read an hour ago proves nothing. So the first call of an attempt may be turned away, and the job then waits in
the ledger, without a thread; the calls after it wait in line, however long that takes. Few attempts of an account do so at once: the line
before a first call is then longer than its patience.
"""

import threading
import time

from worker.attempt.heartbeat import LeaseFlags

#: A call that may be turned away waits this long for its moment.
PATIENCE_S = 5.0


class AttemptPatience:
    """That of one attempt of a job, also for the threads that read pages for it.

    It ends when the process stops, the lease is lost, or the job is cancelled: the attempt then ends as it does where the provider
    can't be asked, and the next one notices the cancel where stopping is harmless. An attempt that begins cancelled ends with patience.
    """

    def __init__(self, flags: LeaseFlags, stopping: threading.Event) -> None:
        self._flags, self._stopping = flags, stopping
        self._began_cancelled, self._began, self._ended = flags.cancel, False, False

    def left_s(self, waited_s: float) -> float:
        flags = self._flags
        if self._ended or self._stopping.is_set() or flags.lost or (flags.cancel and not self._began_cancelled):
            return 0.0
        # A change of routes that was claimed is sent soon or not at all.
        to_send_s = flags.send_until_s - time.monotonic()
        must_be_sent = 0 < to_send_s < float("inf")
        if must_be_sent:
            return min(to_send_s, PATIENCE_S - waited_s)
        return float("inf") if self._began else PATIENCE_S - waited_s

    def admitted(self) -> None:
        self._began = True

    def end(self) -> None:
        """The attempt is over: no reader continues for it."""
        self._ended = True


class UntilStopped:
    """For work that can't be abandoned: waits until it is asked to stop."""

    def __init__(self, stopping: threading.Event | None = None) -> None:
        self._stopping = stopping

    def left_s(self, waited_s: float) -> float:  # noqa: ARG002 - however long
        return 0.0 if self._stopping is not None and self._stopping.is_set() else float("inf")

    def admitted(self) -> None:
        """Nothing changes."""
