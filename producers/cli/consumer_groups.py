"""`didflow results groups` and `delete-group`: who reads the streams, how far each is, and deleting an unused group."""

from typing import Annotated

import typer

from didflow.client.sync.client import Didflow
from didflow.ledger.group_progress import Group, StreamName
from didflow.terminal import options as given
from didflow.terminal.confirmation import FOR_GOOD, confirmed
from didflow.terminal.output import WholeWords, clean, errors_shown, print_json, print_table
from didflow.terminal.tables import remarks


def groups(as_json: given.Json = False) -> None:
    """List the consumer groups of all three streams and their lag.

    `unread` entries weren't delivered to the group yet, `pending` ones aren't acknowledged.
    """
    with errors_shown(as_json=as_json):
        found = Didflow.from_env().groups()
        if as_json:
            print_json(found)
        elif not found:
            WholeWords().print("no consumer groups", style="dim")
        else:
            print_table(("group", "stream", "unread", "pending", "oldest", "consumers", "seen"), [_row(one) for one in found], whole=2)


def _row(group: Group) -> tuple[object, ...]:
    return (group.name, group.stream, group.unread, group.pending, _ago(group.held_s), group.consumers, _ago(group.seen_s))


def _ago(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f} s ago"


def delete_group(
    group: Annotated[str, typer.Argument(help="the group's name")],
    stream: Annotated[StreamName, typer.Option(help="the stream that it reads")] = "results",
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """Delete an unused consumer group, so that the stream can be trimmed. Refused while a consumer of the group runs."""
    with errors_shown(as_json=as_json):
        didflow = Didflow.from_env()
        meant = next((one for one in didflow.groups() if (one.stream, one.name) == (stream, group)), None)
        if meant is not None:
            left = f"{meant.unread} entries it hasn't read and {meant.pending} it hasn't acknowledged"
            confirmed(f"delete group {clean(group)} of {stream} with {left}?", FOR_GOOD, yes=yes)
        didflow.delete_group(group, stream=stream)
        if as_json:
            print_json({"deleted": group, "stream": stream})
        else:
            remarks().print(f"group {clean(group)} of {stream} is deleted", markup=False)
