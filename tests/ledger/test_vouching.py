"""The ledger on another server, and worker processes that remember what they wrote: nothing missing, and the gate opens at once."""

from collections.abc import Callable

import pytest

from tests.ledger.playing import claimed, submitted
from tests.ledger.test_gate import gate_events, restart
from worker.ledger.gate import Gate
from worker.ledger.ledger import Ledger, Write
from worker.ledger.witness import Before, Witness

BOUND = Write("bind", phase="bound", memo="{}", reserve=["+1"], unsettled=True)
FENCE = Write("fence", phase="carted", money=True)


def process(ledger: Ledger, name: str, clock: Callable[[], float] = lambda: 0.0) -> Ledger:
    """The ledger as a worker process of that name has it; it has signed on."""
    mine = Ledger(ledger.client, ledger.keys.namespace, shebang=ledger.plans.shebang)
    mine.witness = Witness(name, silence_s=5.0, clock=clock)
    mine.worker_alive(name)
    return mine


def vouch(mine: Ledger) -> str:
    """What the gate says to what this process remembers."""
    assert mine.witness is not None
    mine.worker_alive(mine.witness.worker)
    before = mine.witness.before()
    assert before is not None
    assert before.healthy
    return Gate(mine).vouch("default", mine.witness.worker, before)


def forget_writes(ledger: Ledger, name: str, count: int) -> None:
    """As if the server had lost the last that it counted for this process."""
    ledger.client.hincrby(ledger.keys.namespace + ":vouch:counts", name, -count)


@pytest.fixture
def past(ledger: Ledger) -> Ledger:
    """A ledger with a past."""
    submitted(ledger)
    return ledger


def test_nothing_is_missing_and_the_last_of_all_processes_opens_it(past: Ledger) -> None:
    one, other = process(past, "one"), process(past, "other")
    claim = claimed(one, submitted(past).id)
    one.save(claim, 1, BOUND)
    one.save(claim, 2, FENCE)
    restart(past)
    assert vouch(one) == "waiting"
    assert Gate(past).closed("default")
    assert vouch(one) == "waiting", "said twice it is one word"
    assert vouch(other) == "opened"
    assert not Gate(past).closed("default")
    assert vouch(one) == "open"
    assert gate_events(past)[-1] == "didflow.ledger.gate_opened.v1"
    assert not claimed(one, claim.job_id, "again").gate_closed, "an open purchase recovers as after any death of a worker"


def test_a_write_that_is_missing_keeps_it_closed_whatever_the_others_say(past: Ledger) -> None:
    one, other = process(past, "one"), process(past, "other")
    claim = claimed(one, submitted(past).id)
    one.save(claim, 1, BOUND)
    one.save(claim, 2, FENCE)
    forget_writes(past, "one", 1)
    restart(past)
    assert vouch(other) == "waiting"
    assert vouch(one) == "lost"
    assert vouch(other) == "lost"
    assert Gate(past).closed("default")


def test_a_process_of_which_everything_is_lost_keeps_it_closed(past: Ledger) -> None:
    one = process(past, "one")
    process(past, "unknown")
    past.client.zrem(past.keys.workers, "unknown")
    forget_writes(past, "unknown", 1)
    restart(past)
    unknown = Before(epoch=1, count=1, healthy=True)
    assert Gate(past).vouch("default", "unknown", unknown) == "lost"
    assert vouch(one) == "lost"


def test_a_process_that_died_with_the_server_can_not_say_and_is_waited_for(past: Ledger) -> None:
    one = process(past, "one")
    process(past, "dead")
    restart(past)
    assert vouch(one) == "waiting"
    assert Gate(past).closed("default")


def test_one_that_signed_off_or_was_silent_for_longer_than_a_lease_is_not(past: Ledger) -> None:
    one = process(past, "one")
    process(past, "gone").worker_gone("gone")
    process(past, "long dead")
    past.client.zadd(past.keys.workers, {"long dead": past.now_ms() - 36_000})
    restart(past)
    assert vouch(one) == "opened"


def test_nobody_needs_to_say_anything_where_nobody_was_and_then_nobody_can(past: Ledger) -> None:
    restart(past)
    past.sweep(max_crashes=5)
    assert Gate(past).vouch("default", "late", Before(epoch=1, count=0, healthy=True)) == "waiting"
    assert Gate(past).closed("default")


def test_two_restarts_in_a_row_are_too_many(past: Ledger) -> None:
    one = process(past, "one")
    restart(past)
    past.sweep(max_crashes=5)
    restart(past)
    assert vouch(one) == "late"
    assert Gate(past).closed("default")


def test_a_second_restart_before_the_gate_was_open_again_is_too_many(past: Ledger) -> None:
    one, other = process(past, "one"), process(past, "other")
    restart(past)
    assert vouch(one) == "waiting"
    restart(past)
    assert vouch(one) == "late", "what the first one lost is not known"
    assert vouch(other) == "late"


def test_after_it_was_opened_so_the_next_restart_is_as_the_first(past: Ledger) -> None:
    one = process(past, "one")
    for _ in range(3):
        restart(past)
        assert vouch(one) == "opened"
    assert gate_events(past) == ["didflow.ledger.gate_closed.v1", "didflow.ledger.gate_opened.v1"] * 3


def test_a_write_whose_answer_was_lost_and_that_is_repeated_is_counted_when_it_is_answered(past: Ledger) -> None:
    one = process(past, "one")
    claim = claimed(one, submitted(past).id)
    one.save(claim, 1, BOUND)
    silent, one.witness = one.witness, None
    one._script("save", claim.job_id, claim.token, 2, 60_000, FENCE.as_json(), "one")  # Made, and nobody hears of it.
    one.witness = silent
    assert one.save(claim, 2, FENCE) == ("ok",)
    forget_writes(past, "one", 1)
    restart(past)
    assert vouch(one) == "lost"


def test_who_heard_nothing_for_long_can_not_answer_for_what_others_wrote(past: Ledger) -> None:
    now_s = [0.0]
    one = process(past, "one", lambda: now_s[0])
    now_s[0] = 6.0
    restart(past)
    one.worker_alive("one")
    assert one.witness is not None
    assert one.witness.before() == Before(epoch=1, count=1, healthy=False)


def test_an_outage_is_no_silence_of_ours(past: Ledger) -> None:
    now_s = [0.0]
    one = process(past, "one", lambda: now_s[0])
    assert one.witness is not None
    now_s[0] = 2.0
    one.witness.failed()
    now_s[0] = 100.0
    one.witness.failed()
    restart(past)
    one.worker_alive("one")
    assert one.witness.before() == Before(epoch=1, count=1, healthy=True)


def test_an_answer_of_the_old_server_that_comes_late_changes_nothing(past: Ledger) -> None:
    one = process(past, "one")
    restart(past)
    one.worker_alive("one")
    assert one.witness is not None
    before = one.witness.before()
    one.witness.acknowledged(99, 1, 0.0)
    assert one.witness.before() == before
