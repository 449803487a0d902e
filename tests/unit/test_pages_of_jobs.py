"""A page of a job is a text of words, in which numbers are as they are."""

import pytest

from didflow.ledger.serialization import numbers_of_page, page_text


@pytest.mark.parametrize("numbers", [(), ("+12135550100", "#17"), ("+12135550100 (unreadable)", "a record (unreadable)", "+1%20")])
def test_what_is_written_is_read(numbers: tuple[str, ...]) -> None:
    assert numbers_of_page(page_text(numbers)) == numbers


def test_numbers_are_words_as_they_are() -> None:
    assert page_text(["+12135550100", "+12135550101"]) == "+12135550100 +12135550101"
