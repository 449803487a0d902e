"""Events of numbers."""

from collections.abc import Sequence
from typing import Protocol


class Events(Protocol):
    """Events of numbers, on the events stream."""

    def emit(self, numbers: Sequence[tuple[str, str, str, str]]) -> None:
        """What is new of each number: the number, what to keep of it (JSON), and the type and data (JSON) of its event.

        All is written and emitted together; what is saved already is not emitted again. Raises LostLease.
        """
        ...
