"""The ledger on another server, and worker processes that remember what they wrote: nothing missing, and the gate opens at once.

What could open it although something is missing is searched for in `tests/model/vouching_protocol.py`; here the scripts are asked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from didflow.contract.attempt_write import Write
from didflow.ledger.gate import Gate
from didflow.ledger.ledger import Ledger
from didflow.ledger.replies import GateClosed, Saved, Vouched
from didflow.ledger.serialization import write_text
from didflow.ledger.witness import SILENCE_S, Before, Witness
from tests.support.gate import gate_events, restart
from tests.support.ledger_roles import claimed, submitted

BOUND = Write("bind", phase="bound", checkpoint="{}", reserve=["+1"], unsettled=True)
FENCE = Write("fence", phase="carted", money=True)


class Clock:
    """A process's own, which the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def process(ledger: Ledger, name: str, clock: Clock | None = None) -> Ledger:
    """The ledger as a worker process of that name has it; it has signed on."""
    mine = Ledger(ledger.client, ledger.keys.namespace, shebang=ledger.commands.shebang)
    mine.witness = Witness(name, clock=clock or Clock())
    mine.worker_alive(name)
    return mine


def witness_of(mine: Ledger) -> Witness:
    assert mine.witness is not None
    return mine.witness


def seen(*processes: Ledger) -> None:
    """Signs of life until all have seen each other."""
    for _ in range(3):
        for mine in processes:
            mine.worker_alive(witness_of(mine).worker)
    assert all(mine.is_seen() for mine in processes)


def vouch(mine: Ledger) -> str:
    """What the gate says to what this process remembers."""
    mine.worker_alive(witness_of(mine).worker)
    before = witness_of(mine).before()
    assert before is not None
    assert before.healthy
    return Gate(mine).vouch("default", witness_of(mine).worker, before)


def epoch(ledger: Ledger) -> int:
    return int(str(ledger.client.hget(ledger.keys.epoch, "number")))


def forget_writes(ledger: Ledger, name: str, count: int) -> None:
    """As if the server had lost the last that it counted for this process."""
    ledger.client.hincrby(ledger.keys.namespace + ":vouch:counts", name, -count)


#: For what fakeredis can't do: its copy of a key changes with the key.
on_valkey = pytest.mark.parametrize("ledger", ["valkey"], indirect=True)


@contextmanager
def lost(ledger: Ledger) -> Iterator[None]:
    """What is written inside is lost, and another server comes after it."""
    client, kept = ledger.client, cast("list[str]", ledger.client.keys(f"{ledger.keys.namespace}:*"))
    for key in kept:
        client.copy(key, f"kept:{key}")
    yield
    client.delete(*cast("list[str]", client.keys(f"{ledger.keys.namespace}:*")))
    for key in kept:
        client.rename(f"kept:{key}", key)
    restart(ledger)


@pytest.fixture
def past(ledger: Ledger) -> Ledger:
    """A ledger with a past."""
    submitted(ledger)
    return ledger


def test_nothing_is_missing_and_the_last_of_all_processes_opens_it(past: Ledger) -> None:
    one, other = process(past, "one"), process(past, "other")
    seen(one, other)
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
    seen(one, other)
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
    past.sweep(max_crashes=5)
    unknown = Before(epoch=1, count=1, healthy=True, after=epoch(past))
    assert Gate(past).vouch("default", "unknown", unknown) == Vouched.LOST
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


def test_where_no_process_had_written_none_needs_to_vouch_and_none_can(past: Ledger) -> None:
    restart(past)
    past.sweep(max_crashes=5)
    assert Gate(past).vouch("default", "late", Before(epoch=1, count=0, healthy=True, after=epoch(past))) == Vouched.WAITING
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
    one._script(
        "save", claim.job_id, claim.token, 2, 60_000, write_text(FENCE, ()), "one", witness_of(one).seen
    )  # Made, and nobody hears of it.
    assert one.save(claim, 2, FENCE) == Saved()
    forget_writes(past, "one", 1)
    restart(past)
    assert vouch(one) == "lost"


