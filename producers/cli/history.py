"""`didflow history`: a number's history, and whether it was changed by hand."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.text import Text

from didflow.client.sync.client import Didflow
from didflow.contract.errors import InvalidRequest
from didflow.contract.history import Happened, History, HistoryEntry
from didflow.terminal import options as given
from didflow.terminal.output import ExitCode, WholeWords, clean, errors_shown, plain, print_json, print_table
from didflow.terminal.tables import is_terminal


def history(
    number: Annotated[str | None, typer.Argument(help="the number, in E.164 form", show_default=False)] = None,
    verify: Annotated[bool, typer.Option("--verify", help="only check whether the chain is intact")] = False,
    anchor: Annotated[
        list[str] | None,
        typer.Option(help="an anchor COUNT:HASH that was stored elsewhere: it must be in the chain. May be repeated", show_default=False),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="for every number: whether its chain is intact, and its anchor")] = False,
    as_json: given.Json = False,
) -> None:
    """Show a number's history, from purchase to release. Exit code 1 if an entry was changed by hand."""
    with errors_shown(as_json=as_json):
        if everything == (number is not None):
            what = "name one number, or give --all"
            raise InvalidRequest(f"number: {what}", (("number", what),))
        if everything and anchor:
            what = "is of one number, and not for --all"
            raise InvalidRequest(f"anchor: {what}", (("anchor", what),))
        didflow = Didflow.from_env()
        if number is None:
            _print_all(tuple(didflow.histories()), as_json=as_json)
            return
        found = didflow.history(number)
        held = {one: found.holds(one) for one in anchor or ()}
        if as_json:
            told = plain(found) | {"whole": not found.faults, "anchors": held}
            print_json({name: value for name, value in told.items() if name != "entries"} if verify else told)
        else:
            _show(found, _verdicts(found, held), entries=not verify)
        if found.faults or False in held.values():
            raise typer.Exit(ExitCode.JOB)


#: Of an entry; the verdict about the chain is one more, in a pipe.
_COLUMNS = ("n", "time (UTC)", "what", "job", "reference", "more")


def show_history(found: History) -> None:
    """The entries, for a command that shows more of the number than these."""
    _show(found, _verdicts(found, {}), entries=True)


def _show(found: History, verdicts: Sequence[tuple[str, str]], *, entries: bool) -> None:
    """The entries, and what the chain shows: lines on a terminal, elsewhere records of the same table."""
    rows: list[tuple[str, ...]] = [_row(entry) for entry in found.entries] if entries else []
    if not is_terminal():
        rows += [("", "", "chain", *[""] * (len(_COLUMNS) - 4), verdict) for verdict, _ in verdicts]
    if rows or not is_terminal():
        print_table(_COLUMNS, rows, whole=5)
    if not found.entries and entries:
        WholeWords(stderr=not is_terminal()).print(f"no job ever had {found.number}", style="dim", markup=False)
    if is_terminal():
        for verdict, style in verdicts:
            WholeWords().print(Text(verdict, style=style))


def _row(entry: HistoryEntry) -> tuple[str, ...]:
    return (
        str(entry.n),
        f"{entry.at:%Y-%m-%d %H:%M:%S}",
        str(entry.happened.what),
        entry.job or f"({entry.kind})",
        entry.reference or "",
        _more(entry.happened),
    )


def _more(happened: Happened) -> str:
    parts = [f"record {happened.record_id}"] if happened.record_id is not None else []
    parts += [f"{happened.setup_usd} + {happened.monthly_usd} USD a month"] if happened.monthly_usd is not None else []
    if happened.route_after is not None:
        before = f"{', '.join(happened.route_before) or '(none)'} " if happened.route_before is not None else ""
        parts.append(f"{before}-> {', '.join(happened.route_after) or '(none)'}")
    parts += [happened.error] if happened.error else []
    parts += [f"by a {happened.by}" + (f": {happened.actor}" if happened.actor else "")] if happened.by else []
    parts += [f"asked for by {happened.actor}"] if happened.actor and not happened.by else []
    return "; ".join(parts)


def _verdicts(found: History, held: Mapping[str, bool | None]) -> list[tuple[str, str]]:
    """What the chain and the anchors show, each with its colour."""
    told = [(clean(fault), "red") for fault in found.faults]
    if found.faults:
        told.append(("the chain is broken: something other than didflow wrote to this history", "red"))
    elif found.entries:
        dropped = f", after {found.dropped} that are no longer kept" if found.dropped else ""
        told.append((f"the chain of {len(found.entries)} entries is whole{dropped}; its anchor, to keep elsewhere: {found.anchor}", ""))
    words = {True: "is in the chain", None: "belongs to an entry that is no longer kept", False: "IS NOT IN THE CHAIN: it was rewritten"}
    return told + [(f"anchor {clean(one)} {words[holds]}", "red" if holds is False else "") for one, holds in held.items()]


def _print_all(found: tuple[History, ...], *, as_json: bool) -> None:
    if as_json:
        print_json([{"number": one.number, "anchor": one.anchor, "faults": list(one.faults)} for one in found])
    else:
        rows = [(one.number, one.anchor, "; ".join(one.faults) or "whole") for one in found]
        print_table(("number", "anchor", "chain"), rows, whole=2)
    if any(one.faults for one in found):
        raise typer.Exit(ExitCode.JOB)
