"""Counting what a job saved for its numbers, while it runs."""

import json
from collections import Counter

from worker.contract.states import Outcome
from worker.contract.tally import Tally
from worker.ledger.keys import Keys
from worker.ledger.plans import Ask, Plan


def tally(keys: Keys, job_id: str) -> Plan[Tally]:
    """The numbers of the job's newest snapshot by outcome. Reads all of them: not more often than it is worth."""
    saved = [json.loads(text) for text in (yield Ask("hvals", (keys.numbers(job_id),)))]
    newest_ms = max((one.get("taken_ms", 0) for one in saved), default=0)
    outcomes = [one.get("outcome") for one in saved if one.get("taken_ms", 0) == newest_ms]
    return Tally(len(outcomes), Counter(Outcome(outcome) for outcome in outcomes if outcome))
