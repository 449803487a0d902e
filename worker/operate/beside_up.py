"""What `didflow up` leaves in its state folder for commands in other shells: where its sandbox is, and the key to it.

For this user alone (mode 0600), and only while it lives: it keeps the file locked, so what a killed one left isn't believed. The key of a
real account is never in it.
"""

import fcntl
import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pydantic import SecretStr

from didflow.contract.errors import ServiceUnavailable
from didflow.ledger.address import redis_url
from didflow.settings import SANDBOX_KEY, Settings
from worker.operate.running_server import locked

#: How long a command that looks at the file may hold it.
LOOK_S = 2.0


class UpFile:
    """Where the sandbox of this process is, for as long as it is entered. Raises ServiceUnavailable if another `up` has the ledger."""

    def __init__(self, state_dir: Path, redis_url: str, namespace: str, sandbox_url: str) -> None:
        self._path, self._sandbox_url = _path(state_dir, redis_url, namespace), sandbox_url
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+")
        if not locked(self._file, LOOK_S):
            self._file.close()
            raise ServiceUnavailable("another `didflow up` has this ledger and a sandbox: use it, or stop it first")
        os.fchmod(self._file.fileno(), 0o600)
        self._file.truncate()
        json.dump({"base_url": self._sandbox_url, "api_key": SANDBOX_KEY}, self._file)
        self._file.flush()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()


def beside_up(settings: Settings) -> Settings:
    """The same settings; where they name no account and a `didflow up` here has their ledger, with its sandbox as `default`."""
    if settings.all_accounts():
        return settings
    try:
        path = _path(settings.state_dir, redis_url(settings), settings.namespace)
    except ServiceUnavailable:
        return settings
    with suppress(OSError, ValueError, KeyError, TypeError), path.open() as file:
        if not _is_held(file):
            return settings
        told = json.load(file)
        return settings.model_copy(update={"wavix_api_key": SecretStr(told["api_key"]), "wavix_base_url": str(told["base_url"])})
    return settings


def _is_held(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _path(state_dir: Path, url: str, namespace: str) -> Path:
    digest = hashlib.sha256(f"{url}\0{namespace}".encode()).hexdigest()[:16]
    return state_dir / f"up-{digest}.json"
