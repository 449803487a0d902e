"""All commands in one place."""

from collections.abc import Callable

import typer

from producers.cli.buying import buy
from producers.cli.churning import churn_app
from producers.cli.dead_letters import dead_letters
from producers.cli.documents import documents_app
from producers.cli.failing_over import failback, failover_app
from producers.cli.history import history
from producers.cli.knowing import schema, settings
from producers.cli.looking import cancel, explain, jobs, results_app, status
from producers.cli.moving import release, reroute
from producers.cli.onboarding import onboarding_app
from producers.cli.planning import plan_app
from producers.cli.pool import pool_app
from producers.cli.reviewing import resolve, retry
from producers.cli.roles import add_roles
from producers.cli.spending import spend
from producers.cli.taking_in import requests_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Provision phone numbers on the Wavix Numbers API: jobs that are never lost, purchases that happen exactly once.",
    epilog="Exit codes: 0 done, 1 job failed or partial, 2 bad input, 3 timed out, 4 idempotency conflict, 5 service not reachable.",
)

_PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Ask for something": (buy, reroute, failback, release, cancel),
    "Look": (status, jobs, explain, history, spend),
    "Settle what is parked": (dead_letters, retry, resolve),
    "Know": (settings, schema),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
failover_app.add_typer(plan_app, name="plan")
app.add_typer(churn_app, name="churn", rich_help_panel="Ask for something")
app.add_typer(failover_app, name="failover", rich_help_panel="Ask for something")
app.add_typer(onboarding_app, name="onboarding", rich_help_panel="Look")
app.add_typer(results_app, name="results", rich_help_panel="Look")
app.add_typer(requests_app, name="requests", rich_help_panel="Run")
app.add_typer(documents_app, name="documents", rich_help_panel="Ask for something")
app.add_typer(pool_app, name="pool", rich_help_panel="Ask for something")
add_roles(app)
