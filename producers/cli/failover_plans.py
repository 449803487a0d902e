"""`didflow failover plan`: failovers that are prepared, with their numbers detected beforehand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.text import Text

from didflow.client.sync.client import Didflow
from didflow.contract.failover_plans import FailoverPlan, PlanName
from didflow.contract.requests import Selector
from didflow.contract.time_values import span_text
from didflow.settings import load_settings
from didflow.terminal import completion
from didflow.terminal import options as given
from didflow.terminal.confirmation import Stake, confirmed
from didflow.terminal.output import ExitCode, WholeWords, clean, errors_shown, plain, print_json, print_table
from didflow.terminal.tables import is_terminal, remarks
from producers.cli.failover import Incident, failover_app, finish, named_incident, requested
from producers.cli.option_groups import Guards, Listed, Selected, grouped
from producers.cli.progress import say
from producers.failover import Failover

#: A plan whose numbers are older than this many refreshes is stale: its refreshes fail.
STALE_AFTER = 3

Name = Annotated[str, typer.Argument(help="the plan's name", metavar="NAME", autocompletion=completion.plans)]

plan_app = typer.Typer(no_args_is_help=True, help="Prepared failovers: the numbers are selected in advance.")
failover_app.add_typer(plan_app, name="plan")


@plan_app.command()
@grouped
def save(
    name: Name,
    *,
    to: given.To = None,
    listed: Listed,
    selected: Selected,
    guards: Guards,
    account: given.AccountName = "default",
    timeout: given.Timeout = 60.0,
    as_json: given.Json = False,
) -> None:
    """Save a plan and select its numbers. Replaces a plan of the same name. A deadline is given when the plan runs."""
    with errors_shown(as_json=as_json):
        _, request = given.together(
            lambda: TypeAdapter(PlanName).validate_python(name),
            lambda: requested(to, listed, selected, guards, None, f"plan:{name[:60]}", account),
        )
        failover = Failover(Didflow.from_env(), account=account)
        failover.keep_plan(name, request)
        _show_refreshed(failover.refresh_plan(name, timeout), as_json=as_json)


@plan_app.command("list")
def list_plans(as_json: given.Json = False) -> None:
    """List the plans and the age of their numbers."""
    with errors_shown(as_json=as_json):
        plans = Failover(Didflow.from_env()).plans()
        if as_json:
            print_json([_without_numbers(plan) for plan in plans])
            return
        if not plans and is_terminal():
            WholeWords().print("no plans: `didflow failover plan save` keeps one", style="dim")
            return
        _print_plans(plans)


@plan_app.command()
def show(name: Name, as_json: given.Json = False) -> None:
    """Show a plan: who saved it, what it selects, how many numbers, and their age. --json lists the numbers with their record ids."""
    with errors_shown(as_json=as_json):
        plan = Failover(Didflow.from_env()).get_plan(name)
        if as_json:
            print_json(plan)
        else:
            _show(plan)


@plan_app.command()
def run(
    name: Name,
    incident: Incident = None,
    deadline: given.Deadline = None,
    no_check: Annotated[bool, typer.Option("--no-check", help="run at once, without confirmation")] = False,
    read_routes: Annotated[
        bool,
        typer.Option(
            "--read-routes", help="read all current routes first; otherwise a failback restores the routes that the plan read last"
        ),
    ] = False,
    wait: given.WaitByDefault = True,
    timeout: given.Timeout = 300.0,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """Move the plan's numbers now; a sweep follows and moves what the plan missed. `didflow failback INCIDENT` brings all back."""
    with errors_shown(as_json=as_json):
        named = named_incident(incident) or f"{name[:60]}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        end, _ = given.together(
            lambda: given.moment(deadline, "deadline"), lambda: given.labels(f"failover-sweep:{named}", named, "default")
        )
        didflow = Didflow.from_env()
        failover = Failover(didflow)
        plan = failover.get_plan(name)
        failover = Failover(didflow, account=plan.account)
        _tell_age(plan)
        if plan.snapshot and not read_routes:
            say(
                "if didflow moved none of these numbers since, nothing is read before the first one moves, and a failback restores the"
                " routes of then; else, or with --read-routes, all present routes are read first"
            )
        confirmed(f"move {plan.count} numbers to {_places(plan)}?", Stake(numbers=plan.count), yes=yes or no_check)
        ran = failover.run_plan(name, named, deadline=end, read_routes=read_routes)
        if not as_json:
            say(f"incident {named}: job {ran.job.id}" + ("" if ran.job.is_new else " (already submitted: this is the same job)"))
            if ran.sweep is None:
                say("the plan is a list of numbers: no sweep follows")
        about = {"incident": named, "plan": {"name": plan.name, "numbers": plan.count, "age_s": plan.age_s(datetime.now(UTC))}}
        finish(didflow, named, ran.job, ran.sweep, wait=wait, timeout_s=timeout, as_json=as_json, more=about)


