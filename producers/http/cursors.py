"""Cursors of lists: opaque to a client, and refused where they aren't ours."""

import base64
import binascii
import json
from typing import Any, NoReturn

from producers.http.problems import ProblemFault, Refused


def cursor_of(*parts: str | int) -> str:
    """A place in a list as a text for a URL."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def parts_of(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """The parts of a cursor of ours. Raises Refused (422)."""
    try:
        parts = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        foreign()
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        foreign()
    if any(isinstance(part, int) and not 0 <= part < 2**53 for part in parts):
        foreign()
    return tuple(parts)


def foreign() -> NoReturn:
    """Raises Refused (422)."""
    what = "is no cursor of this list: leave it out to begin with the newest"
    fault = ProblemFault(detail=what, code="value_error", next_step="leave it out to begin with the newest", parameter="cursor")
    raise Refused(422, "invalid_request", f"cursor: {what}", faults=(fault,))
