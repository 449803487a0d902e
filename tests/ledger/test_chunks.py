"""Chunks of a failover from the inventory: each is written with the claim of its routes and with its batch, in one script."""

import json

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import Destination
from didflow.contract.requests import Reroute
from didflow.contract.states import JobState, WaitReason
from didflow.ledger import script_calls
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.replies import BatchesSubmitted
from didflow.ledger.route_claims import claim_routes
from didflow.ledger.script_calls import Submission
from tests.support.ledger_roles import claimed

AWAY = Reroute(numbers=("+12135550100",), destinations=(Destination.sip("pbx@example.net"),))
ONE, TWO, THREE = "+12135550101", "+12135550102", "+12135550103"
SETTLE_MS = 1_000


def running(ledger: Ledger) -> Claim:
    claim = claimed(ledger, ledger.submit(Submission(AWAY)).id)
    ledger.save(claim, 1, Write("snapshot_begun", clear=True))
    return claim


def write(
    ledger: Ledger, claim: Claim, index: int, *numbers: str, seen_ms: int = 0, batch: bool = True
) -> frozenset[str] | BatchesSubmitted:
    seen = [(number, seen_ms or ledger.now_ms(), text(number)) for number in numbers]
    return ledger.write_chunk(
        claim, index, seen, settle_ms=SETTLE_MS, kind="move_batch" if batch else "", request=json.dumps({"page": index})
    )


def text(number: str) -> str:
    return json.dumps({"number": number, "outcome": None}, separators=(",", ":"))


def stored(ledger: Ledger, claim: Claim) -> list[tuple[str, ...]]:
    """The chunks, and that each number lies in one of them and is counted once."""
    pages = ledger.perform(ledger.commands.pages(claim.job_id))
    found = [tuple(str(ledger.client.hget(ledger.keys.pages(claim.job_id), str(index))).split()) for index in range(pages)]
    numbers = [number for page in found for number in page]
    assert ledger.numbers(claim.job_id) == {number: text(number) for number in numbers}
    assert ledger.perform(ledger.commands.outcomes(claim.job_id)) == ({"open": len(numbers)} if numbers else {})
    return found


def batches(ledger: Ledger, claim: Claim) -> int:
    return ledger.perform(ledger.commands.open_children(claim.job_id))


def moved(ledger: Ledger, claim: Claim, *numbers: str) -> int:
    """Another job's call for these was answered. Returns when, at the latest."""
    assert claim_routes(ledger, claim, numbers) is not None
    ledger.save(claim, 2, Write("accepted", answered=numbers))
    return ledger.now_ms()


def test_a_chunk_comes_with_its_batch_and_is_written_once(ledger: Ledger) -> None:
    claim = running(ledger)
    assert write(ledger, claim, 0, ONE, TWO) == frozenset()
    assert write(ledger, claim, 0, ONE, TWO) == frozenset(), "once more, its reply was lost"
    assert write(ledger, claim, 1, TWO, THREE, THREE) == frozenset({TWO}), "the job has it"
    assert write(ledger, claim, 2, ONE, THREE) == frozenset({ONE, THREE}), "nothing is left: no chunk"
    assert stored(ledger, claim) == [(ONE, TWO), (THREE,)]
    assert batches(ledger, claim) == 2
    assert claimed(ledger, f"{claim.job_id}:1", "worker-2").fields["request"] == '{"page": 1}'


def test_a_chunk_of_very_many_numbers_is_written_in_parts_and_sent_when_it_is_whole(ledger: Ledger) -> None:
    claim = running(ledger)
    assert write(ledger, claim, 0, ONE, TWO, batch=False) == frozenset()
    assert batches(ledger, claim) == 0
    assert write(ledger, claim, 0, THREE) == frozenset()
    assert write(ledger, claim, 0, THREE) == frozenset(), "once more, its reply was lost"
    assert (stored(ledger, claim), batches(ledger, claim)) == ([(ONE, TWO, THREE)], 1)


def test_a_canary_comes_first_so_no_batch_is_submitted(ledger: Ledger) -> None:
    claim = running(ledger)
    assert write(ledger, claim, 0, ONE, batch=False) == frozenset()
    assert (stored(ledger, claim), batches(ledger, claim)) == ([(ONE,)], 0)


def test_a_number_that_another_job_may_have_moved_since_it_was_read_is_left_out(ledger: Ledger) -> None:
    other, late = running(ledger), running(ledger)
    claim = running(ledger)
    seen_ms = ledger.now_ms()
    claim_routes(ledger, other, [ONE])  # Sent, and not answered.
    moved(ledger, late, TWO)
    assert write(ledger, claim, 0, ONE, TWO, THREE, seen_ms=seen_ms) == frozenset({ONE, TWO})
    assert stored(ledger, claim) == [(THREE,)]


def test_a_number_that_another_job_moved_before_it_was_read_is_where_it_was_seen(ledger: Ledger) -> None:
    other, claim = running(ledger), running(ledger)
    answered_ms = moved(ledger, other, ONE)
    assert write(ledger, claim, 0, ONE, seen_ms=answered_ms + 1) == frozenset()
    routes = claim_routes(ledger, claimed(ledger, f"{claim.job_id}:0"), [ONE])
    assert routes is not None
    assert ONE in routes.since_ms, "so recently that a list may not know it: its confirmation waits"


def test_an_attempt_that_comes_again_takes_no_call_from_a_batch(ledger: Ledger) -> None:
    claim = running(ledger)
    write(ledger, claim, 0, ONE)
    batch = claimed(ledger, f"{claim.job_id}:0")
    claim_routes(ledger, batch, [ONE])
    assert write(ledger, claim, 1, ONE) == frozenset({ONE})
    ledger.save(batch, 1, Write("accepted", answered=[ONE]))
    routes = claim_routes(ledger, running(ledger), [ONE], seen_ms=ledger.now_ms() + 1)
    assert routes is not None
    assert not routes.since_ms, "its call was answered: a newer job has nothing to wait for"


def test_an_older_job_leaves_the_numbers_of_a_chunk_alone_and_a_newer_one_keeps_its_own(ledger: Ledger) -> None:
    older, claim, newer = running(ledger), running(ledger), running(ledger)
    claim_routes(ledger, newer, [TWO], calling=False)
    assert write(ledger, claim, 0, ONE, TWO) == frozenset(), "its batch reports it as superseded"
    for job, expected in ((older, {ONE, TWO}), (newer, frozenset())):
        routes = claim_routes(ledger, job, [ONE, TWO], calling=False)
        assert routes is not None
        assert routes.newer == expected


def test_an_attempt_that_lost_its_lease_or_whose_job_is_cancelled_writes_nothing(ledger: Ledger) -> None:
    lost, cancelled = running(ledger), running(ledger)
    assert ledger.suspend(lost, JobState.WAITING, WaitReason.DEPENDS, delay_ms=60_000, refund=True)
    ledger.run(script_calls.cancel(cancelled.job_id))
    assert write(ledger, lost, 0, ONE) is BatchesSubmitted.LOST
    assert write(ledger, cancelled, 0, ONE) is BatchesSubmitted.CANCELLED
    assert stored(ledger, lost) == stored(ledger, cancelled) == []
    assert ledger.client.hlen(ledger.keys.routes("default")) == 0
