"""Cursors of lists: opaque to a client, and refused where they aren't ours."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, NoReturn

from pydantic import AfterValidator

from producers.http.problems import ProblemFault, Refused

STEP = "leave it out to begin with the newest"
FOREIGN = f"is no cursor of this list: {STEP}"


def cursor_of(*parts: str | int) -> str:
    """A place in a list as a text for a URL."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def of_parts(*kinds: type) -> AfterValidator:
    """What a parameter has that is a cursor of such parts: its fault is named together with those of the other parameters."""

    def check(cursor: str | None) -> str | None:
        if cursor:
            _parts(cursor, kinds)
        return cursor

    return AfterValidator(check)


def parts_of(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """The parts of a cursor of ours. Raises Refused (422)."""
    try:
        return _parts(cursor, kinds)
    except ValueError:
        foreign()


def foreign() -> NoReturn:
    """Raises Refused (422)."""
    fault = ProblemFault(detail=FOREIGN, code="value_error", next_step=STEP, parameter="cursor")
    raise Refused(422, "invalid_request", f"cursor: {FOREIGN}", faults=(fault,))


def _parts(cursor: str, kinds: Sequence[type]) -> tuple[Any, ...]:
    """Raises ValueError."""
    try:
        parts = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        raise ValueError(FOREIGN) from None
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise ValueError(FOREIGN)
    if any(isinstance(part, int) and not 0 <= part < 2**53 for part in parts):
        raise ValueError(FOREIGN)
    return tuple(parts)
