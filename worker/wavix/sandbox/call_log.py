"""What came for each number: the calls that named it, what each did, and what it was answered. For finding out what went wrong.

Bounded: the newest `PER_NUMBER` entries of each number, and the newest `UNNAMED` of calls that name none.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

PER_NUMBER = 200
UNNAMED = 5000
#: Characters of an answer that are kept.
ANSWER_CHARACTERS = 300


@dataclass(frozen=True)
class Entry:
    """One call as the sandbox saw it.

    came_s    when it came, by the wall clock
    ended_s   when it was answered or cut off; of a call that acted late: when it acted
    path      without the query, which may hold a key
    numbers   those that it names, by number or by record id; digits
    fault     the kind of the scripted fault that struck it; "" for none
    acted     the status of what it did, as the server would have answered it; None: it did nothing (or not yet)
    answered  the status that went out; None: no answer did
    """

    came_s: float
    ended_s: float
    account: str
    call: str
    method: str
    path: str
    numbers: tuple[str, ...]
    fault: str
    acted: int | None
    answered: int | None
    answer: str = ""


class Journal:
    """The caller holds the world's lock."""

    def __init__(self) -> None:
        self._by_number: dict[str, deque[Entry]] = defaultdict(lambda: deque(maxlen=PER_NUMBER))
        self._unnamed: deque[Entry] = deque(maxlen=UNNAMED)

    def add(self, entry: Entry) -> None:
        for number in entry.numbers:
            self._by_number[number].append(entry)
        if not entry.numbers:
            self._unnamed.append(entry)

    def of(self, numbers: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
        """The calls of these numbers (digits), oldest first, and under "" those that name none."""
        return {number: [asdict(entry) for entry in self._by_number.get(number, ())] for number in numbers} | {
            "": [asdict(entry) for entry in self._unnamed]
        }


def shown(payload: bytes | None) -> str:
    """The beginning of an answer."""
    return (payload or b"")[:ANSWER_CHARACTERS].decode(errors="replace")


def named_ids(query: Mapping[str, list[str]], body: object, path: Iterable[str]) -> Iterator[str]:
    """What a call may name: digits of `ids` and `id` of its body, of `ids`, `dids` and `search` of its query, and of its path."""
    given = body if isinstance(body, dict) else {}
    listed = given.get("ids")
    texts = [*(listed if isinstance(listed, list) else ()), given.get("id"), given.get("did_ids"), *path]
    texts += [value for name, values in query.items() if name.startswith(("ids", "dids", "search")) for value in values]
    for text in texts:
        yield from (one for one in str(text).split(",") if one.isdecimal())
