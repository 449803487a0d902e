"""Saved views of the console: filters of its lists, by name, for everybody who may see the list."""

import json
from dataclasses import dataclass

from didflow.contract.errors import InvalidRequest
from didflow.ledger.commands import Command, Commands, RedisCommand

#: Views that are kept. Two people who save at the same moment may go beyond it by one.
MOST_VIEWS = 100
#: Characters of a name, and of a query.
LONGEST_NAME, LONGEST_QUERY = 60, 2000


@dataclass(frozen=True)
class SavedView:
    """`query`: of the list's address, without a question mark. `by`: who saved it."""

    name: str
    query: str
    by: str


def save(commands: Commands, view: SavedView) -> Command[None]:
    """Keep a view, in place of one with the same name. Raises InvalidRequest for a view that can't be kept, and when there are too many."""
    if not view.name.isprintable() or not 1 <= len(view.name) <= LONGEST_NAME:
        raise _refused(f"is 1 to {LONGEST_NAME} printable characters")
    if len(view.query) > LONGEST_QUERY:
        raise _refused(f"its filters are longer than {LONGEST_QUERY} characters: choose fewer")
    key = commands.keys.console_views
    count, is_there = yield (RedisCommand("hlen", (key,)), RedisCommand("hexists", (key, view.name)))
    if count >= MOST_VIEWS and not is_there:
        raise _refused(f"there are {MOST_VIEWS} views already: delete one first")
    yield RedisCommand("hset", (key, view.name, json.dumps({"query": view.query, "by": view.by})))


def delete(commands: Commands, name: str) -> Command[None]:
    """Delete a view. Without effect if there is none of that name."""
    yield RedisCommand("hdel", (commands.keys.console_views, name))


def kept(commands: Commands) -> Command[tuple[SavedView, ...]]:
    """By name."""
    found = yield RedisCommand("hgetall", (commands.keys.console_views,))
    records = ((name, json.loads(text)) for name, text in sorted(found.items(), key=lambda pair: str(pair[0]).casefold()))
    return tuple(SavedView(name, record["query"], record["by"]) for name, record in records)


def _refused(what: str) -> InvalidRequest:
    return InvalidRequest(f"view: {what}", (("view", what),))
