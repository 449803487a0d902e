"""Every command of the command line, by its path, loaded."""

from collections.abc import Iterator

import typer
from typer._click.core import Command
from typer.core import TyperGroup

from producers.cli.app import app, loaded


def whole() -> TyperGroup:
    """`didflow` with all its commands loaded."""
    root = typer.main.get_group(app)
    root.commands = {name: loaded(name) for name in root.commands}
    return root


def commands(group: Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    """Every command, by the words that call it."""
    inner = getattr(group, "commands", {})
    if path and (not inner or getattr(group, "invoke_without_command", False)):
        yield path, group
    for name, command in inner.items():
        yield from commands(command, (*path, name))


WHOLE = whole()
COMMANDS = dict(commands(WHOLE))
