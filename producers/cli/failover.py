"""`didflow failover` and `failback`: the producer for the bad moment."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from didflow.client.incident_keys import away_key, back_key
from didflow.client.sync.client import Didflow
from didflow.contract.errors import JobNotFound
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Failback, Reroute
from didflow.contract.states import REPORTED, JobState
from didflow.terminal import completion
from didflow.terminal import options as given
from didflow.terminal.confirmation import Stake, confirmed
from didflow.terminal.output import ExitCode, WholeWords, clean, errors_shown, print_json
from didflow.terminal.tables import is_terminal
from producers.cli.next_commands import bring_back, next_commands
from producers.cli.option_groups import ANYWHERE, Guards, Listed, Selected, grouped
from producers.cli.progress import found_nothing, say, show_end, show_routes, watch, would_move
from producers.cli.render import inactive_of, show_inactive, show_next
from producers.cli.submit import in_json, report
from producers.failover import Failover
from producers.incidents import Incidents

Incident = Annotated[
    str | None,
    typer.Option(
        "--incident",
        help="the incident's name, which is the idempotency key",
        show_default=False,
        autocompletion=completion.incidents,
    ),
]
NoCheck = Annotated[bool, typer.Option("--no-check", help="run at once: no dry run, no confirmation")]

failover_app = typer.Typer(
    invoke_without_command=True, help="Move numbers to another destination now. `didflow failback INCIDENT` restores each previous route."
)


@failover_app.callback()
@grouped
def failover(
    context: typer.Context,
    *,
    to: given.To = None,
    listed: Listed,
    selected: Selected,
    incident: Incident = None,
    guards: Guards,
    deadline: given.Deadline = None,
    dry_run: given.DryRun = False,
    no_check: NoCheck = False,
    account: given.AccountName = "default",
    wait: given.WaitByDefault = True,
    timeout: given.Timeout = 300.0,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """Move numbers now. Shows what would move, then asks. `didflow failback INCIDENT` restores each previous route."""
    if context.invoked_subcommand is not None:
        return
    with errors_shown(as_json=as_json):
        named = named_incident(incident) or derived_incident(selected.selector(), datetime.now(UTC))
        request = requested(to, listed, selected, guards, deadline, named, account)
        didflow = Didflow.from_env()
        known = incident is not None and Failover(didflow, account=account).has_moved(named)
        if dry_run:
            checked(didflow, request, account, timeout, only=True, as_json=as_json)
            return
        if not (no_check or known):
            if not (count := checked(didflow, request, account, timeout, only=False, as_json=as_json)):
                return
            confirmed(f"move them to {places_of(request)}?", Stake(numbers=count), yes=yes)
        job = Failover(didflow, account=account).move(named, request)
        if not as_json:
            say(f"incident {named}: job {job.id}" + ("" if job.is_new else " (already submitted: this is the same job)"))
        finish(didflow, named, job, wait=wait, timeout_s=timeout, as_json=as_json)


def failback(
    moved: Annotated[
        str,
        typer.Argument(help="the reroute to undo, or the incident", metavar="JOB|INCIDENT", autocompletion=completion.jobs_and_incidents),
    ],
    dry_run: given.DryRun = False,
    key: given.Key = None,
    reference: given.Reference = None,
    account: given.AccountName = "default",
    wait: given.WaitByDefault = True,
    timeout: given.Timeout = 300.0,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """Restore the previous route of each number of a reroute or an incident. Skips numbers that were changed since."""
    with errors_shown(as_json=as_json):
        given.together(lambda: Failback(job_id=moved, dry_run=dry_run), lambda: given.labels(key, reference, account))
        didflow = Didflow.from_env()
        view, incident = _moved(didflow, moved, account)
        if dry_run:
            looked = didflow.submit(Failback(job_id=view.id, dry_run=True), reference=reference, account=account)
            report(watch(didflow, looked.id, moved, timeout, quiet=as_json), as_json=as_json, submitted=looked)
            return
        if not didflow.find(idempotency_key=key or back_key(view)):
            stake = Stake(numbers=_moved_count(didflow, view, incident, account))
            if stake.needs_yes:
                which = "all its numbers" if stake.numbers is None else f"{stake.numbers} numbers"
                confirmed(f"bring {which} back to their previous routes?", stake, yes=yes)
        if incident is not None and key is None and view.account == account:
            job, *swept = Failover(didflow, account=account).back_all(incident)
        else:
            request = Failback(job_id=view.id)
            job = didflow.submit(request, idempotency_key=key or back_key(view), reference=reference, account=account)
            swept = []
        if not as_json:
            say(f"failback of {moved}: job {job.id}" + ("" if job.is_new else " (already submitted: this is the same job)"))
        finish(didflow, moved, job, *swept, wait=wait, timeout_s=timeout, as_json=as_json, more={"undoes": view.id})


def _moved_count(didflow: Didflow, view: JobView, incident: str | None, account: str) -> int | None:
    """How many numbers a failback of this would touch at most; None while that isn't known."""
    swept = Failover(didflow, account=account).swept(incident) if incident is not None else None
    counts = [_count(didflow, one) for one in (view, swept) if one is not None]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _count(didflow: Didflow, view: JobView) -> int | None:
    selected = didflow.tally(view.id).selected
    if selected or view.state in REPORTED or not isinstance(view.request, Reroute):
        return selected
    return len(view.request.numbers) or len(view.request.record_ids) or None


