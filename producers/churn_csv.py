"""The churn CSV: who left and who came back, a line each.

The first line names the columns, in any order: ``reference`` and ``event`` (``churned`` or ``returned``), and where wanted ``numbers``
(several with spaces between; none: all that were bought for the reference), ``at``, ``grace``, ``before_renewal``, ``parking``
(``sip:user@host``), ``key``. A field can't hold a line break: so a quote that is never closed breaks its own line and no other.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from didflow.contract.destinations import Destination
from didflow.contract.errors import InvalidRequest

NEEDED = ("reference", "event")
COLUMNS = (*NEEDED, "numbers", "at", "grace", "before_renewal", "parking", "key")


@dataclass(frozen=True)
class ChurnLine:
    """What came of a line (the header is line 1).

    outcome  ``submitted``, ``same`` (was submitted before), ``kept``, ``unclear``, ``partly_gone``, ``gone``, ``nothing``: see `Returned`;
             ``refused`` with `fault`. Of a dry run also ``new`` (would be submitted), ``conflict`` and ``unknown_customer`` with `fault`
    job      the job that has the numbers, or is cancelled; of a dry run perhaps an earlier line (``line 3``)
    gone     numbers of a customer who came back that are no longer ours
    """

    line: int
    reference: str
    event: str
    outcome: str
    job: str | None = None
    gone: tuple[str, ...] = ()
    fault: str | None = None


@dataclass(frozen=True)
class Told:
    """A line that can be read. `terms`: fields of the release that it gives."""

    line: int
    reference: str
    event: str
    numbers: tuple[str, ...]
    terms: Mapping[str, Any]
    key: str | None

    def report(self, outcome: str, *, job: str | None = None, gone: tuple[str, ...] = (), fault: str | None = None) -> ChurnLine:
        return ChurnLine(self.line, self.reference, self.event, outcome, job, gone, fault)


def read_lines(lines: Iterable[str | bytes]) -> Iterator[Told | ChurnLine]:
    """Each line parsed, or refused; empty lines are skipped. Raises InvalidRequest for a header that can't be used."""
    columns: list[str] | None = None
    for count, raw in enumerate(lines, 1):
        try:
            fields = _fields(raw)
        except ValueError as error:
            if columns is None:
                raise _no_header(str(error)) from None
            yield ChurnLine(count, "", "", "refused", fault=str(error))
            continue
        if not any(fields):
            continue
        if columns is None:
            columns = _header(fields)
        else:
            yield _line(count, columns, fields)
    if columns is None:
        raise _no_header("the file is empty")


def _fields(raw: str | bytes) -> list[str]:
    """Raises ValueError with what is wrong."""
    try:
        text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw.removeprefix("\ufeff")
        text = text.rstrip("\r\n")
        if not text.isprintable():
            raise ValueError("holds control characters")
        return [field.strip() for field in next(csv.reader([text], strict=True), [])]
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"can't be read as CSV: {error}") from None


def _header(fields: list[str]) -> list[str]:
    columns = [field.casefold() for field in fields]
    if unknown := [name[:40] for name in columns if name not in COLUMNS]:
        raise _no_header(f"unknown columns {', '.join(map(repr, unknown))}; known are {', '.join(COLUMNS)}")
    if missing := [name for name in NEEDED if name not in columns]:
        raise _no_header(f"column {' and '.join(missing)} is missing")
    if len(set(columns)) != len(columns):
        raise _no_header("a column stands there twice")
    return columns


def _no_header(what: str) -> InvalidRequest:
    return InvalidRequest(f"line 1: {what}", (("line 1", what),))


def _line(count: int, columns: list[str], fields: list[str]) -> Told | ChurnLine:
    found = dict(zip(columns, fields, strict=False))
    reference, event = found.get("reference", ""), found.get("event", "")

    def refused(what: str) -> ChurnLine:
        return ChurnLine(count, reference, event, "refused", fault=what)

    if len(fields) != len(columns):
        return refused(f"has {len(fields)} fields and {len(columns)} columns")
    if not reference:
        return refused("reference: is empty")
    if event not in ("churned", "returned"):
        return refused(f"event: {event[:40]!r} is neither churned nor returned")
    terms: dict[str, Any] = {name: found[name] for name in ("at", "grace", "before_renewal") if found.get(name)}
    try:
        if found.get("parking"):
            terms["parking"] = (Destination.parse(found["parking"]),)
    except InvalidRequest as error:
        return refused("; ".join(f"parking: {what}" for _, what in error.faults))
    return Told(count, reference, event, tuple(found.get("numbers", "").split()), terms, found.get("key") or None)
