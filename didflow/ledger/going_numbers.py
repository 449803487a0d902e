"""Numbers that a release is about to give back, or has begun to."""

from collections.abc import Sequence

from didflow.contract.states import JobState
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys


def going(keys: Keys, account: str, numbers: Sequence[str]) -> Command[frozenset[str]]:
    """Those of the numbers that a release may have under way: begun, and not settled."""
    if not numbers:
        return frozenset()
    releases: list[str | None] = yield RedisCommand("hmget", (keys.going(account), list(numbers)))
    begun = {number: release for number, release in zip(numbers, releases, strict=True) if release}
    jobs = sorted(set(begun.values()))
    states: list[str | None] = (yield tuple(RedisCommand("hget", (keys.job(job), "state")) for job in jobs)) if jobs else []
    live = {job for job, state in zip(jobs, states, strict=True) if state is not None and not JobState(state).is_terminal}
    return frozenset(number for number, release in begun.items() if release in live)
