"""`didflow` as a person and a script call it: a process of its own with its own environment and folder, forked from one that has loaded it.

Forking instead of starting an interpreter takes most of the time off hundreds of commands. What an interpreter's start can get wrong is
for the tests that call the installed command.
"""

import io
import json
import os
import pty
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from didflow.logs import drain_logs
from producers.cli.app import app
from tests.support.cli_commands import COMMANDS
from tests.support.forking import FORKING
from worker.local import demo, embedded_valkey, up
from worker.operate import adopt, doctor, upload_document
from worker.operate import reconcile as reconcile
from worker.process import supervisor, worker_process
from worker.wavix.sandbox import __main__ as sandbox

WITHIN_S = 60.0
assert COMMANDS, "loaded here, so that no fork loads a command again"
#: What a command may become.
MODULES: dict[str, Any] = {
    module.__name__: module for module in (adopt, demo, doctor, embedded_valkey, worker_process, reconcile, supervisor, up, upload_document)
}
MODULES["worker.wavix.sandbox"] = sandbox


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


class Shell:
    """Runs `didflow` in `folder` with these settings and no others."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DIDFLOW_", "WAVIX_"))}
        self.environment = inherited | {"WAVIX_BASE_URL": "http://127.0.0.1:1", "COLUMNS": "200"} | environment

    def __call__(
        self,
        *arguments: str,
        module: str | None = None,
        stdin: str = "",
        columns: int | None = None,
        stdout: Path | None = None,
        answers: str | None = None,
    ) -> Ended:
        """`didflow` with these arguments, or `python -m` with that `module`.

        With `columns`, stdout is a terminal of that width; without, stdout and stderr are files, as in a pipe.

        With `answers`, stdin and stderr are a terminal on which a person types these.
        """
        environment = self.environment | ({"COLUMNS": str(columns), "TERM": "xterm"} if columns else {})
        with (
            tempfile.TemporaryDirectory() as name,
            _terminal(Path(name) / "out", wanted=columns is not None) as drawn,
            _terminal(Path(name) / "err", wanted=answers is not None, types=answers or "") as asked,
        ):
            streams = Path(name)
            if answers is None:
                (streams / "in").write_text(stdin)
            else:
                (streams / "in").symlink_to((streams / "err").readlink())
            if stdout is not None:
                (streams / "out").symlink_to(stdout)
            command = FORKING.Process(target=_become, args=(arguments, module, environment, self.folder, streams))
            command.start()
            command.join(WITHIN_S)
            if command.exitcode is None:
                command.kill()
                command.join()
            out = drawn() if columns else "" if stdout else (streams / "out").read_text()
            err = asked() if answers is not None else (streams / "err").read_text()
        assert command.exitcode is not None
        assert command.exitcode >= 0, f"ended by signal {-command.exitcode}: {err}"
        assert "Traceback" not in err, err
        return Ended(command.exitcode, out, err)


@contextmanager
def _terminal(link: Path, *, wanted: bool, types: str = "") -> Iterator[Callable[[], str]]:
    """A terminal behind this link on which someone `types`. Gives what was drawn on it, without escapes, once its command has ended."""
    if not wanted:
        yield str
        return
    ours, theirs = pty.openpty()
    link.symlink_to(os.ttyname(theirs))
    other_end = io.FileIO(theirs, "w")  # Closed once: by its number, a second time would close what a thread has opened since.
    os.write(ours, types.encode())
    chunks: list[bytes] = []

    def read() -> None:
        with suppress(OSError):  # The terminal's end, on Linux.
            while chunk := os.read(ours, 65_536):
                chunks.append(chunk)

    reader = threading.Thread(target=read)
    reader.start()

    def drawn() -> str:
        other_end.close()
        reader.join()
        return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", b"".join(chunks).decode()).replace("\r\n", "\n")

    try:
        yield drawn
    finally:
        other_end.close()
        reader.join()
        os.close(ours)


def _become(arguments: tuple[str, ...], module: str | None, environment: dict[str, str], folder: Path, streams: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for descriptor, (name, flags) in enumerate((("in", os.O_RDONLY), ("out", os.O_WRONLY | os.O_CREAT), ("err", os.O_WRONLY | os.O_CREAT))):
        os.dup2(os.open(streams / name, flags), descriptor)
    sys.stdin = io.TextIOWrapper(io.FileIO(0), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", write_through=True)
    sys.argv = [module or "didflow", *arguments]
    os.execv = _instead_of_another_interpreter  # type: ignore[assignment]
    try:
        if module:
            MODULES[module].main()
        else:
            app(prog_name="didflow")
    finally:
        drain_logs(1.0)  # A forked process runs no exit handlers.


def _instead_of_another_interpreter(_: str, argv: list[str]) -> NoReturn:
    """A command that becomes `python -P -m MODULE …` does here what that module does."""
    named = argv.index("-m") + 1
    module, sys.argv = MODULES[argv[named]], argv[named:]
    module.main()
    sys.exit(0)