#: What every job is called.
_JOB_ID = re.compile(r"[0-9a-f]{26}(:[0-9]+)?")


def _moved(didflow: Didflow, name: str, account: str) -> tuple[JobView, str | None]:
    """The reroute of that id or incident, and the incident if that was named. Raises JobNotFound, IncidentNotFound."""
    try:
        return didflow.get(name), None
    except JobNotFound:
        with suppress(JobNotFound):
            return Failover(didflow, account=account).moved(name), name
        if found := didflow.find(idempotency_key=away_key(name)):  # Another account's: the submit says whose.
            return found[0], name
        if not _JOB_ID.fullmatch(name):
            Incidents(didflow).get(name)  # An unknown one is named with those that are similar.
        raise


def requested(
    to: list[str] | None, listed: Listed, selected: Selected, guards: Guards, deadline: str | None, incident: str, account: str
) -> Reroute:
    """Raises InvalidRequest with every fault of all of it."""
    fields = {"numbers": listed.numbers(), "selector": selected.selector(), **vars(guards)}
    _, places, end, _ = given.together(
        lambda: Reroute.model_validate(fields | {"destinations": (ANYWHERE,) if to else ()}),
        lambda: given.destinations(to),
        lambda: given.moment(deadline, "deadline"),
        lambda: given.labels(away_key(incident), incident, account),
    )
    return Reroute.model_validate(fields | {"destinations": places, "deadline": end})


def named_incident(incident: str | None) -> str | None:
    """The incident's name, if it was given one. Raises InvalidRequest for an empty one, which a script's empty variable gives."""
    if incident is not None and not incident.strip():
        given.refuse("incident", "is empty: give a name, or leave out the option")
    return incident


def derived_incident(selector: dict[str, Any] | None, now: datetime) -> str:
    """A name that says what fails and since when: ``trunk-144-20261125T164500``."""
    what = next((f"{name.removesuffix('_id')}-{value}" for name, value in (selector or {"numbers": ""}).items() if value), "numbers")
    return re.sub(r"[^\w.-]+", "-", what.removesuffix("-True"))[:80] + f"-{now:%Y%m%dT%H%M%S}"


def checked(didflow: Didflow, request: Reroute, account: str, timeout_s: float, *, only: bool, as_json: bool) -> int:
    """A dry run, shown by present routes. Returns how many numbers would move; ends the command where a guard holds.

    `only`: nothing comes after it, so with `as_json` it is what is printed.
    """
    look = request.model_copy(update={"dry_run": True, "canary": None})
    job = didflow.submit(look, reference="failover-check", account=account)
    view = watch(didflow, job.id, "dry run", timeout_s, quiet=as_json)
    if view.state is not JobState.SUCCEEDED or view.result is None or view.result.quote is None:
        report(view, as_json=as_json, submitted=job)
        raise typer.Exit(ExitCode.JOB)
    numbers = tuple(didflow.numbers(job.id))
    count = would_move(numbers)
    if as_json:
        if only or not count:
            print_json(in_json(view, job))
    else:
        if only or is_terminal():  # In a pipe the one table on stdout is that of the end.
            show_routes(numbers)
        show_inactive(inactive_of(numbers), len(numbers))
        console = WholeWords(stderr=not is_terminal())
        console.print(f"  {count} of {len(numbers)} numbers would move to {places_of(request)}", soft_wrap=True, markup=False)
        if only:
            show_next(view)
        if not count:
            console.print("  nothing to do: every number that was found goes there already")
    return count


def places_of(request: Reroute) -> str:
    """Where a request's numbers are to go."""
    if request.back_to is not None:
        return f"their routes of {request.back_to:%Y-%m-%d %H:%M:%S} UTC"
    return clean(", then ".join(str(place) for place in request.destinations))


def finish(
    didflow: Didflow,
    name: str,
    job: Job,
    sweep: Job | None = None,
    *,
    wait: bool,
    timeout_s: float,
    as_json: bool,
    more: dict[str, Any] | None = None,
) -> None:
    """Watch a job, and the one that is about what a sweep found, to their ends; end the command with the exit code that fits."""
    ends = []
    for title, one in ((name, job), (f"{name}, sweep", sweep)):
        if one is not None:
            ends.append(view := watch(didflow, one.id, title, timeout_s, quiet=as_json) if wait else didflow.get(one.id))
            if wait and not as_json:
                show_end(didflow, view, title, first=len(ends) == 1)
    if as_json:
        shown = {**(more or {"incident": name}), "job": in_json(ends[0], job)} | ({"sweep": in_json(ends[1], sweep)} if sweep else {})
        print_json(shown | {"next": [command for _, command in next_commands(ends[0])]})
    elif wait:
        show_next(ends[0])
    else:
        say(f"follow it with: didflow status {job.id} --wait")
        if isinstance(ends[0].request, Reroute):
            say(f"bring them back with: {bring_back(ends[0])}")
    if any(view.state in REPORTED and view.state is not JobState.SUCCEEDED and not found_nothing(view) for view in ends):
        raise typer.Exit(ExitCode.JOB)
