"""`didflow requests`: consume the business events of other systems, and write one by hand."""

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from didflow.client.sync.client import Didflow
from didflow.contract.errors import InvalidRequest, ServiceUnavailable
from didflow.logs import configure_logs
from didflow.parent_process import end_with_parent
from didflow.settings import load_settings
from didflow.terminal import options as given
from didflow.terminal.output import ExitCode, WholeWords, clean, errors_shown, json_text, print_json
from didflow.terminal.tables import print_line
from producers.business_events import AGAIN_LAST_S, GROUP, BusinessEvents, TakenIn

log = structlog.stdlib.get_logger("didflow.requests")

requests_app = typer.Typer(no_args_is_help=True, help="Consume business events that other systems write to a Redis stream.")


@requests_app.command()
def consume(
    consumer: Annotated[
        str | None,
        typer.Option(help="this consumer's name in the group (default: the host's name); must be unique", show_default=False),
    ] = None,
    group: Annotated[str, typer.Option(help="the consumer group; only one submits jobs, others may read along")] = GROUP,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="stop when all events are read; exit code 1 if any was refused")] = False,
    as_json: given.Json = False,
) -> None:
    """Submit one job for each event, until SIGTERM. Events that can't be submitted go to `didflow dead-letters` with every fault."""
    with errors_shown(as_json=as_json):
        settings = load_settings()
        configure_logs(log_format="json" if as_json else settings.log_format, level=settings.log_level)
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        end_with_parent(stopping.set)
        didflow = Didflow.from_env() if until_idle else _as_soon_as_known(stopping)
        if didflow is None:
            return
        if not until_idle:
            log.info("requests.started", group=group)
        refused, first = 0, True
        events = BusinessEvents(didflow, group=group, consumer=consumer, on_away=_log_away)
        for taken in events.take_in(stopping=stopping, give_up_idle=until_idle):
            refused += taken.refusal is not None
            if until_idle:
                _line(taken, as_json=as_json, first=first)
                first = False
            else:
                _log(taken)
        if until_idle and refused:
            raise typer.Exit(ExitCode.JOB)


@requests_app.command()
def send(
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="such as didflow.request.v1: see `didflow schema business-events`")],
    event_id: Annotated[str, typer.Option("--id", help="the event's id: sent twice, it is the same event")],
    data: Annotated[str, typer.Option(help="its data as JSON; @FILE reads a file, - stdin")],
    source: Annotated[str, typer.Option(help="the event's source")] = "didflow-cli",
    as_json: given.Json = False,
) -> None:
    """Write an event to the stream, as another system would. The consumer validates it."""
    with errors_shown(as_json=as_json):
        entry = BusinessEvents(Didflow.from_env()).send(event_type, _read(data), event_id=event_id, source=source)
        if as_json:
            print_json({"id": event_id, "entry": entry})
        else:
            WholeWords().print(f"event {clean(event_id)} is entry {entry}", markup=False)


def _as_soon_as_known(stopping: threading.Event) -> Didflow | None:
    """A service that starts beside its Redis may be the quicker one. None: it is to stop. It is logged once."""
    said = False
    while not stopping.is_set():
        try:
            return Didflow.from_env()
        except ServiceUnavailable as error:
            if not said:
                log.warning("requests.no_redis", error=str(error))
            said = True
            stopping.wait(AGAIN_LAST_S / 10)
    return None


def _read(data: str) -> dict[str, Any]:
    try:
        file = Path(data.removeprefix("@")) if data == "-" or data.startswith("@") else None
        read = json.loads(data if file is None else given.file_text(file))
    except OSError as error:
        raise _wrong(f"can't be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise _wrong(f"is not JSON: {error}") from None
    if not isinstance(read, dict):
        raise _wrong("is a JSON object")
    return read


def _wrong(what: str) -> InvalidRequest:
    return InvalidRequest(f"data: {what}", (("data", what),))


def _log_away(error: ServiceUnavailable, again_s: float) -> None:
    log.warning("requests.ledger_unreachable", error=str(error), again_in_s=again_s)


def _log(taken: TakenIn) -> None:
    said = {"event_id": clean(taken.event_id[:200]), "type": clean(taken.type[:100]), "entry": taken.entry_id}
    if taken.job:
        log.info("requests.taken_in", **said, job_id=taken.job.id, is_new=taken.job.is_new)
    elif taken.refusal:
        log.warning("requests.refused", **said, code=taken.refusal.code)


def _line(taken: TakenIn, *, as_json: bool, first: bool) -> None:
    job, refusal = taken.job, taken.refusal
    if as_json:
        said = {"job": job.id, "is_new": job.is_new} if job else {"code": refusal.code, "message": str(refusal)} if refusal else {}
        sys.stdout.write(json_text({"id": taken.event_id, "type": taken.type, "entry": taken.entry_id} | said) + "\n")
        return
    words = f"job {job.id}{'' if job.is_new else ', as before'}" if job else f"{refusal.code}: {refusal}" if refusal else ""
    print_line(("event", "what became of it"), (taken.event_id, words), first=first)
