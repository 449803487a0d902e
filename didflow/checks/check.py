"""The result of one check of the doctor."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """What was checked, how it is, and, if it isn't well, what to do."""

    name: str
    verdict: Verdict
    message: str
