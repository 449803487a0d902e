"""Logs are events: `area.what_happened key=value`. One configuration for our lines, Dramatiq's and everybody else's."""

import atexit
import io
import logging
import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict

from didflow.log_writer import LogWriter

#: How long the end of a process waits until its last lines are written.
DRAIN_AT_EXIT_S = 1.0


def configure_logs(*, log_format: str = "console", level: str = "info", serves: bool = False) -> None:
    """Send structlog's and the standard library's lines to stderr in one form, `console` or `json`. No line waits for who reads them.

    `serves`: this process runs for long and stderr is its log alone, so nothing else that is printed there waits either: no traceback of
    a thread, no warning.
    """
    if sys.stderr is None:  # Started with it closed.
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lives
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    stream = _stream()
    if serves:
        sys.stderr = stream
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their INFO lines hold request URLs, and a URL of the mydids dialect holds the key.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Our own lines don't go through the standard library: it took most of what a line costs, and a job that does nothing writes two.
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, _as_line],
        logger_factory=partial(_Lines, stream, renderer),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )


def drain_logs(within_s: float) -> None:
    """Before a process ends without its exit handlers: wait until the lines so far are written, but not for long."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and isinstance(handler.stream, LogWriter):
            handler.stream.drain(within_s)


def _stream() -> TextIO:
    """Where lines go: a writer on stderr's descriptor; stderr itself where it has none and so can't block."""
    try:
        writer = LogWriter(sys.stderr.fileno())
    except (AttributeError, io.UnsupportedOperation, ValueError):
        return sys.stderr
    atexit.register(writer.drain, DRAIN_AT_EXIT_S)
    return cast("TextIO", writer)


def _as_line(_logger: object, _method: str, event: EventDict) -> tuple[tuple[EventDict], dict[str, object]]:
    """The arguments of `_Lines.msg`."""
    return (event,), {}


class _Lines:
    """Whole lines on one stream, under the name of who says it."""

    def __init__(self, stream: TextIO, renderer: structlog.typing.Processor, name: str = "") -> None:
        self._stream, self._renderer, self.name = stream, renderer, name

    def msg(self, event: EventDict) -> None:
        """A line that can't be written must not end the job that it is about. A writer of its own also puts it into words: in a thread that
        runs a job, which does other things between two lines, that takes several times as long."""
        if isinstance(self._stream, LogWriter):
            self._stream.write_later(partial(self._line, event))
            return
        with suppress(OSError, ValueError):
            self._stream.write(self._line(event))

    def _line(self, event: EventDict) -> str:
        return str(self._renderer(self, "", event)) + "\n"

    debug = info = warning = error = critical = exception = msg
