"""Whatever a scheduler, a network and other people can do to a few jobs, one thing at a time: a state machine for Hypothesis.

Every choice is Hypothesis's, and only one attempt moves at a time, so a failing example is its list of steps and runs again the same.
"""

import random
from contextlib import suppress
from typing import ClassVar, TypeVar

import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job
from didflow.contract.requests import Failback, Release, Request, Reroute, SearchAndBuy
from didflow.contract.states import REPORTED, JobState
from tests.support import provider_profiles
from tests.support.provider_profiles import FOR_ANY_JOB, Drawn
from tests.support.simulation.oracle import Oracle
from tests.support.simulation.simulation import SETTLE_S, Attempt, Simulation
from worker.wavix.sandbox import SandboxOptions
from worker.wavix.sandbox.profiles import draw

T = TypeVar("T")

JOBS_AT_MOST = 4
ATTEMPTS_AT_MOST = 6
CITY = ("LOS ANGELES, CA",)

CHANGES = st.sampled_from(["cart_put", "cart_put", "checkout", "checkout", "cart_delete", "destinations", "release"])
CHANGE_FAULTS = st.sampled_from(
    ["drop", "act_and_drop", "act_then_html", "cut_json", "status_500_before", "rate_limit", "refuse", "act_then_refuse"]
)
READS = st.sampled_from(["owned", "cart", "dids", "owned_one", "trunks"])
READ_FAULTS = st.sampled_from(["drop", "html_error", "cut_json", "rate_limit"])
#: The points between which most hangs; an attempt runs to one of them, or to its end.
POINTS = st.sampled_from(
    [
        "before:save.bind",
        "before:put_in_cart",
        "after:put_in_cart",
        "before:save.fence",
        "before:check_out",
        "before:check_out",
        "after:check_out",
        "before:remove_from_cart",
        "after:remove_from_cart",
        "before:cart",
        "before:owned",
        "after:owned",
        "before:save.settled",
        "before:save.revoke",
        "before:set_route",
        "before:release",
        "after:release",
        "before:finish",
        "before:suspend",
    ]
)
ANY = st.integers(0, 11)
#: Assumption A3: less than the settle time.
LAGS = st.sampled_from([0, 0, 500, 5000, int(SETTLE_S * 1000) - 1])
#: Variations of the provider that change no job's end.
PROFILES = st.integers(0, 200).map(lambda seed: draw(random.Random(seed), seed % 4, FOR_ANY_JOB))


