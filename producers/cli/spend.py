"""`didflow spend`: the spending of accounts and references, and their limits."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from didflow.client.sync.client import Didflow
from didflow.contract.spending import ScopeSpending, SpendLimit, Unit, Window, shown
from didflow.ledger.worker_settings import RunningWith, differences, running_with, running_workers, strictest
from didflow.settings import load_settings
from didflow.terminal import options as given
from didflow.terminal.output import WholeWords, errors_shown, plain, print_json, print_table
from didflow.terminal.tables import is_terminal


def spend(
    reference: Annotated[list[str] | None, typer.Option(help="only this reference; may be repeated", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="list this many references that spent last, besides the accounts")] = 20,
    as_json: given.Json = False,
) -> None:
    """Show the spending of the last hour and day, the limits, and what open checkouts hold.

    The limits are those that the workers run with; while none runs, those of this shell.
    """
    with errors_shown(as_json=as_json):
        didflow = Didflow.from_env()
        workers = running_workers(didflow.ledger)
        running = strictest(workers.values()) or running_with(load_settings())
        if reference:
            told = didflow.spending([("reference", name) for name in reference])
        else:
            told = didflow.spending([("account", name) for name in running.spend_limits], newest=limit)
        rows = [(one, _limits(running, one)) for one in told]
        if as_json:
            print_json([plain(one) | {"limits": plain(limits)} for one, limits in rows])
            return
        _say_whose(workers)
        if not rows and is_terminal():
            WholeWords().print("nothing was spent in the last day", style="dim")
            return
        print_table(
            ("of", "numbers: hour", "day", "USD: hour", "day", "of it held", "by jobs"),
            [_row(one, limits) for one, limits in rows],
            whole=5,
        )


def _limits(running: RunningWith, told: ScopeSpending) -> tuple[SpendLimit, ...]:
    return running.spend_limits.get(told.name, ()) if told.scope == "account" else running.reference_limits


def _say_whose(workers: Mapping[str, RunningWith]) -> None:
    console = WholeWords(stderr=True)
    if not workers:
        console.print("no worker runs: the limits are those of this shell", style="dim")
    elif any("SPEND_" in what or "spend_" in what for what in differences(workers)):
        console.print("workers run with different limits, the strictest are shown: `didflow doctor` says which", style="yellow")


def _row(told: ScopeSpending, limits: Sequence[SpendLimit]) -> tuple[object, ...]:
    name = told.name if told.scope == "account" else f"ref. {told.name}"
    held = f"{told.held.numbers}: {shown(told.held.usd, 'usd')} USD" if told.held.numbers else ""
    return (name, *(_used(told, limits, unit, window) for unit, window in _COLUMNS), held, " ".join(told.open_jobs))


_COLUMNS: tuple[tuple[Unit, Window], ...] = (("numbers", "hour"), ("numbers", "day"), ("usd", "hour"), ("usd", "day"))


def _used(told: ScopeSpending, limits: Sequence[SpendLimit], unit: Unit, window: Window) -> str:
    """``3 of 10``; only ``3`` where there is no limit."""
    most = next((limit.most for limit in limits if (limit.unit, limit.window) == (unit, window)), None)
    return shown(told.used(window).amount(unit), unit) + (f" of {shown(most, unit)}" if most is not None else "")
