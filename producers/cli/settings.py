"""`didflow settings` and `didflow schema`."""

from dataclasses import asdict
from typing import Annotated, Literal

import typer
from rich.padding import Padding
from rich.text import Text

from didflow.contract.business_events import business_event_schema
from didflow.contract.events import event_adapter
from didflow.contract.job_kinds import request_adapter
from didflow.settings import unknown_variables
from didflow.terminal import options as given
from didflow.terminal.output import WholeWords, clean, errors_shown, print_json, print_table
from didflow.terminal.tables import is_terminal
from producers.shown_settings import shown_settings


def settings(as_json: given.Json = False) -> None:
    """List every setting with its value and source. Secrets are masked."""
    with errors_shown(as_json=as_json):
        rows = [asdict(one) for one in shown_settings()]
        if as_json:
            print_json(rows)
            return
        for unknown in unknown_variables():
            WholeWords(stderr=True).print(Text(f"unknown setting, ignored: {clean(unknown)}", style="yellow"), soft_wrap=True)
        if not is_terminal():
            print_table(("name", "value", "source", "description"), [tuple(row.values()) for row in rows])
            return
        console = WholeWords()
        for row in rows:
            line = Text(row["name"], style="bold") + Text(f"={clean(row['value'])}")
            console.print(line + Text(f"  ({row['source']})", style="dim"), soft_wrap=True)
            console.print(Padding(Text(row["description"], style="dim"), (0, 0, 0, 4)))


def schema(
    what: Annotated[
        Literal["requests", "events", "business-events"], typer.Argument(help="requests | events | business-events")
    ] = "requests",
) -> None:
    """Print the JSON Schema of requests, of events on both streams, or of business events from other systems."""
    match what:
        case "requests":
            print_json(request_adapter().json_schema())
        case "events":
            print_json(event_adapter().json_schema())
        case "business-events":
            print_json(business_event_schema())
