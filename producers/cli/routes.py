"""`didflow routes`: where each number went at a moment, from the histories and the inventory."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from didflow.client.sync.client import Didflow
from didflow.client.sync.routes import Routes
from didflow.contract.past_routes import PastRoute, RouteDifference, Source
from didflow.terminal import options as given
from didflow.terminal.output import errors_shown, print_json, print_table
from didflow.terminal.tables import remarks
from producers.cli.job_numbers import say_written, write_lines

routes_app = typer.Typer(invoke_without_command=True, help="Show where each number's calls went at a moment, and what changed since.")

COLUMNS = ("number", "destinations", "source", "why")
DIFFERENCE_COLUMNS = ("number", "before", "after", "why")
Csv = Annotated[Path | None, typer.Option(help="write all of them to this file; - is stdout", show_default=False)]
When = Annotated[str, typer.Argument(help="now, 2h (ago), or a time: 2026-12-01T08:00, in this machine's zone unless it has its own")]


@routes_app.callback()
def routes(
    context: typer.Context,
    at: Annotated[str, typer.Option(help="now, 2h (ago), or a time, in this machine's zone unless it has its own")] = "now",
    number: Annotated[list[str] | None, typer.Option("--number", "-n", help="this number; may be repeated", show_default=False)] = None,
    csv: Csv = None,
    account: given.AccountName = "default",
    as_json: given.Json = False,
) -> None:
    """Show where each number's calls went at a moment. `didflow reroute --back-to TIME` restores it. Asks the provider nothing."""
    if context.invoked_subcommand is not None:
        return
    with errors_shown(as_json=as_json):
        moment = given.past_moment(at, "at")
        found = Routes(Didflow.from_env(), account=account).at(moment, numbers=number or None)
        if csv is not None:
            count = write_lines(COLUMNS, map(_cells, found), csv)
            say_written(count, csv)
            return
        listed = tuple(found)
        if as_json:
            print_json({"at": _text(moment), "account": account, "routes": [_fields(one) for one in listed]})
            return
        print_table(COLUMNS, [_cells(one) for one in listed], whole=1)
        _remark(listed, f"{len(listed)} numbers at {_text(moment)}", at)


@routes_app.command()
def diff(
    first: When,
    second: When = "now",
    csv: Csv = None,
    account: given.AccountName = "default",
    as_json: given.Json = False,
) -> None:
    """List the numbers that went elsewhere at the second moment than at the first."""
    with errors_shown(as_json=as_json):
        moments = given.together(lambda: given.past_moment(first, "first"), lambda: given.past_moment(second, "second"))
        found = Routes(Didflow.from_env(), account=account).difference(*moments)
        if csv is not None:
            count = write_lines(DIFFERENCE_COLUMNS, map(_difference_cells, found), csv)
            say_written(count, csv)
            return
        listed = tuple(found)
        if as_json:
            changed = [{"number": one.number, "before": _fields(one.before), "after": _fields(one.after)} for one in listed]
            print_json({"first": _text(moments[0]), "second": _text(moments[1]), "account": account, "changed": changed})
            return
        print_table(DIFFERENCE_COLUMNS, [_difference_cells(one) for one in listed], whole=1)
        remarks().print(f"{len(listed)} numbers differ between {_text(moments[0])} and {_text(moments[1])}", style="dim", markup=False)


def _cells(one: PastRoute) -> tuple[object, ...]:
    return one.number, _route(one), one.source.value, one.why


def _difference_cells(one: RouteDifference) -> tuple[object, ...]:
    return one.number, _route(one.before), _route(one.after), "; ".join(why for why in (one.before.why, one.after.why) if why)


def _route(one: PastRoute) -> str:
    if one.destinations is None:
        return "not ours" if one.source is Source.NOT_OURS else "not known"
    return ", ".join(one.destinations) or "(none)"


def _fields(one: PastRoute) -> dict[str, object]:
    destinations = None if one.destinations is None else list(one.destinations)
    return {"number": one.number, "destinations": destinations, "source": one.source.value, "why": one.why}


def _remark(listed: tuple[PastRoute, ...], words: str, at: str) -> None:
    unknown = sum(one.source is Source.UNKNOWN for one in listed)
    say = remarks()
    say.print(words + (f"; of {unknown} it isn't known" if unknown else ""), style="dim", markup=False)
    if at != "now" and listed:
        say.print(f"restore them with: didflow reroute --all --back-to {at} --dry-run", style="dim", markup=False)


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
