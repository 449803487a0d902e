"""Returning numbers to the pool: the commands behind `Pool`."""

from collections.abc import Sequence

from didflow.contract.errors import InvalidRequest
from didflow.contract.numbers import parse_e164
from didflow.ledger.commands import Command, Commands
from didflow.ledger.number_pool import returned

#: Numbers that are put back with one script.
TOGETHER = 100


def taken_back(commands: Commands, account: str, numbers: Sequence[str]) -> Command[tuple[str, ...]]:
    """Return these numbers; the result has those that were assigned. Raises InvalidRequest."""
    try:
        named = tuple(map(parse_e164, numbers))
    except ValueError as error:
        raise InvalidRequest(f"numbers: {error}", (("numbers", str(error)),)) from None
    back: list[str] = []
    for start in range(0, len(named), TOGETHER):
        back += yield from commands.run(returned(account, named[start : start + TOGETHER], commands.actor))
    return tuple(back)
