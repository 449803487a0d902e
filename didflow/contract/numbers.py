"""A phone number in its one form: E.164 with the leading plus, such as ``+13235550142``."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

import phonenumbers
from pydantic import (
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticKnownError, core_schema

from didflow.contract.validation import moved, with_more

#: A longer list is checked in parts of this size, up to the first part with faults: 100,000 faults help no reader, and take a minute.
CHECKED_TOGETHER = 1000
_DIGITS = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


def parse_e164(text: object) -> str:
    """Return `text` as ``+`` and digits.

    Takes E.164 with or without ``+``, and the usual separators (spaces, dashes, dots, parentheses).
    Raises ValueError, with what is wrong, if the number is not possible in its country's plan.
    """
    if not isinstance(text, str):
        raise ValueError(f"a phone number is a text in E.164 form such as +13235550142, not {type(text).__name__}")
    if _is_e164(text):
        return text
    shown = text[:40]
    try:
        number = phonenumbers.parse("+" + text.strip().removeprefix("+"), None)
    except phonenumbers.NumberParseException as error:
        raise ValueError(f"{shown!r} is not a phone number in E.164 form such as +13235550142") from error
    if number.extension or not phonenumbers.is_possible_number(number):
        raise ValueError(f"{shown!r} is not a possible phone number: write country code and subscriber number, such as +13235550142")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _is_e164(text: str) -> bool:
    """Whether the full check would return it as it is, at a fiftieth of the time. False: it may be so all the same."""
    if not _DIGITS.fullmatch(text):
        return False
    for end in (2, 3, 4):
        plan = _plan(text[1:end])
        if plan is not None:
            lengths, prefix = plan
            # What looks like a national prefix may be taken off.
            return len(text) - end in lengths and (prefix is None or prefix.match(text, end) is None)
    return False


@cache
def _plan(country_code: str) -> tuple[frozenset[int], re.Pattern[str] | None] | None:
    """How many digits follow a country code, and what a national prefix looks like. None: it is no country code."""
    code = int(country_code)
    region = phonenumbers.region_code_for_country_code(code)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if metadata is None or metadata.general_desc is None:
        return None
    prefix = metadata.national_prefix_for_parsing
    return frozenset(metadata.general_desc.possible_length), re.compile(prefix) if prefix else None


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
    if isinstance(given, list | tuple) and len(given) > CHECKED_TOGETHER:
        numbers: tuple[str, ...] = tuple(_in_parts(given, read))
        if faults := tuple(_twice(numbers)):
            raise with_more(None, faults)
        return numbers
    try:
        numbers = read(given)
    except ValidationError as error:
        raise with_more(error, _twice(_readable(given) if isinstance(given, list | tuple) else ())) from None
    if faults := tuple(_twice(numbers)):
        raise with_more(None, faults)
    return numbers


def _in_parts(given: list[Any] | tuple[Any, ...], read: ValidatorFunctionWrapHandler) -> Iterator[str]:
    """Up to the first part with faults."""
    for start in range(0, len(given), CHECKED_TOGETHER):
        try:
            yield from read(given[start : start + CHECKED_TOGETHER])
        except ValidationError as error:
            rest = max(0, len(given) - start - CHECKED_TOGETHER)
            raise with_more(moved(error, start), [f"the last {rest} weren't checked: correct the others first"] * (rest > 0)) from None


def _twice(numbers: Iterable[str]) -> Iterator[str]:
    twice = sorted(number for number, count in Counter(numbers).items() if count > 1)
    if twice:
        yield f"listed more than once: {', '.join(twice[:10])}: name each number once"


def _readable(given: Iterable[object]) -> Iterator[str]:
    for text in given:
        with suppress(ValueError):
            yield parse_e164(text)


#: A list of numbers in which each stands once. Its length is limited by `ListLength`.
NumberList = Annotated[tuple[E164, ...], WrapValidator(_each_once)]


@dataclass(frozen=True)
class ListLength:
    """How many numbers a list may have, before any is checked. A field's `max_length` would count those of each part alone."""

    most: int
    least: int = 0

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self._counted, handler(source))

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"maxItems": self.most} | ({"minItems": self.least} if self.least else {})

    def _counted(self, given: Any) -> Any:
        if isinstance(given, list | tuple):
            if len(given) > self.most:
                raise PydanticKnownError("too_long", {"field_type": "List", "max_length": self.most, "actual_length": len(given)})
            if len(given) < self.least:
                raise PydanticKnownError("too_short", {"field_type": "List", "min_length": self.least, "actual_length": len(given)})
        return given
