"""Options that several commands share, and how their texts are read."""

import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from pydantic import ValidationError

from didflow.contract.destinations import Destination
from didflow.contract.errors import InvalidRequest
from didflow.contract.time_values import OUT_OF_BOUNDS, bounded, later, read_span
from didflow.contract.validation import invalid
from didflow.ledger.script_calls import label_faults
from didflow.terminal import completion


def no_nan(seconds: float | None) -> float | None:
    """NaN is neither less than the least nor more than the most, so click lets it through."""
    if seconds is not None and math.isnan(seconds):
        raise typer.BadParameter("nan is not a number of seconds")
    return seconds


Json = Annotated[bool, typer.Option("--json", help="print one JSON document and nothing else")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="change nothing: show what would be done and what it would cost")]
Key = Annotated[
    str | None, typer.Option("--key", help="idempotency key: the same key with the same request is the same job", show_default=False)
]
Reference = Annotated[str | None, typer.Option(help="your own reference (a customer, an order), to find the job by", show_default=False)]
AccountName = Annotated[str, typer.Option("--account", help="the account to act for")]
Priority = Annotated[int, typer.Option(help="0 (first) to 9, within a lane")]
NotBefore = Annotated[
    str | None, typer.Option(help="don't start before: 2026-12-01T08:00+01:00, or 90s, 10m, 2h, 3d from now", show_default=False)
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="wait until the job ends, and show it")]
Timeout = Annotated[float, typer.Option(min=0, callback=no_nan, help="seconds to wait at most; the job continues after that")]
Reason = Annotated[str | None, typer.Option(help="why, for `didflow audit`", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="don't ask for confirmation")]
To = Annotated[
    list[str] | None,
    typer.Option("--to", help="sip:user@host, pstn:+13235550142 or trunk:144; may be repeated; tried in this order", show_default=False),
]
Numbers = Annotated[list[str] | None, typer.Option("--number", "-n", help="a number in E.164 form; may be repeated", show_default=False)]
NumbersFile = Annotated[
    Path | None,
    typer.Option("--numbers-file", "--numbers", help="a file with one number per line; - reads stdin", show_default=False),
]
RecordIds = Annotated[
    list[int] | None, typer.Option("--record-id", help="a record id of the provider; may be repeated", show_default=False)
]
FromTrunk = Annotated[int | None, typer.Option(help="all numbers routed to this SIP trunk", show_default=False)]
FromDestination = Annotated[str | None, typer.Option(help="all numbers routed to this destination", show_default=False)]
Label = Annotated[str | None, typer.Option(help="all numbers with this label", show_default=False)]
Country = Annotated[
    str | None,
    typer.Option(help="all numbers of this country (ISO code)", show_default=False, autocompletion=completion.countries),
]
City = Annotated[str | None, typer.Option(help="all numbers of this city", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="all numbers of the account")]
ProtectedLabels = Annotated[
    list[str] | None, typer.Option("--protected-label", help="skip numbers with this label; may be repeated", show_default=False)
]
ExpectedCount = Annotated[int | None, typer.Option(help="refuse unless exactly this many numbers are selected", show_default=False)]

#: Ten times what 100,000 numbers take up. What is endless, such as /dev/zero, ends here.
MOST_CHARACTERS = 16_000_000

T = TypeVar("T")
MaxFraction = Annotated[
    float | None, typer.Option("--max-fraction", help="refuse if more than this share of the account is selected", show_default=False)
]
Canary = Annotated[
    int | None, typer.Option("--canary", help="move this many first; continue only when they are confirmed", show_default=False)
]
ReadRoutes = Annotated[
    bool, typer.Option("--read-routes", help="read all present routes first; otherwise those of a selector come from a recent inventory")
]
BackTo = Annotated[
    str | None,
    typer.Option(
        "--back-to",
        help="each number's own route of that moment, instead of --to: 2h (ago), or a time",
        show_default=False,
    ),
]
Deadline = Annotated[
    str | None, typer.Option("--deadline", help="send nothing after this time: 120s, 10m, or a time with zone", show_default=False)
]
WaitByDefault = Annotated[bool, typer.Option("--wait/--no-wait", "-w", help="wait until the job ends, and show it")]


