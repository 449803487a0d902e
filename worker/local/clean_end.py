"""Whether an embedded server continues from exactly what the one before it had when it ended: then nothing can be lost.

A server that ended by itself, with exit code 0, has all that it acknowledged on the disk. That is noted outside of its folder, with what
distinguishes its files from copies of them (a restored backup has other inodes and change times) and with the boot of this machine (so that
the note of a machine that was set back doesn't count). Whatever doesn't agree, and every other end, is an ordinary restart.
"""

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

#: Of this folder's files the data are in here.
DATA_FOLDER = "appendonlydir"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def note_clean_end(folder: Path, server: str) -> None:
    """The server of that name, whose data are in this folder, has ended by itself. Best effort: without it the next start is a restart."""
    with suppress(OSError):
        _note_of(folder).write_text(json.dumps([server, _boot(), _files(folder)]))


def server_that_ended(folder: Path) -> str | None:
    """The name of the server whose data these are, all of them; None if that isn't certain. To be asked before the next one starts,
    and once: the note is gone after it."""
    try:
        note = _note_of(folder)
        text = note.read_text()
        note.unlink()
        server, boot, files = json.loads(text)
        return str(server) if [boot, files] == [_boot(), _files(folder)] else None
    except (OSError, ValueError):
        return None


def _note_of(folder: Path) -> Path:
    """Raises OSError where it can't be kept from other users."""
    digest = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:32]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder_of_notes = Path(runtime) / "didflow" if runtime else Path(tempfile.gettempdir()) / f"didflow-{os.geteuid()}"
    folder_of_notes.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder_of_notes.stat().st_uid != os.geteuid():
        raise PermissionError("another user's folder")
    return folder_of_notes / f"ended-{digest}.json"


def _files(folder: Path) -> list[list[int | str]]:
    found = ((one.name, one.stat()) for one in sorted((folder / DATA_FOLDER).iterdir()))
    return [[name, seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns] for name, seen in found]


def _boot() -> str:
    with suppress(OSError):
        return _BOOT.read_text().strip()
    return ""
