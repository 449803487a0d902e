"""A folder in memory for a server that flushes every write: the tests stop servers, but don't cut the power."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
#: With less the folder is on the disk: containers often have 64 MB.
FREE_BYTES = 2**30


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder that goes with the block. On the disk where the system has no file system in memory, or a small one."""
    fits = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > FREE_BYTES
    with tempfile.TemporaryDirectory(prefix="didflow-", dir=SHARED_MEMORY if fits else None) as name:
        yield Path(name)
