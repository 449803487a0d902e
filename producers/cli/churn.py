"""`didflow churn`: customers leave, and some come back."""

import math
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from didflow.client.sync.client import Didflow
from didflow.contract.errors import DidflowError, InvalidRequest
from didflow.terminal import options as given
from didflow.terminal.confirmation import FOR_GOOD, confirmed
from didflow.terminal.output import ExitCode, WholeWords, clean, errors_shown, fail, plain, print_json, print_table
from didflow.terminal.tables import is_terminal
from producers.churn import Churn, Returned
from producers.churn_csv import ChurnLine
from producers.cli.option_groups import Listed, grouped
from producers.cli.release_dates import show_upcoming
from producers.cli.release_options import CustomerGracePeriod
from producers.cli.submit import report, report_submitted, wait_for

churn_app = typer.Typer(no_args_is_help=True, help="Release the numbers of customers who left, and restore them for customers who return.")
Customer = Annotated[str, typer.Argument(metavar="REFERENCE", help="the reference under which their numbers were bought")]


@churn_app.command()
@grouped
def churned(
    reference: Customer,
    *,
    listed: Listed,
    grace_period: CustomerGracePeriod,
    protected_label: given.ProtectedLabels = None,
    key: given.Key = None,
    account: given.AccountName = "default",
    wait: given.Wait = False,
    timeout: given.Timeout = 300.0,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """A customer left: schedule the release of their numbers (all, unless some are named). `churn returned` cancels it."""
    with errors_shown(as_json=as_json):
        numbers, when, places, _ = given.together(
            listed.numbers,
            grace_period.times,
            grace_period.parking,
            lambda: given.labels(key, reference, account),
        )
        which = f"{len(numbers)} number(s)" if numbers else "all numbers"
        confirmed(
            f"release {which} of {clean(reference)}, {grace_period.grace} after {grace_period.at or 'now'}. Continue?", FOR_GOOD, yes=yes
        )
        didflow = Didflow.from_env()
        job = Churn(didflow, account=account, protected_labels=protected_label or ()).churned(
            reference,
            numbers=numbers,
            parking=places,
            stop_on_traffic=not grace_period.ignore_calls,
            reusable=grace_period.reusable,
            idempotency_key=key,
            **when,
        )
        if wait:
            report(wait_for(didflow, job.id, timeout, quiet=as_json), as_json=as_json, submitted=job)
        elif as_json:
            print_json(job)
        else:
            report_submitted(job, key or "", again="these numbers are already being released, on these terms")


@churn_app.command()
def returned(
    reference: Customer,
    account: given.AccountName = "default",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", "-w", help="wait until the routes are back")] = True,
    timeout: given.Timeout = 60.0,
    as_json: given.Json = False,
) -> None:
    """A customer came back: cancel their releases. Prints requests for similar numbers if some are already released.

    Exit code 1 if numbers are gone, or may be; 6 if no release of theirs is known.
    """
    with errors_shown(as_json=as_json):
        found = Churn(Didflow.from_env(), account=account).returned(reference, timeout_s=timeout if wait else 0.0)
        if as_json:
            print_json(found)
        else:
            _show(found)
        if found.gone or found.unclear:
            raise typer.Exit(ExitCode.JOB)
        if found.outcome == "nothing":
            raise typer.Exit(ExitCode.NOTHING_DONE)


@churn_app.command(name="csv")
def from_csv(
    file: Annotated[Path, typer.Argument(help="columns reference, event (churned, returned), and more (docs/churn.md); - reads stdin")],
    account: given.AccountName = "default",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what each line would do after the lines before it; submits nothing")
    ] = False,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """Process each line of a file. An invalid line doesn't stop the others; the report names it. Exit code 1 if there was one.

    A dry run says of each line: `new`, `same`, `conflict`, `unknown_customer`, `refused`, or what a customer who came back would find.
    """
    with errors_shown(as_json=as_json):
        lines = list(_lines(file))
        if not dry_run:
            confirmed(f"act on {max(0, len(lines) - 1)} line(s)?", FOR_GOOD, yes=yes)
        done: list[ChurnLine] = []
        try:
            for line in Churn(Didflow.from_env(), account=account).from_csv(lines, dry_run=dry_run):
                done.append(line)
        except DidflowError as error:
            if done and not as_json:
                _report(done, as_json=False)
            fail(error, as_json=as_json, more={"lines": _plain(done)} if done else {})
        _report(done, as_json=as_json)
        if any(line.outcome in _FOUND_WRONG for line in done):
            raise typer.Exit(ExitCode.JOB)


@churn_app.command()
def upcoming(
    days: Annotated[float, typer.Option(min=0, max=36500, help="how far ahead")] = 7.0,
    everything: Annotated[bool, typer.Option("--all", help="without a time limit")] = False,
    account: given.AccountName = "default",
    as_json: given.Json = False,
) -> None:
    """List the numbers to be released soon: customer, time (UTC), which are parked meanwhile, and which stay because they are protected.

    Releases that wait for a person are listed too; it isn't known when their numbers go.
    """
    with errors_shown(as_json=as_json):
        if math.isnan(days):
            given.refuse("days", "nan is not a number of days")
        found = Churn(Didflow.from_env(), account=account).upcoming(None if everything else timedelta(days=days))
        if as_json:
            print_json([plain(one) for one in found])
        elif not found and is_terminal():
            WholeWords().print("no number is going", style="dim")
        else:
            show_upcoming(found)


#: A line with one of these did not do all that it says, or would not.
_FOUND_WRONG = ("refused", "conflict", "unknown_customer", "gone", "partly_gone", "unclear")


def _lines(file: Path) -> Iterator[bytes]:
    try:
        if str(file) == "-":
            yield from sys.stdin.buffer
        else:
            with file.open("rb") as opened:
                yield from opened
    except OSError as error:
        what = f"{file} can't be read ({type(error).__name__})"
        raise InvalidRequest(what, (("file", what),)) from None


def _plain(done: list[ChurnLine]) -> list[dict[str, object]]:
    return [{name: value for name, value in asdict(line).items() if value not in (None, ())} for line in done]


def _report(done: list[ChurnLine], *, as_json: bool) -> None:
    if as_json:
        print_json(_plain(done))
        return
    rows = [(line.line, line.reference, line.event, line.outcome, line.job, line.fault or " ".join(line.gone)) for line in done]
    print_table(("line", "reference", "event", "outcome", "job", "remark"), rows, whole=5)


def _show(found: Returned) -> None:
    parts = (("cancelled: job", found.called_off), ("kept", found.kept), ("unclear", found.unclear), ("gone", found.gone))
    if not is_terminal():
        rows = [("outcome", found.outcome), *((word.partition(":")[0], one) for word, some in parts for one in some)]
        rows += [("similar request", request.model_dump_json(exclude_defaults=True)) for request in found.similar]
        print_table(("reference", "what", "value"), [(found.reference, *row) for row in rows], whole=3)
        return
    console = WholeWords()
    said = {
        "kept": "all numbers are still theirs",
        "unclear": "a release that had begun may still take some of their numbers: ask again later",
        "partly_gone": "some numbers are gone for good",
        "gone": "their numbers were released permanently",
        "nothing": "no release of theirs is known",
    }
    console.print(f"{clean(found.reference)}: {said[found.outcome]}", markup=False)
    for word, some in parts:
        if some:
            console.print(f"  {word} {' '.join(some)}", markup=False)
    for request in found.similar:
        asked = plain(request)
        shown = " ".join(
            f"{name}={asked[name]}" for name in ("country", "region", "city", "area_code", "prefix", "quantity") if asked.get(name)
        )
        console.print(f"  a request for similar ones, ready to submit (--json has all of it): {shown}", markup=False)
