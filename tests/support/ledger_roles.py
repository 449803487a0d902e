"""A worker and a producer in a few words, for the ledger's tests."""

import json
import time
from typing import cast

from didflow.contract.jobs import Job
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import Result, Totals
from didflow.contract.states import JobState, Lane
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.reservations import Reservation
from didflow.ledger.script_calls import Submission

LEASE_MS = 60_000
DONE = Result(totals=Totals(requested=1, done=1))


def submitted(ledger: Ledger, key: str | None = None, country: str = "US", **options: object) -> Job:
    return ledger.submit(Submission(SearchAndBuy(country=country), idempotency_key=key, **options))  # type: ignore[arg-type]


def claimed(ledger: Ledger, job_id: str, claimant: str = "worker-1", lease_ms: int = LEASE_MS) -> Claim:
    claim = ledger.claim(job_id, claimant, lease_ms=lease_ms)
    assert isinstance(claim, Claim), claim
    return claim


def finished(ledger: Ledger, claim: Claim, state: JobState = JobState.SUCCEEDED) -> bool:
    return ledger.finish(claim, state, DONE)


def stream(ledger: Ledger, name: str) -> list[dict[str, str]]:
    """The entries of `results` or `events`, oldest first."""
    return [fields for _, fields in ledger.client.xrange(f"{ledger.keys.namespace}:{name}")]  # type: ignore[union-attr, misc]


def states(ledger: Ledger, name: str) -> list[str]:
    """The states that the stream's events tell, in order."""
    return [entry["type"].split(".")[2] for entry in stream(ledger, name)]


def wait_until_ms(ledger: Ledger, moment_ms: int) -> None:
    """Until the server's clock has passed a moment: leases and due times are its, not ours."""
    while ledger.now_ms() <= moment_ms:
        time.sleep(0.002)  # Only the server's clock says when.


def let_pass(ledger: Ledger, scope: str, minutes: int) -> None:
    """As if this time had passed for what was spent: its minutes are that much older."""
    key = ledger.keys.spent(scope)
    spent = cast("dict[str, str]", ledger.client.hgetall(key))
    if spent:
        ledger.client.delete(key)
        ledger.client.hset(key, mapping={str(int(minute) - minutes): text for minute, text in spent.items()})


def reserve_for(ledger: Ledger, job_id: str, number: str) -> None:
    """As if the job held the number."""
    ledger.client.hset(ledger.keys.reserved("default"), number, held_by(job_id))


def held_by(job_id: str, until_ms: int = 0) -> str:
    """A reservation as the ledger keeps it: until then, or (0) while the job lives."""
    return Reservation(holder=job_id, until_ms=until_ms).model_dump_json()


def copies(ledger: Ledger, job_id: str, lane: Lane, count: int) -> None:
    """More messages for a job, as the sweeper sends them."""
    queue = f"{ledger.keys.broker}:{lane.value}"
    for place in range(count):
        body = {"args": [job_id], "kwargs": {}, "options": {"redis_message_id": f"copy-{place}"}}
        ledger.client.hset(f"{queue}.msgs", f"copy-{place}", json.dumps(body))
        ledger.client.rpush(queue, f"copy-{place}")
    ledger.client.lpush(ledger.keys.wake(lane.value), *["1"] * count)
