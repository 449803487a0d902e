"""Orders of tests to a process: die or freeze where it comes to a named point. Without the variable there are none.

A point's name is ``before:`` or ``after:`` and what happens there.
"""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

#: Names the folder of the orders; unset: off. Not a setting: only tests use it.
VARIABLE = "DIDFLOW_FAULT_POINTS"
#: What an order may do to the process that reaches its point. A frozen one continues when it is sent SIGCONT.
ACTIONS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}

Reached = Callable[[str], None]


class Orders:
    """The folder of orders, as the processes of a test see it. An order is an empty file ``<point>.<action>``;
    one process carries it out, once.

    Every point that was reached leaves a file of its name in ``reached/``, so that a test can list them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = folder / "reached"
        self._seen.mkdir(parents=True, exist_ok=True)

    def reached(self, point: str) -> None:
        """Die or freeze here if an order says so."""
        (self._seen / point).touch()
        for action, number in ACTIONS.items():
            try:
                (self._folder / f"{point}.{action}").unlink()
            except FileNotFoundError:
                continue
            # To this thread: one for the process may be taken by another thread, and this one would get on a little.
            signal.pthread_kill(threading.get_ident(), number)


def orders_from_environment() -> Orders | None:
    """The orders that this process obeys; None, which is the rule: none."""
    folder = os.environ.get(VARIABLE)
    return Orders(Path(folder)) if folder else None
