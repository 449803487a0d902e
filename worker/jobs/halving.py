"""Splits a refused batch into halves, which are sent again, until a bad number is alone in its call."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def halves(refused: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """The two halves, in order. Raises ValueError for a single one: its refusal is its own, and nothing is left to determine by halving."""
    if len(refused) < 2:
        raise ValueError("one that was refused alone can't be halved")
    middle = len(refused) // 2
    return refused[:middle], refused[middle:]
