"""Every command of the command line, by its path."""

from collections.abc import Iterator

import click
import typer

from producers.cli.app import app


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command, by the words that call it."""
    inner = getattr(group, "commands", {})
    if path and (not inner or getattr(group, "invoke_without_command", False)):
        yield path, group
    for name, command in inner.items():
        yield from commands(command, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))  # type: ignore[arg-type]
