"""Counting what a job saved for its numbers, while it runs."""

import json
from collections import Counter

from worker.contract.states import Outcome
from worker.contract.tally import Tally
from worker.ledger.keys import Keys
from worker.ledger.plans import Ask, Plan

#: Counts the numbers that have no outcome yet.
OPEN = "open"


def tally(keys: Keys, job_id: str) -> Plan[Tally]:
    """The numbers of the job's newest snapshot by outcome. Of a job without pages all are read: not more often than it is worth."""
    counts, batches = yield (Ask("hgetall", (keys.outcomes(job_id),)), Ask("smembers", (keys.children(job_id),)))
    if counts:
        leases = (yield Ask("zmscore", (keys.leases, sorted(batches)))) if batches else []
        running = sum(lease is not None for lease in leases)
        known = {Outcome(word): int(count) for word, count in counts.items() if word != OPEN and count != "0"}
        return Tally(sum(map(int, counts.values())), known, len(batches), running)
    saved = [json.loads(text) for text in (yield Ask("hvals", (keys.numbers(job_id),)))]
    newest_ms = max((one.get("taken_ms", 0) for one in saved), default=0)
    outcomes = [one.get("outcome") for one in saved if one.get("taken_ms", 0) == newest_ms]
    return Tally(len(outcomes), Counter(Outcome(outcome) for outcome in outcomes if outcome))
