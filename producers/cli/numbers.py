"""`didflow numbers`: the account's numbers, from the mirror that workers keep."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from didflow.client.fresh_inventory import TIMEOUT_S
from didflow.client.sync.client import Didflow
from didflow.client.sync.inventory import Inventory
from didflow.contract.inventory import InventoryNumber, InventoryTotals, MirrorState, NumberFile
from didflow.contract.time_values import about
from didflow.terminal import options as given
from didflow.terminal.output import ExitCode, errors_shown, plain, print_json, print_table
from didflow.terminal.tables import is_terminal, remarks
from producers.cli.history import show_history
from producers.cli.job_numbers import say_written, write_lines
from producers.cli.job_records import route_text
from producers.cli.numbers_options import Filters
from producers.cli.option_groups import grouped
from producers.inventory_csv import COLUMNS, cells, time_text

numbers_app = typer.Typer(invoke_without_command=True, help="List the account's numbers, with what they cost and where their calls go.")

_SHORT = ("number", "status", "monthly", "route", "label", "city", "paid until")


@dataclass(frozen=True)
class NewSweep:
    """Whether to wait until workers have read the whole account."""

    fresh: Annotated[bool, typer.Option("--fresh", help="wait for a sweep of the account that begins now")] = False
    timeout: Annotated[
        float, typer.Option(min=0, callback=given.no_nan, help="seconds to wait for it at most; it continues after that")
    ] = TIMEOUT_S

    def wait(self, inventory: Inventory) -> None:
        """Raises InventoryTimeout, SweepFailed, UnknownAccount."""
        if self.fresh:
            inventory.refresh(timeout_s=self.timeout)


@numbers_app.callback()
@grouped
def numbers(
    *,
    context: typer.Context,
    filters: Filters,
    sort: Annotated[
        str, typer.Option(help="number, monthly_usd, setup_usd, channels, added, paid_until, seconds, unused_since; - first: down")
    ] = "number",
    limit: Annotated[int, typer.Option(help="numbers on the page: 1 to 1000")] = 100,
    cursor: Annotated[str | None, typer.Option(help="go on from a page's next_cursor", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="all pages")] = False,
    csv: Annotated[Path | None, typer.Option(help="write all that match to this file; - is stdout", show_default=False)] = None,
    new_sweep: NewSweep,
    account: given.AccountName = "default",
    as_json: given.Json = False,
) -> None:
    """List the account's numbers, as the mirror in Redis shows them. Asks the provider nothing."""
    if context.invoked_subcommand is not None:
        return
    with errors_shown(as_json=as_json):
        inventory = Inventory(Didflow.from_env(), account=account)
        _, matching = given.together(lambda: _together(cursor, everything, csv), filters.matching)
        new_sweep.wait(inventory)
        if csv is not None:
            count = write_lines(COLUMNS, map(cells, inventory.numbers(matching=matching, sort=sort)), csv)
            say_written(count, csv)
            _say_state(inventory.state())
            return
        page = inventory.page(matching=matching, sort=sort, limit=limit, cursor=cursor)
        listed = tuple(inventory.numbers(matching=matching, sort=sort)) if everything else page.numbers
        rest = None if everything else page.next_cursor
        if as_json:
            print_json({"state": _state(page.state), "numbers": [plain(one) for one in listed], "next_cursor": rest})
            return
        _print(listed)
        if rest:
            remarks().print(f"there are more: --cursor {rest}, or --all", markup=False)
        _say_state(page.state)


def _together(cursor: str | None, everything: bool, csv: Path | None) -> None:
    if cursor is not None and (everything or csv is not None):
        given.refuse("cursor", "is of one page, and goes with neither --all nor --csv")


@numbers_app.command()
@grouped
def totals(
    *,
    filters: Filters,
    renewal_days: Annotated[int, typer.Option(help="count the renewals of this many days from now")] = 30,
    new_sweep: NewSweep,
    account: given.AccountName = "default",
    as_json: given.Json = False,
) -> None:
    """Count the account's numbers, what they cost a month, and how many renew soon."""
    with errors_shown(as_json=as_json):
        inventory = Inventory(Didflow.from_env(), account=account)
        matching = filters.matching()
        new_sweep.wait(inventory)
        found = inventory.totals(matching=matching, renewal_days=renewal_days)
        if as_json:
            print_json(plain(found) | {"state": _state(found.state)})
            return
        print_table(("what", "numbers", "USD a month"), _total_rows(found), whole=3)
        _say_state(found.state)


