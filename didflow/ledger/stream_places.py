"""Places in a stream, as the page before gives them back."""

import re

from didflow.contract.errors import InvalidRequest

_PLACE = re.compile(r"[0-9]{1,15}-[0-9]{1,15}", re.ASCII)
_FIRST = re.compile(r"0+-0+")


def check_place(place: str, name: str, of: str) -> None:
    """Raises InvalidRequest, for the parameter `name`, if it isn't `of` (what a page has)."""
    if not _PLACE.fullmatch(place):
        raise InvalidRequest(f"{name}: is {of}", ((name, f"is {of}"),))


def has_none_before(place: str) -> bool:
    """Whether no entry can be older. Redis refuses to look for one, as an interval that isn't valid."""
    return _FIRST.fullmatch(place) is not None
