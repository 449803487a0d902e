"""Which numbers have a history. `calls.history` reads it, one number at a time."""

from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys


def numbers_with_history(keys: Keys) -> Command[tuple[str, ...]]:
    """In the order of the numbers."""
    numbers: list[str] = yield RedisCommand("hkeys", (keys.history,))
    return tuple(sorted(numbers))
