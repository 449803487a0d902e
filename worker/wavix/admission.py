"""Who stands before every request: says when it may go, and hears how it went. `worker.runtime.admission` has the real one."""

from dataclasses import dataclass
from typing import Literal, Protocol

from worker.contract.provider import NotNow


@dataclass(frozen=True)
class Leave:
    """Leave to send one request, now. `moment_us` names it when its fate is told.

    probe    the provider is taken for dead, and this request finds out whether it lives: a read, whatever was to be sent
    watched  there was trouble lately: tell also that it went well
    """

    moment_us: int = 0
    probe: bool = False
    watched: bool = False


@dataclass(frozen=True)
class Heard:
    """How a request went, as far as the next ones are concerned. `retry_after_s` is what the provider asked for, if it did."""

    what: Literal["fine", "limited", "down"]
    retry_after_s: float | None = None
    words: str = ""


class NotAdmitted(Exception):
    """The request was not sent, and how long that may last."""

    def __init__(self, answer: NotNow) -> None:
        super().__init__(answer.reason.value)
        self.answer = answer


class Admission(Protocol):
    """The gate of one account. `ask` may sleep for a few seconds."""

    def ask(self) -> Leave:
        """Raises NotAdmitted."""
        ...

    def tell(self, leave: Leave, heard: Heard) -> None:
        """Say how the request went that had this leave."""
        ...


class Free:
    """Everything goes at once, and nobody listens: for one client alone."""

    def ask(self) -> Leave:
        return Leave()

    def tell(self, leave: Leave, heard: Heard) -> None:
        """Forget it."""
