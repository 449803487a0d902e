"""Every line, ours and a library's, has one form, and none below the level is written."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from didflow.logs import configure_logs


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is written to stderr; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in (None, "httpx", "httpcore")}
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    configure_logs(log_format="json", level="info")
    yield stderr
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


def test_our_lines_and_a_librarys_have_the_same_fields(lines: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(job_id="j1"):
        structlog.stdlib.get_logger("didflow.job").warning("job.waiting", after_s=1.0)
        logging.getLogger("dramatiq").warning("a library speaks")
    ours, theirs = map(json.loads, lines.getvalue().splitlines())
    assert (ours["event"], ours["logger"], ours["level"], ours["job_id"], ours["after_s"]) == (
        "job.waiting",
        "didflow.job",
        "warning",
        "j1",
        1.0,
    )
    assert (theirs["event"], theirs["logger"], theirs["level"], theirs["job_id"]) == ("a library speaks", "dramatiq", "warning", "j1")
    assert ours.keys() - {"after_s"} == theirs.keys()


def test_what_is_below_the_level_is_not_written(lines: io.StringIO) -> None:
    structlog.stdlib.get_logger("didflow.job").debug("job.not_claimed")
    logging.getLogger("dramatiq").debug("a library whispers")
    assert not lines.getvalue()


def test_an_exception_is_written_into_its_line(lines: io.StringIO) -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        structlog.stdlib.get_logger("didflow.job").error("job.bug", exc_info=error)
    (line,) = lines.getvalue().splitlines()
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_a_line_that_cannot_be_written_raises_nothing(lines: io.StringIO) -> None:
    lines.close()
    structlog.stdlib.get_logger("didflow.job").info("job.started")
