"""The record of documents that a person sends to the provider by command. The file, and what is in it, is in no record."""

import secrets
from collections.abc import Sequence

from didflow.ledger.commands import Command, Commands
from didflow.ledger.script_calls import Call

#: Numbers that the record names; of more it says how many.
NAMED = 20


def note_upload(commands: Commands, account: str, kind: str, numbers: Sequence[str]) -> Command[None]:
    """Write that the actor is about to send a document of this type for these numbers (E.164)."""
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    detail = f"{kind} for {' '.join(numbers[:NAMED])}{more}"
    yield from commands.run(Call("note_upload", (secrets.token_hex(8), commands.actor, account, detail), str))
