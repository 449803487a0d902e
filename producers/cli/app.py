"""All commands in one place, in the order in which `didflow --help` shows them."""

from collections.abc import Callable
from importlib.metadata import version as installed_version
from typing import Annotated

import typer
from typer.core import TyperGroup

from didflow.contract.exit_codes import MEANINGS, ExitCode
from didflow.terminal.completion import completion, know_shells
from didflow.terminal.examples import HELP, add_examples, as_lines
from producers.cli.business_events import requests_app
from producers.cli.buy import buy
from producers.cli.churn import churn_app
from producers.cli.dead_letters import dead_letters
from producers.cli.decisions import decisions
from producers.cli.documents import documents_app
from producers.cli.failover import failback, failover_app
from producers.cli.failover_plans import plan_app
from producers.cli.history import history
from producers.cli.incidents import incidents_app
from producers.cli.inspect import cancel, explain, jobs, results_app, status
from producers.cli.onboarding import onboarding_app
from producers.cli.pool import pool_app
from producers.cli.processes import PASS_ON, ROLES, Role
from producers.cli.reroute_release import release, reroute
from producers.cli.review import resolve, retry
from producers.cli.settings import schema, settings
from producers.cli.spend import spend

#: The sections of `didflow --help`, and the commands of each.
SECTIONS: dict[str, dict[str, Callable[..., None] | typer.Typer | Role]] = {
    "Submit": {
        "buy": buy,
        "reroute": reroute,
        "failover": failover_app,
        "failback": failback,
        "release": release,
        "churn": churn_app,
        "documents": documents_app,
        "pool": pool_app,
        "cancel": cancel,
    },
    "Inspect": {
        "status": status,
        "jobs": jobs,
        "explain": explain,
        "history": history,
        "decisions": decisions,
        "incidents": incidents_app,
        "results": results_app,
        "onboarding": onboarding_app,
        "spend": spend,
        "doctor": ROLES["doctor"],
        "reconcile": ROLES["reconcile"],
    },
    "Review": {"dead-letters": dead_letters, "retry": retry, "resolve": resolve},
    "Configure": {"settings": settings, "schema": schema, "adopt": ROLES["adopt"], "completion": completion},
    "Run": {
        "up": ROLES["up"],
        "demo": ROLES["demo"],
        "worker": ROLES["worker"],
        "sandbox": ROLES["sandbox"],
        "requests": requests_app,
    },
}


class _InOrder(TyperGroup):
    """Typer would list the groups of commands after all others."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - it is the base class's.
        return [name for section in SECTIONS.values() for name in section]


def _epilog() -> str:
    shown = (code for code in ExitCode if code < ExitCode.STUCK or code is ExitCode.INTERRUPTED)
    return as_lines("Exit codes:", *(f"{code.value:<3}  {MEANINGS[code]}" for code in shown))


app = typer.Typer(
    cls=_InOrder,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=HELP,
    help="Provision phone numbers on the Wavix Numbers API: jobs that are never lost, purchases that happen exactly once.",
    epilog=_epilog(),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"didflow {installed_version('didflow')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and exit")] = False,
) -> None:
    pass


failover_app.add_typer(plan_app, name="plan")
for section, commands in SECTIONS.items():
    for name, command in commands.items():
        match command:
            case typer.Typer():
                app.add_typer(command, name=name, rich_help_panel=section)
            case Role():
                app.command(name, help=command.summary, context_settings=PASS_ON, rich_help_panel=section)(command.become)
            case _:
                app.command(name, rich_help_panel=section)(command)
add_examples(app)
know_shells()
