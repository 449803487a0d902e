"""Detects the death of the parent process, with which this process must end: a killed parent can't signal its children."""

import os
import threading
from collections.abc import Callable

#: The process ends when this one does, by pid.
PARENT_VARIABLE = "DIDFLOW_SUPERVISOR_PID"
LOOK_EVERY_S = 0.2


def is_orphan() -> bool:
    """Whether the parent that it was to end with is gone."""
    parent = os.environ.get(PARENT_VARIABLE)
    return bool(parent) and str(os.getppid()) != parent


def end_with_parent(end: Callable[[], None]) -> None:
    """Have `end` called, once and from a thread of its own, when the parent is gone. Without such a parent nothing happens."""
    if os.environ.get(PARENT_VARIABLE):
        threading.Thread(target=_watch, args=(end,), name="parent", daemon=True).start()


def _watch(end: Callable[[], None]) -> None:
    pause = threading.Event()
    while not is_orphan():
        pause.wait(LOOK_EVERY_S)
    end()
