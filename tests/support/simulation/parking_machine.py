"""The same machine with releases that count down and park their numbers, while other jobs route them.

Lists don't lag here and no change of routes comes late: the ledger's own moments are the server's, which a test can't move, so that what
has to be waited for is judged by two clocks. Other tests play these with one clock.
"""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from didflow.contract.destinations import Destination
from didflow.contract.requests import Release, Reroute, Selector
from didflow.contract.states import JobState, Outcome
from tests.support.simulation.machine import ANY, ATTEMPTS_AT_MOST, CHANGES, JOBS_AT_MOST, Schedules
from tests.support.simulation.oracle import Oracle
from tests.support.simulation.simulation import Attempt
from worker.wavix.sandbox import SandboxOptions

PARKING = Destination.sip("parked@example.net")
GRACE = timedelta(hours=1)
POINTS = st.sampled_from(
    [
        "after:claim_routes",
        "before:save.grace_began",
        "before:set_route",
        "after:set_route",
        "before:save.parked",
        "before:save.called_off",
        "before:save.ways_back",
        "before:save.stays",
        "before:want_routes",
        "before:release",
        "after:release",
        "before:suspend",
        "before:finish",
    ]
)


class Parkings(Schedules):
    """Jobs at most, points and faults as there."""

    @initialize()
    def open(self) -> None:
        self.simulation = self.scene_with(SandboxOptions(numbers_per_city=8))
        self.oracle = Oracle(self.simulation)
        self.simulation.own(3)
        self._submit(Release(numbers=self._some_owned({0, 1}), grace=GRACE, parking=(PARKING,)))

    @precondition(lambda self: len(self.simulation.jobs) < JOBS_AT_MOST and self.simulation.sandbox.owned())
    @rule(which=st.sets(ANY, min_size=1, max_size=2))
    def count_down(self, which: set[int]) -> None:
        self._submit(Release(numbers=self._some_owned(which), grace=GRACE, parking=(PARKING,)))

    @precondition(lambda self: len(self.simulation.jobs) < JOBS_AT_MOST)
    @rule()
    def failover(self) -> None:
        """From the route that all had first."""
        self._submit(Reroute(selector=Selector(destination="old@example.net"), destinations=(self._own_route(),)))

    @rule()
    def grace_is_over(self) -> None:
        self.simulation.clock.pass_ms(int(GRACE.total_seconds() * 1000))

    @precondition(lambda self: len(self._standing()) < ATTEMPTS_AT_MOST and self._open_jobs())
    @rule(which=ANY, point=POINTS)
    def start_there(self, which: int, point: str) -> None:
        job = self._open_jobs()[which % len(self._open_jobs())]
        self.simulation.make_due(job)
        self.attempts.append(Attempt(self.simulation, job))
        self.attempts[-1].until(lambda at: at == point)

    @rule(call=CHANGES.filter(lambda call: call != "destinations"))
    def stays_under_way(self, call: str) -> None:
        self.simulation.sandbox.fly(call)

    @rule()
    def lists_lag(self, lag_ms: int = 0) -> None:
        """They don't."""

    def _end(self) -> None:
        super()._end()
        self._nothing_is_left_parked()

    def _nothing_is_left_parked(self) -> None:
        """A number that is where releases park is so because a job says that it is."""
        said: set[str] = set()
        for job in self.simulation.jobs:
            view = self.simulation.view(job)
            for one in view.result.numbers if view.result else ():
                code = one.error.code if one.error else ""
                unsettled = view.state is JobState.NEEDS_REVIEW and one.outcome in (Outcome.UNCLEAR, Outcome.FAILED)
                said |= {one.number} if unsettled or code in ("still_parked", "route_unknown") else set()
        left = {number for number, route in self.simulation.routes().items() if route == [PARKING.destination]}
        stories = [self.simulation.story(job) for job in self.simulation.jobs]
        assert left <= said, (left - said, stories)
        going = self.simulation.ledger.client.hgetall(f"{self.simulation.ledger.keys.namespace}:going:default")
        live = {job.id for job in self.simulation.jobs if self.simulation.view(job).state is JobState.NEEDS_REVIEW}
        assert set(dict(going).values()) <= live, (going, stories)