def test_a_process_that_heard_nothing_for_long_cannot_vouch_for_the_writes_of_others(past: Ledger) -> None:
    """Whatever kept it from hearing: it may have been its own connection, and the server gone on."""
    clock = Clock()
    one = process(past, "one", clock)
    clock.now_s += SILENCE_S + 0.1
    restart(past)
    one.worker_alive("one")
    assert witness_of(one).before() == Before(epoch=1, count=1, healthy=False, after=epoch(past))


def test_only_signs_of_life_end_a_silence(past: Ledger) -> None:
    """Others go by those to tell who can still be a witness."""
    clock = Clock()
    one = process(past, "one", clock)
    claim = claimed(one, submitted(past).id)
    clock.now_s += SILENCE_S + 0.1
    assert one.save(claim, 1, BOUND) == Saved()
    restart(past)
    one.worker_alive("one")
    assert witness_of(one).before() == Before(epoch=1, count=2, healthy=False, after=epoch(past))


def test_an_answer_of_the_old_server_that_is_still_out_is_waited_for_and_counts(past: Ledger) -> None:
    one = process(past, "one")
    with witness_of(one).call() as answered:
        restart(past)
        one.worker_alive("one")
        assert witness_of(one).before() is None
        answered(7, 1)
    before = witness_of(one).before()
    assert before == Before(epoch=1, count=7, healthy=True, after=epoch(past))
    assert Gate(past).vouch("default", "one", before) == Vouched.LOST


def test_the_writes_of_a_process_that_signs_off_right_after_the_restart_must_be_vouched_for(past: Ledger) -> None:
    one, leaving = process(past, "one"), process(past, "leaving")
    forget_writes(past, "leaving", 1)
    restart(past)
    leaving.worker_gone("leaving")
    assert vouch(one) == "waiting"


def test_a_new_process_binds_nothing_before_all_witnesses_know_of_a_write_after_it_began(past: Ledger) -> None:
    one, other = process(past, "one"), process(past, "other")
    seen(one, other)
    new, newer = process(past, "new"), process(past, "newer")
    claim = claimed(new, submitted(past).id)
    for _ in range(3):
        assert not new.is_seen(), "two new ones don't make each other old"
        assert new.save(claim, 1, BOUND) == GateClosed()
        newer.worker_alive("newer")
        new.worker_alive("new")
    one.worker_alive("one")
    one.worker_alive("one")
    other.worker_alive("other")
    assert not new.is_seen(), "the other's write was made; that it knows of it is another thing"
    other.worker_alive("other")
    assert new.is_seen()
    assert new.save(claim, 2, BOUND) == Saved()


def test_one_that_signed_off_is_not_waited_for_and_one_that_is_silent_only_until_it_can_not_vouch(past: Ledger) -> None:
    process(past, "leaving")
    process(past, "dead")
    clock = Clock()
    new = process(past, "new", clock)
    past.worker_gone("leaving")
    assert not new.is_seen()
    clock.now_s += SILENCE_S + 1.0
    assert new.is_seen()


def test_a_process_alone_is_its_own_witness(past: Ledger) -> None:
    assert process(past, "one").is_seen()


def test_a_process_that_slept_until_it_was_forgotten_is_a_new_one(past: Ledger) -> None:
    one, slept = process(past, "one"), process(past, "slept")
    seen(one, slept)
    claim = claimed(slept, submitted(past).id)
    past.client.zadd(past.keys.workers, {"slept": past.now_ms() - 36_000})
    assert slept.save(claim, 1, BOUND) == GateClosed()
    slept.worker_alive("slept")
    assert slept.save(claim, 2, BOUND) == GateClosed(), "it must be seen again"
    seen(one, slept)
    assert slept.save(claim, 3, BOUND) == Saved()


def test_a_beginning_whose_answer_was_lost_is_sent_again(past: Ledger) -> None:
    one = process(past, "one")
    past._script("alive", "new", 35_000, 60_000, 0, 0, "")  # Made, and nobody hears of it.
    new = process(past, "new")
    assert not new.is_seen()
    seen(one, new)


