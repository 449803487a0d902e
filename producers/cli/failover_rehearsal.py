"""`didflow failover rehearse`: a plan, tried on this machine against copies of the account's numbers."""

from typing import Annotated

import typer

from didflow.client.sync.client import Didflow
from didflow.contract.states import JobState
from didflow.contract.time_values import about
from didflow.terminal import options as given
from didflow.terminal.output import ExitCode, errors_shown, plain, print_json, print_table
from didflow.terminal.tables import remarks
from producers.cli.failover import failover_app
from producers.cli.failover_plans import Name
from producers.rehearsal import Leg, Rehearsed, rehearse


@failover_app.command("rehearse")
def rehearse_plan(
    name: Name,
    rate: Annotated[
        float | None, typer.Option(help="requests a second, instead of those that are allowed now", min=0.1, max=10_000, show_default=False)
    ] = None,
    latency_ms: Annotated[
        float | None, typer.Option(help="of each request, instead of the measured mean", min=0, max=60_000, show_default=False)
    ] = None,
    timeout: given.Timeout = 600.0,
    as_json: given.Json = False,
) -> None:
    """Run a plan on copies of the account's numbers, and bring them back. Nothing leaves this machine. Exit code 1 if a guard holds it."""
    with errors_shown(as_json=as_json):
        if not as_json:
            remarks().print(f"rehearsing {name}: a Redis, workers and a sandbox of its own run meanwhile", style="dim", markup=False)
        latency_s = None if latency_ms is None else latency_ms / 1000
        found = rehearse(Didflow.from_env(), name, rate_per_s=rate, latency_s=latency_s, timeout_s=timeout)
        if as_json:
            print_json(plain(found))
        else:
            _print(found)
        if found.away.state is not JobState.SUCCEEDED or (found.back and found.back.state is not JobState.SUCCEEDED) or found.left:
            raise typer.Exit(ExitCode.JOB)


def _print(found: Rehearsed) -> None:
    legs = [("failover", found.away)] + ([("failback", found.back)] if found.back else [])
    rows = [_row(what, leg) for what, leg in legs]
    print_table(("", "state", "numbers", "as asked", "first sent, s", "all accepted, s", "all confirmed, s"), rows, whole=2)
    say = remarks()
    age = about(found.inventory_age_s)
    how = f"{found.rate_per_s:g} requests a second, {found.latency_s * 1000:.0f} ms each"
    say.print(f"{found.copied} numbers of the account, as the inventory showed them {age} ago; {how}", style="dim", markup=False)
    for what, leg in legs:
        if leg.error:
            say.print(f"{what}: {leg.error}", style="yellow", markup=False)
    if found.back is None:
        say.print("nothing was moved", style="yellow", markup=False)
    elif found.left:
        say.print(f"{found.left} numbers weren't where they began after the failback", style="yellow", markup=False)
    else:
        say.print("after the failback every number was where it began", style="dim", markup=False)


def _row(what: str, leg: Leg) -> tuple[object, ...]:
    times = ("" if one is None else f"{one:.2f}" for one in (leg.first_s, leg.accepted_s))
    return (what, leg.state.value, leg.numbers, leg.done, *times, f"{leg.confirmed_s:.2f}")