@plan_app.command()
def refresh(
    name: Annotated[
        str | None, typer.Argument(help="the plan's name", metavar="NAME", show_default=False, autocompletion=completion.plans)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="every plan")] = False,
    timeout: given.Timeout = 60.0,
    as_json: given.Json = False,
) -> None:
    """Refresh a plan's numbers now. Workers do this every DIDFLOW_PLAN_REFRESH_SECONDS."""
    with errors_shown(as_json=as_json):
        given.together(lambda: _one_or_all(name, everything=everything))
        failover = Failover(Didflow.from_env())
        names = [name] if name is not None else [plan.name for plan in failover.plans()]
        plans = [failover.refresh_plan(one, timeout) for one in names]
        if name is not None:
            _show_refreshed(plans[0], as_json=as_json)
            return
        if as_json:
            print_json([_without_numbers(plan) for plan in plans])
        else:
            for plan in plans:
                _show(plan)
        if any(plan.trouble for plan in plans):
            raise typer.Exit(ExitCode.JOB)


@plan_app.command()
def delete(name: Name, as_json: given.Json = False) -> None:
    """Delete a plan. Numbers that it moved stay moved, and can be failed back."""
    with errors_shown(as_json=as_json):
        Failover(Didflow.from_env()).delete_plan(name)
        if as_json:
            print_json({"deleted": name})
        else:
            remarks().print(f"plan {clean(name)} is deleted", markup=False)


def _one_or_all(name: str | None, *, everything: bool) -> None:
    if (name is None) != everything:
        given.refuse("name", "name one plan, or give --all")


def _show_refreshed(plan: FailoverPlan, *, as_json: bool) -> None:
    if as_json:
        print_json(plan)
    else:
        _show(plan)
    if plan.trouble:
        raise typer.Exit(ExitCode.JOB)


def _print_plans(plans: Sequence[FailoverPlan]) -> None:
    rows = [
        (plan.name, plan.count, _age(plan), _meant(plan), _places(plan), plan.trouble, plan.saved_by, f"{plan.saved_at:%Y-%m-%d %H:%M:%S}")
        for plan in plans
    ]
    print_table(("plan", "numbers", "refreshed", "of", "to", "trouble", "saved by", "saved at (UTC)"), rows, whole=3)


def _show(plan: FailoverPlan) -> None:
    if not is_terminal():
        _print_plans([plan])
        if _is_stale(plan):
            say(f"warning: {_stale_words(plan)}")
        return
    console = WholeWords()
    console.print(Text("plan ") + Text(plan.name, style="bold") + Text(f"  {plan.count} numbers, refreshed {_age(plan)}"))
    console.print(f"  {_meant(plan)} -> {_places(plan)}", soft_wrap=True, markup=False)
    console.print(
        f"  saved by {clean(plan.saved_by)} at {plan.saved_at:%Y-%m-%d %H:%M:%S} UTC, account {clean(plan.account)}", markup=False
    )
    if plan.trouble:
        when = f" at {plan.trouble_at:%H:%M:%S} UTC" if plan.trouble_at else ""
        console.print(Text(f"  the last refresh{when} failed: ", style="yellow") + Text(clean(plan.trouble)))
    if _is_stale(plan):
        console.print(Text(f"  {_stale_words(plan)}", style="yellow"))


def _tell_age(plan: FailoverPlan) -> None:
    say(f"plan {plan.name}: {plan.count} numbers, refreshed {_age(plan)}")
    if _is_stale(plan):
        say(f"warning: {_stale_words(plan)}")


def _is_stale(plan: FailoverPlan) -> bool:
    age_s = plan.age_s(datetime.now(UTC))
    return age_s is not None and age_s > STALE_AFTER * load_settings().plan_refresh_seconds


def _stale_words(plan: FailoverPlan) -> str:
    return f"the plan is stale ({plan.trouble or 'are workers alive?'}): the sweep has more to find"


def _age(plan: FailoverPlan) -> str:
    age_s = plan.age_s(datetime.now(UTC))
    return "not yet" if age_s is None else f"{timedelta(seconds=int(age_s))} ago"


def _meant(plan: FailoverPlan) -> str:
    selector = plan.request.selector
    return _words(selector) if selector is not None else f"a list of {len(plan.request.numbers) or len(plan.request.record_ids)} numbers"


def _words(selector: Selector) -> str:
    given = {name: value for name, value in selector if value is not None and name in selector.model_fields_set}
    words = (f"{name.removesuffix('_id')} {span_text(value) if isinstance(value, timedelta) else value}" for name, value in given.items())
    return clean(", ".join(words))


def _places(plan: FailoverPlan) -> str:
    return clean(", then ".join(str(place) for place in plan.request.destinations))


def _without_numbers(plan: FailoverPlan) -> Any:
    return {name: value for name, value in plain(plan).items() if name != "numbers"}
