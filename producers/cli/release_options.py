"""Options that say when a release takes effect, and what happens until then."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from didflow.contract.destinations import Destination
from didflow.contract.release_timing import RENEWAL_MARGIN
from didflow.contract.requests import Release
from didflow.terminal import options as given

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        help="when to release: a time with zone, 2h from now, or a date (after that day has ended in every time zone)",
        show_default=False,
    ),
]
Grace = Annotated[
    str | None,
    typer.Option(
        "--grace", help="the numbers are released this long after `--at` (36h, 7d); until then all can be restored", show_default=False
    ),
]
BeforeRenewal = Annotated[
    str | None,
    typer.Option(
        "--before-renewal",
        help="release no earlier than this (24h) before the renewal; a date counts from its earliest moment",
        show_default=False,
    ),
]
Park = Annotated[
    list[str] | None, typer.Option("--park", help="where calls go during the grace period: sip:…, pstn:… or trunk:…", show_default=False)
]
Reusable = Annotated[bool, typer.Option("--reusable", help="parked numbers may be assigned to `didflow buy --reuse`")]
IgnoreCalls = Annotated[bool, typer.Option("--ignore-calls", help="release numbers even if they receive calls during the grace period")]

_DATE = re.compile(r"^\d{4}-\d\d-\d\d$")


@dataclass(frozen=True)
class GracePeriod:
    """When the numbers are released, and what happens to them until then."""

    at: At = None
    grace: Grace = None
    before_renewal: BeforeRenewal = None
    park: Park = None
    ignore_calls: IgnoreCalls = False
    reusable: Reusable = False

    def times(self) -> dict[str, Any]:
        """The times that were given, as fields of a Release. Raises InvalidRequest."""
        when = self.at if self.at is None or _DATE.match(self.at) else given.moment(self.at, "at")
        found = {"at": when, "grace": self.grace, "before_renewal": self.before_renewal}
        return {name: value for name, value in found.items() if value is not None}

    def parking(self) -> tuple[Destination, ...]:
        """Where calls go until then. Raises InvalidRequest."""
        return given.destinations(self.park)


@dataclass(frozen=True)
class CustomerGracePeriod(GracePeriod):
    """The same for a customer who left, who may come back."""

    grace: Grace = "7d"


def in_words(request: Release) -> str:
    """When they go, for the question."""
    parts = [f"at {request.at:%Y-%m-%d %H:%M %Z}"] if request.at else []
    parts += [f"after {request.grace}"] if request.grace else []
    parts += [f"{request.before_renewal or RENEWAL_MARGIN} before they renew"] if request.before_renewal is not None else []
    return ": " + ", ".join(parts) if parts else " now: somebody else may get them"
