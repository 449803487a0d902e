"""A release that counts down, in a scheduler's hands: cancelled at any moment, workers die at any point, lists lag, calls are late.

What went is what was requested and not cancelled; whatever stays has the route that it had; nothing is given back by a call that was
begun after a cancel was acknowledged; and the job says what became of each number, once.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import redis

from didflow.contract.destinations import Destination
from didflow.contract.provider import Yes
from didflow.contract.requests import Release, Reroute
from didflow.contract.states import REPORTED, JobState, Outcome, WaitReason
from tests.support.simulation.oracle import GIVEN_BACK, Oracle
from tests.support.simulation.simulation import ATTEMPTS_AT_MOST, LONG_MS, SETTLE_S, Attempt, Killed, Simulation, Worker

PARKING = (Destination.sip("parked@example.net"),)
GRACE = timedelta(hours=1)
#: Each test takes every n-th point, `make long` takes all.
SHARES = 16
#: A list that lags by this much keeps assumption A3, and a call that comes so late keeps A5.
JUST_IN_TIME_MS = int(SETTLE_S * 1000) - 1

Happens = Callable[["Play"], None]


class Play:
    """A release of two numbers of three. `at` things happen at the points of these places in the order in which they are reached.

    `in_grace`: what happens as soon as the job waits for its time; `when`: the same at the first point of such a name.
    """

    def __init__(
        self,
        server: redis.Redis,
        *,
        parking: bool = True,
        at: timedelta | None = None,
        expected: tuple[Outcome, Outcome] = (Outcome.RELEASED, Outcome.RELEASED),
        places: Mapping[int, Happens] | None = None,
        when: Mapping[str, Happens] | None = None,
        in_grace: Happens | None = None,
        fault: Happens | None = None,
        batch_size: int = 100,
    ) -> None:
        self.simulation = Simulation(server, batch_size=batch_size)
        *self.ours, self.other = self.simulation.own(3)
        self.simulation.clock.pass_ms(60_000)
        self.before = self.simulation.routes()
        if fault:
            fault(self)
        begins = datetime.fromtimestamp(self.simulation.clock.now_ms() / 1000, UTC) + at if at else None
        self.parking = PARKING if parking else ()
        self.job = self.simulation.submit(Release(numbers=tuple(self.ours), at=begins, grace=GRACE, parking=self.parking))
        #: What becomes of the two, unless it is cancelled.
        self.expected = dict(zip(self.ours, expected, strict=True))
        self.reached: list[str] = []
        #: Calls that the sandbox had got when a cancel was acknowledged, and whether a release was begun by then.
        self.acknowledged: tuple[int, bool] | None = None
        self._at, self._when, self._in_grace = dict(places or {}), dict(when or {}), in_grace
        #: How long the job is left alone when it waits for lists to settle.
        self.settling_ms = int(SETTLE_S * 1000)
        self._began_at = 0
        self._worker: Worker | None = None
        self._flown_ms = 0

    # What may happen

    def cancel(self) -> None:
        """Someone cancels it, and is answered."""
        self.simulation.cancel(self.job)
        if self.acknowledged is None:
            begun = "after:save.releasing" in self.reached[self._began_at :]
            self.acknowledged = len(self.simulation.sandbox.arrived), begun

    def heard(self) -> None:
        """The worker's heartbeat."""
        if self._worker:
            self._worker.leases.beat()

    def die(self) -> None:
        raise Killed(self.reached[-1])

    # The run

    def play_on(self) -> "Play":
        for _ in range(ATTEMPTS_AT_MOST):
            view = self.simulation.view(self.job)
            if view.state in REPORTED:
                return self
            if view.state is JobState.WAITING and view.reason == WaitReason.GRACE:
                if self._in_grace:
                    happens, self._in_grace = self._in_grace, None
                    happens(self)
                if self.acknowledged is None:
                    self.pass_ms(int(GRACE.total_seconds() * 1000))
            elif view.reason == WaitReason.SETTLING:
                # A release that was refused after a call without an answer waits much longer.
                long_ms = waits_ms if (waits_ms := self.simulation.waits_ms(self.job)) > LONG_MS else 0
                self.pass_ms(max(self.settling_ms, long_ms))
            self.attempt()
        raise AssertionError(self.simulation.story(self.job))

    def attempt(self) -> None:
        """One, now. If its worker dies, its lease runs out."""
        self.simulation.ledger.client.hset(self.simulation.ledger.keys.job(self.job.id), "due_ms", "")
        self._began_at = len(self.reached)
        self._worker = self.simulation.worker(self._reached)
        with suppress(Killed):
            self._worker.runner.run(self.job.id)
        if self.simulation.sandbox.flights and not self._flown_ms:
            self._flown_ms = self.simulation.clock.now_ms()
        self.simulation.expire(self.job)

    def _reached(self, point: str) -> None:
        place = len(self.reached)
        self.reached.append(point)
        if happens := self._when.pop(point, None):
            happens(self)
        if happens := self._at.pop(place, None):
            happens(self)

    def pass_ms(self, passed_ms: int) -> None:
        """Time passes; a call that is under way comes as late as it may."""
        left_ms = max(0, self._flown_ms + JUST_IN_TIME_MS - self.simulation.clock.now_ms())
        if self.simulation.sandbox.flights and passed_ms >= left_ms:
            self.simulation.clock.pass_ms(left_ms)
            passed_ms -= left_ms
            while self.simulation.sandbox.flights:
                self.simulation.sandbox.land(0)
        self.simulation.clock.pass_ms(max(1, passed_ms))

    # What must be true

    def outcomes(self) -> dict[str, Outcome | None]:
        result = self.simulation.view(self.job).result
        return {one.number: one.outcome for one in result.numbers} if result else {}

    def check(self) -> None:
        story = self.simulation.story(self.job)
        Oracle(self.simulation).at_end()
        state, reported, routes = self.simulation.view(self.job).state, self.outcomes(), self.simulation.routes()
        assert routes[self.other] == self.before[self.other]
        gone = set(self.ours) - routes.keys()
        assert gone == {number for number, outcome in reported.items() if outcome in GIVEN_BACK}, (reported, story)
        assert Outcome.UNCLEAR not in reported.values() or state is JobState.NEEDS_REVIEW
        changed = [call for call, _ in self.simulation.sandbox.arrived if call in ("destinations", "release")]
        assert not self.parking or changed[:1] != ["release"], ("given back without having been parked", story)
        if self.acknowledged is None:
            assert reported == self.expected, story
            assert all(routes[number] == self.before[number] for number in routes), story
            return
        calls, begun = self.acknowledged
        late = [call for call, _ in self.simulation.sandbox.arrived[calls:] if call == "release"]
        assert len(late) <= begun, ("a release was begun after a cancel was acknowledged", story)
        if state is JobState.NEEDS_REVIEW:
            assert Outcome.UNCLEAR in reported.values(), story
            return
        assert state is JobState.CANCELLED or gone or set(reported.values()) == {Outcome.REFUSED}, story
        for number in routes.keys() & set(self.ours):
            assert routes[number] == self.before[number], (number, reported, story)

    def close(self) -> None:
        self.simulation.close()