def test_two_servers_one_after_another_never_have_the_same_epoch(past: Ledger) -> None:
    """Whatever the second one knows of the first."""
    epochs = set()
    for name in ("first", "second", "third"):
        past.client.hset(past.keys.epoch, mapping={"server": "another", "number": "1", "alive_ms": past.now_ms()})
        past.client.hset(past.keys.epoch, "server", name)
        past.sweep(max_crashes=5)
        epochs.add(past.client.hget(past.keys.epoch, "number"))
    assert "1" not in epochs


def test_a_process_with_short_leases_forgets_none_that_others_still_wait_for(past: Ledger) -> None:
    one, slept = process(past, "one"), process(past, "slept")
    seen(one, slept)
    past.client.zadd(past.keys.workers, {"slept": past.now_ms() - 20_000})
    process(past, "short").worker_alive("short", lease_ms=1_000)
    assert past.client.zscore(past.keys.workers, "slept") is not None
    past.worker_gone("short")
    restart(past)
    assert vouch(one) == "waiting"


# Found by the search of tests/model/vouching_protocol.py.


@on_valkey
def test_a_call_that_was_under_way_while_others_took_its_process_for_silent_ends_no_silence(past: Ledger) -> None:
    clock = Clock()
    one = process(past, "one", clock)
    with witness_of(one).call(sign_of_life=True) as answered:  # Sent on the old server, and again on the new one, which answers.
        with lost(past):
            new = process(past, "new", clock)
            clock.now_s += SILENCE_S + 1.0
            assert new.is_seen(), "nobody can vouch who hasn't written by now"
            assert new.save(claimed(new, submitted(past).id), 1, BOUND) == Saved()
        past.sweep(max_crashes=5)
        answered(1, epoch(past))
    assert witness_of(one).before() == Before(epoch=1, count=1, healthy=False, after=epoch(past))


def test_a_process_whose_beginning_took_long_waits_from_its_answer_on(past: Ledger) -> None:
    clock = Clock()
    one = process(past, "one", clock)

    class Slow(Ledger):
        def _script(self, name: str, *args: str | int) -> Any:
            clock.now_s += 2 * SILENCE_S
            one.worker_alive("one")
            return super()._script(name, *args)

    new = Slow(past.client, past.keys.namespace, shebang=past.commands.shebang)
    new.witness = Witness("new", clock=clock)
    new.worker_alive("new")
    assert not new.is_seen(), "the other one has written a moment before, and may vouch for another five seconds"
    clock.now_s += SILENCE_S + 1.0
    assert new.is_seen()


def test_a_process_that_seems_silent_because_the_clock_was_set_forward_is_waited_for(past: Ledger) -> None:
    process(past, "one")
    past.client.zadd(past.keys.workers, {"one": past.now_ms() - 20_000})
    assert not process(past, "new").is_seen()


@on_valkey
def test_nothing_is_said_on_a_third_server_that_knows_nothing_of_the_second(past: Ledger) -> None:
    """The same word, sent again: what was written on the second one once it had opened the gate is lost."""
    one = process(past, "one")
    with lost(past):
        restart(past)
        one.worker_alive("one")
        said = witness_of(one).before()
        assert said is not None
        assert Gate(one).vouch("default", "one", said) == Vouched.OPENED
        assert one.save(claimed(one, submitted(past).id), 1, BOUND) == Saved()
    assert Gate(one).vouch("default", "one", said) == Vouched.LATE
    assert Gate(past).closed("default")


@on_valkey
def test_a_process_with_longer_leases_makes_no_silent_process_a_witness(past: Ledger) -> None:
    """Were its coming lost, nobody would ask after him."""
    one, slept = process(past, "one"), process(past, "slept")
    seen(one, slept)
    claim = claimed(slept, submitted(past).id)
    past.client.zadd(past.keys.workers, {"slept": past.now_ms() - 36_000})
    with lost(past):
        past.worker_alive("longer", lease_ms=60_000)
        assert slept.save(claim, 1, BOUND) == GateClosed()
    assert vouch(one) == "opened"
