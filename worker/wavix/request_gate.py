"""The gate before every request: says when it may be sent, and records how it went. `worker.attempt.rate_limiter` has the real one."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, Protocol

from didflow.contract.provider import NotNow


@dataclass(frozen=True)
class Leave:
    """Leave to send one request, now. `moment_us` names it when its outcome is recorded.

    probe    the provider is taken for dead, and this request determines whether it lives: a read, whatever was to be sent
    watched  there was trouble lately: record success too
    good_for_s  a request that is sent later than this from now on could meet the next one
    """

    moment_us: int = 0
    probe: bool = False
    watched: bool = False
    good_for_s: float = float("inf")


@dataclass(frozen=True)
class Heard:
    """How a request went, as far as the next ones are concerned. `retry_after_s` is what the provider requested, if it did."""

    what: Literal["fine", "limited", "down"]
    retry_after_s: float | None = None
    words: str = ""


class NotAdmitted(Exception):
    """The request was not sent, and how long that may last."""

    def __init__(self, answer: NotNow) -> None:
        super().__init__(answer.reason.value)
        self.answer = answer


class Patience(Protocol):
    """How long the calls of one piece of work wait for their moment in their threads. Several threads may ask it."""

    def left_s(self, waited_s: float) -> float:
        """How much longer a call may wait that has waited this long; 0 or less: no longer. May be infinite."""
        ...

    def admitted(self) -> None:
        """A call may go."""
        ...


#: That of the work that the current thread does; None: every call waits a few seconds.
patience: ContextVar[Patience | None] = ContextVar("patience", default=None)


@contextmanager
def with_patience(one: Patience) -> Iterator[None]:
    """The calls within wait as it says."""
    before = patience.set(one)
    try:
        yield
    finally:
        patience.reset(before)


class Admission(Protocol):
    """The gate of one account. `ask` may sleep for a few seconds, or as long as the `patience` says."""

    def ask(self) -> Leave:
        """Raises NotAdmitted."""
        ...

    def record(self, leave: Leave, heard: Heard) -> None:
        """Record how the request with this leave went."""
        ...

    def waits(self) -> bool:
        """Whether a call that the provider refused for its rate may be repeated: `ask` then returns when the provider's pause is over."""
        ...


class Free:
    """No rate limit and no reports: for a single client."""

    def ask(self) -> Leave:
        return Leave()

    def record(self, leave: Leave, heard: Heard) -> None:
        """Forget it."""

    def waits(self) -> bool:
        return False
