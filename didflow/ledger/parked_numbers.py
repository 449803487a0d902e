"""What releases have parked."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, TypeAdapter, ValidationError

from didflow.contract.destinations import Route
from didflow.contract.parked_numbers import Parked, Ways
from didflow.contract.states import JobState
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.records import read_record

_OVER = frozenset(state.value for state in JobState if state.is_terminal)
_ROUTE: TypeAdapter[Route] = TypeAdapter(Route)


class _Entry(BaseModel):
    """As `scripts/include/parked_numbers.lua` writes it."""

    release_job: str
    ways: str
    wanted: str
    wanted_by: str
    wanted_order: int


def route_text(route: Route) -> str:
    """As the scripts keep it."""
    return _ROUTE.dump_json(route).decode()


def parked(keys: Keys, account: str, numbers: Sequence[str]) -> Command[dict[str, Parked]]:
    """Those of these numbers that a release has, or left parked. What can't be read is left out."""
    if not numbers:
        return {}
    texts = yield RedisCommand("hmget", (keys.parked(account), list(numbers)))
    return (yield from _with_states(keys, dict(zip(numbers, texts, strict=True))))


def all_parked(keys: Keys, account: str) -> Command[dict[str, Parked]]:
    """All of an account."""
    entries: dict[str, str | None] = yield RedisCommand("hgetall", (keys.parked(account),))
    return (yield from _with_states(keys, entries))


def _with_states(keys: Keys, texts: Mapping[str, str | None]) -> Command[dict[str, Parked]]:
    read = ((number, _read(text)) for number, text in texts.items() if text)
    found = {number: one for number, one in read if one is not None}
    jobs = sorted({one.release for one in found.values()})
    states = (yield tuple(RedisCommand("hget", (keys.job(job), "state")) for job in jobs)) if jobs else []
    over = {job for job, state in zip(jobs, states, strict=True) if state is None or state in _OVER}
    return {number: one.model_copy(update={"live": one.release not in over}) for number, one in found.items()}


def _read(text: str) -> Parked | None:
    entry = read_record(_Entry, text)
    if entry is None:
        return None
    try:
        return Parked(
            release=entry.release_job,
            ways=Ways.model_validate_json(entry.ways) if entry.ways else None,
            wanted=_ROUTE.validate_json(entry.wanted) if entry.wanted else None,
            wanted_by=entry.wanted_by,
            wanted_order=entry.wanted_order,
        )
    except ValidationError:
        return None