def unclear(play: Play) -> None:
    """The call that parks the numbers is done and not answered."""
    play.simulation.sandbox.add_fault("destinations", "act_and_drop")


def under_way(play: Play) -> None:
    """The call that parks the numbers comes late."""
    play.simulation.sandbox.fly("destinations")


def unclear_release(play: Play) -> None:
    play.simulation.sandbox.add_fault("release", "act_and_drop")


def cancelled(play: Play) -> None:
    play.cancel()


def cancelled_and_heard(play: Play) -> None:
    play.cancel()
    play.heard()


def cancelled_and_died(play: Play) -> None:
    play.cancel()
    play.die()


def died(play: Play) -> None:
    play.die()


def called(play: Play) -> None:
    play.simulation.sandbox.order("set_number", number=play.ours[0].removeprefix("+"), seconds=61)


def gone(play: Play) -> None:
    """Another party gives one back."""
    record = play.simulation.sandbox.owned()[play.ours[0].removeprefix("+")]["record_id"]
    assert isinstance(play.simulation.provider.release([int(record)]), Yes)
    play.simulation.sandbox.arrived.clear()


def lists_lag(play: Play) -> None:
    play.simulation.sandbox.lag_ms = JUST_IN_TIME_MS


def refused_release(play: Play) -> None:
    play.simulation.sandbox.add_fault("release", "refuse", times=None)


