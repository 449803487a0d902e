"""`didflow onboarding`: follow an order by its own name, and print fulfilments. An order is a `buy --key onboarding:ORDER`."""

import itertools
import json
import sys
from typing import Annotated

import typer

from didflow.client.sync.client import Didflow
from didflow.contract.errors import JobNotFound
from didflow.terminal import options as given
from didflow.terminal.output import errors_shown, plain
from didflow.terminal.tables import print_line
from producers.cli.submit import show_or_report, wait_for
from producers.onboarding import Fulfilment, Onboarding

onboarding_app = typer.Typer(no_args_is_help=True, help="Follow the orders of new customers and print their fulfilments.")


@onboarding_app.command()
def status(
    order: Annotated[str, typer.Argument(help="the order's name")],
    account: given.AccountName = "default",
    wait: given.Wait = False,
    timeout: given.Timeout = 300.0,
    as_json: given.Json = False,
) -> None:
    """Show an order's purchase. With --wait: once the job has ended."""
    with errors_shown(as_json=as_json):
        didflow = Didflow.from_env()
        view = Onboarding(didflow, account=account).find(order)
        if view is None:
            raise JobNotFound(order, "order")
        view = wait_for(didflow, view.id, timeout, quiet=as_json) if wait else view
        show_or_report(view, as_json=as_json)


@onboarding_app.command()
def fulfilments(
    consumer: Annotated[str, typer.Option(help="this consumer's name in the group")] = "cli",
    group: Annotated[str, typer.Option(help="the consumer group: each group gets every fulfilment")] = "onboarding",
    account: given.AccountName = "default",
    limit: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="stop after this many", show_default=False)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="keep waiting for more")] = False,
    as_json: given.Json = False,
) -> None:
    """Print the outcome of each order, one per line, and acknowledge it once it is printed."""
    with errors_shown(as_json=as_json):
        found = Onboarding(Didflow.from_env(), account=account).fulfilments(consumer, group=group, give_up_idle=not follow)
        for place, one in enumerate(itertools.islice(found, limit)):
            _line(one, as_json=as_json, first=not place)
            one.ack()


#: Of a line of words.
_FULFILMENT = ("order", "customer", "state", "charged", "numbers", "error")


def _line(one: Fulfilment, *, as_json: bool, first: bool) -> None:
    if as_json:
        said = {name: plain(getattr(one, name)) for name in ("order", "customer", "job_id", "state", "active", "inactive", "charged_usd")}
        sys.stdout.write(json.dumps(said | {"error": plain(one.error) if one.error else None}, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return
    numbers = [number.number for number in one.active] + [f"{number.number} (waits for documents)" for number in one.inactive]
    parts = (one.order, one.customer, one.state.value, f"{one.charged_usd} USD", " ".join(numbers), one.error.message if one.error else "")
    print_line(_FULFILMENT, parts, first=first)
