"""What can be filtered and sorted of the mirror's numbers, in columns of fixed width: a list reads them all, and only its page's records.

A number's line lies in a text of `PER_SEGMENT` lines, so that a script can replace a part of it. All values are written so that texts
sort as what they mean; names are digests, of which two alike are rarer than one in ten million, and a page's records are checked.
`inventory_search` finds lines by them.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from didflow.contract.countries import iso_code_of
from didflow.contract.destinations import Route
from didflow.ledger.inventory_rows import Row

#: In the order of ASCII.
DIGITS = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_VALUES = {digit: value for value, digit in enumerate(DIGITS)}
#: As in include/inventory.lua.
PER_SEGMENT = 512
#: Column and its width, in the order of a line. `seen` and `missed` are moments, ms.
WIDTHS = {
    "number": 16,
    "seen": 7,
    "missed": 7,
    "active": 1,
    "status": 6,
    "country": 6,
    "city": 6,
    "label": 6,
    "first": 12,
    "second": 12,
    "sms": 1,
    "callback": 6,
    "monthly_usd": 5,
    "setup_usd": 5,
    "channels": 3,
    "paid_until": 6,
    "added": 6,
    "seconds": 5,
    "unused_since": 6,
}
PLACES: dict[str, slice] = {}
for _name, _width in WIDTHS.items():
    _begin = max((place.stop for place in PLACES.values()), default=0)
    PLACES[_name] = slice(_begin, _begin + _width)
#: With the line break behind it.
LINE = sum(WIDTHS.values()) + 1
NAME = 6
#: Stands in the column of the second destination for one and all after it: their names are in the record alone.
MORE = "+" * 2 * NAME
#: Amounts are kept to a hundredth of a cent.
_USD = Decimal(10_000)
#: Lines of a group of parts that a job confirms.
COLUMNS_OF = {"r": ("first", "second", "callback"), "s": ("sms",), "d": ("active", "status")}


def number_code(value: int, width: int) -> str:
    """A whole number in `width` digits of base 64; one that is too large counts as the largest."""
    left = min(max(0, value), 64**width - 1)
    digits = []
    for _ in range(width):
        left, digit = divmod(left, 64)
        digits.append(DIGITS[digit])
    return "".join(reversed(digits))


def number_of(code: str) -> int:
    """0 for what is none."""
    value = 0
    for digit in code:
        value = value * 64 + _VALUES.get(digit, 0)
    return value


def name_code(text: str) -> str:
    """The digest of a name; of the empty one its own."""
    if not text:
        return DIGITS[0] * NAME
    digest = int.from_bytes(hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()[:8])
    return number_code(digest % (64**NAME - 1) + 1, NAME)


def country_name(text: str) -> str:
    return iso_code_of(text) or text.casefold()


def usd_code(amount: Decimal, width: int) -> str:
    return number_code(int((amount * _USD).to_integral_value()), width)


def usd_of(code: str) -> Decimal:
    return Decimal(number_of(code)) / _USD


def time_code(moment: datetime | None) -> str:
    """Seconds, 0 where it isn't known."""
    return number_code(int(moment.timestamp()) if moment else 0, 6)


def count_code(value: int | None, width: int) -> str:
    """One more than it is; 0 where it isn't known."""
    return number_code(0 if value is None else value + 1, width)


def route_columns(route: Route, sms_relay_url: str | None) -> dict[str, str]:
    codes = [name_code(str(one).casefold()) + name_code(one.destination.casefold()) for one in route[:2]]
    codes += [DIGITS[0] * 2 * NAME] * (2 - len(codes))
    return {"first": codes[0], "second": MORE if len(route) > 2 else codes[1], "callback": name_code(sms_relay_url or "")}


def columns(row: Row, seen_ms: int, missed_ms: int) -> dict[str, str]:
    owned = row.owned
    return {
        "number": owned.number[:16].ljust(16),
        "seen": number_code(seen_ms, 7),
        "missed": number_code(missed_ms, 7),
        "active": "y" if owned.is_active else "n",
        "status": name_code(owned.status.casefold()),
        "country": name_code(country_name(owned.country_iso_code)),
        "city": name_code(owned.city.casefold()),
        "label": name_code(owned.label or ""),
        **route_columns(owned.route, owned.sms_relay_url),
        "sms": "y" if owned.sms_enabled else "n",
        "monthly_usd": usd_code(owned.monthly_usd, 5),
        "setup_usd": usd_code(owned.setup_usd, 5),
        "channels": count_code(owned.channels, 3),
        "paid_until": time_code(owned.paid_until),
        "added": time_code(owned.added),
        "seconds": count_code(None if owned.seconds_unread else owned.seconds, 5),
        "unused_since": number_code(row.unused_since_ms // 1000, 6),
    }


def line_of(row: Row, seen_ms: int, missed_ms: int = 0) -> str:
    """With its line break."""
    found = columns(row, seen_ms, missed_ms)
    return "".join(found[name] for name in WIDTHS) + "\n"


def patch(found: Mapping[str, str]) -> list[tuple[int, str]]:
    """Columns as a script writes them: where in the line, and what."""
    return [(PLACES[name].start, text) for name, text in found.items()]


def number_in(line: str) -> str:
    return line[:16].rstrip()


def seen_ms_in(line: str) -> int:
    return number_of(line[PLACES["seen"]])


def missed_ms_in(line: str) -> int:
    return number_of(line[PLACES["missed"]])


def has_more(line: str) -> bool:
    """Whether the number has more destinations than columns."""
    return line[PLACES["second"]] == MORE
