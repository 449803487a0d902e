"""Attempts that end while another end is written are written together. Until then their leases hold, and no thread waits for them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from didflow.contract.errors import ServiceUnavailable
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import Result, Totals
from didflow.contract.states import JobState, Lane, WaitReason
from didflow.ledger.commands import FINISHED_TOGETHER
from tests.support.inline_worker import InlineWorker
from tests.support.queue_workers import until
from worker.attempt.end_writer import MOST_WAITING
from worker.attempt.fault_points import watched_ledger
from worker.attempt.runner import Attempt, JobRunner
from worker.jobs.ports.endings import Ended

BUY = SearchAndBuy(country="US")


class Killed(BaseException):
    """As by kill -9, at a point."""


class Process:
    """A worker process of which the first write of an end stands still until `go` is set; then `then` may raise what befalls it."""

    def __init__(self, inline: InlineWorker, *, middleware: tuple[str, ...] = ()) -> None:
        self.go, self.stands = threading.Event(), threading.Event()
        self.points: list[str] = []
        self.then: dict[str, Callable[[], None]] = {}
        settings = inline.settings.model_copy(update={"middleware": middleware})
        ledger = watched_ledger(inline.ledger, self._reached)
        self.inline = inline
        self.runner = JobRunner(ledger, settings, inline.provider, inline.leases, inline.stopping, lambda *_: nothing())

    def _reached(self, point: str) -> None:
        self.points.append(point)
        if point == "before:finish" and not self.stands.is_set():
            self.stands.set()
            assert self.go.wait(60.0)
        if point in self.then:
            self.then.pop(point)()

    def taken(self, count: int) -> list[Attempt]:
        for _ in range(count):
            self.inline.submit(BUY)
        taken, _ = self.runner.take(Lane.MONEY, count, "money")
        assert len(taken) == count
        return taken

    def states(self, taken: list[Attempt]) -> list[JobState]:
        return [self.inline.ledger.get(one.claim.job_id).state for one in taken]

    @contextmanager
    def writing(self, one: Attempt) -> Iterator[None]:
        """Its end is being written; after this it is."""
        thread = threading.Thread(target=self._run, args=(one,))
        thread.start()
        assert self.stands.wait(60.0)
        yield
        self.go.set()
        thread.join()

    def _run(self, one: Attempt) -> None:
        try:
            self.runner.attempt(one)
        except Killed:
            self.points.append("killed")


def nothing() -> Ended:
    return Ended(JobState.SUCCEEDED, Result(totals=Totals(requested=1, done=0)))


def test_what_ends_meanwhile_waits_with_its_lease_and_is_written_together(inline: InlineWorker) -> None:
    process = Process(inline)
    first, *others = process.taken(4)
    with process.writing(first):
        for one in others:
            process.runner.attempt(one)
        assert set(process.states([first, *others])) == {JobState.RUNNING}, "none of the three had to wait for that"
        moment_ms = inline.ledger.now_ms()
        until(lambda: inline.ledger.now_ms() > moment_ms)
        before = {one.claim.job_id: inline.ledger.client.hget(inline.ledger.keys.job(one.claim.job_id), "lease_ms") for one in others}
        assert inline.leases.beat()
        after = {one.claim.job_id: inline.ledger.client.hget(inline.ledger.keys.job(one.claim.job_id), "lease_ms") for one in others}
        assert all(int(str(after[job])) > int(str(before[job])) for job in before), "renewed"
        assert {key for key, _ in inline.leases._held} == {one.claim.job_id for one in (first, *others)}
    assert set(process.states([first, *others])) == {JobState.SUCCEEDED}
    assert [point for point in process.points if "finish" in point] == [
        *("before:finish", "after:finish"),
        *["before:finish"] * 3,
        *["after:finish"] * 3,
    ], "one write, and one for the other three"
    assert not inline.leases._held
    assert inline.ledger.client.xlen(inline.ledger.keys.results) == 4


def test_a_lost_reply_ends_no_job_twice_and_holds_no_lease(inline: InlineWorker) -> None:
    process = Process(inline)
    first, *others = process.taken(3)

    def lose() -> None:
        raise ServiceUnavailable("the reply is lost")

    with process.writing(first):
        for one in others:
            process.runner.attempt(one)
        process.then["after:finish"] = lose
    assert set(process.states([first, *others])) == {JobState.SUCCEEDED}
    assert not inline.leases._held
    assert inline.ledger.client.xlen(inline.ledger.keys.results) == 3


def test_a_process_that_dies_with_ends_in_hand_leaves_the_jobs_to_others(inline: InlineWorker) -> None:
    process = Process(inline)
    first, *others = process.taken(3)

    def die() -> None:
        raise Killed

    with process.writing(first):
        for one in others:
            process.runner.attempt(one)
        process.then["after:finish"] = lambda: process.then.update({"before:finish": die})
    assert process.points[-1] == "killed"
    assert process.states([first, *others]) == [JobState.SUCCEEDED, JobState.RUNNING, JobState.RUNNING]
    for one in others:
        inline.ledger.client.zadd(inline.ledger.keys.leases, {one.claim.job_id: 1})
        inline.ledger.client.hset(inline.ledger.keys.job(one.claim.job_id), "lease_ms", 1)
    until(lambda: inline.ledger.sweep(max_crashes=5).recovered >= 0 and set(process.states(others)) == {JobState.QUEUED})
    for one in others:
        inline.runner.run(one.claim.job_id)
    assert set(process.states(others)) == {JobState.SUCCEEDED}
    assert inline.ledger.client.xlen(inline.ledger.keys.results) == 3


def test_one_that_can_not_be_written_keeps_none_of_the_others_from_it(inline: InlineWorker) -> None:
    """Another program wrote to a key of that job."""
    process = Process(inline)
    first, damaged, other = process.taken(3)
    with process.writing(first):
        steps = inline.ledger.keys.steps(damaged.claim.job_id)
        inline.ledger.client.delete(steps)
        inline.ledger.client.set(steps, "a text")
        for one in (damaged, other):
            process.runner.attempt(one)
    assert process.states([first, damaged, other]) == [JobState.SUCCEEDED, JobState.RUNNING, JobState.SUCCEEDED]
    assert not inline.leases._held, "its lease ends"


def test_one_run_of_the_script_ends_several_jobs_and_not_all(inline: InlineWorker) -> None:
    """What the server does besides waits for as long as it runs."""
    process = Process(inline)
    jobs = process.taken(2 * FINISHED_TOGETHER + 1)
    *ended, waiting = jobs
    client, result = inline.ledger.client, nothing().result
    calls = [inline.ledger.ending(one.claim, JobState.SUCCEEDED, result) for one in ended]
    calls.insert(1, inline.ledger.suspending(waiting.claim, JobState.WAITING, WaitReason.STOCK, delay_ms=60_000, refund=False))
    client.script_load(inline.ledger.commands.script("finish").source)
    client.script_load(inline.ledger.commands.script("suspend").source)
    before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert inline.ledger.end_together(calls) == [True] * len(jobs)
    # The first end, the one that only suspends, and the others in two.
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 1 + 1 + 2
    assert process.states(jobs) == [*[JobState.SUCCEEDED] * len(ended), JobState.WAITING]
    assert client.xlen(inline.ledger.keys.results) == len(ended)


def test_an_attempt_that_lost_its_job_ends_no_other_one(inline: InlineWorker) -> None:
    process = Process(inline)
    jobs = [one.claim for one in process.taken(3)]
    jobs[1] = replace(jobs[1], token=str(int(jobs[1].token) + 1))
    calls = [inline.ledger.ending(one, JobState.SUCCEEDED, nothing().result) for one in jobs]
    assert inline.ledger.end_together(calls) == [True, False, True]
    assert [inline.ledger.get(one.job_id).state for one in jobs] == [JobState.SUCCEEDED, JobState.RUNNING, JobState.SUCCEEDED]


def test_with_a_middleware_a_message_is_done_when_its_end_is_written(inline: InlineWorker) -> None:
    process = Process(inline, middleware=("some.module:Class",))
    first, other = process.taken(2)
    done = threading.Event()
    with process.writing(first):

        def run() -> None:
            process.runner.attempt(other)
            done.set()

        waits = threading.Thread(target=run)
        waits.start()
        until(lambda: process.runner._ends._came == 2)
        assert not done.wait(0.05)
    waits.join()
    assert done.is_set()
    assert set(process.states([first, other])) == {JobState.SUCCEEDED}


@pytest.mark.parametrize("beyond", [0, 1])
def test_no_more_ends_wait_than_that(inline: InlineWorker, beyond: int) -> None:
    """A server that doesn't answer takes the threads of a process in the end, and so nothing more is taken."""
    process = Process(inline)
    first, *others = process.taken(1 + MOST_WAITING + beyond)
    with process.writing(first):

        def run() -> None:
            for one in others:
                process.runner.attempt(one)

        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: process.runner._ends._came == len(others) + 1)
        thread.join(0.0 if beyond else 60.0)
        assert thread.is_alive() is bool(beyond)
    thread.join()
    assert set(process.states([first, *others])) == {JobState.SUCCEEDED}


def test_a_server_that_has_forgotten_the_scripts_is_sent_them_again(inline: InlineWorker) -> None:
    process = Process(inline)
    first, *others = process.taken(3)
    with process.writing(first):
        for one in others:
            process.runner.attempt(one)
        inline.ledger.client.script_flush()
    assert set(process.states([first, *others])) == {JobState.SUCCEEDED}
    inline.ledger.client.script_flush()
    again = [inline.ledger.ending(one.claim, JobState.SUCCEEDED, nothing().result) for one in others]
    assert inline.ledger.end_together(again) == [True, True], "the second run of each changes nothing"
    assert inline.ledger.client.xlen(inline.ledger.keys.results) == 3
