"""All that is known of one number, and what may be done with it now."""

from collections.abc import Iterator

from didflow.contract.inventory import InventoryNumber, NumberFile, Possible
from didflow.ledger.commands import Command, Commands
from didflow.ledger.inventory import one_number
from didflow.ledger.script_calls import history

_NOT_OURS = "the mirror doesn't have this number"


def number_file(commands: Commands, account: str, number: str) -> Command[NumberFile]:
    """`number` in E.164."""
    looked, found = yield from one_number(commands.keys, account, number)
    story = yield from commands.run(history(number))
    return NumberFile(looked.state, number, found, story, tuple(possible(found)))


def possible(number: InventoryNumber | None) -> Iterator[Possible]:
    """What may be submitted for it. A job checks the number at the provider all the same."""
    if number is None:
        yield from (Possible(action, _NOT_OURS) for action in ("reroute", "release"))
        return
    missing = "the last complete sweep didn't show it" if number.missing_since else ""
    leaving = f"release {number.parked_by} has it: cancel that to keep the number" if number.parked_by else ""
    lent = f"job {number.lent_to} has it" if number.lent_to else ""
    held = f"job {number.reserved_by} holds it" if number.reserved_by else ""
    # A route that is asked for while a release has the number takes effect if the number stays.
    yield Possible("reroute", missing or held)
    yield Possible("release", missing or held or leaving or lent)
    documents = "" if number.required_documents else "it needs none"
    yield Possible("documents upload", "it is active" if number.is_active else documents)
    yield Possible("pool return", "" if number.lent_to else "no purchase has it from the pool")
