"""Counts a job's numbers by outcome while it runs."""

import json
from collections import Counter

from didflow.contract.progress import Tally
from didflow.contract.states import Outcome
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys

#: Counts the numbers that have no outcome yet.
OPEN = "open"


def tally(keys: Keys, job_id: str) -> Command[Tally]:
    """The numbers of the job's newest snapshot by outcome. Of a job without pages all are read: not more often than it is worth."""
    counts, batches, checkpoint = yield (
        RedisCommand("hgetall", (keys.outcomes(job_id),)),
        RedisCommand("smembers", (keys.children(job_id),)),
        RedisCommand("hget", (keys.job(job_id), "memo")),
    )
    if counts:
        leases = (yield RedisCommand("zmscore", (keys.leases, sorted(batches)))) if batches else []
        running = sum(lease is not None for lease in leases)
        known = {Outcome(word): int(count) for word, count in counts.items() if word != OPEN and count != "0"}
        return Tally(sum(map(int, counts.values())), known, len(batches), running, _inactive(checkpoint))
    saved = [json.loads(text) for text in (yield RedisCommand("hvals", (keys.numbers(job_id),)))]
    newest_ms = max((one.get("taken_ms", 0) for one in saved), default=0)
    newest = [one for one in saved if one.get("taken_ms", 0) == newest_ms]
    outcomes = Counter(Outcome(one["outcome"]) for one in newest if one.get("outcome"))
    return Tally(len(newest), outcomes, inactive=sum(one.get("takes_calls") is False for one in newest))


def _inactive(checkpoint: str | None) -> int:
    """What the snapshot of a large job counted; 0 while there is none, or where it can't be read."""
    try:
        return int(json.loads(checkpoint or "{}").get("inactive", 0))
    except (ValueError, TypeError, AttributeError):
        return 0
