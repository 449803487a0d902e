"""`didflow incidents`: show, cancel and fail back an incident's jobs by its name."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from didflow.client.sync.client import Didflow
from didflow.contract.errors import WaitTimeout
from didflow.contract.incidents import Incident, IncidentJob, IncidentState
from didflow.terminal import completion
from didflow.terminal import options as given
from didflow.terminal.confirmation import FOR_GOOD, Stake, confirmed
from didflow.terminal.output import ExitCode, WholeWords, clean, errors_shown, nothing_done, plain, print_json, print_table
from didflow.terminal.tables import is_terminal
from producers.cli.progress import say
from producers.incident_jobs import WayBack
from producers.incidents import Incidents

#: How often `--watch` looks.
LOOK_EVERY_S = 1.0

Name = Annotated[
    str,
    typer.Argument(metavar="INCIDENT", help="the incident's name, as `didflow incidents` lists it", autocompletion=completion.incidents),
]

incidents_app = typer.Typer(
    invoke_without_command=True,
    help="List incidents, newest first. An incident groups the jobs that moved numbers away and back.",
)

_LIST = ("incident", "began (UTC)", "numbers", "moved", "failed", "state", "failed back")
_JOBS = ("job", "part", "state", "account", "numbers", "moved", "unchanged", "left alone", "failed", "left", "by")


@incidents_app.callback()
def incidents(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="at most this many")] = 20,
    as_json: given.Json = False,
) -> None:
    """List incidents, newest first: how many numbers each has, and how many were moved and failed back."""
    if context.invoked_subcommand is not None:
        return
    with errors_shown(as_json=as_json):
        found = Incidents(Didflow.from_env()).all(limit)
        if as_json:
            print_json([_without_jobs(one) for one in found])
        elif not found and is_terminal():
            WholeWords().print("no incidents: `didflow failover` begins one", style="dim")
        else:
            print_table(_LIST, [_row(one) for one in found], whole=6)


@incidents_app.command()
def status(
    incident: Name,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="refresh until all of its jobs have ended")] = False,
    timeout: given.Timeout = 300.0,
    as_json: given.Json = False,
) -> None:
    """Show an incident: its jobs, counts of numbers, the rate, and what is left.

    Exit code 1 once it is over and not all of its numbers were moved, or not all were brought back.
    """
    with errors_shown(as_json=as_json):
        known = Incidents(Didflow.from_env())
        found = _watched(known, incident, timeout, quiet=as_json) if watch else known.get(incident)
        _report(found, as_json=as_json)
        if not found.goes_on and (found.state not in (IncidentState.MOVED, IncidentState.NOTHING_MOVED) or found.failed_back == "partly"):
            raise typer.Exit(ExitCode.JOB)


@incidents_app.command()
def cancel(incident: Name, dry_run: given.DryRun = False, yes: given.Yes = False, as_json: given.Json = False) -> None:
    """Cancel all jobs of an incident that haven't ended. Moved numbers stay moved. Exit code 6 if all have ended."""
    with errors_shown(as_json=as_json):
        known = Incidents(Didflow.from_env())
        before = known.get(incident)
        going = [job for job in before.jobs if not job.state.is_terminal and not job.called_off]
        if not as_json or not dry_run:
            for job in going:
                say(f"would be cancelled: {job.part} {job.id}, {job.moved} of {job.numbers} numbers moved, {job.left} to send")
        if dry_run:
            _report(before, as_json=as_json)
            if not going and not as_json:
                say("nothing would be cancelled: none of its jobs is running, or all are already cancelled")
            return
        if going:
            confirmed(f"cancel {len(going)} {'job' if len(going) == 1 else 'jobs'} of {clean(incident)}?", FOR_GOOD, yes=yes)
        after = known.cancel(incident) if going else before
        _report(after, as_json=as_json)
        if not going:
            nothing_done("none of its jobs is running, or all are already cancelled", as_json=as_json)


