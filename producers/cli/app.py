"""`didflow`: a command is loaded when it runs or when its own options are completed. `--help` and completion need only its summary."""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
from typer._click.exceptions import NoSuchOption
from typer.core import TyperGroup

from didflow.contract.exit_codes import MEANINGS, ExitCode
from didflow.terminal.examples import HELP, add_examples, as_lines
from didflow.terminal.shells import know_shells
from producers.cli.commands import SECTIONS
from producers.cli.processes import PASS_ON, Role

if TYPE_CHECKING:
    from typer._click.core import Command, Context


#: Options that a command calls otherwise than the fields of a request are called.
MEANT = {"--destination": "--to", "--destinations": "--to", "--numbers": "--number", "--idempotency-key": "--key"}


class LazyCommands(TyperGroup):
    """Its `commands` have a name, a section and a summary each. The whole command is loaded when it is called."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - it is the base class's.
        return [name for section in SECTIONS.values() for name in section]

    def resolve_command(self, ctx: "Context", args: list[str]) -> "tuple[str | None, Command | None, list[str]]":
        name, summary_only, rest = super().resolve_command(ctx, args)
        return name, loaded(name) if name else summary_only, rest

    def invoke(self, ctx: "Context") -> object:
        try:
            return super().invoke(ctx)
        except NoSuchOption as error:
            meant = MEANT.get(error.option_name)
            if error.ctx is not None and any(meant in one.opts for one in error.ctx.command.params):
                error.possibilities = [str(meant)]
            raise


@cache
def loaded(name: str) -> "Command":
    """The command of this name, with its options or its own commands, and examples."""
    section, command = next((section, commands[name]) for section, commands in SECTIONS.items() if name in commands)
    holder = typer.Typer(rich_markup_mode="rich")
    if isinstance(command, Role):
        holder.command(name, help=command.summary, context_settings=PASS_ON, rich_help_panel=section)(command.become)
    else:
        module, _, attribute = command.place.partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            holder.add_typer(found, name=name, rich_help_panel=section)
        else:
            holder.command(name, rich_help_panel=section)(found)
    add_examples(holder)
    return typer.main.get_group(holder).commands[name]


def _epilog() -> str:
    shown = (code for code in ExitCode if code < ExitCode.STUCK or code is ExitCode.INTERRUPTED)
    return as_lines("Exit codes:", *(f"{code.value:<3}  {MEANINGS[code]}" for code in shown))


app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=HELP,
    help="Provision phone numbers on the Wavix Numbers API: jobs that are never lost, purchases that happen exactly once.",
    epilog=_epilog(),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # It takes longer than all of `didflow --help`.

        typer.echo(f"didflow {version('didflow')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and exit")] = False,
) -> None:
    pass


def _not_loaded() -> None:
    """Stands for a command in lists."""


for section, commands in SECTIONS.items():
    for name, command in commands.items():
        app.command(name, help=command.summary, rich_help_panel=section)(_not_loaded)
know_shells()
