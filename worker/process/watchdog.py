"""Checks that every thread that jobs depend on is alive and makes progress; otherwise it ends the process and logs why.

A computation inside the interpreter, such as one with an integer of a million digits, may hold it: then no thread runs, this one neither,
and no signal is handled. So an alarm of the kernel's is set again at each look; its default action ends the process.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping

import structlog

from didflow.contract.exit_codes import ExitCode
from didflow.logs import drain_logs

LOOK_EVERY_S = 1.0
#: A heartbeat or sweeper that hasn't come round for this long hangs: its calls to Redis time out long before.
STUCK_AFTER_S = 60.0
#: When no thread at all has run for this long, the interpreter is held, or the process was stopped for longer than any lease lasts.
HELD_AFTER_S = 30.0
#: How long the process may take to log why it ends. Then the kernel ends it, whatever its threads wait for.
END_WITHIN_S = 2.0
#: How long of that its last lines may take to be written.
DRAIN_S = 1.0

log = structlog.stdlib.get_logger("didflow.watchdog")


class Watchdog(threading.Thread):
    """`threads` is called at each check, because Dramatiq makes its own. `beats` returns when each last moved (monotonic), `busy` names
    threads that compute without end. `held_after_s`: the kernel ends the process if there was no look for this long; None: it doesn't.
    """

    def __init__(
        self,
        threads: Callable[[], Iterable[threading.Thread]],
        beats: Mapping[str, Callable[[], float]],
        *,
        busy: Callable[[], list[str]] = list,
        held_after_s: float | None = None,
        die: Callable[[int], object] = os._exit,
        set_alarm: Callable[[float], object] = lambda after_s: signal.setitimer(signal.ITIMER_REAL, after_s),
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._threads, self._beats, self._die, self._set_alarm = threads, beats, die, set_alarm
        self._busy, self._held_after_s = busy, held_after_s
        self._stop_event = threading.Event()

    def run(self) -> None:
        while not self._stop_event.wait(LOOK_EVERY_S):
            if self._held_after_s is not None:
                self._set_alarm(self._held_after_s)
            if ill := self.ill(time.monotonic()):
                # First: nothing that is said about it may keep the process alive. SIGALRM's default action ends it.
                self._set_alarm(END_WITHIN_S)
                log.critical("watchdog.process_ends", because=ill, stacks=stacks())
                drain_logs(DRAIN_S)
                self._die(ExitCode.STUCK)
                return

    def stop(self, within_s: float) -> None:
        """Look no more. With `held_after_s`: the process has `within_s` from now to end by itself."""
        self._stop_event.set()
        if self._held_after_s is not None:
            self.join(LOOK_EVERY_S)  # Else its last look could set the alarm again.
            self._set_alarm(within_s)

    def ill(self, now_s: float) -> list[str]:
        """The names of what is dead or stuck."""
        dead = [thread.name for thread in self._threads() if not thread.is_alive()]
        return dead + [name for name, beat_s in self._beats.items() if now_s - beat_s() > STUCK_AFTER_S] + self._busy()


def stacks() -> dict[str, list[str]]:
    """Where every thread is."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        f"{names.get(ident)} ({ident})": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_stack(top)]
        for ident, top in sys._current_frames().items()
    }
