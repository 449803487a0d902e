"""US dollars as `Decimal`, never as a float: a fee of 0.1 must stay 0.1."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

#: A text such as 1e999999999 is short, and written out it would fill the memory.
MOST_DIGITS, MOST_PLACES = 12, 30


def parse_usd(value: object) -> Decimal:
    """Read an amount from a `Decimal`, an `int`, or a text such as ``"1.50"``; not negative, finite.

    Raises ValueError with the next step; a float is refused because it isn't the number that was written.
    """
    if isinstance(value, float):
        raise ValueError(f'a float is not exact money: write it as text, "{value}", or as Decimal("{value}")')
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError('an amount in USD is a text such as "1.50", an int or a Decimal')
    try:
        amount = Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        raise ValueError(f'{str(value)[:40]!r} is not an amount in USD: write a text such as "1.50"') from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"an amount in USD is zero or more and finite, not {str(amount)[:40]}")
    if amount and not -MOST_PLACES <= int(amount.as_tuple().exponent) <= amount.adjusted() < MOST_DIGITS:
        raise ValueError(f"an amount in USD has at most {MOST_DIGITS} digits before the point and {MOST_PLACES} after it")
    return amount


#: An amount in USD, zero or more. In JSON it is a string, so that no reader makes a float of it.
Usd = Annotated[
    Decimal,
    BeforeValidator(parse_usd),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?$", "description": "amount in USD", "examples": ["1.50"]}),
]