class Schedules(RuleBasedStateMachine):
    """`client` is the server's; a class of a test's own says which."""

    client: ClassVar[redis.Redis]

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[Attempt] = []
        self.keys: dict[str, Job] = {}

    def scene_with(self, options: SandboxOptions) -> Simulation:
        """Where it takes place. A mutant has another one."""
        return Simulation(self.client, sandbox=options)

    @initialize(partial_checkout=st.booleans(), quantity=st.integers(1, 3), lag_ms=LAGS, profiles=PROFILES)
    def open(self, partial_checkout: bool, quantity: int, lag_ms: int, profiles: tuple[str, ...]) -> None:
        provider_profiles.use(Drawn(profiles))
        self.simulation = self.scene_with(SandboxOptions(numbers_per_city=8, partial_checkout=partial_checkout))
        self.simulation.sandbox.lag_ms = lag_ms
        self.oracle = Oracle(self.simulation)
        self.simulation.own(4)
        self._submit(SearchAndBuy(country="US", city=CITY, quantity=quantity))

    # Producers

    @precondition(lambda self: len(self.simulation.jobs) < JOBS_AT_MOST)
    @rule(quantity=st.integers(1, 3), policy=st.sampled_from(["all_or_nothing", "best_effort"]), routed=st.booleans())
    def buy(self, quantity: int, policy: str, routed: bool) -> None:
        route = (self._own_route(),) if routed else ()
        self._submit(
            SearchAndBuy.model_validate({"country": "US", "city": CITY, "quantity": quantity, "policy": policy, "destinations": route})
        )

    @precondition(lambda self: len(self.simulation.jobs) < JOBS_AT_MOST and self.simulation.sandbox.owned())
    @rule(which=st.sets(ANY, min_size=1, max_size=3))
    def release(self, which: set[int]) -> None:
        self._submit(Release(numbers=self._some_owned(which)))

    @precondition(lambda self: len(self.simulation.jobs) < JOBS_AT_MOST and self.simulation.sandbox.owned())
    @rule(which=st.sets(ANY, min_size=1, max_size=3))
    def reroute(self, which: set[int]) -> None:
        self._submit(Reroute(numbers=self._some_owned(which), destinations=(self._own_route(),)))

    @precondition(lambda self: len(self.simulation.jobs) < JOBS_AT_MOST and self._reroutes())
    @rule(which=ANY)
    def failback(self, which: int) -> None:
        self._submit(Failback(job_id=_one(self._reroutes(), which).id))

    @rule(which=ANY)
    def submit_again(self, which: int) -> None:
        key, job = _one(sorted(self.keys.items()), which)
        again = self.simulation.submit(self.simulation.requests[job.id], key)
        assert (again.id, again.is_new) == (job.id, False)

    @rule(which=ANY)
    def cancel(self, which: int) -> None:
        self.simulation.cancel(_one(self.simulation.jobs, which))

    @rule(which=ANY)
    def retry(self, which: int) -> None:
        self.simulation.retry(_one(self.simulation.jobs, which))

    # Workers

    @precondition(lambda self: len(self._standing()) < ATTEMPTS_AT_MOST and self._open_jobs())
    @rule(which=ANY, point=POINTS)
    def start(self, which: int, point: str) -> None:
        """A worker takes a job that is due, or is refused it."""
        job = _one(self._open_jobs(), which)
        self.simulation.make_due(job)
        self.attempts.append(Attempt(self.simulation, job))
        self.attempts[-1].until(lambda at: at == point)

    @precondition(lambda self: self._standing())
    @rule(which=ANY, points=st.integers(1, 8))
    def step(self, which: int, points: int) -> None:
        attempt = _one(self._standing(), which)
        for _ in range(points):
            attempt.step()

    @precondition(lambda self: self._standing())
    @rule(which=ANY, point=POINTS)
    def run_to(self, which: int, point: str) -> None:
        _one(self._standing(), which).until(lambda at: at == point)

    @precondition(lambda self: self._standing())
    @rule(which=ANY)
    def kill(self, which: int) -> None:
        _one(self._standing(), which).kill()

    @precondition(lambda self: self._running())
    @rule(which=ANY)
    def lease_runs_out(self, which: int) -> None:
        """The worker that holds it may be dead, or continues later and doesn't know."""
        self.simulation.expire(_one(self._running(), which))

    @precondition(lambda self: self._running())
    @rule(which=ANY, point=POINTS)
    def taken_over(self, which: int, point: str) -> None:
        """The lease runs out and another worker is there at once."""
        job = _one(self._running(), which)
        self.simulation.expire(job)
        self.simulation.make_due(job)
        self.attempts.append(Attempt(self.simulation, job))
        self.attempts[-1].until(lambda at: at == point)

    @precondition(lambda self: self._standing())
    @rule(which=ANY)
    def beat(self, which: int) -> None:
        """The heartbeat of a worker: it learns of a lost lease, and of a cancel."""
        _one(self._standing(), which).worker.leases.beat()

    @precondition(lambda self: self._standing())
    @rule(which=ANY)
    def terminate(self, which: int) -> None:
        """SIGTERM: the attempt hands its job back where that is harmless."""
        _one(self._standing(), which).worker.stopping.set()

    # The provider, the network, other people, time

    @rule(call=CHANGES, kind=CHANGE_FAULTS, skip=st.integers(0, 1))
    def change_goes_wrong(self, call: str, kind: str, skip: int) -> None:
        self.simulation.sandbox.add_fault(call, kind, skip=skip, seconds=0)

    @rule(call=READS, kind=READ_FAULTS, times=st.integers(1, 3))
    def read_goes_wrong(self, call: str, kind: str, times: int) -> None:
        self.simulation.sandbox.add_fault(call, kind, times=times, seconds=0)

    @rule(call=CHANGES)
    def stays_under_way(self, call: str) -> None:
        self.simulation.sandbox.fly(call)

    @precondition(lambda self: self.simulation.sandbox.flights)
    @rule(which=ANY)
    def lands(self, which: int) -> None:
        self.simulation.sandbox.land(which % len(self.simulation.sandbox.flights))

    @rule(lag_ms=LAGS)
    def lists_lag(self, lag_ms: int) -> None:
        self.simulation.sandbox.lag_ms = lag_ms

    @rule(passed_ms=st.sampled_from([100, 4000, 9000, 10_000, 60_000]))
    def time_passes(self, passed_ms: int) -> None:
        self.simulation.clock.pass_ms(passed_ms)

    @precondition(lambda self: self._wanted())
    @rule(which=ANY)
    def somebody_buys(self, which: int) -> None:
        """A number that a job has chosen is sold to another customer."""
        self.simulation.sandbox.order("sell_to_other", number=_one(self._wanted(), which).removeprefix("+"))

    @rule(usd=st.sampled_from(["0.00", "3.00", "1000.00"]))
    def balance_is(self, usd: str) -> None:
        self.simulation.sandbox.order("set_balance", usd=usd)

    @rule()
    def works_again(self) -> None:
        self.simulation.sandbox.calm()

    # What must hold

    @invariant()
    def always(self) -> None:
        self.oracle.always()

    def teardown(self) -> None:
        """Peace: everything runs to its end. Those that lost their lease wake last, and what is under way lands after them."""
        if not hasattr(self, "simulation"):
            return
        try:
            self._end()
        finally:
            for attempt in self._standing():
                with suppress(BaseException):  # The example has failed already; what matters is that no thread is left.
                    attempt.kill()
            self.simulation.close()

    def _end(self) -> None:
        self.simulation.sandbox.calm()
        self.simulation.finish()
        self.oracle.at_end()
        for attempt in self._standing():
            attempt.end()
            self.oracle.always()
        self.oracle.at_end()
        while self.simulation.sandbox.flights:
            self.simulation.sandbox.land(0)
            self.oracle.always()
        self.oracle.at_end()
        for job in self.simulation.jobs:
            self.simulation.retry(job)
        self.simulation.finish()
        self.oracle.at_end()

    # Words for the above

    def _submit(self, request: Request) -> None:
        key = f"key-{len(self.keys)}"
        self.keys[key] = self.simulation.submit(request, key)

    def _own_route(self) -> Destination:
        """A destination that no other job asks for."""
        return Destination.sip(f"job-{len(self.simulation.jobs)}@example.net")

    def _some_owned(self, which: set[int]) -> tuple[str, ...]:
        owned = sorted(f"+{number}" for number in self.simulation.sandbox.owned())
        return tuple(sorted({_one(owned, one) for one in which}))

    def _standing(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if not attempt.over]

    def _open_jobs(self) -> list[Job]:
        return [job for job in self.simulation.jobs if self.simulation.view(job).state not in REPORTED]

    def _running(self) -> list[Job]:
        return [job for job in self.simulation.jobs if self.simulation.view(job).state is JobState.RUNNING]

    def _reroutes(self) -> list[Job]:
        return [job for job in self.simulation.jobs if isinstance(self.simulation.requests[job.id], Reroute)]

    def _wanted(self) -> list[str]:
        chosen = {number for job in self.simulation.jobs for number in self.simulation.ledger.numbers(job.id)}
        return sorted(chosen - {f"+{number}" for number in self.simulation.sandbox.owned()})


def _one(some: list[T], which: int) -> T:
    return some[which % len(some)]