def together(*builders: Callable[[], Any]) -> tuple[Any, ...]:
    """What they return. Raises one InvalidRequest with the faults of all of them."""
    built: list[Any] = []
    faults: list[tuple[str, str]] = []
    for build in builders:
        try:
            built.append(build())
        except ValidationError as error:
            faults += invalid(error).faults
        except InvalidRequest as error:
            faults += error.faults
    if faults:
        raise InvalidRequest("; ".join(f"{where}: {what}" for where, what in faults), tuple(faults))
    return tuple(built)


def tried(build: Callable[[], T], instead: T) -> tuple[T, Callable[[], T]]:
    """What it returns, or `instead` of it; and a builder that gives `together` the same, or the reason why there is none."""
    try:
        built = build()
    except ValidationError as error:
        return instead, partial(_raised, invalid(error))
    except InvalidRequest as error:
        return instead, partial(_raised, error)
    return built, lambda: built


def _raised(error: InvalidRequest) -> NoReturn:
    raise error


def refuse(where: str, what: str) -> None:
    """Raises InvalidRequest with this one fault."""
    raise InvalidRequest(f"{where}: {what}", ((where, what),))


def labels(key: str | None, reference: str | None, account: str, priority: int = 5) -> None:
    """Raises InvalidRequest if one of them can't go along with a request."""
    if faults := label_faults(key, reference, account, priority):
        raise InvalidRequest("; ".join(f"{where}: {what}" for where, what in faults), tuple(faults))


def moment(text: str | None, name: str) -> datetime | None:
    """A time with zone, or a span from now. Raises InvalidRequest."""
    if text is None:
        return None
    try:
        if (span := read_span(text)) is not None and span >= timedelta(0):
            return later(datetime.now(UTC), span)
        return bounded(datetime.fromisoformat(text))
    except ValueError as error:
        what = f"{text[:40]!r} is no time: write 90s, 10m, 2h, 3d, or a time with its zone such as 2026-12-01T08:00+01:00"
        what = f"{text[:40]!r}: {error}" if str(error) == OUT_OF_BOUNDS else what
        raise InvalidRequest(f"{name}: {what}", ((name, what),)) from None


def past_moment(text: str, name: str) -> datetime:
    """A time that has passed, in this machine's zone unless it has its own; or a span before now. Raises InvalidRequest."""
    try:
        if text == "now":
            return datetime.now(UTC)
        if (span := read_span(text)) is not None and span >= timedelta(0):
            return later(datetime.now(UTC), -span)
        read = datetime.fromisoformat(text)
        return bounded(read if read.tzinfo else read.astimezone())
    except (ValueError, OverflowError, OSError) as error:
        what = f"{text[:40]!r} is no time: write now, 10m, 2h or 3d (ago), or a time such as 2026-12-01T08:00 or 2026-12-01T08:00+01:00"
        what = f"{text[:40]!r}: {error}" if str(error) == OUT_OF_BOUNDS else what
        raise InvalidRequest(f"{name}: {what}", ((name, what),)) from None


def destinations(texts: list[str] | None) -> tuple[Destination, ...]:
    """Destinations in the order of their priority. Raises InvalidRequest."""
    return together(*(partial(_destination, text, priority) for priority, text in enumerate(texts or (), 1)))


def _destination(text: str, priority: int) -> Destination:
    try:
        return Destination.parse(text, priority=priority)
    except InvalidRequest as error:
        what = "; ".join(fault for _, fault in error.faults)
    raise InvalidRequest(f"to: {what}", (("to", what),))


def file_text(file: Path) -> str:
    """A file's text; `-` is stdin. Raises OSError, or ValueError if it isn't UTF-8 or is longer than any input of a command."""
    if str(file) == "-":
        text = sys.stdin.read(MOST_CHARACTERS + 1)
    else:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(MOST_CHARACTERS + 1)
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"is longer than {MOST_CHARACTERS} characters")
    return text


def listed_numbers(numbers: list[str] | None, file: Path | None) -> tuple[str, ...]:
    """Numbers from options (comma lists too) and from a file; lines may hold comments after #. Raises InvalidRequest."""
    texts = list(numbers or ())
    if file is not None:
        try:
            texts += file_text(file).splitlines()
        except (OSError, ValueError) as error:
            what = f"{file} can't be read ({type(error).__name__})"
            raise InvalidRequest(what, (("numbers_file", what),)) from None
    return tuple(one.strip() for text in texts for one in text.partition("#")[0].split(",") if one.strip())
