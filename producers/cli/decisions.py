"""`didflow decisions`: people's decisions that no job records."""

from typing import Annotated

import typer

from didflow.client.sync.client import Didflow
from didflow.terminal import options as given
from didflow.terminal.output import WholeWords, errors_shown, plain, print_json, print_table
from didflow.terminal.tables import is_terminal


def decisions(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="at most this many")] = 20,
    as_json: given.Json = False,
) -> None:
    """List who changed plans, the pool, dead letters, consumer groups and the ledger's provider, newest first.

    Who submitted, cancelled, retried or resolved a job is shown by `status` and `explain`.
    """
    with errors_shown(as_json=as_json):
        found = Didflow.from_env().decisions(limit)
        if as_json:
            print_json([plain(one) for one in found])
        elif not found and is_terminal():
            WholeWords().print("no decisions", style="dim")
        else:
            rows = [(f"{one.at:%Y-%m-%d %H:%M:%S}", one.actor, one.what, one.subject, one.detail) for one in found]
            print_table(("time (UTC)", "by", "what", "subject", "detail"), rows, whole=4)
