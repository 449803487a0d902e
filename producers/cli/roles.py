"""The commands that are processes of their own: this one becomes them, so that signals go straight to who should get them."""

import os
import sys
from collections.abc import Callable

import typer

#: Arguments, `--help` included, belong to the role.
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

ROLES = {
    "demo": ("worker.runtime.demo", "Run the main job here: embedded Valkey, sandbox, two worker processes. Costs nothing."),
    "up": ("worker.runtime.up", "Run everything on this machine until Ctrl-C."),
    "worker": ("worker.runtime.supervisor", "Keep worker processes running."),
    "sandbox": ("worker.wavix.sandbox", "Serve a Wavix on loopback, for trying and testing."),
    "reconcile": ("worker.runtime.reconcile", "Compare owned numbers and routes with what the jobs did, and say what to do."),
    "adopt": ("worker.runtime.adopt", "Say that the ledger belongs to another address or account of the provider from now on."),
    "doctor": ("worker.runtime.doctor", "Check Redis, accounts and workers, and say what to fix."),
}


def add_roles(app: typer.Typer) -> None:
    """Add a command for every role."""
    for name, (module, summary) in ROLES.items():
        app.command(name, help=summary, context_settings=PASS_ON, rich_help_panel="Run")(_becomes(module))


def _becomes(module: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", module, *context.args])

    return command
