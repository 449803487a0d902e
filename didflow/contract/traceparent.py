"""W3C trace context: which request of another system a job belongs to."""

import re

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII | re.DOTALL)


def read_traceparent(text: object) -> str | None:
    """The `traceparent` in the form of version 00; None for what the specification says to ignore.

    That is: another form, version ff, more than the four fields in version 00, a trace id or a parent id of zeros. Of a later version the
    four known fields are kept, and of its flags the one that is known (sampled).
    """
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None) or not trace_id.strip("0") or not parent_id.strip("0"):
        return None
    return f"00-{trace_id}-{parent_id}-{flags if version == '00' else f'{int(flags, 16) & 1:02x}'}"
