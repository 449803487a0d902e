"""Standing orders by a clock that the test moves: they look politely, hold nothing meanwhile, and end at their deadline."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis

from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Rung, SearchAndBuy
from didflow.contract.states import REPORTED, JobState, WaitReason
from tests.support.ledger_roles import stream
from tests.support.simulation.oracle import Oracle
from tests.support.simulation.simulation import Killed, Simulation

CITY = "LOS ANGELES, CA"
HOUR_MS = 3_600_000


@pytest.fixture
def simulation(quick_valkey: redis.Redis) -> Iterator[Simulation]:
    """A city in which all numbers but one are sold."""
    with closing(Simulation(quick_valkey)) as simulation:
        simulation.sold = simulation.sandbox.order("sell_out", city=CITY, keep=1)  # type: ignore[attr-defined]
        yield simulation


def standing(simulation: Simulation, *, hours: float = 24, **fields: Any) -> SearchAndBuy:
    until = datetime.fromtimestamp(simulation.clock.now_ms() / 1000, UTC) + timedelta(hours=hours)
    return SearchAndBuy.model_validate({"country": "US", "city": CITY, "quantity": 3, "wait_until": until, **fields})


def restock(simulation: Simulation, count: int) -> None:
    simulation.sandbox.order("restock", numbers=simulation.sold[:count])  # type: ignore[attr-defined]
    del simulation.sold[:count]  # type: ignore[attr-defined]


def look(simulation: Simulation, *jobs: Job, pass_ms: int = 90_000) -> list[JobView]:
    """The next look of each, at its time."""
    simulation.clock.pass_ms(pass_ms)
    for job in jobs:
        simulation.make_due(job)
    return [simulation.run(job) for job in jobs]


def waits(simulation: Simulation, view: JobView) -> None:
    assert (view.state, view.reason, view.attempt) == (JobState.WAITING, WaitReason.STOCK, 0)
    assert simulation.cart() == set()


def calls(simulation: Simulation, name: str) -> int:
    return int(simulation.sandbox.state()["calls"].get(name, 0))


def test_all_or_nothing_waits_with_nothing_in_the_cart_and_buys_the_whole_set_once_it_is_there(simulation: Simulation) -> None:
    job = simulation.submit(standing(simulation))
    waits(simulation, simulation.run(job))
    restock(simulation, 1)
    (view,) = look(simulation, job)
    waits(simulation, view)
    assert not simulation.sandbox.owned()
    assert calls(simulation, "cart_put") == 0, "a set that isn't whole isn't even put together"
    restock(simulation, 1)
    (view,) = look(simulation, job)
    assert view.state is JobState.SUCCEEDED
    assert len(simulation.sandbox.owned()) == 3
    assert calls(simulation, "checkout") == 1
    assert view.result is not None
    assert view.result.totals.charged_usd == simulation.sandbox.charged_usd()


@pytest.mark.parametrize(("policy", "bought"), [({"policy": "best_effort"}, 1), ({"policy": "at_least", "at_least": 2}, 0)])
def test_other_policies_buy_what_they_may_and_wait_for_the_rest(simulation: Simulation, policy: dict[str, Any], bought: int) -> None:
    job = simulation.submit(standing(simulation, **policy))
    waits(simulation, simulation.run(job))
    assert len(simulation.sandbox.owned()) == bought
    restock(simulation, 1)
    (view,) = look(simulation, job)
    waits(simulation, view)
    assert len(simulation.sandbox.owned()) == 2
    assert view.progress == "2 of 3 bought"
    (view,) = look(simulation, job, pass_ms=25 * HOUR_MS)
    assert (view.state, view.error and view.error.code) == (JobState.PARTIAL, "not_filled")
    assert view.result is not None
    assert (view.result.totals.done, view.result.totals.charged_usd) == (2, simulation.sandbox.charged_usd())


def test_the_deadline_ends_it_as_expired_and_nothing_is_bought_from_then_on(simulation: Simulation) -> None:
    job = simulation.submit(standing(simulation, hours=1))
    waits(simulation, simulation.run(job))
    restock(simulation, 5)
    looks = calls(simulation, "dids")
    (view,) = look(simulation, job, pass_ms=HOUR_MS)
    assert (view.state, view.error and view.error.code) == (JobState.EXPIRED, "not_filled")
    assert view.result is not None
    assert view.result.search is not None
    assert view.result.search.seen == 1, "what the last search saw is reported"
    assert calls(simulation, "dids") == looks
    assert not simulation.sandbox.owned()
    assert [one["type"] for one in stream(simulation.ledger, "results")] == ["didflow.job.expired.v1"]


def test_a_deadline_that_passes_while_the_cart_is_filled_is_kept(simulation: Simulation) -> None:
    job = simulation.submit(standing(simulation, hours=1, quantity=1))
    view = simulation.run(job, lambda point: simulation.clock.pass_ms(HOUR_MS) if point == "after:put_in_cart" else None)
    assert view.state is JobState.EXPIRED
    assert (calls(simulation, "cart_put"), calls(simulation, "checkout"), simulation.cart()) == (1, 0, set())


def test_the_deadline_doesn_t_wait_for_a_provider_that_is_away(simulation: Simulation) -> None:
    job = simulation.submit(standing(simulation, hours=1))
    waits(simulation, simulation.run(job))
    simulation.sandbox.add_fault("*", "status_500_before", times=1000)
    (view,) = look(simulation, job, pass_ms=HOUR_MS)
    assert view.state is JobState.EXPIRED


def test_it_comes_again_within_three_to_five_quarters_of_a_minute_and_not_with_the_others(simulation: Simulation) -> None:
    jobs = [simulation.submit(standing(simulation)) for _ in range(12)]
    pauses = []
    for job in jobs:
        view, now_s = simulation.run(job), time.time()
        assert view.due_at is not None
        pauses.append(view.due_at.timestamp() - now_s)
    assert all(44 < pause_s < 76 for pause_s in pauses), pauses
    assert max(pauses) - min(pauses) > 5


def test_the_last_pause_ends_at_the_deadline(simulation: Simulation) -> None:
    view, now_s = simulation.run(simulation.submit(standing(simulation, hours=20 / 3600))), time.time()
    assert view.due_at is not None
    assert 0 < view.due_at.timestamp() - now_s < 20.5


def test_jobs_that_watch_a_city_share_their_looks(simulation: Simulation) -> None:
    jobs = [simulation.submit(standing(simulation)) for _ in range(8)]
    for job in jobs:
        waits(simulation, simulation.run(job))
    assert calls(simulation, "dids") == 1
    look(simulation, *jobs)
    assert calls(simulation, "dids") == 2
    simulation.clock.pass_ms(31_000)
    look(simulation, jobs[0], pass_ms=0)
    assert calls(simulation, "dids") == 3, "what was seen half a minute ago isn't believed"


def test_what_a_shared_look_shows_is_bought_once(simulation: Simulation) -> None:
    jobs = [simulation.submit(standing(simulation)) for _ in range(3)]
    for job in jobs:
        simulation.run(job)
    restock(simulation, 2)
    views = look(simulation, *jobs)
    assert sorted(view.state for view in views) == [JobState.SUCCEEDED, JobState.WAITING, JobState.WAITING]
    assert len(simulation.sandbox.ledger()) == 3
    assert simulation.cart() == set()


def test_an_ordinary_purchase_goes_by_no_shared_look(simulation: Simulation) -> None:
    simulation.run(simulation.submit(standing(simulation)))
    restock(simulation, 2)
    view = simulation.run(simulation.submit(SearchAndBuy(country="US", city=(CITY,), quantity=3)))
    assert view.state is JobState.SUCCEEDED


def test_price_caps_are_kept_however_long_it_waits(simulation: Simulation) -> None:
    job = simulation.submit(standing(simulation, quantity=1, max_monthly_usd="0.01", max_total_usd="1.00"))
    for _ in range(3):
        (view,) = look(simulation, job)
        waits(simulation, view)
    cheap = simulation.sold[0]  # type: ignore[attr-defined]
    restock(simulation, 1)
    simulation.sandbox.order("set_fees", number=cheap, setup_usd="0.50", monthly_usd="0.01")
    (view,) = look(simulation, job)
    assert view.state is JobState.SUCCEEDED
    assert simulation.sandbox.charged_usd() == Decimal("0.51")


def test_a_ladder_may_stand(simulation: Simulation) -> None:
    ladder = (Rung(city=CITY), Rung(city="SAN DIEGO, CA", max_monthly_usd=Decimal("0.01")))
    job = simulation.submit(standing(simulation, city=(), ladder=ladder))
    waits(simulation, simulation.run(job))
    restock(simulation, 2)
    (view,) = look(simulation, job)
    assert view.result is not None
    assert view.result.search is not None
    assert [rung.bought for rung in view.result.search.rungs] == [3, 0]


def test_events_report_that_it_waits_and_each_step_forward(simulation: Simulation) -> None:
    job = simulation.submit(standing(simulation, policy="best_effort"))
    simulation.run(job)
    for _ in range(3):
        look(simulation, job)
    restock(simulation, 1)
    look(simulation, job)
    reported = [one["type"].split(".")[2] for one in stream(simulation.ledger, "events") if one["subject"] == job.id]
    assert reported == ["queued", "running", "running", "waiting", "running", "waiting"], "three looks that changed nothing tell nothing"


def test_a_worker_that_dies_at_any_point_costs_no_number(quick_valkey: redis.Redis) -> None:
    """The protocol's own tests kill it while it buys; here it dies around the looks."""
    for point in ("before:offers", "before:save.looked", "after:save.looked", "before:suspend", "before:save.bind", "after:put_in_cart"):
        with closing(Simulation(quick_valkey)) as simulation:
            simulation.sold = simulation.sandbox.order("sell_out", city=CITY, keep=2)  # type: ignore[attr-defined]
            job = simulation.submit(standing(simulation, quantity=2 if "cart" in point or "bind" in point else 3))
            attempt_dies(simulation, job, point)
            simulation.expire(job)
            simulation.clock.pass_ms(90_000)
            restock(simulation, 3)
            look(simulation, job)
            simulation.finish(job)
            assert simulation.view(job).state is JobState.SUCCEEDED, point
            Oracle(simulation).at_end()


