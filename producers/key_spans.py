"""Durations of API keys, as people type them."""

from datetime import timedelta

from didflow.contract.errors import InvalidRequest
from didflow.contract.time_values import read_span

#: A key that is rotated is valid for this long beside the new one.
OVERLAP = "24h"
LONGEST = timedelta(days=36_500)


def expiry(text: str | None) -> timedelta | None:
    """How long a secret is valid; None without a text. Raises InvalidRequest."""
    return None if text is None else _span("expires", text)


def overlap(text: str) -> timedelta:
    """How long the old secret is valid beside the new one; ``0s``: not at all. Raises InvalidRequest."""
    return _span("overlap", text)


def _span(name: str, text: str) -> timedelta:
    try:
        span = read_span(text)
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}", ((name, str(error)),)) from None
    if span is None or not timedelta(0) <= span <= LONGEST or (name == "expires" and not span):
        what = f"{text[:40]!r} is no duration: write 90s, 10m, 2h or 7d"
        raise InvalidRequest(f"{name}: {what}", ((name, what),))
    return span
