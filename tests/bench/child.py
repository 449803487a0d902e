"""A process that is measured."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def started(module: str, options: list[str], variables: dict[str, str], *, says: bool = True) -> Iterator[tuple[str, int]]:
    """What a process says last in its first line, which is its URL if `says`, and its id."""
    command = [sys.executable, "-m", module, *options]
    child = subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout is not None
    try:
        yield child.stdout.readline().split()[-1] if says else "", child.pid
    finally:
        child.terminate()
        child.wait(30)
