"""Logs are events: `area.what_happened key=value`. One configuration for our lines, Dramatiq's and everybody else's."""

import logging
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import TextIO

import structlog


def configure_logs(*, log_format: str = "console", level: str = "info") -> None:
    """Send structlog's and the standard library's lines to stderr in one form, `console` or `json`."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
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
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        logger_factory=partial(_Lines, sys.stderr, threading.Lock()),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )


class _Lines:
    """Whole lines on one stream, under the name of who says it."""

    def __init__(self, stream: TextIO, lock: threading.Lock, name: str = "") -> None:
        self._stream, self._lock, self.name = stream, lock, name

    def msg(self, line: str) -> None:
        """A line that can't be written (a full disk, a closed pipe) must not end the job that it tells of."""
        with suppress(OSError, ValueError), self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg
