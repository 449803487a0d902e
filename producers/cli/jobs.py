"""`didflow status`, `jobs`, `explain`, `cancel` and `results`: jobs and their results."""

import itertools
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from didflow.client.sync.client import Didflow
from didflow.contract.errors import InvalidRequest
from didflow.contract.job_kinds import gives_back
from didflow.contract.jobs import JobView, Step
from didflow.contract.states import REPORTED, JobState, WaitReason
from didflow.ledger.commands import MOST_LISTED
from didflow.terminal import completion
from didflow.terminal import options as given
from didflow.terminal.output import WholeWords, clean, errors_shown, json_text, nothing_done, plain, print_json, print_table, state_text
from didflow.terminal.tables import is_terminal, print_line, remarks
from producers.cli.consumer_groups import delete_group, groups
from producers.cli.job_numbers import print_numbers, say_written, write_csv
from producers.cli.next_commands import next_commands
from producers.cli.next_step import advice_on
from producers.cli.render import show_job
from producers.cli.submit import show_or_report, wait_for

JobId = Annotated[str, typer.Argument(help="the job's id", autocompletion=completion.jobs)]


def status(
    job: JobId,
    wait: given.Wait = False,
    timeout: given.Timeout = 300.0,
    numbers: Annotated[bool, typer.Option("--numbers", help="list one page of its numbers")] = False,
    page: Annotated[int, typer.Option(min=1, help="which page")] = 1,
    everything: Annotated[bool, typer.Option("--all", help="with --numbers: list all pages")] = False,
    csv: Annotated[Path | None, typer.Option(help="write all its numbers to this file; - is stdout", show_default=False)] = None,
    as_json: given.Json = False,
) -> None:
    """Show a job, or the outcome of each of its numbers. With --wait: once the job has ended."""
    with errors_shown(as_json=as_json):
        didflow = Didflow.from_env()
        view = wait_for(didflow, job, timeout, quiet=as_json) if wait else didflow.get(job)
        if csv is not None:
            count = write_csv(didflow.numbers(job), csv)
            say_written(count, csv)
            return
        if numbers:
            print_numbers(didflow.numbers(job, page=None if everything else page), as_json=as_json)
            return
        departures = didflow.departures(job) if gives_back(view.kind) else None
        if view.reason == WaitReason.FROZEN and not as_json:
            for one in didflow.freezes():
                WholeWords(stderr=True).print(clean(one.sentence), style="yellow", markup=False)
        show_or_report(view, as_json=as_json, departures=departures)


def jobs(
    state: Annotated[JobState | None, typer.Option(help="only jobs in this state", show_default=False)] = None,
    reference: Annotated[str | None, typer.Option(help="only jobs with this reference", show_default=False)] = None,
    key: Annotated[str | None, typer.Option(help="the job with this idempotency key", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="at most this many")] = 20,
    offset: Annotated[int, typer.Option(min=0, max=MOST_LISTED, help="skip this many of the newest")] = 0,
    as_json: given.Json = False,
) -> None:
    """List jobs, newest first."""
    with errors_shown(as_json=as_json):
        found = Didflow.from_env().find(idempotency_key=key, reference=reference, state=state, limit=limit, offset=offset)
        if as_json:
            print_json([plain(view) for view in found])
            return
        if not found and is_terminal():
            WholeWords().print("no such jobs", style="dim")
        elif is_terminal():
            print_table(("job", "state", "kind", "done", "at (UTC)", "reference / key"), [_row(view) for view in found], whole=5)
        else:
            print_table(_COLUMNS, [_whole_row(view) for view in found])


#: Of the list for other programs.
_COLUMNS = ("job", "state", "reason", "kind", "dry run", "done", "submitted (UTC)", "account", "reference", "key")


def _whole_row(view: JobView) -> tuple[object, ...]:
    dry = "yes" if view.request is not None and view.request.dry_run else "no"
    when = f"{view.created_at:%Y-%m-%d %H:%M:%S}"
    return (view.id, view.state, view.reason, view.kind, dry, _done(view), when, view.account, view.reference, view.idempotency_key)


def _done(view: JobView) -> str:
    if view.result:
        return f"{view.result.totals.done}/{view.result.totals.requested}"
    return (view.progress or "").replace(" of ", "/").split(" ")[0]


def _row(view: JobView) -> tuple[object, ...]:
    """A job in a line that mostly fits 80 columns; what it is for gets what is left."""
    today = view.created_at.date() == datetime.now(UTC).date()
    kind = view.kind.replace("search_and_buy", "buy") + (" (dry)" if view.request is not None and view.request.dry_run else "")
    names = " / ".join(name for name in (view.reference, view.idempotency_key) if name)
    return (
        view.id,
        state_text(view.state),
        kind,
        _done(view),
        f"{view.created_at:%H:%M:%S}" if today else f"{view.created_at:%Y-%m-%d}",
        names,
    )


def explain(job: JobId, as_json: given.Json = False) -> None:
    """Show a job's steps: each with its time, the provider's request and answer, the decision, and what to do now.

    A request's eight hex digits are its fingerprint, which the worker's log has too.
    """
    with errors_shown(as_json=as_json):
        didflow = Didflow.from_env()
        view, steps = didflow.get(job), didflow.explain(job)
        if as_json:
            hints = {"advice": advice_on(view), "next": [command for _, command in next_commands(view)]}
            print_json({"job": plain(view), "steps": [plain(step) for step in steps]} | hints)
            return
        rows = [row for some in _alike(steps) for row in _step_rows(some)]
        if is_terminal():
            show_job(view)
        else:  # One table for other programs: where the job stands is its last record.
            rows.append(("", "", "now", "", "", _standing(view)))
        print_table(("time (UTC)", "att.", "step", "request", "answer", "what it showed"), rows, whole=3, indent=2)


