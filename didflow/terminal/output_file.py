"""The file that an option names for what a command writes: `--csv FILE`, `--export FILE`; `-` is stdout."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from didflow.contract.errors import InvalidRequest


@contextmanager
def output_file(to: Path, option: str) -> Iterator[TextIO]:
    """Yield the open file. Raises InvalidRequest, with a fault of that option, if it can't be written.

    A failure of stdout itself stays the OSError that it is: its reader has gone.
    """
    if str(to) == "-":
        yield sys.stdout
        return
    try:
        with to.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            yield file
    except OSError as error:
        what = f"can't be written: {error.strerror}"
        raise InvalidRequest(f"{option}: {what}", ((option, what),)) from None
