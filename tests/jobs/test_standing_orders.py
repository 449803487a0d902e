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
from tests.support.simulation.simulation import Killed, Scene

CITY = "LOS ANGELES, CA"
HOUR_MS = 3_600_000


@pytest.fixture
def scene(quick_valkey: redis.Redis) -> Iterator[Scene]:
    """A city in which all numbers but one are sold."""
    with closing(Scene(quick_valkey)) as scene:
        scene.sold = scene.sandbox.order("sell_out", city=CITY, keep=1)  # type: ignore[attr-defined]
        yield scene


def standing(scene: Scene, *, hours: float = 24, **fields: Any) -> SearchAndBuy:
    until = datetime.fromtimestamp(scene.clock.now_ms() / 1000, UTC) + timedelta(hours=hours)
    return SearchAndBuy.model_validate({"country": "US", "city": CITY, "quantity": 3, "wait_until": until, **fields})


def restock(scene: Scene, count: int) -> None:
    scene.sandbox.order("restock", numbers=scene.sold[:count])  # type: ignore[attr-defined]
    del scene.sold[:count]  # type: ignore[attr-defined]


def look(scene: Scene, *jobs: Job, pass_ms: int = 90_000) -> list[JobView]:
    """The next look of each, at its time."""
    scene.clock.pass_ms(pass_ms)
    for job in jobs:
        scene.make_due(job)
    return [scene.run(job) for job in jobs]


def waits(scene: Scene, view: JobView) -> None:
    assert (view.state, view.reason, view.attempt) == (JobState.WAITING, WaitReason.STOCK, 0)
    assert scene.cart() == set()


def calls(scene: Scene, name: str) -> int:
    return int(scene.sandbox.state()["calls"].get(name, 0))


def test_all_or_nothing_waits_with_nothing_in_the_cart_and_buys_the_whole_set_once_it_is_there(scene: Scene) -> None:
    job = scene.submit(standing(scene))
    waits(scene, scene.run(job))
    restock(scene, 1)
    (view,) = look(scene, job)
    waits(scene, view)
    assert not scene.sandbox.owned()
    assert calls(scene, "cart_put") == 0, "a set that isn't whole isn't even put together"
    restock(scene, 1)
    (view,) = look(scene, job)
    assert view.state is JobState.SUCCEEDED
    assert len(scene.sandbox.owned()) == 3
    assert calls(scene, "checkout") == 1
    assert view.result is not None
    assert view.result.totals.charged_usd == scene.sandbox.charged_usd()


@pytest.mark.parametrize(("policy", "bought"), [({"policy": "best_effort"}, 1), ({"policy": "at_least", "at_least": 2}, 0)])
def test_other_policies_buy_what_they_may_and_wait_for_the_rest(scene: Scene, policy: dict[str, Any], bought: int) -> None:
    job = scene.submit(standing(scene, **policy))
    waits(scene, scene.run(job))
    assert len(scene.sandbox.owned()) == bought
    restock(scene, 1)
    (view,) = look(scene, job)
    waits(scene, view)
    assert len(scene.sandbox.owned()) == 2
    assert view.progress == "2 of 3 bought"
    (view,) = look(scene, job, pass_ms=25 * HOUR_MS)
    assert (view.state, view.error and view.error.code) == (JobState.PARTIAL, "not_filled")
    assert view.result is not None
    assert (view.result.totals.done, view.result.totals.charged_usd) == (2, scene.sandbox.charged_usd())


def test_the_deadline_ends_it_as_expired_and_nothing_is_bought_from_then_on(scene: Scene) -> None:
    job = scene.submit(standing(scene, hours=1))
    waits(scene, scene.run(job))
    restock(scene, 5)
    looks = calls(scene, "dids")
    (view,) = look(scene, job, pass_ms=HOUR_MS)
    assert (view.state, view.error and view.error.code) == (JobState.EXPIRED, "not_filled")
    assert view.result is not None
    assert view.result.search is not None
    assert view.result.search.seen == 1, "what the last look saw is told"
    assert calls(scene, "dids") == looks
    assert not scene.sandbox.owned()
    assert [one["type"] for one in stream(scene.ledger, "results")] == ["didflow.job.expired.v1"]


