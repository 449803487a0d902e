"""A Valkey on a Unix socket that may be another process's child: who it is, whether it runs, and how it is ended."""

import fcntl
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import unquote

import redis

END_WITHIN_S = 20.0


def locked(lock: IO[str], within_s: float) -> bool:
    """Whether this process gets the lock on the file within this many seconds."""
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(0.05)
        else:
            return True


def data_folder(url: str) -> Path | None:
    """Where the server that runs there keeps its data; None if none answers."""
    try:
        client = redis.Redis.from_url(url, socket_timeout=1, decode_responses=True)
        return Path(str(client.config_get("dir")["dir"]))
    except (OSError, ValueError, KeyError, redis.RedisError):
        return None


def server_name(url: str) -> str | None:
    """The server's name as `_server.lua` gives it; None if it doesn't say."""
    try:
        client = redis.Redis.from_url(url, socket_timeout=1, decode_responses=True)
        said = client.info("server") | client.info("replication")
        return f"{said['run_id']}:{said['master_replid']}"
    except (OSError, KeyError, redis.RedisError):
        return None


def shut_down(url: str) -> bool:
    """End a server that isn't this process's child. True if it ended, and wrote all to the disk before that."""
    with suppress(OSError, redis.RedisError):
        redis.Redis.from_url(url, socket_timeout=END_WITHIN_S).shutdown(nosave=True)
    deadline_s = time.monotonic() + END_WITHIN_S
    while is_listening(url) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return not is_listening(url)


def is_listening(url: str) -> bool:
    """Whether a server takes connections there, however busy it is."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(unquote(url.removeprefix("unix://")))
        except TimeoutError:
            return True
        except OSError:
            return False
    return True
