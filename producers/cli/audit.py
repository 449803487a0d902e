"""`didflow audit`: who changed what, when and why; and whether the record was changed by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from didflow.client.sync.client import Didflow
from didflow.contract.audit import AuditCheck, AuditEntry
from didflow.contract.errors import InvalidRequest
from didflow.contract.exit_codes import ExitCode
from didflow.terminal import options as given
from didflow.terminal.output import WholeWords, clean, errors_shown, plain, print_json, print_table
from didflow.terminal.output_file import output_file
from didflow.terminal.tables import is_terminal

_COLUMNS = ("n", "time (UTC)", "who", "what", "on", "detail", "reason", "request")
_TIME = "now, 2h (ago), or a time, in this machine's zone unless it has its own"


def audit(
    who: Annotated[str | None, typer.Option(help="only changes of this person or key", show_default=False)] = None,
    what: Annotated[str | None, typer.Option(help="only this verb: submit, cancel, freeze, keys create …", show_default=False)] = None,
    job: Annotated[str | None, typer.Option(help="only changes of this job", show_default=False)] = None,
    since: Annotated[str | None, typer.Option(help=f"from then on: {_TIME}", show_default=False)] = None,
    until: Annotated[str | None, typer.Option(help=f"before then: {_TIME}", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="at most this many")] = 50,
    verify: Annotated[bool, typer.Option("--verify", help="walk the whole chain, and say where it is broken")] = False,
    anchor: Annotated[
        str | None, typer.Option(help="with --verify: an anchor COUNT:HASH of an earlier walk must be in the chain", show_default=False)
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="write every entry as it is kept, one a line; - is stdout", show_default=False)
    ] = None,
    as_json: given.Json = False,
) -> None:
    """List the changes that people and keys made, newest first. With --verify: exit code 1 if an entry was changed by hand."""
    with errors_shown(as_json=as_json):
        if anchor is not None and not verify:
            what_is_wrong = "is for --verify"
            raise InvalidRequest(f"anchor: {what_is_wrong}", (("anchor", what_is_wrong),))
        didflow = Didflow.from_env()
        if export is not None:
            _export(didflow, export)
        elif verify:
            _verify(didflow.verify_audit(anchor), as_json=as_json)
        else:
            first, last = given.together(lambda: _moment(since, "since"), lambda: _moment(until, "until"))
            found = list(_entries(didflow, who=who, what=what, job=job, since=first, until=last, limit=limit))
            if as_json:
                print_json([plain(entry) for entry in found])
            else:
                _show(found)


def _moment(text: str | None, name: str) -> object:
    return None if text is None else given.past_moment(text, name)


def _entries(didflow: Didflow, *, limit: int, **wanted: object) -> Iterator[AuditEntry]:
    """Page after page."""
    cursor = None
    while limit > 0:
        page = didflow.audit(limit=limit, cursor=cursor, **wanted)  # type: ignore[arg-type]
        yield from page.entries
        limit -= len(page.entries)
        if (cursor := page.next_cursor) is None:
            return


def _show(found: list[AuditEntry]) -> None:
    if not found and is_terminal():
        WholeWords().print("no such changes", style="dim")
        return
    print_table(_COLUMNS, [_row(entry) for entry in found], whole=5)


def _row(entry: AuditEntry) -> tuple[object, ...]:
    on = " ".join(value if name in ("job", "subject") else f"{name}={value}" for name, value in entry.on.items())
    when = f"{entry.at:%Y-%m-%d %H:%M:%S}"
    return (entry.n, when, entry.actor, entry.what, on, entry.detail or "", entry.reason or "", entry.request_id or "")


def _verify(check: AuditCheck, *, as_json: bool) -> None:
    if as_json:
        print_json(plain(check) | {"whole": not check.faults})
    elif check.faults:
        for fault in check.faults:
            WholeWords().print(Text(clean(fault), style="red"))
        WholeWords().print(Text("the chain is broken: something other than didflow wrote to the audit", style="red"))
    else:
        dropped = f", after {check.dropped} that are no longer kept" if check.dropped else ""
        anchor = f"; its anchor, to keep elsewhere: {check.anchor}" if check.anchor else ""
        WholeWords().print(f"the chain of {check.entries} entries is whole{dropped}{anchor}", markup=False)
    if check.faults:
        raise typer.Exit(ExitCode.JOB)


def _export(didflow: Didflow, path: Path) -> None:
    """The SHA-1 of a line, without its end, is `after` of the next one."""
    with output_file(path, "export") as file:
        count = sum(bool(file.write(f"{text}\n")) for text in didflow.audit_texts())
    if str(path) != "-":
        WholeWords(stderr=True).print(f"{count} entries in {path}", markup=False)