@incidents_app.command()
def failback(incident: Name, dry_run: given.DryRun = False, yes: given.Yes = False, as_json: given.Json = False) -> None:
    """Fail back an incident's numbers, in all accounts. Repeated, it is the same failback, or continues with what that one left undone.

    Moves that haven't ended are cancelled first. Exit code 6 if it moved nothing.
    """
    with errors_shown(as_json=as_json):
        known = Incidents(Didflow.from_env())
        looked = known.failback(incident, dry_run=True)
        if not as_json:
            for way in looked:
                say(_would(way))
        ways: Sequence[WayBack] = looked
        if not dry_run and looked:
            stake = Stake(numbers=None if any(way.calls_off for way in looked) else sum(way.numbers for way in looked if way.is_new))
            confirmed(f"bring {sum(way.numbers for way in looked if way.is_new)} numbers back to their previous routes?", stake, yes=yes)
            ways = known.failback(incident)
        if as_json:
            print_json({"incident": incident, "dry_run": dry_run, "failbacks": plain(list(ways))})
        elif ways:
            rows = [(way.job, way.account, way.numbers, way.failback, "yes" if way.is_new else "no") for way in ways]
            print_table(("moved by", "account", "numbers", "failback", "new"), rows, whole=4)
            if not dry_run:
                say(f"follow it with: didflow incidents status {incident} --watch")
        if not ways:
            nothing_done("it moved no number that could be failed back", as_json=as_json)


def _would(way: WayBack) -> str:
    first = "is cancelled first, then its failback restores what it moved" if way.calls_off else f"moved {way.numbers} numbers"
    if not way.is_new:
        return f"job {way.job} {first}: failback {way.failback} has them already"
    rest = f", which continues with what {way.after} left" if way.after else ""
    return f"job {way.job} {first}: a failback would bring them back{rest}"


def _watched(known: Incidents, name: str, timeout_s: float, *, quiet: bool) -> Incident:
    """Refresh until all of its jobs have ended; a line for each change. Raises WaitTimeout."""
    end_s, said = time.monotonic() + timeout_s, ""
    while True:
        found = known.get(name)
        line = _line(found)
        if not quiet and line != said:
            say(line)
            said = line
        if not found.goes_on:
            return found
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            raise WaitTimeout(
                f"incident {name} is {found.state.value} after {timeout_s:g} s: it continues; `didflow incidents status {name}`"
            )
        time.sleep(min(LOOK_EVERY_S, left_s))


def _line(one: Incident) -> str:
    parts = [f"{one.moved} of {one.numbers} moved", f"{one.failed} failed"]
    parts += [f"{one.back} back"] if one.failed_back != "no" else []
    parts += [f"{one.left} left"] if one.goes_on else []
    parts += [f"{one.rate_per_s:.0f}/s"] if one.rate_per_s else []
    parts += [f"{one.left_s:.0f} s left"] if one.left_s is not None else []
    return f"{one.name} {one.state.value.replace('_', ' ')}: {', '.join(parts)}"


def _report(one: Incident, *, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    if not is_terminal():
        say(_line(one))  # In a pipe stdout is one table.
    else:
        console = WholeWords()
        console.print(Text("incident ") + Text(clean(_line(one))))
        console.print(f"  began {one.began:%Y-%m-%d %H:%M:%S} UTC, brought back: {one.failed_back}", style="dim", markup=False)
    print_table(_JOBS, [_job_row(job) for job in one.jobs], whole=3)


def _row(one: Incident) -> tuple[object, ...]:
    today = one.began.date() == datetime.now(UTC).date()
    began = f"{one.began:%H:%M:%S}" if today and is_terminal() else f"{one.began:%Y-%m-%d %H:%M:%S}"
    back = one.failed_back if one.failed_back in ("no", "yes") else f"{one.failed_back}, {one.back} of {one.moved}"
    return (one.name, began, one.numbers, one.moved, one.failed, one.state, back)


def _job_row(job: IncidentJob) -> tuple[object, ...]:
    state = f"{job.state.value} ({job.reason})" if job.reason else job.state.value
    counts = (job.numbers, job.moved, job.unchanged, job.left_alone, job.failed, job.left)
    return (job.id, job.part, state, job.account, *counts, job.actor)


def _without_jobs(one: Incident) -> dict[str, object]:
    """As the list shows it: the ids of its jobs only."""
    return {**plain(one), "jobs": [job.id for job in one.jobs]}
