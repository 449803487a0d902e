"""The one reader of each kind of simple value that the provider gives, within the contract's bounds. None for what isn't one.

No number is computed with before it is known to be short: to write ``1e99999999`` out as an integer takes minutes, in which no other
thread runs.
"""

from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import lru_cache

from didflow.contract.money import MOST_DIGITS, MOST_PLACES

#: The largest id and count that the contract's int64 allows.
INT64_MAX = 2**63 - 1
_MAX_CHARS = 40
#: No name, address or label is longer.
MAX_TEXT_CHARS = 4096
#: E.164 has at most 15 digits; a few more are let through, because what the provider sells is a number.
MAX_PHONE_DIGITS = 18


def whole(value: object, least: int = 0, most: int = INT64_MAX) -> int | None:
    """A whole number within these bounds, from 4, "4" or 4.0."""
    if type(value) is int:  # As nearly all are.
        return value if least <= value <= most else None
    amount = _decimal(value)
    if amount is None or amount.adjusted() > 19 or amount != amount.to_integral_value():
        return None
    return int(amount) if least <= amount <= most else None


def whole_up(value: object) -> int | None:
    """A whole number that isn't negative, from a number that may have a fraction: the next one above it."""
    if type(value) is int:
        return value if 0 <= value <= INT64_MAX else None
    amount = _decimal(value)
    if amount is None or not 0 <= amount <= INT64_MAX:
        return None
    return int(amount.to_integral_value(ROUND_CEILING))


def usd(value: object) -> Decimal | None:
    """An amount within what the contract's `Usd` holds; it may be below zero."""
    amount = _decimal(value)
    if amount is None or amount.adjusted() >= MOST_DIGITS:
        return None
    return amount


def text(value: object) -> str | None:
    """A text, a number or a boolean as text; "" for null."""
    if value is None:
        return ""
    shown = str(value) if isinstance(value, str | int | Decimal) else None
    return shown if shown is not None and len(shown) <= MAX_TEXT_CHARS else None


def phone_digits(value: object) -> str | None:
    """The digits of a phone number, without a plus."""
    digits = (text(value) or "").removeprefix("+")
    return digits if digits.isascii() and digits.isdecimal() and len(digits) <= MAX_PHONE_DIGITS else None


def _decimal(value: object) -> Decimal | None:
    """A finite number that isn't long, neither in digits nor written out."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    if (isinstance(value, str) and len(value) > _MAX_CHARS) or (isinstance(value, int) and value.bit_length() > 128):
        return None
    return _of_text(value) if isinstance(value, str) else _within_bounds(Decimal(value))


@lru_cache(1024)
def _of_text(value: str) -> Decimal | None:
    """Fees and such, of which a list has few different ones."""
    try:
        return _within_bounds(Decimal(value.strip()))
    except InvalidOperation:
        return None


def _within_bounds(amount: Decimal) -> Decimal | None:
    if not amount.is_finite():
        return None
    if not amount:
        return Decimal(0)  # 0e99999 is zero too, and as long when it is written out.
    return amount if int(amount.as_tuple().exponent) >= -MOST_PLACES and amount.adjusted() <= _MAX_CHARS else None
