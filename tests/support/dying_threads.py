"""A thread of a real worker process, killed from outside. The forked processes of a cluster call `install` before they begin.

On SIGUSR1 the process lets one of its threads die: by an exception raised where it is, that nothing catches which catches errors. The
file that `VARIABLE` names holds the thread's name or class; it is gone as soon as the thread is dying. Nothing of the product is replaced.
"""

import ctypes
import os
import signal
import threading
from pathlib import Path

#: Names the file with the name of the thread that is to die.
VARIABLE = "DIDFLOW_TEST_DYING_THREAD"
#: A thread that waits for work looks up within this.
AGAIN_AFTER_S = 1.5


def install() -> None:
    """Obey SIGUSR1 in this process, if it is under test."""
    if VARIABLE in os.environ:
        signal.signal(signal.SIGUSR1, lambda *_: _kill_one(Path(os.environ[VARIABLE])))


def _kill_one(order: Path) -> None:
    named = order.read_text() if order.exists() else ""
    for thread in threading.enumerate():
        if named in (thread.name, type(thread).__name__) and thread.ident:
            order.unlink()
            while thread.is_alive():  # Dramatiq catches everything while a thread runs a job.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
                thread.join(AGAIN_AFTER_S)
            return
