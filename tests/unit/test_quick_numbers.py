"""Numbers that are in their one form already are checked quickly, with the same result; and of very many wrong ones not all are named."""

import random

import phonenumbers
import pytest

from didflow.contract import numbers
from didflow.contract.errors import InvalidRequest
from didflow.contract.numbers import CHECKED_TOGETHER, parse_e164
from didflow.contract.requests import FollowDocuments, Release, Reroute, UploadDocument


def slowly(text: str) -> str | None:
    """What the numbering plans say; None: it isn't a number."""
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if phonenumbers.is_possible_number(number) else None


def test_what_is_taken_quickly_is_what_the_plans_say_in_every_country() -> None:
    """Among them numbers that begin as a national prefix does, which the plans take off."""
    seed = random.randrange(2**32)
    chance, quick = random.Random(seed), 0
    for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        for length in range(6, 13):
            first = chance.choice(("0", "1", "8", "9", "00", "15", str(chance.randrange(10))))
            text = f"+{code}{first}{''.join(chance.choices('0123456789', k=length - len(first)))}"
            if numbers._is_e164(text):
                quick += 1
                assert slowly(text) == text, f"seed {seed}"
    assert quick > 300, "most of those that are numbers"


@pytest.mark.parametrize("text", ["+12135550100", "+442071838750", "+390612345678", "+4930123456", "+80012345678"])
def test_usual_numbers_are_taken_quickly(text: str) -> None:
    assert numbers._is_e164(text)
    assert parse_e164(text) == text


@pytest.mark.parametrize("text", ["+1213555010", "+1 213 555 0100", "12135550100", "+111135550100", "+0123456789", "+1213555010٣", "+"])
def test_others_take_the_whole_check(text: str) -> None:
    assert not numbers._is_e164(text)


def test_of_a_long_list_the_first_faults_are_named() -> None:
    good = [f"+1213{place:07}" for place in range(2_000_000, 2_003_500)]
    good[1500], good[1700], good[3400] = "x", 7, "y"  # type: ignore[call-overload]
    with pytest.raises(InvalidRequest) as refused:
        Release.model_validate({"numbers": good})
    places = [fault.path for fault in refused.value.faults]
    assert places == ["numbers.1500", "numbers.1700", "numbers"]
    assert "the last 1500 weren't checked" in refused.value.faults[2].message


def test_a_long_list_names_each_number_once() -> None:
    twice = [f"+1213{place:07}" for place in range(2_000_000, 2_000_000 + CHECKED_TOGETHER)] + ["+1 213 200 0000"]
    with pytest.raises(InvalidRequest, match="listed more than once: \\+12132000000"):
        Release.model_validate({"numbers": twice})
    assert len(Release.model_validate({"numbers": [*twice[:-1], "+1 213 100 0000"]}).numbers) == CHECKED_TOGETHER + 1


@pytest.mark.parametrize(("asked", "most"), [(Release, 100_000), (Reroute, 100_000), (FollowDocuments, 1000), (UploadDocument, 1000)])
def test_a_list_that_is_too_long_is_refused_before_its_numbers_are_checked(
    asked: type[Release | Reroute | FollowDocuments | UploadDocument], most: int
) -> None:
    """It is checked in parts of a thousand, none of which is too long."""
    with pytest.raises(InvalidRequest) as refused:
        asked.model_validate({"numbers": ["x"] * (most + 1)})
    fault = next(fault for fault in refused.value.faults if fault.path == "numbers")
    assert (fault.code, fault.next_step) == ("too_long", f"give at most {most}")


def test_a_list_has_as_many_numbers_as_it_may() -> None:
    full = [f"+1213{place:07}" for place in range(2_000_000, 2_001_000)]
    assert len(FollowDocuments.model_validate({"numbers": full}).numbers) == 1000