def ways_refused(play: Play) -> None:
    play.simulation.sandbox.add_fault("destinations", "refuse", times=None)


def reads_refused(play: Play) -> None:
    play.simulation.sandbox.add_fault("owned", "refuse", times=None, status=400)


def other_brought_back_by_hand(play: Play) -> None:
    old = [{"transport": 1, "destination": "old@example.net", "priority": 1}]
    play.simulation.sandbox.order("set_destinations", number=play.ours[1].removeprefix("+"), destinations=old)
    play.pass_ms(int(SETTLE_S * 1000))


def cancelled_while_lists_lag(play: Play) -> None:
    lists_lag(play)
    play.cancel()


PLAYS: dict[str, dict[str, object]] = {
    "plain": {"parking": False},
    "parked": {},
    "one by one": {"batch_size": 1},
    "parking unclear": {"fault": unclear},
    "parking under way": {"fault": under_way},
    "release unclear": {"fault": unclear_release},
    "called off in grace": {"in_grace": cancelled},
    "called off before parking": {"when": {"before:set_route": cancelled}},
    "called off while parking is unclear": {"fault": unclear, "when": {"before:suspend": cancelled}},
    "called off while parking is under way": {"fault": under_way, "when": {"before:suspend": cancelled}},
    "called off just before the release": {"when": {"before:save.releasing": cancelled}},
    "called off between two releases": {"batch_size": 1, "when": {"after:save.released": cancelled}},
    "called off while lists lag": {"when": {"after:save.park:confirmed": lists_lag}, "in_grace": cancelled},
    "lists lag": {"when": {"after:save.park:confirmed": lists_lag}},
    "gone before its time": {"at": GRACE, "in_grace": gone, "expected": (Outcome.ALREADY_RELEASED, Outcome.RELEASED)},
    "stopped by traffic": {"in_grace": called, "expected": (Outcome.IN_USE, Outcome.RELEASED)},
    "not let go": {"fault": refused_release, "expected": (Outcome.REFUSED, Outcome.REFUSED)},
}


def played(server: redis.Redis, kind: str, **more: object) -> Play:
    return Play(server, **(PLAYS[kind] | more)).play_on()  # type: ignore[arg-type]


def each_place(server: redis.Redis, kind: str, share: int | None, happens: Happens) -> None:
    """Play it once for each of its points, or for a share of them, with this happening there."""
    undisturbed = played(server, kind)
    undisturbed.check()
    undisturbed.close()
    for place in range(len(undisturbed.reached)) if share is None else range(share, len(undisturbed.reached), SHARES):
        play = played(server, kind, places={place: happens})
        assert play.reached[place] == undisturbed.reached[place]
        play.check()
        play.close()


#: In `make test` each kind takes a share of its points, another one than its neighbour.
EVERY_DAY = [(kind, number % SHARES) for number, kind in enumerate(PLAYS)]
ALL = [pytest.param(kind, None, marks=pytest.mark.long) for kind in PLAYS]
NOT_CALLED_OFF = [kind for kind in PLAYS if not kind.startswith("called off") and kind != "gone before its time"]


@pytest.mark.parametrize(("kind", "share"), [*EVERY_DAY, *ALL])
def test_a_worker_that_dies_at_any_point_changes_nothing(quick_valkey: redis.Redis, kind: str, share: int | None) -> None:
    each_place(quick_valkey, kind, share, died)


@pytest.mark.parametrize("how", [cancelled, cancelled_and_heard, cancelled_and_died])
@pytest.mark.parametrize(
    ("kind", "share"),
    [(kind, share) for kind, share in EVERY_DAY if kind in NOT_CALLED_OFF]
    + [pytest.param(kind, None, marks=pytest.mark.long) for kind in NOT_CALLED_OFF],
)
def test_it_may_be_called_off_at_any_moment(quick_valkey: redis.Redis, kind: str, share: int | None, how: Happens) -> None:
    each_place(quick_valkey, kind, share, how)


