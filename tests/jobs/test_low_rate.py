"""Jobs of many calls at a low rate: each continues from where it is, and takes as long as its calls take at that rate."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Failback, Release, Reroute, SearchAndBuy, Selector
from didflow.contract.states import REPORTED, Lane
from didflow.ledger import script_calls
from didflow.ledger.rate_limit import Pace
from tests.support.fan_out import batches
from tests.support.inline_worker import InlineWorker, result_of
from tests.support.moved_clock import MovedLedger, ledger
from worker.attempt.heartbeat import LeaseFlags
from worker.attempt.patience import PATIENCE_S, AttemptPatience, UntilStopped
from worker.attempt.provider_clients import Providers
from worker.attempt.runner import JobRunner
from worker.jobs.owned_numbers import owned_whole
from worker.wavix.reads import READ_ATTEMPTS
from worker.wavix.request_gate import with_patience
from worker.wavix.sandbox import Sandbox
from worker.wavix.sandbox.options import SandboxOptions

__all__ = ["ledger"]

BACKUP = Destination.sip("backup@example.net")
#: What the waits between attempts and the settle time add at most.
BESIDES_S = 30.0


class SlowStage(InlineWorker):
    """An inline worker whose calls go through the account's gate, on the ledger's clock: whichever worker waits there moves it."""

    def __init__(self, ledger: MovedLedger, sandbox: Sandbox, rate_per_s: float) -> None:
        super().__init__(ledger, sandbox, rate_limit=rate_per_s, http_timeout=20.0, lease_seconds=600.0)
        self.moved = ledger
        self.providers = Providers(self.settings, ledger, clock=lambda: ledger.now_ms() / 1000, sleep=self.pass_s)
        self.runner = JobRunner(ledger, self.settings, self.providers, self.leases, self.stopping)
        self.while_waiting: Callable[[], None] = lambda: None

    def pass_s(self, seconds: float) -> None:
        self.while_waiting()
        self.moved.pass_time(timedelta(seconds=seconds))

    def calls(self) -> int:
        return sum(self.sandbox.state()["calls"].values())

    def play(self, job: Job) -> JobView:
        """Attempts of the job and its batches, each when it is due, until the job is reported."""
        for _ in range(400):
            for one in (*batches(self, job), job):
                view = self.ledger.get(one.id)
                if view.due_at is None or view.due_at <= self.moved.now():
                    self.attempt(one)
            if (view := self.ledger.get(job.id)).state in REPORTED:
                return view
            views = [self.ledger.get(one.id) for one in (*batches(self, job), job)]
            if all(view.due_at for view in views):
                self.moved.pass_until(min(view.due_at for view in views if view.due_at))
        raise AssertionError([vars(step) for step in self.story(job)])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(numbers_per_city=120)) as large:
        yield large


@pytest.fixture
def slow(ledger: MovedLedger, sandbox: Sandbox) -> Iterator[Callable[[float], SlowStage]]:
    made: list[SlowStage] = []

    def inline(rate_per_s: float) -> SlowStage:
        made.append(SlowStage(ledger, sandbox, rate_per_s))
        return made[-1]

    yield inline
    for one in made:
        one.close()


@pytest.mark.parametrize("rate_per_s", [0.5, pytest.param(0.05, marks=pytest.mark.long)])
def test_two_thousand_numbers_are_rerouted_and_failed_back_in_calls_divided_by_the_rate(
    slow: Callable[[float], SlowStage], rate_per_s: float
) -> None:
    inline = slow(rate_per_s)
    ours = inline.own(2000)
    began_ms, began_s = inline.moved.now_ms(), time.monotonic()
    job = inline.submit(Reroute(selector=Selector(all=True), destinations=(BACKUP,)))
    view = inline.play(job)
    assert result_of(view).totals.done == 2000
    assert view.state == "succeeded"
    back = inline.play(inline.submit(Failback(job_id=job.id)))
    assert back.state == "succeeded"
    assert inline.routes() == {number: ["old@example.net"] for number in ours}
    # Without the real time: it says how busy the machine is.
    count, took_s = inline.calls(), (inline.moved.now_ms() - began_ms) / 1000 - (time.monotonic() - began_s)
    assert count < 130, "each way 21 pages to list, 20 calls to move, and 20 pages to confirm"
    assert took_s < count * Pace.of(rate_per_s, 0.5).interval_us / 1_000_000 + BESIDES_S


@pytest.mark.long
def test_numbers_are_bought_and_released_at_any_rate(slow: Callable[[float], SlowStage]) -> None:
    inline = slow(0.05)
    bought = inline.play(inline.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=3)))
    assert bought.state == "succeeded"
    assert len(inline.owned()) == 3
    assert inline.sandbox.state()["calls"]["checkout"] == 1
    many = inline.own(250)
    released = inline.play(inline.submit(Release(numbers=tuple(many))))
    assert released.state == "succeeded"
    assert len(inline.owned()) == 3


def test_a_list_outlasts_refusals_for_the_rate(slow: Callable[[float], SlowStage]) -> None:
    inline = slow(2.0)
    inline.own(1200)
    inline.sandbox.add_fault("owned_list", "rate_limit", seconds=7.0, times=2 * READ_ATTEMPTS, skip=5)
    job = inline.submit(Reroute(selector=Selector(all=True), destinations=(BACKUP,), dry_run=True))
    assert inline.play(job).state == "succeeded"
    assert inline.steps(job).count("snapshot_begun") == 1


def test_a_stop_and_a_cancel_take_effect_while_a_list_waits(slow: Callable[[float], SlowStage]) -> None:
    inline = slow(0.05)
    inline.own(500)
    job = inline.submit(Reroute(selector=Selector(all=True), destinations=(BACKUP,)))
    inline.while_waiting = inline.stopping.set
    before_ms = inline.moved.now_ms()
    assert inline.attempt(job).state == "waiting"
    assert inline.moved.now_ms() - before_ms < 1000, "not for its moment, which is twenty seconds away"
    assert inline.calls() <= 2

    inline.stopping.clear()

    def cancel() -> None:
        inline.ledger.run(script_calls.cancel(job.id))
        inline.leases.beat()

    inline.while_waiting = cancel
    view = inline.ledger.get(job.id)
    assert view.due_at is not None
    inline.moved.pass_until(view.due_at)
    before = inline.calls()
    inline.attempt(job)
    inline.while_waiting = lambda: None
    assert inline.play(job).state == "cancelled"
    assert inline.calls() <= before + 2
    assert set(map(tuple, inline.routes().values())) == {("old@example.net",)}


def test_a_deadline_that_passes_while_a_change_waits_for_its_turn_stops_it(slow: Callable[[float], SlowStage]) -> None:
    inline = slow(0.05)
    numbers = tuple(inline.own(3))
    deadline = inline.moved.now() + timedelta(seconds=15)
    view = inline.play(inline.submit(Reroute(numbers=numbers, destinations=(BACKUP,), deadline=deadline)))
    assert view.state == "expired"
    assert "destinations" not in inline.sandbox.state()["calls"]


def test_the_gatekeeper_s_list_is_read_to_its_end_at_any_rate(slow: Callable[[float], SlowStage], ledger: MovedLedger) -> None:
    inline = slow(0.05)
    inline.own(500)
    client = inline.providers("default", Lane.BULK)
    with with_patience(UntilStopped()):
        assert len(owned_whole(client)) == 500


def test_the_first_call_of_an_attempt_holds_no_thread_for_long() -> None:
    flags, stopping = LeaseFlags(valid_until_s=float("inf")), threading.Event()
    patience = AttemptPatience(flags, stopping)
    assert patience.left_s(0.0) == PATIENCE_S
    patience.admitted()
    assert patience.left_s(1000.0) == float("inf")
    patience.end()
    assert patience.left_s(0.0) == 0.0


def test_an_attempt_that_began_cancelled_still_winds_up() -> None:
    patience = AttemptPatience(LeaseFlags(valid_until_s=float("inf"), cancel=True), threading.Event())
    patience.admitted()
    assert patience.left_s(1000.0) == float("inf")
