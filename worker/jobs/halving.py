"""A batch that was refused as a whole, because of one bad number perhaps: it is sent again in halves, until the bad number stands alone."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def halves(refused: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """The two halves, in order. Raises ValueError for a single one: its refusal is its own, and nothing is left to find out by halving."""
    if len(refused) < 2:
        raise ValueError("one that was refused alone can't be halved")
    middle = len(refused) // 2
    return refused[:middle], refused[middle:]
