"""A write, and the calls that go into the story with it, as the scripts read them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote, unquote

from didflow.contract.attempt_write import Write
from didflow.contract.jobs import ProviderCall
from didflow.ledger.inventory_shown import shown_fields
from didflow.ledger.spending import spend_fields
from didflow.ledger.stored_history import happened_fields

T = TypeVar("T")

#: What every write names, though it is empty: the script goes through each.
_LISTS = ("reserve", "taint", "free", "keep", "answered", "settled", "withdraw")


#: Numbers of one write that go into one script; with more it is staged.
PART_NUMBERS = 100


def in_parts(write: Write) -> tuple[Sequence[str], Write]:
    """What of it is staged first, part by part as JSON for the script `stage`, and the write that makes them hold. No parts: it is small.

    What concerns single numbers goes into the parts, each number with all of it; the order of the parts is that of the numbers.
    """
    lists = (write.numbers, write.history, write.shown, write.answered, write.offer, write.withdraw, write.settled, write.parks)
    every = dict.fromkeys(number for numbers in lists for number in numbers)
    if len(every) <= PART_NUMBERS:
        return (), write
    numbers = list(every)
    answered, withdraw, settled = frozenset(write.answered), frozenset(write.withdraw), frozenset(write.settled)
    parts = []
    for start in range(0, len(numbers), PART_NUMBERS):
        some = numbers[start : start + PART_NUMBERS]
        part: dict[str, object] = {
            "numbers": {number: write.numbers[number] for number in some if number in write.numbers},
            "answered": [number for number in some if number in answered],
            "withdraw": [number for number in some if number in withdraw],
            "settled": [number for number in some if number in settled],
            "offer": {number: write.offer[number] for number in some if number in write.offer},
            "parks": {number: write.parks[number] for number in some if number in write.parks},
            "history": happened_fields({number: write.history[number] for number in some if number in write.history}),
            "confirmed": shown_fields({number: write.shown[number] for number in some if number in write.shown}),
        }
        if start + PART_NUMBERS >= len(numbers) and write.progress is not None:
            part["progress"] = write.progress
        parts.append(json.dumps(part))
    rest = replace(write, numbers={}, history={}, shown={}, answered=(), offer={}, withdraw=(), settled=(), parks={}, progress=None)
    return parts, rest


def write_text(write: Write, calls: Sequence[ProviderCall], staged: int = 0) -> str:
    """JSON for the script `save`; its header tells the members. `staged`: the count of parts stored already."""
    told = {name: getattr(write, name) for name in ("witness", "phase", "progress", "unsettled")}
    told["memo"] = write.checkpoint  # The field's name in the job's hash.
    fields: dict[str, object] = {name: value for name, value in told.items() if value is not None}
    fields |= {"step": write.step, "detail": write.detail, "calls": calls_text(calls), "numbers": dict(write.numbers)}
    fields |= {name: list(getattr(write, name)) for name in _LISTS}
    fields |= {name: True for name in ("replace", "clear", "money", "unless_cancelled") if getattr(write, name)}
    if staged:
        fields["staged"] = staged
    if write.pages:
        fields["pages"] = {index: page_text(numbers) for index, numbers in write.pages.items()}
    if write.history:
        fields["history"] = happened_fields(write.history)
    if write.shown:
        fields["confirmed"] = shown_fields(write.shown)
    fields |= {name: dict(given) for name in ("parks", "unpark") if (given := getattr(write, name))}
    if write.offer:
        fields["offer"] = dict(write.offer)
    if write.hold:
        fields["hold"] = spend_fields(write.hold, write.limits)
    if write.settle:
        fields["settle"] = spend_fields(write.settle)
    return json.dumps(fields)


def page_text(numbers: Sequence[str]) -> str:
    """A page of a job, in words. What stands for a record that can't be read has spaces in it: they are written as in a URL."""
    return " ".join(quote(number, safe="+#") for number in numbers)


def numbers_of_page(text: str) -> tuple[str, ...]:
    """The numbers that such a text has."""
    return tuple(map(unquote, text.split()))


def calls_text(calls: Sequence[ProviderCall]) -> str:
    """Calls as a step keeps them; empty for none."""
    return json.dumps([[one.call, one.request, one.answer] for one in calls]) if calls else ""


def in_script_parts(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """Parts that fit into one script; one empty part, where there are none."""
    for start in range(0, max(1, len(things)), PART_NUMBERS):
        yield things[start : start + PART_NUMBERS]
