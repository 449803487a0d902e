"""The commands that replace this process (exec), so that signals reach them directly."""

import os
import sys
from dataclasses import dataclass

import typer

from didflow.module_command import module_command

#: Arguments, `--help` included, belong to the role.
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@dataclass(frozen=True)
class Role:
    """A module that is run in place of this process, and what it does."""

    module: str
    summary: str

    def become(self, context: typer.Context) -> None:
        sys.stdout.flush()
        os.execv(sys.executable, module_command(self.module, *context.args))


ROLES = {
    "demo": Role("worker.local.demo", "Run the main job locally: embedded Valkey, sandbox, two worker processes. Spends nothing."),
    "up": Role("worker.local.up", "Run everything on this machine until Ctrl-C."),
    "worker": Role("worker.process.supervisor", "Run worker processes."),
    "sandbox": Role("worker.wavix.sandbox", "Serve a sandbox of the Wavix API on loopback, for trials and tests."),
    "reconcile": Role("worker.operate.reconcile", "Compare owned numbers and routes with the jobs, and print what to do."),
    "adopt": Role("worker.operate.adopt", "Assign the ledger to another address or account of the provider."),
    "doctor": Role("worker.operate.doctor", "Check Redis, accounts and workers, and print what to fix."),
}
