"""Logs are events: `area.what_happened key=value`. One configuration for our lines, Dramatiq's and everybody else's."""

import logging
import sys

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
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )


class _Lines(structlog.WriteLogger):
    """Whole lines to stderr, under the name of who says it."""

    def __init__(self, name: str = "") -> None:
        super().__init__(sys.stderr)
        self.name = name