@pytest.mark.parametrize("in_its_last_attempt", [False, True])
def test_a_worker_that_sleeps_while_it_is_called_off_changes_nothing_when_it_wakes(
    quick_valkey: redis.Redis, in_its_last_attempt: bool
) -> None:
    place, over = 0, False
    while not over:
        place += 1
        play = Play(quick_valkey)
        if in_its_last_attempt:
            play.attempt()
            play.pass_ms(int(GRACE.total_seconds() * 1000))
            play.simulation.make_due(play.job)
        sleeper = Attempt(play.simulation, play.job)
        for _ in range(place):
            sleeper.step()
        over = sleeper.over or sleeper.at == "before:suspend"
        if not over:
            play.reached += sleeper.reached
            play.cancel()
            play.simulation.expire(play.job)
            play.play_on()
            reported = play.outcomes()
            sleeper.worker.leases.beat()  # It slept for longer than its lease, and knows it before it sends anything.
            sleeper.end()
            assert play.outcomes() == reported
            play.check()
        else:
            sleeper.kill()
        play.close()
    assert place > 12


def test_a_number_whose_way_back_is_refused_stays_with_its_job_until_a_person_looks(quick_valkey: redis.Redis) -> None:
    play = Play(quick_valkey, in_grace=cancelled, when={"after:save.called_off": ways_refused}).play_on()
    view = play.simulation.view(play.job)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert view.error.code == "still_parked"
    assert view.result is not None
    assert {one.error.code for one in view.result.numbers if one.error} == {"still_parked"}
    assert {route for (route,) in play.simulation.routes().values()} == {"parked@example.net", "old@example.net"}
    play.simulation.sandbox.clear_faults()
    play.simulation.retry(play.job)
    play.play_on().check()
    play.close()


def test_a_number_without_any_answer_waits_for_a_person_and_is_not_left_parked(quick_valkey: redis.Redis) -> None:
    """The provider refuses every read, until the job has no attempts left."""
    play = Play(quick_valkey, in_grace=reads_refused).play_on()
    view = play.simulation.view(play.job)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.result is not None
    assert {one.error.code for one in view.result.numbers if one.error} == {"still_parked"}
    play.simulation.sandbox.clear_faults()
    play.simulation.retry(play.job)
    play.play_on().check()
    play.close()


def test_one_that_is_called_and_can_not_get_its_route_back_is_not_said_to_have_it(quick_valkey: redis.Redis) -> None:
    play = Play(quick_valkey, in_grace=called, when={"after:emit": ways_refused}).play_on()
    view = play.simulation.view(play.job)
    assert (view.state, view.error.code if view.error else "") == (JobState.NEEDS_REVIEW, "still_parked")
    other = play.simulation.submit(Reroute(numbers=(play.ours[0],), destinations=(Destination.sip("new@example.net"),)))
    play.simulation.sandbox.clear_faults()
    play.simulation.finish(other)
    play.simulation.retry(play.job)
    play.play_on()
    assert play.outcomes() == {play.ours[0]: Outcome.IN_USE, play.ours[1]: Outcome.RELEASED}
    assert play.simulation.routes()[play.ours[0]] == ["new@example.net"], "a person has given it a route, which stays"
    play.close()


def test_a_way_back_that_waits_for_its_confirmation_is_not_hurried_by_a_cancel(quick_valkey: redis.Redis) -> None:
    """One is called and on its way back, and lists are old, when the others are cancelled, and nothing is to be done for those."""
    when = {"after:emit": other_brought_back_by_hand, "after:save.back:accepted": cancelled_while_lists_lag}
    play = Play(quick_valkey, in_grace=called, when=when)
    play.settling_ms = 500
    play.play_on()
    assert play.outcomes() == {play.ours[0]: Outcome.IN_USE, play.ours[1]: Outcome.UNCHANGED}
    assert not [step for step in play.simulation.story(play.job) if "not_confirmed" in step]
    play.check()
    play.close()
