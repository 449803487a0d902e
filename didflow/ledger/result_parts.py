"""The numbers of a result that has very many: kept in parts beside it, so that no script writes them all at once.

The event of such a result, and its stored form, have a summary in their place. A view of the job has them all again.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from pydantic import TypeAdapter, ValidationError

from didflow.contract.results import ERRORS_SHOWN, SHOWN_AT_MOST, NumberResult, Result, Summary

#: Numbers in one part; as many as a page of a result has.
TOGETHER = 100
#: What a summary calls numbers without an outcome: those of a dry run.
WOULD_BE_DONE = "would_be_done"

_NUMBERS = TypeAdapter(tuple[NumberResult, ...])


def numbers_in(result: Result) -> tuple[NumberResult, ...]:
    """Those that it names, or its quote."""
    return result.numbers or (result.quote.numbers if result.quote else ())


def parts_of(result: Result) -> Iterator[Sequence[NumberResult]]:
    """Its numbers in parts, if they are very many; none otherwise."""
    numbers = numbers_in(result)
    if len(numbers) > SHOWN_AT_MOST:
        yield from (numbers[start : start + TOGETHER] for start in range(0, len(numbers), TOGETHER))


def text_of(part: Sequence[NumberResult]) -> str:
    return "[" + ",".join(number.model_dump_json(exclude_none=True) for number in part) + "]"


def summed_up(result: Result) -> Result:
    """The result with a summary of its numbers, if they are very many."""
    numbers = numbers_in(result)
    if len(numbers) <= SHOWN_AT_MOST:
        return result
    outcomes = Counter(number.outcome.value if number.outcome else WOULD_BE_DONE for number in numbers)
    errors = tuple(number for number in numbers if number.error)[:ERRORS_SHOWN]
    summary = Summary(pages=-(-len(numbers) // TOGETHER), outcomes=dict(outcomes), errors=errors)
    return _with(result, (), summary)


def with_numbers(result: Result, parts: Sequence[str | None]) -> Result:
    """The result with its numbers, from the parts. As it is, if one is missing or can't be read."""
    try:
        numbers = tuple(number for part in parts for number in _NUMBERS.validate_json(part or ""))
    except ValidationError:
        return result
    return _with(result, numbers, None)


def _with(result: Result, numbers: tuple[NumberResult, ...], summary: Summary | None) -> Result:
    quote = result.quote.model_copy(update={"numbers": numbers}) if result.quote else None
    return result.model_copy(update={"numbers": () if quote else numbers, "summary": summary, "quote": quote})
