"""A phone number in its one form: E.164 with the leading plus, such as ``+13235550142``."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Annotated, Any, Literal

import phonenumbers
from pydantic import BeforeValidator, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from didflow.contract.validation import with_more


def parse_e164(text: object) -> str:
    """Return `text` as ``+`` and digits.

    Takes E.164 with or without ``+``, and the usual separators (spaces, dashes, dots, parentheses).
    Raises ValueError, with what is wrong, if the number is not possible in its country's plan.
    """
    if not isinstance(text, str):
        raise ValueError(f"a phone number is a text in E.164 form such as +13235550142, not {type(text).__name__}")
    shown = text[:40]
    try:
        number = phonenumbers.parse("+" + text.strip().removeprefix("+"), None)
    except phonenumbers.NumberParseException as error:
        raise ValueError(f"{shown!r} is not a phone number in E.164 form such as +13235550142") from error
    if number.extension or not phonenumbers.is_possible_number(number):
        raise ValueError(f"{shown!r} is not a possible phone number: write country code and subscriber number, such as +13235550142")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def from_provider(digits: str | int) -> str:
    """The provider's form (digits, no plus) as E.164. Not checked: what the provider sells is a number."""
    return "+" + str(digits).strip().removeprefix("+")


def to_provider(e164: str) -> str:
    """E.164 as the provider writes it: digits only."""
    return e164.removeprefix("+")


#: What kind of number is requested.
NumberType = Literal["geographic", "toll_free", "all"]
_KIND = phonenumbers.PhoneNumberType
#: Numbers of no place, by the numbering plans.
_OF_NO_PLACE = frozenset(
    {_KIND.TOLL_FREE, _KIND.SHARED_COST, _KIND.PREMIUM_RATE, _KIND.UAN, _KIND.MOBILE, _KIND.VOIP, _KIND.PERSONAL_NUMBER}
)


def is_of_type(e164: str, wanted: NumberType) -> bool:
    """Whether the number is of that type by its own digits, as its country's numbering plan has it.

    Toll-free is only what lies in a toll-free range. Geographic is what isn't known to be anything else: plans change faster than this.
    """
    if wanted == "all":
        return True
    try:
        kind = phonenumbers.number_type(phonenumbers.parse(e164, None))
    except phonenumbers.NumberParseException:
        return wanted == "geographic"
    return kind == _KIND.TOLL_FREE if wanted == "toll_free" else kind not in _OF_NO_PLACE


#: E.164 with the plus; input is checked and brought into this form.
E164 = Annotated[str, BeforeValidator(parse_e164)]


def _each_once(given: Any, read: ValidatorFunctionWrapHandler) -> tuple[str, ...]:
    try:
        numbers: tuple[str, ...] = read(given)
    except ValidationError as error:
        raise with_more(error, _twice(_readable(given) if isinstance(given, list | tuple) else ())) from None
    if faults := tuple(_twice(numbers)):
        raise with_more(None, faults)
    return numbers


def _twice(numbers: Iterable[str]) -> Iterator[str]:
    twice = sorted(number for number, count in Counter(numbers).items() if count > 1)
    if twice:
        yield f"listed more than once: {', '.join(twice[:10])}: name each number once"


def _readable(given: Iterable[object]) -> Iterator[str]:
    for text in given:
        with suppress(ValueError):
            yield parse_e164(text)


#: A list of numbers in which each stands once.
NumberList = Annotated[tuple[E164, ...], WrapValidator(_each_once)]
