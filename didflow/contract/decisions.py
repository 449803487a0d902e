"""A decision of a person about something that is no job."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Decision:
    """`what` was done (the command's words) to which `subject`, by whom, when (Redis's clock, UTC)."""

    at: datetime
    what: str
    subject: str
    actor: str
    detail: str = ""