def _standing(view: JobView) -> str:
    state = view.state.value + (f" ({view.reason})" if view.reason else "")
    error = f"{view.error.code}: {view.error.message}" if view.error else ""
    return "; ".join(part for part in (state, view.progress or "", error, advice_on(view)) if part)


def _alike(steps: Sequence[Step]) -> list[tuple[Step, ...]]:
    """Steps that follow one another and say the same, together: a job that waits checks again and again."""
    groups: list[tuple[Step, ...]] = []
    for step in steps:
        before = groups[-1][-1] if groups else None
        same = before is not None and (before.name, before.detail, before.witness, before.actor) == (
            step.name,
            step.detail,
            step.witness,
            step.actor,
        )
        if same and before is not None and not before.calls and not step.calls:
            groups[-1] += (step,)
        else:
            groups.append((step,))
    return groups


def _step_rows(alike: Sequence[Step]) -> list[tuple[str, ...]]:
    """A line, and one more for each call beyond the first."""
    step, last = alike[0], alike[-1]
    attempt = str(step.attempt) if last.attempt == step.attempt else f"{step.attempt}-{last.attempt}"
    again = f"{len(alike)} times, until {last.at:%H:%M:%S}" if len(alike) > 1 else ""
    showed = "; ".join(
        text
        for text in (f"witness: {step.witness}" if step.witness else "", step.detail, f"by {step.actor}" if step.actor else "", again)
        if text
    )
    calls = [(f"{call.call} {call.request}", call.answer) for call in step.calls] or [("", "")]
    head = (f"{step.at:%H:%M:%S}.{step.at.microsecond // 1000:03d}", attempt, step.name)
    beneath = ("", "", "") if is_terminal() else head
    return [(*head, *calls[0], showed), *((*beneath, *call, "") for call in calls[1:])]


def cancel(job: JobId, reason: given.Reason = None, as_json: given.Json = False) -> None:
    """Cancel a job. Completed effects stay; what can be undone is undone. Exit code 6 if the job has already ended."""
    with errors_shown(as_json=as_json):
        didflow = Didflow.from_env().acting(reason=reason)
        before = didflow.get(job).state
        view = didflow.cancel(job)
        if as_json:
            print_json(view)
        elif view.state in REPORTED:
            show_job(view)
        if before in REPORTED and before is not JobState.CANCELLED:
            nothing_done("too late to cancel it: the job is as it was", as_json=as_json)
        if not as_json and view.state not in REPORTED:
            if not is_terminal():
                show_job(view)
            remarks().print(f"job {view.id} is being wound up: follow it with `didflow status {view.id} --wait`")


results_app = typer.Typer(invoke_without_command=True)
results_app.command("groups")(groups)
results_app.command("delete-group")(delete_group)


@results_app.callback()
def results(
    context: typer.Context,
    group: Annotated[
        str | None, typer.Option(help="read as this consumer group, and acknowledge what is printed", show_default=False)
    ] = None,
    consumer: Annotated[str | None, typer.Option(help="this consumer's name in the group (cli)", show_default=False)] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="stop after this many", show_default=False)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="with --group: keep waiting for more")] = False,
    as_json: given.Json = False,
) -> None:
    """Print results, one per ended job. Without --group, print the newest and acknowledge nothing."""
    if context.invoked_subcommand is not None:
        return
    with errors_shown(as_json=as_json):
        didflow = Didflow.from_env()
        if follow and group is None:
            what = "needs --group, which remembers what was read"
            raise InvalidRequest(f"follow: {what}", (("follow", what),))
        if group is None:
            _print_recent(didflow, limit or 20, as_json=as_json)
            return
        didflow.recent(1)  # A wrong address ends the command; an outage later on is waited for.
        deliveries = didflow.results(group, "cli" if consumer is None else consumer, give_up_idle=not follow)
        any_came = False
        for delivery in itertools.islice(deliveries, limit):
            _line(plain(delivery.event), as_json=as_json, first=not any_came)
            delivery.ack()
            any_came = True
        if not any_came:
            _none(f"nothing new for group {clean(group)}", as_json=as_json)


def _none(what: str, *, as_json: bool) -> None:
    """Said to people only: for a program no line means no result."""
    if not as_json:
        WholeWords(stderr=not is_terminal()).print(what, style="dim", markup=False)


def _print_recent(didflow: Didflow, limit: int, *, as_json: bool) -> None:
    recent = didflow.recent(limit)
    if not recent:
        _none("no results yet: no job has ended", as_json=as_json)
    for place, (_, fields) in enumerate(recent):
        try:
            _line({**fields, "data": json.loads(fields.get("data", ""))}, as_json=as_json, first=not place)
        except ValueError:
            _line(dict(fields), as_json=as_json, first=not place)


#: Of a line of words.
_EVENT = ("time", "job", "kind", "state", "reference", "error")


def _line(event: dict[str, object], *, as_json: bool, first: bool) -> None:
    """One event: a line of JSON, or of words."""
    if as_json:
        sys.stdout.write(json_text(event) + "\n")
        sys.stdout.flush()
        return
    body = event.get("data")
    words = body if isinstance(body, dict) else {}
    error = words.get("error") or {}
    parts = (event.get("time"), event.get("subject"), words.get("kind"), words.get("state"), words.get("reference"), error.get("message"))
    print_line(_EVENT, parts, first=first)