@numbers_app.command()
@grouped
def show(
    *,
    number: Annotated[str, typer.Argument(help="the number, in E.164 form")],
    new_sweep: NewSweep,
    account: given.AccountName = "default",
    as_json: given.Json = False,
) -> None:
    """Show all that is known of a number: as it is, its history, and what may be done with it now.

    Exit code 1 if the mirror doesn't have it.
    """
    with errors_shown(as_json=as_json):
        inventory = Inventory(Didflow.from_env(), account=account)
        new_sweep.wait(inventory)
        file = inventory.show(number)
        if as_json:
            print_json(plain(file) | {"state": _state(file.state)})
        else:
            _print_file(file)
        if file.number is None:
            raise typer.Exit(ExitCode.JOB)


@numbers_app.command()
def views(as_json: given.Json = False) -> None:
    """List the saved views of the inventory: filters by name, as the console has them."""
    with errors_shown(as_json=as_json):
        found = Didflow.from_env().console.views()
        if as_json:
            print_json([plain(one) for one in found])
        else:
            print_table(("view", "filters", "by"), [(one.name, one.query, one.by) for one in found], whole=1)


@numbers_app.command()
def save_view(
    name: Annotated[str, typer.Argument(help="its name; a view that has it is replaced")],
    query: Annotated[str, typer.Argument(help="its filters, as in an address: country=DE&unused_for=30d")],
    as_json: given.Json = False,
) -> None:
    """Save filters of the inventory under a name, for everybody."""
    with errors_shown(as_json=as_json):
        saved = Didflow.from_env().console.save_view(name, query)
        if as_json:
            print_json(plain(saved))
        else:
            remarks().print(f"saved {saved.name}", markup=False)


@numbers_app.command()
def delete_view(
    name: Annotated[str, typer.Argument(help="the view's name")],
    as_json: given.Json = False,
) -> None:
    """Delete a saved view. Without effect if there is none of that name."""
    with errors_shown(as_json=as_json):
        Didflow.from_env().console.delete_view(name)
        if as_json:
            print_json({"deleted": name})
        else:
            remarks().print(f"deleted {name}", markup=False)


def _print(listed: Sequence[InventoryNumber]) -> None:
    if not is_terminal():
        print_table(COLUMNS, [cells(one) for one in listed])
    elif listed:
        print_table(_SHORT, [_short(one) for one in listed], whole=3)
    else:
        remarks().print("no such numbers", style="dim")


def _short(one: InventoryNumber) -> tuple[object, ...]:
    paid = f"{one.paid_until:%Y-%m-%d}" if one.paid_until else ""
    status = one.status + (" (missing)" if one.missing_since else "")
    return (one.number, status, one.monthly_usd, route_text(one.route), one.label, one.city, paid)


def _total_rows(found: InventoryTotals) -> list[tuple[object, ...]]:
    return [
        ("all", found.numbers, found.monthly_usd),
        ("active", found.active, ""),
        ("missing", found.missing, ""),
        (f"renew within {found.renewal_days} days", found.renewals, found.renewals_usd),
    ]


def _print_file(file: NumberFile) -> None:
    if file.number is None:
        remarks().print(f"the mirror of account {file.state.account!r} doesn't have {file.name}", markup=False)
    else:
        one = file.number
        rows = [*zip(COLUMNS, cells(one), strict=True)]
        rows += [("title of " + kind, title) for kind, title in sorted(one.document_titles.items())]
        rows += [(f"seconds {month}", seconds) for month, seconds in sorted(one.seconds_by_month.items())]
        rows += [(f"confirmed: {what}", time_text(at)) for what, at in sorted(one.confirmed_at.items())]
        rows += [(f"may {done.action}", done.why_not or "yes") for done in file.possible]
        print_table(("field", "value"), [row for row in rows if row[1] not in ("", None)], whole=1)
    show_history(file.history)
    _say_state(file.state)


def _state(state: MirrorState) -> dict[str, Any]:
    return {**plain(state), "complete": state.complete}


def _say_state(state: MirrorState) -> None:
    """How old it is, and what may be missing."""
    say = remarks()
    if state.swept_at is None:
        say.print(
            "no complete sweep yet: numbers may be missing. A worker reads the account as soon as one runs", style="yellow", markup=False
        )
    elif state.age_s is not None:
        say.print(f"read {about(state.age_s)} ago; what jobs confirmed since is in it", style="dim", markup=False)
    if state.trouble:
        say.print(f"the last sweep was not complete: {state.trouble}", style="yellow", markup=False)
    if state.gate_closed:
        say.print("Redis restarted and isn't reconciled yet: what was confirmed last may be missing", style="yellow", markup=False)
