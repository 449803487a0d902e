"""The file of a document, which no record of the job has."""

from collections.abc import Callable
from typing import Protocol


class DocumentFiles(Protocol):
    """Files that an HTTP server took and has in memory."""

    def fetch(self, sha256: str, size_bytes: int, check: Callable[[], None]) -> bytes | None:
        """What a server has as this job's file; None if none has it. The caller compares it with the digest.

        `check` is called again and again meanwhile, and may raise.
        """
        ...

    def pause(self, seconds: float) -> None:
        """Let time pass between two looks at the numbers."""
        ...
