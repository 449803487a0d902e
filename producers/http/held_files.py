"""Files of documents that jobs are about to upload: in the memory of the server that took them, and nowhere else."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from didflow.client.aio.client import AsyncDidflow
from didflow.contract.errors import DidflowError, JobNotFound
from didflow.contract.states import REPORTED
from didflow.ledger.document_transfer import Question, answer_questions
from producers.ended_tasks import end
from producers.http.problems import Refused

log = structlog.stdlib.get_logger("didflow.http")

#: How many files a server has at most, and how many bytes they have together.
MOST_FILES, MOST_BYTES = 100, 100_000_000
#: How long a file waits for its job.
KEPT_S = 600.0
#: How long a Redis that is away is left alone.
AGAIN_S = 0.5
#: When to send a file again that there was no room for.
ROOM_S = 5


@dataclass(frozen=True)
class _Held:
    """The file of a job. Its content is in no `repr`."""

    sha256: str
    content: bytes = field(repr=False)
    until_s: float


class HeldFiles:
    """The files of one server. It answers the workers that ask for them."""

    def __init__(
        self, didflow: AsyncDidflow, *, most_files: int = MOST_FILES, most_bytes: int = MOST_BYTES, kept_s: float = KEPT_S
    ) -> None:
        self._didflow, self._most_files, self._most_bytes, self._kept_s = didflow, most_files, most_bytes, kept_s
        self._held: dict[str, _Held] = {}
        self._coming: list[int] = []  #: the sizes of files whose jobs are being submitted
        self._answering: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._held)

    @contextmanager
    def room_for(self, size_bytes: int) -> Iterator[None]:
        """Keep room for a file while its job is submitted. Raises Refused (503) if there is none."""
        sizes = [*(len(one.content) for one in self._held.values()), *self._coming, size_bytes]
        if len(sizes) > self._most_files or sum(sizes) > self._most_bytes:
            what = "too many files wait for their jobs on this server: send this one again a little later; nothing was submitted"
            raise Refused(503, "files_waiting", what, headers={"Retry-After": str(ROOM_S)}, retryable=True)
        self._coming.append(size_bytes)
        try:
            yield
        finally:
            self._coming.remove(size_bytes)

    def hold(self, job_id: str, sha256: str, content: bytes) -> None:
        """Have the file ready for this job until it has ended, or the time is over."""
        self._held[job_id] = _Held(sha256, content, asyncio.get_running_loop().time() + self._kept_s)
        if self._answering is None:
            self._answering = asyncio.create_task(self._answer())

    async def aclose(self) -> None:
        """Forget the files and answer no more."""
        self._held.clear()
        if self._answering is not None:
            await end([self._answering])

    async def _answer(self) -> None:
        while True:
            try:
                await answer_questions(self._didflow.ledger, self.content_of, self.forget_ended)
            except DidflowError as error:
                log.warning("http.files_unheard", error=error.code)
            except Exception as error:
                log.exception("http.files_failed", error=type(error).__name__)
            await asyncio.sleep(AGAIN_S)
            self._forget_old()

    def content_of(self, question: Question) -> bytes | None:
        """The whole file that a worker asks for; None if it isn't here, or not any more."""
        self._forget_old()
        found = self._held.get(question.job_id)
        return found.content if found is not None and found.sha256 == question.sha256 else None

    def _forget_old(self) -> None:
        now_s = asyncio.get_running_loop().time()
        for job_id in [job_id for job_id, one in self._held.items() if one.until_s <= now_s]:
            del self._held[job_id]
            log.warning("http.file_expired", job_id=job_id)

    async def forget_ended(self) -> None:
        """Forget the files of jobs that have ended or are parked: neither sends anything any more."""
        self._forget_old()
        for job_id in list(self._held):
            try:
                has_ended = (await self._didflow.get(job_id)).state in REPORTED
            except JobNotFound:
                has_ended = True
            if has_ended:
                self._held.pop(job_id, None)
