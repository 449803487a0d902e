"""How long to wait before something is tried or checked again."""

import zlib

#: Doubling ends by then, whatever the limit: a larger power doesn't fit into a float.
_MOST_DOUBLINGS = 60


def doubling_s(first_s: float, last_s: float, times: int) -> float:
    """The wait after the `times`-th failure in a row (from 1): `first_s`, doubled with each further one, at most `last_s`."""
    return min(last_s, first_s * 2.0 ** min(_MOST_DOUBLINGS, max(0, times - 1)))


def jittered_s(delay_s: float, draw: float, *, earlier: float = 0.25) -> float:
    """The delay, moved by chance within half of itself, so that what began together doesn't continue together.

    `draw`: 0 to 1, at random. `earlier`: the part of the delay by which it is shortened at most; it is lengthened by the rest of the half.
    """
    return delay_s * (1 - earlier + draw / 2)


def draw_for(*parts: object) -> float:
    """A draw (0 to 1) that is the same whenever it is requested with the same parts, for a step that may be repeated."""
    return zlib.crc32(":".join(map(str, parts)).encode()) / 2**32
