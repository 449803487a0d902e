"""Shared by all submitting commands: submit, report, wait on request, show the result."""

import re
import time
from datetime import datetime
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from didflow.client.sync.client import Didflow
from didflow.contract.departures import Departures
from didflow.contract.errors import WaitTimeout
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Failback, Release, Request, RequestBase, Reroute, SearchAndBuy
from didflow.contract.results import Quote
from didflow.contract.states import REPORTED, JobState
from didflow.terminal.output import ExitCode, WholeWords, clean, plain, print_json
from producers.cli.option_groups import Labels
from producers.cli.render import show_job

#: How often the progress line is brought up to date.
LOOK_EVERY_S = 0.5


def submit(
    request: Request | None,
    labels: Labels,
    *,
    quote: Quote | None = None,
    priority: int = 5,
    not_before: datetime | None = None,
    as_json: bool,
) -> None:
    """Submit and report. Ends the command with the exit code that fits the job."""
    didflow = Didflow.from_env()
    job = didflow.submit(
        request,
        quote=quote,
        idempotency_key=labels.key,
        reference=labels.reference,
        account=labels.account,
        priority=priority,
        not_before=not_before,
    )
    if not job.is_new and not as_json:
        WholeWords(stderr=True).print(f"the same job as before: nothing is {_change_of(request)} again", markup=False)
    if labels.wait or (request is not None and request.dry_run):
        try:
            view = wait_for(didflow, job.id, labels.timeout, quiet=as_json)
        except KeyboardInterrupt:
            WholeWords(stderr=True).print(f"job {job.id} continues: didflow status {job.id} --wait", soft_wrap=True)
            raise
        report(view, as_json=as_json, submitted=job)
        return
    if as_json:
        print_json(job)
        return
    report_submitted(job, labels.key)


def _change_of(request: Request | None) -> str:
    """What a person fears that a repeated submit does once more. Without a request it is an order by a quote."""
    match request:
        case RequestBase(dry_run=True):
            return "done"
        case None | SearchAndBuy():
            return "bought"
        case Reroute() | Failback():
            return "rerouted"
        case Release():
            return "released"
    return "done"


def report_submitted(job: Job, key: str | None, *, again: str = "") -> None:
    """`again`: what is said of a job that isn't new."""
    console = WholeWords()
    again = f" ({again})" if again and not job.is_new else ""
    console.print(Text("job ") + Text(job.id, style="bold") + Text(f" is {job.state.value}{again}"))
    if key is None:
        console.print("without --key a repeated submit is a second job", style="dim")
    console.print(f"follow it with: didflow status {job.id} --wait", style="dim")


def wait_for(didflow: Didflow, job_id: str, timeout_s: float, *, quiet: bool) -> JobView:
    """Wait for the end; on a terminal with a bar that shows how far it is. Raises WaitTimeout."""
    console = WholeWords(stderr=True)
    if quiet or not console.is_terminal:
        return didflow.wait(job_id, timeout_s)
    deadline_s = time.monotonic() + timeout_s
    with _progress(console) as bar:
        task = bar.add_task(job_id, total=None)
        while True:
            left_s = deadline_s - time.monotonic()
            try:
                return didflow.wait(job_id, max(0.0, min(LOOK_EVERY_S, left_s)))
            except WaitTimeout:
                if left_s <= LOOK_EVERY_S:
                    raise timed_out(didflow.get(job_id), timeout_s) from None
                view = didflow.get(job_id)
                done, total = _how_far(view.progress)
                bar.update(task, description=_standing(view), completed=done, total=total)


def timed_out(view: JobView, timeout_s: float) -> WaitTimeout:
    """The error of a wait that was made of many short ones."""
    return WaitTimeout(
        f"job {view.id} is {view.state.value} after {timeout_s:g} s: it continues; wait again, or check it with `didflow status`"
    )


def _progress(console: WholeWords) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def _standing(view: JobView) -> str:
    """The job and its state, safe as console markup."""
    return f"job {view.id} {view.state.value}" + (f" ({clean(view.reason)})".replace("[", "(") if view.reason else "")


def _how_far(progress: str | None) -> tuple[int, int | None]:
    """`3 of 10 numbers` as numbers; no total where nothing is said yet."""
    said = re.match(r"(\d+) of (\d+)", progress or "")
    return (int(said[1]), int(said[2])) if said else (0, None)


def report(view: JobView, *, as_json: bool, departures: Departures | None = None, submitted: Job | None = None) -> None:
    """Show an ended job; exit code 1 unless it did all that was asked. `submitted`: the answer to the submit that was waited for."""
    _show(view, departures, submitted, as_json=as_json)
    if view.state is not JobState.SUCCEEDED:
        raise typer.Exit(ExitCode.JOB)


def show_or_report(view: JobView, *, as_json: bool, departures: Departures | None = None) -> None:
    """Show a job as it is now; one that is over ends the command with the exit code that fits it.

    `departures`: when its numbers go, of a release that hasn't ended.
    """
    if view.state in REPORTED:
        report(view, as_json=as_json, departures=departures)
    else:
        _show(view, departures, None, as_json=as_json)


def in_json(view: JobView, submitted: Job) -> dict[str, Any]:
    """A job that was just submitted, as `--json` prints it: with `is_new`, as where nothing was waited for."""
    return {**plain(view), "is_new": submitted.is_new}


def _show(view: JobView, departures: Departures | None, submitted: Job | None, *, as_json: bool) -> None:
    if as_json:
        shown = plain(view) if submitted is None else in_json(view, submitted)
        print_json({**shown, **({"departures": plain(departures)} if departures is not None else {})})
        return
    show_job(view, departures)
