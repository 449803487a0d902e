"""All commands in one place."""

import typer

from producers.cli.buying import buy
from producers.cli.knowing import schema, settings
from producers.cli.looking import cancel, explain, jobs, results, status
from producers.cli.moving import failback, release, reroute
from producers.cli.roles import add_roles

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Provision phone numbers on the Wavix Numbers API: jobs that are never lost, purchases that happen exactly once.",
    epilog="Exit codes: 0 done, 1 job failed or partial, 2 bad input, 3 timed out waiting, 4 idempotency conflict, 5 service not reachable.",
)

for command in (buy, reroute, failback, release, cancel):
    app.command(rich_help_panel="Ask for something")(command)
for command in (status, jobs, explain, results):
    app.command(rich_help_panel="Look")(command)
for command in (settings, schema):
    app.command(rich_help_panel="Know")(command)
add_roles(app)
