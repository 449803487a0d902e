"""Writes log lines from a separate thread, so that a stopped reader of the log never blocks the threads that do the work.

A pipe buffers 64 KB; then a write blocks until the reader continues. So lines wait in a bounded queue. While it is full,
new lines are dropped and counted, and the count is logged once lines can be written again. A process that is killed loses the lines that
still wait, which normally are those of the last milliseconds.
"""

import io
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

import structlog

#: Texts that wait at most: about 2 MB of lines.
WAITING_MOST = 10_000
#: How long a first line waits for others: waking the thread and the call cost more than the line itself.
GATHER_S = 0.01
#: Texts that are written with one call at most.
TOGETHER = 100

log = structlog.stdlib.get_logger("didflow.logs")

#: A text, or what makes one.
_Text = str | Callable[[], str]


class LogWriter(io.TextIOBase):
    """A text stream that never blocks its users. What can't be written (a full disk, a closed pipe) is lost, and raises nothing."""

    def __init__(self, descriptor: int, *, most: int = WAITING_MOST) -> None:
        super().__init__()
        self._descriptor, self._most = descriptor, most
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # The child has no such thread, and the parent writes what waits.

    def _begin(self) -> None:
        self._waiting: SimpleQueue[_Text | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._dropped = 0

    def write(self, text: str) -> int:
        """Queue the text, or drop it where too much waits. How many were dropped has its place in any case."""
        self._put(text)
        return len(text)

    def write_later(self, text: Callable[[], str]) -> None:
        """The same with a text that the writing thread makes."""
        self._put(text)

    def _put(self, text: "_Text") -> None:
        if self._waiting.qsize() >= self._most and threading.current_thread() is not self._thread:
            with self._lock:
                self._dropped += 1
        else:
            self._waiting.put(text)
            if self._thread is None:
                self._start()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def drain(self, within_s: float) -> bool:
        """Wait until all that was written so far is out; False if that takes longer."""
        if self._thread is None:
            return True
        written = threading.Event()
        self._waiting.put(written)
        return written.wait(within_s)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="logs", daemon=True)
                with suppress(RuntimeError):  # No thread can be started now: the next line tries again.
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        while True:
            texts = self._next_texts()
            if _write(self._descriptor, "".join(_made(text) for text in texts if not isinstance(text, threading.Event))) and self._dropped:
                with self._lock:
                    dropped, self._dropped = self._dropped, 0
                log.warning("logs.dropped", count=dropped, because="stderr could not be written, or not fast enough")
            for text in texts:
                if isinstance(text, threading.Event):
                    text.set()

    def _next_texts(self) -> list["_Text | threading.Event"]:
        texts = [self._waiting.get()]
        if not isinstance(texts[0], threading.Event):
            time.sleep(GATHER_S)
        with suppress(Empty):
            while len(texts) < TOGETHER:
                texts.append(self._waiting.get_nowait())
        return texts


def _made(text: _Text) -> str:
    if isinstance(text, str):
        return text
    try:
        return text()
    except Exception as error:  # noqa: BLE001 - what a value's own code does must not end the thread that writes all lines
        return f"a line can't be written: {type(error).__name__}\n"


def _write(descriptor: int, text: str) -> bool:
    """Write all of it, however long that takes. False if it can't be written."""
    rest = memoryview(text.encode(errors="backslashreplace"))
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # Another process that shares this end of the pipe made it non-blocking.
            select.select([], [descriptor], [])
        except (OSError, ValueError):
            return False
    return True