def test_a_deadline_that_passes_while_the_cart_is_filled_is_kept(scene: Scene) -> None:
    job = scene.submit(standing(scene, hours=1, quantity=1))
    view = scene.run(job, lambda point: scene.clock.pass_ms(HOUR_MS) if point == "after:put_in_cart" else None)
    assert view.state is JobState.EXPIRED
    assert (calls(scene, "cart_put"), calls(scene, "checkout"), scene.cart()) == (1, 0, set())


def test_the_deadline_doesn_t_wait_for_a_provider_that_is_away(scene: Scene) -> None:
    job = scene.submit(standing(scene, hours=1))
    waits(scene, scene.run(job))
    scene.sandbox.add_fault("*", "status_500_before", times=1000)
    (view,) = look(scene, job, pass_ms=HOUR_MS)
    assert view.state is JobState.EXPIRED


def test_it_comes_again_within_three_to_five_quarters_of_a_minute_and_not_with_the_others(scene: Scene) -> None:
    jobs = [scene.submit(standing(scene)) for _ in range(12)]
    pauses = []
    for job in jobs:
        view, now_s = scene.run(job), time.time()
        assert view.due_at is not None
        pauses.append(view.due_at.timestamp() - now_s)
    assert all(44 < pause_s < 76 for pause_s in pauses), pauses
    assert max(pauses) - min(pauses) > 5


def test_the_last_pause_ends_at_the_deadline(scene: Scene) -> None:
    view, now_s = scene.run(scene.submit(standing(scene, hours=20 / 3600))), time.time()
    assert view.due_at is not None
    assert 0 < view.due_at.timestamp() - now_s < 20.5


def test_jobs_that_watch_a_city_share_their_looks(scene: Scene) -> None:
    jobs = [scene.submit(standing(scene)) for _ in range(8)]
    for job in jobs:
        waits(scene, scene.run(job))
    assert calls(scene, "dids") == 1
    look(scene, *jobs)
    assert calls(scene, "dids") == 2
    scene.clock.pass_ms(31_000)
    look(scene, jobs[0], pass_ms=0)
    assert calls(scene, "dids") == 3, "what was seen half a minute ago isn't believed"


def test_what_a_shared_look_shows_is_bought_once(scene: Scene) -> None:
    jobs = [scene.submit(standing(scene)) for _ in range(3)]
    for job in jobs:
        scene.run(job)
    restock(scene, 2)
    views = look(scene, *jobs)
    assert sorted(view.state for view in views) == [JobState.SUCCEEDED, JobState.WAITING, JobState.WAITING]
    assert len(scene.sandbox.ledger()) == 3
    assert scene.cart() == set()


def test_an_ordinary_purchase_goes_by_no_shared_look(scene: Scene) -> None:
    scene.run(scene.submit(standing(scene)))
    restock(scene, 2)
    view = scene.run(scene.submit(SearchAndBuy(country="US", city=(CITY,), quantity=3)))
    assert view.state is JobState.SUCCEEDED


def test_price_caps_are_kept_however_long_it_waits(scene: Scene) -> None:
    job = scene.submit(standing(scene, quantity=1, max_monthly_usd="0.01", max_total_usd="1.00"))
    for _ in range(3):
        (view,) = look(scene, job)
        waits(scene, view)
    cheap = scene.sold[0]  # type: ignore[attr-defined]
    restock(scene, 1)
    scene.sandbox.order("set_fees", number=cheap, setup_usd="0.50", monthly_usd="0.01")
    (view,) = look(scene, job)
    assert view.state is JobState.SUCCEEDED
    assert scene.sandbox.charged_usd() == Decimal("0.51")


