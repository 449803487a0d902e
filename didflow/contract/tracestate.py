"""W3C tracestate: what the systems of a trace know of it, beside its `traceparent`."""

import re
from collections.abc import Sequence

#: List members that one may have; one with more is ignored.
MOST_MEMBERS = 32
#: Characters that are kept. Of a longer one members go: those longer than `LONG_MEMBER` first, then those at its end, the oldest ones.
MOST_CHARACTERS, LONG_MEMBER = 512, 128
#: Characters that are looked at, at most: each member may have 513.
_MOST_READ = MOST_MEMBERS * 600

_KEY = r"[a-z0-9][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
_MEMBER = re.compile(rf"({_KEY})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e])", re.ASCII)


def read_tracestate(*headers: object) -> str | None:
    """The `tracestate` of these headers, joined in their order; None for what the specification says to ignore.

    That is: a member of another form, a key twice, more than 32 members. Spaces around members, and empty members, are left out. What is
    longer than 512 characters is shortened by whole members.
    """
    if not headers or not all(isinstance(one, str) for one in headers):
        return None
    text = ",".join(str(one) for one in headers)
    if len(text) > _MOST_READ:
        return None
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    read = [_MEMBER.fullmatch(member) for member in members]
    keys = {found[1] for found in read if found is not None}
    if not members or len(members) > MOST_MEMBERS or len(keys) < len(members):
        return None
    return _shortened(members) or None


def _shortened(members: Sequence[str]) -> str:
    kept = list(members)
    for longer_than in (LONG_MEMBER, 0):
        for member in reversed(members):
            if len(",".join(kept)) <= MOST_CHARACTERS:
                break
            if member in kept and len(member) > longer_than:
                kept.remove(member)
    return ",".join(kept)
