"""The results and the events as one stream: in order, nothing left out, and bounded for a slow reader."""

import asyncio
from typing import Any

import pytest

from didflow.ledger.keys import Keys
from producers.http.feed import WAITING_AT_MOST, Listener, TooSlow
from producers.http.stream_reading import Item, Position, read_on

KEYS = Keys("ns")
Stream = list[tuple[str, dict[str, str]]]


def entry(entry_id: str, event_id: str) -> tuple[str, dict[str, str]]:
    return entry_id, {"id": event_id, "subject": event_id.partition(":")[0]}


def read(results: Stream, events: Stream, after: Position, count: int) -> list[Item]:
    """What `read_on` makes of the replies of a server that has these streams."""

    def behind(stream: Stream, place: str, most: int) -> Stream:
        at = tuple(map(int, place.split("-")))
        return [one for one in stream if tuple(map(int, one[0].split("-"))) > at][:most]

    command = read_on(KEYS, after, count=count)
    step: Any = next(command)
    try:
        while True:
            places, most = step.args[0], step.kwargs["count"]
            found = [(key, behind(stream, places[key], most)) for key, stream in ((KEYS.results, results), (KEYS.events, events))]
            step = command.send([pair for pair in found if pair[1]])
    except StopIteration as end:
        items: list[Item] = end.value
        return items


def read_all(results: Stream, events: Stream, count: int) -> list[str]:
    """The ids of everything, page by page."""
    found: list[str] = []
    position = Position()
    while items := read(results, events, position, count):
        found += [item.fields["id"] for item in items]
        position = items[-1].after
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_both_streams_are_read_in_the_order_of_time(count: int) -> None:
    events = [entry("1-0", "a:1"), entry("3-0", "a:2"), entry("3-1", "b:1"), entry("9-0", "c:1")]
    results = [entry("2-0", "z:9"), entry("4-0", "a:3"), entry("8-0", "b:2")]
    assert read_all(results, events, count) == ["a:1", "z:9", "a:2", "b:1", "a:3", "b:2", "c:1"]


@pytest.mark.parametrize("count", [1, 2, 100])
def test_in_one_millisecond_a_job_counts(count: int) -> None:
    parked, retried = entry("5-0", "a:3"), entry("5-0", "a:4")
    assert read_all([parked], [entry("4-0", "a:2"), retried], count) == ["a:2", "a:3", "a:4"]
    assert read_all([entry("5-0", "a:4")], [entry("5-0", "a:3")], count) == ["a:3", "a:4"]


def test_a_position_is_read_as_it_was_written() -> None:
    position = Position((1764507600000, 3), (1764507600001, 0))
    assert Position.parse(str(position)) == position
    assert Position.parse("0") == Position()
    assert [Position.parse(text) for text in ("", "1", "1-1", "1-1.2", "a-1.1-1", "1-1.1-1 ", "1" * 17 + "-1.1-1")] == [None] * 7


def test_a_listener_that_is_too_slow_gets_what_waits_and_is_sent_away() -> None:
    listener = Listener(None, lambda item: True)
    for place in range(WAITING_AT_MOST + 5):
        listener.hear(Item((place, 0), False, {}, Position()))
    assert len(listener.waiting) == WAITING_AT_MOST

    async def take() -> list[Item | None]:
        return [await listener.next(1.0) for _ in range(WAITING_AT_MOST)]

    assert None not in asyncio.run(take())
    with pytest.raises(TooSlow):
        asyncio.run(listener.next(1.0))
