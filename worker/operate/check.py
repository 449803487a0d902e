"""What the doctor says of one thing."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, and, if it isn't well, what to do."""

    name: str
    verdict: Verdict
    message: str
