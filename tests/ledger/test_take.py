"""Taking from a queue: message and claim are one step, whatever lies on the queue."""

import threading

import pytest

from didflow.contract.states import JobState, Lane
from didflow.ledger.ledger import Ledger, Taken
from didflow.ledger.replies import ClaimRefused
from tests.support.cluster import until
from tests.support.ledger_roles import LEASE_MS, claimed, copies, finished, submitted, wait_until_ms


def take(
    ledger: Ledger,
    most: int = 10,
    claimant: str = "worker-1:a",
    consumer: str = "money",
    lease_ms: int = LEASE_MS,
    wait_s: float = 0.0,
) -> Taken:
    return ledger.take(Lane.MONEY, most, worker="worker-1", consumer=consumer, claimant=claimant, lease_ms=lease_ms, wait_s=wait_s)


def left(ledger: Ledger) -> tuple[int, int]:
    queue = f"{ledger.keys.broker}:money"
    return int(str(ledger.client.llen(queue))), int(str(ledger.client.hlen(f"{queue}.msgs")))


def test_jobs_are_taken_in_their_order_claimed_and_their_messages_used_up(ledger: Ledger) -> None:
    jobs = [submitted(ledger).id for _ in range(3)]
    first = take(ledger, most=2)
    assert [claim.job_id for claim in first.claims] == jobs[:2]
    assert not first.emptied
    assert left(ledger) == (1, 1)
    second = take(ledger, claimant="worker-1:b")
    assert [claim.job_id for claim in second.claims] == jobs[2:]
    assert second.emptied
    assert {ledger.get(job_id).state for job_id in jobs} == {JobState.RUNNING}
    assert finished(ledger, second.claims[0])
    assert left(ledger) == (0, 0)


def test_a_take_whose_reply_was_lost_has_the_same_jobs_and_no_others(ledger: Ledger) -> None:
    jobs = [submitted(ledger).id for _ in range(3)]
    first, second = take(ledger, most=2), take(ledger, most=2)
    assert [claim.job_id for claim in first.claims] == jobs[:2]
    assert second.claims == first.claims
    third = take(ledger, most=2, consumer="money:helping")
    assert [claim.job_id for claim in third.claims] == jobs[2:], "what another consumer has is not its own"


def test_a_job_with_several_messages_is_taken_once(ledger: Ledger) -> None:
    """Two claims of one job with one token would be two threads that take each other's writes for their own."""
    job, other = submitted(ledger).id, submitted(ledger).id
    copies(ledger, job, Lane.MONEY, 2)
    for _ in range(2):
        assert [claim.job_id for claim in take(ledger).claims] == [job, other], "also where the answer was lost"
    assert left(ledger) == (0, 0)


def test_a_message_is_used_up_by_what_it_cannot_claim(ledger: Ledger) -> None:
    running, ended = submitted(ledger).id, submitted(ledger).id
    claimed(ledger, running)
    finished(ledger, claimed(ledger, ended))
    copies(ledger, "nobody", Lane.MONEY, 1)
    ledger.client.rpush(f"{ledger.keys.broker}:money", "an id without a message")
    ledger.client.hset(f"{ledger.keys.namespace}:job:damaged", "state", "queued")
    ledger.client.set(ledger.keys.account(""), "a key of another type")
    copies(ledger, "damaged", Lane.MONEY, 2)
    good = submitted(ledger).id
    taken = take(ledger)
    assert taken.refused[:2] == (ClaimRefused(running, "running"), ClaimRefused(ended, "succeeded"))
    assert ClaimRefused("damaged", "unreadable") in taken.refused
    assert [claim.job_id for claim in taken.claims] == [good]
    assert left(ledger) == (0, 0)


def test_what_a_dead_worker_took_comes_back_with_its_lease(ledger: Ledger) -> None:
    job = submitted(ledger).id
    take(ledger, lease_ms=1)
    wait_until_ms(ledger, ledger.now_ms() + 5)
    assert ledger.sweep(max_crashes=5).recovered == 1
    assert [claim.job_id for claim in take(ledger, claimant="worker-2:a").claims] == [job]


@pytest.mark.parametrize("over", ["gone", "alive"])
def test_of_a_worker_that_is_gone_nothing_is_kept(ledger: Ledger, over: str) -> None:
    submitted(ledger)
    ledger.worker_alive("worker-1")
    take(ledger)
    kept = f"{ledger.keys.namespace}:taken:worker-1"
    assert ledger.client.exists(kept)
    if over == "gone":
        ledger.worker_gone("worker-1")
    else:
        ledger.client.zadd(ledger.keys.workers, {"worker-1": 1})
        ledger.worker_alive("worker-2")
    assert not ledger.client.exists(kept)


def test_an_empty_queue_wakes_no_consumer(ledger: Ledger) -> None:
    for _ in range(2):
        submitted(ledger)
    assert not take(ledger, most=1).emptied
    assert ledger.client.llen(ledger.keys.wake("money")) == 2, "one may have been for another message"
    assert take(ledger, claimant="worker-1:b").emptied
    assert ledger.client.llen(ledger.keys.wake("money")) == 0


def test_a_take_that_waits_has_the_job_that_is_submitted_meanwhile(real_ledger: Ledger) -> None:
    """And asks for nothing more."""
    submitted(real_ledger)  # The server knows both scripts from here on.
    assert take(real_ledger).emptied
    had: list[Taken] = []
    waits = threading.Thread(target=lambda: had.append(take(real_ledger, claimant="worker-1:b", wait_s=4.0)))
    waits.start()
    until(lambda: real_ledger.client.info("clients")["blocked_clients"])
    before = real_ledger.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    job = submitted(real_ledger).id
    waits.join()
    assert [claim.job_id for claim in had[0].claims] == [job]
    assert had[0].emptied, "no second look is needed to know that"
    assert real_ledger.client.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 2, "the submit and the take"


def test_a_take_that_waited_for_nothing_has_nothing(real_ledger: Ledger) -> None:
    real_ledger.client.script_flush()
    taken = take(real_ledger, wait_s=0.01)
    assert (taken.claims, taken.emptied) == ((), True)
