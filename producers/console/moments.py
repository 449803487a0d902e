"""Times that people type into forms."""

from datetime import UTC, datetime

from didflow.terminal import options as given


def past_moment(text: str, name: str) -> datetime | None:
    """A time that has passed, in UTC unless it has its own zone; or a span before now (``2h``). '' is None. Raises InvalidRequest."""
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return given.past_moment(text.strip(), name)
    return given.past_moment((found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat(), name)