def attempt_dies(simulation: Simulation, job: Job, point: str) -> None:
    def reached(name: str) -> None:
        if name == point:
            raise Killed(name)

    with pytest.raises(Killed):
        simulation.run(job, reached)


@pytest.mark.parametrize("stocked", [0, 2])
def test_a_cancel_at_any_moment_leaves_nothing_in_the_cart(quick_valkey: redis.Redis, stocked: int) -> None:
    """Cancelled at each point of a look, of one that finds too few and of one that buys, the worker hearing of it at once."""
    points: list[str] = []
    played = cancelled_at(quick_valkey, stocked, points.append)
    assert played in (JobState.CANCELLED, JobState.SUCCEEDED)
    assert len(points) > 4
    for place in range(len(points)):
        cancelled_at(quick_valkey, stocked, lambda _point: None, place)


def cancelled_at(server: redis.Redis, stocked: int, reported: Callable[[str], None], place: int = 10**6) -> JobState:
    """Play a standing order that is cancelled at its so many-th point; how it ended."""
    with closing(Simulation(server)) as simulation:
        simulation.sold = simulation.sandbox.order("sell_out", city=CITY, keep=1 + stocked)  # type: ignore[attr-defined]
        job, left = simulation.submit(standing(simulation)), [place]

        def reached(point: str) -> None:
            reported(point)
            left[0] -= 1
            if left[0] == -1:
                simulation.cancel(job)
                worker.leases.beat()

        worker = simulation.worker(reached)
        worker.runner.run(job.id)
        simulation.cancel(job)
        while (view := simulation.view(job)).state not in REPORTED:
            simulation.make_due(job)
            simulation.run(job)
        assert simulation.cart() == set(), (place, simulation.story(job))
        assert view.state in (JobState.CANCELLED, JobState.SUCCEEDED, JobState.PARTIAL)
        assert len(simulation.sandbox.owned()) == (view.result.totals.done if view.result else 0)
        assert (view.state is JobState.CANCELLED) == (not simulation.sandbox.owned())
        return view.state
