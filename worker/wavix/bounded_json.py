"""Reading a JSON text of which nothing is believed: bounded in size, depth, values and digits, and no key stands for two values."""

import json
from collections.abc import Callable
from decimal import Decimal
from functools import cache

#: More values than any page of a list has. A value takes up to half a kilobyte while it is read, so an answer takes up to 50 MB.
MAX_VALUES = 100_000
#: The contract's deepest answer has six levels.
MAX_DEPTH = 32
#: A longer number is kept as text: to make an integer of a million digits would hold the interpreter for minutes.
MAX_NUMBER_CHARS = 40


#: Control characters (C0, DEL, C1) and those that change the direction of text. A line break or a tab is a space.
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\N{REPLACEMENT CHARACTER}")
_CONTROLS |= dict.fromkeys(map(ord, "\t\n\r"), " ")


class _TooDeep(ValueError):
    """Nested deeper than any answer of the contract."""


def read_json(body: bytes, clean: Callable[[str], str] = str) -> object:
    """The value; None if it isn't JSON in UTF-8, or too much of it. `clean` is applied to every text and every name in it.

    Numbers with a point or an exponent are Decimal: money never passes through a float. An object that has a name twice reads as an
    empty one: which of the two values is meant isn't known. NaN and Infinity, which JSON doesn't have, read as texts.
    Control characters in a text are replaced: here, where all that the provider says comes in.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        return None
    try:
        value = json.loads(
            body.decode("utf-8-sig"), parse_float=_decimal, parse_int=_integer, parse_constant=str, object_pairs_hook=_each_name_once
        )
        # The names of a list's records, and many texts in them, are the same: each is cleaned once.
        return _cleaned(value, cache(lambda text: visible(clean(_encodable(text)))), MAX_DEPTH)
    except (ValueError, RecursionError):
        return None


def _decimal(text: str) -> Decimal | str:
    return Decimal(text) if len(text) <= MAX_NUMBER_CHARS else text


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= MAX_NUMBER_CHARS else text


def _each_name_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else {}


def _cleaned(value: object, clean: Callable[[str], str], levels: int) -> object:
    if isinstance(value, str):
        return clean(value)
    if not isinstance(value, list | dict):
        return value
    if levels == 0:
        raise _TooDeep
    if isinstance(value, list):
        return [_cleaned(one, clean, levels - 1) for one in value]
    # Without a call for each number, which most values of a page are.
    return {clean(name): _cleaned(one, clean, levels - 1) if isinstance(one, str | list | dict) else one for name, one in value.items()}


def visible(text: str) -> str:
    """Without control characters, which would reach terminals and logs as commands: escapes, line breaks, changes of direction."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def _encodable(text: str) -> str:
    """Without half of a surrogate pair, which JSON can write and UTF-8 can't."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