def test_a_ladder_may_stand(scene: Scene) -> None:
    ladder = (Rung(city=CITY), Rung(city="SAN DIEGO, CA", max_monthly_usd=Decimal("0.01")))
    job = scene.submit(standing(scene, city=(), ladder=ladder))
    waits(scene, scene.run(job))
    restock(scene, 2)
    (view,) = look(scene, job)
    assert view.result is not None
    assert view.result.search is not None
    assert [rung.bought for rung in view.result.search.rungs] == [3, 0]


def test_events_tell_that_it_waits_and_each_step_forward(scene: Scene) -> None:
    job = scene.submit(standing(scene, policy="best_effort"))
    scene.run(job)
    for _ in range(3):
        look(scene, job)
    restock(scene, 1)
    look(scene, job)
    told = [one["type"].split(".")[2] for one in stream(scene.ledger, "events") if one["subject"] == job.id]
    assert told == ["queued", "running", "running", "waiting", "running", "waiting"], "three looks that changed nothing tell nothing"


def test_a_worker_that_dies_at_any_point_costs_no_number(quick_valkey: redis.Redis) -> None:
    """The protocol's own tests kill it while it buys; here it dies around the looks."""
    for point in ("before:offers", "before:save.looked", "after:save.looked", "before:suspend", "before:save.bind", "after:put_in_cart"):
        with closing(Scene(quick_valkey)) as scene:
            scene.sold = scene.sandbox.order("sell_out", city=CITY, keep=2)  # type: ignore[attr-defined]
            job = scene.submit(standing(scene, quantity=2 if "cart" in point or "bind" in point else 3))
            attempt_dies(scene, job, point)
            scene.expire(job)
            scene.clock.pass_ms(90_000)
            restock(scene, 3)
            look(scene, job)
            scene.finish(job)
            assert scene.view(job).state is JobState.SUCCEEDED, point
            Oracle(scene).at_end()


def attempt_dies(scene: Scene, job: Job, point: str) -> None:
    def reached(name: str) -> None:
        if name == point:
            raise Killed(name)

    with pytest.raises(Killed):
        scene.run(job, reached)


@pytest.mark.parametrize("stocked", [0, 2])
def test_a_cancel_at_any_moment_leaves_nothing_in_the_cart(quick_valkey: redis.Redis, stocked: int) -> None:
    """Called off at each point of a look, of one that finds too few and of one that buys, the worker hearing of it at once."""
    points: list[str] = []
    played = cancelled_at(quick_valkey, stocked, points.append)
    assert played in (JobState.CANCELLED, JobState.SUCCEEDED)
    assert len(points) > 4
    for place in range(len(points)):
        cancelled_at(quick_valkey, stocked, lambda _point: None, place)


def cancelled_at(server: redis.Redis, stocked: int, told: Callable[[str], None], place: int = 10**6) -> JobState:
    """Play a standing order that is called off at its so many-th point; how it ended."""
    with closing(Scene(server)) as scene:
        scene.sold = scene.sandbox.order("sell_out", city=CITY, keep=1 + stocked)  # type: ignore[attr-defined]
        job, left = scene.submit(standing(scene)), [place]

        def reached(point: str) -> None:
            told(point)
            left[0] -= 1
            if left[0] == -1:
                scene.cancel(job)
                worker.leases.beat()

        worker = scene.worker(reached)
        worker.runner.run(job.id)
        scene.cancel(job)
        while (view := scene.view(job)).state not in REPORTED:
            scene.make_due(job)
            scene.run(job)
        assert scene.cart() == set(), (place, scene.story(job))
        assert view.state in (JobState.CANCELLED, JobState.SUCCEEDED, JobState.PARTIAL)
        assert len(scene.sandbox.owned()) == (view.result.totals.done if view.result else 0)
        assert (view.state is JobState.CANCELLED) == (not scene.sandbox.owned())
        return view.state
