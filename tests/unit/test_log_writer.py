"""Lines go to a descriptor that may stop taking them: who logs never waits, and what was dropped is counted."""

import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import structlog

from didflow.log_writer import LogWriter

#: More than a pipe holds.
MUCH = 200_000


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        os.close(descriptor)


def read(descriptor: int, until: bytes) -> bytes:
    """What comes until these words; blocks, so the caller's test has a time limit of its own."""
    found = b""
    while until not in found:
        found += os.read(descriptor, 65_536)
    return found


def test_lines_come_out_whole_and_in_their_order(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = LogWriter(writing)
    for place in range(500):
        writer.write(f"line {place}\n")
    assert writer.drain(5.0)
    assert os.read(reading, 65_536).decode().splitlines() == [f"line {place}" for place in range(500)]


def test_a_text_that_is_made_later_has_its_place_and_one_that_can_not_be_made_costs_no_other(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = LogWriter(writing)
    writer.write("first\n")
    writer.write_later(lambda: str(1 // 0))
    writer.write_later(lambda: "third\n")
    writer.write("fourth\n")
    assert writer.drain(5.0)
    assert os.read(reading, 65_536).decode().splitlines() == ["first", "a line can't be written: ZeroDivisionError", "third", "fourth"]


def test_a_writer_of_logs_does_not_wait_for_their_reader(pipe: tuple[int, int]) -> None:
    """What waits is bounded; what is beyond that is dropped, and its count is logged when lines can be written again."""
    reading, writing = pipe
    writer = LogWriter(writing, most=10)
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        logger_factory=lambda *_: structlog.WriteLogger(writer),  # type: ignore[arg-type]
    )
    try:
        writer.write("x" * MUCH + "\n")
        assert not writer.drain(0.05), "nobody reads"
        logged = threading.Event()

        def log() -> None:
            for _ in range(100):
                writer.write("line\n")
            logged.set()

        threading.Thread(target=log, daemon=True).start()
        assert logged.wait(5.0)
        text = read(reading, b'"logs.dropped"}').decode()
        kept = text.count("line\n")
        assert text.startswith("x" * MUCH)
        assert 5 <= kept <= 12
        assert json.loads(text.splitlines()[-1])["count"] == 100 - kept
    finally:
        structlog.reset_defaults()


def test_a_closed_pipe_costs_its_lines_and_no_thread(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    mine, theirs = os.dup(reading), os.dup(writing)
    writer = LogWriter(theirs)
    os.close(mine)
    writer.write("a line\n")
    assert writer.drain(5.0)
    os.close(theirs)
    writer.write("nobody has this\n")
    assert writer.drain(5.0), "the thread goes on"


@pytest.mark.parametrize("serves", ["False", "True"])
def test_a_command_that_ends_at_once_has_its_last_line_written(serves: str) -> None:
    code = (
        f"from didflow.logs import configure_logs; import structlog; configure_logs(serves={serves}); structlog.get_logger().info('last')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "last" in ended.stderr


def test_a_process_without_stderr_logs_nowhere() -> None:
    code = "from didflow.logs import configure_logs; import structlog; configure_logs(); structlog.get_logger().info('last'); print('done')"
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} 2>&-"
    ended = subprocess.run(command, shell=True, stdout=subprocess.PIPE, text=True, timeout=60, check=True)  # noqa: S602
    assert ended.stdout == "done\n"


def test_a_forked_child_writes_its_own_lines(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = LogWriter(writing)
    writer.write("parent\n")
    assert writer.drain(5.0)
    if (child := os.fork()) == 0:
        writer.write("child\n")
        os._exit(0 if writer.drain(5.0) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reading, 1000) == b"parent\nchild\n"
