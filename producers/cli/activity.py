"""`didflow activity`: what happened in the last hours."""

from typing import Annotated

import typer

from didflow.client.sync.client import Didflow
from didflow.contract.activity import MOST_MINUTES, ActivityMinute
from didflow.terminal import options as given
from didflow.terminal.output import errors_shown, plain, print_json, print_table

_ENDS = ("succeeded", "partial", "failed", "cancelled", "expired", "needs_review")


def activity(
    minutes: Annotated[int, typer.Option(min=1, max=MOST_MINUTES, help="how many minutes back")] = 60,
    as_json: given.Json = False,
) -> None:
    """List the last minutes in which something happened: jobs that ended, USD that were spent, the provider's latency."""
    with errors_shown(as_json=as_json):
        found = Didflow.from_env().activity(minutes)
        if as_json:
            print_json([plain(one) for one in found])
            return
        columns = ("time (UTC)", *(name.replace("_", " ") for name in _ENDS), "USD", "calls", "p50 ms", "p95 ms")
        print_table(columns, [_row(one) for one in found if one.ended or one.spent_usd or one.calls])


def _row(one: ActivityMinute) -> tuple[object, ...]:
    ends = (one.ended.get(name, 0) for name in _ENDS)
    latency = ("" if ms is None else f"{ms:g}" for ms in (one.p50_ms, one.p95_ms))
    return (f"{one.at:%Y-%m-%d %H:%M}", *ends, one.spent_usd, one.calls, *latency)
