"""SMS on, routes and the callback are set in the job that buys; however that fails, no number is bought again for it."""

from collections.abc import Iterator

import pytest
import redis

from didflow.contract.destinations import Destination
from didflow.contract.history import Happening
from didflow.contract.jobs import JobView
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import JobState
from didflow.ledger.ledger import Ledger
from tests.jobs.test_killed_at_every_point import DyingWorkers, Play, play_on
from tests.support.inline_worker import Stage
from tests.support.simulation.simulation import Scene
from worker.wavix.sandbox import Sandbox, SandboxOptions

#: Another call turns SMS on in the newer dialect.
OLDER_DIALECT = pytest.mark.provider()
SMS_OFF = SandboxOptions(numbers_per_city=8, sms_off_at_first=True)
ASKED = SearchAndBuy(
    country="US",
    city=("LOS ANGELES, CA",),
    quantity=2,
    sms=True,
    destinations=(Destination.sip("pbx@example.net"),),
    sms_relay_url="https://example.net/sms",
)


@pytest.fixture
def scene(quick_valkey: redis.Redis) -> Iterator[Scene]:
    scene = Scene(quick_valkey, sandbox=SMS_OFF)
    yield scene
    scene.close()


def played(scene: Scene, request: SearchAndBuy = ASKED) -> JobView:
    job = scene.submit(request)
    scene.finish(job)
    return scene.view(job)


def set_up(scene: Scene) -> list[tuple[bool, str | None, list[str]]]:
    """Of each number of ours: SMS on, callback, destinations."""
    return [
        (one["sms_enabled"], one["sms_relay_url"], [to["destination"] for to in one["destinations"]])
        for one in scene.sandbox.owned().values()
    ]


def calls(scene: Scene) -> dict[str, int]:
    return dict(scene.sandbox.state()["calls"])


def test_sms_is_on_and_then_called_back(scene: Scene) -> None:
    view = played(scene)
    assert view.state is JobState.SUCCEEDED
    assert set_up(scene) == [(True, "https://example.net/sms", ["pbx@example.net"])] * 2


def test_a_callback_alone_is_set_on_numbers_that_came_without_sms(scene: Scene) -> None:
    assert played(scene, ASKED.model_copy(update={"destinations": ()})).state is JobState.SUCCEEDED
    assert set_up(scene) == [(True, "https://example.net/sms", [])] * 2


def test_what_came_with_sms_is_left_as_it_is(quick_valkey: redis.Redis) -> None:
    scene = Scene(quick_valkey)
    assert played(scene).state is JobState.SUCCEEDED
    assert "sms_enabled" not in calls(scene)
    scene.close()


@OLDER_DIALECT
@pytest.mark.parametrize("call", ["sms_enabled", "destinations"])
@pytest.mark.parametrize("kind", ["drop", "act_and_drop", "html_error", "status_500_after", "rate_limit", "cut_json"])
def test_trouble_after_the_purchase_buys_nothing_again(scene: Scene, call: str, kind: str) -> None:
    scene.sandbox.add_fault(call, kind, times=2, seconds=0)
    view = played(scene)
    assert view.state is JobState.SUCCEEDED
    assert set_up(scene) == [(True, "https://example.net/sms", ["pbx@example.net"])] * 2
    assert calls(scene)["checkout"] == 1
    assert len(scene.sandbox.ledger()) == 2


@OLDER_DIALECT
def test_a_number_whose_sms_is_on_is_not_asked_for_again(scene: Scene) -> None:
    scene.sandbox.add_fault("sms_enabled", "drop", skip=1)
    played(scene)
    assert calls(scene)["sms_enabled"] == 3, "the first, the second without an answer, and the second"


@OLDER_DIALECT
@pytest.mark.parametrize("call", ["sms_enabled", "destinations"])
def test_trouble_without_end_leaves_the_numbers_bought_and_says_so(quick_valkey: redis.Redis, call: str) -> None:
    scene = Scene(quick_valkey, sandbox=SMS_OFF, max_attempts=3)
    scene.sandbox.add_fault(call, "drop", times=None)
    view = played(scene)
    assert view.state is JobState.PARTIAL
    assert view.error is not None
    assert view.error.code == ("sms_unclear" if call == "sms_enabled" else "routing_unclear")
    assert view.result is not None
    assert {one.number for one in view.result.numbers} == {f"+{number}" for number in scene.sandbox.owned()}
    assert (view.result.totals.done, calls(scene)["checkout"]) == (2, 1)
    scene.close()


@OLDER_DIALECT
def test_a_refused_sms_keeps_no_route_back(scene: Scene) -> None:
    scene.sandbox.add_fault("sms_enabled", "refuse", status=422)
    view = played(scene)
    assert view.state is JobState.PARTIAL
    assert view.result is not None
    assert [one.error.code if one.error else None for one in view.result.numbers] == ["sms_refused", None]
    assert [str(one.route_after[0]) if one.route_after else None for one in view.result.numbers] == ["sip:pbx@example.net"] * 2
    assert sorted(on for on, _, _ in set_up(scene)) == [False, True]
    assert {tuple(to) for _, _, to in set_up(scene)} == {("pbx@example.net",)}


REFUSALS = [(404, False), (403, True), (400, False), (422, False), (429, False), (503, False)]
CALLBACK_ALONE = ASKED.model_copy(update={"destinations": ()})


@pytest.mark.parametrize("call", ["sms_enabled", "destinations", "update_one"])
@pytest.mark.parametrize(("status", "html"), REFUSALS)
def test_what_acts_and_then_refuses_is_set(scene: Scene, call: str, status: int, html: bool) -> None:
    scene.sandbox.add_fault(call, "act_then_refuse", status=status, html=html)
    asked = CALLBACK_ALONE if call == "update_one" else ASKED
    view = played(scene, asked)
    assert (view.state, view.error) == (JobState.SUCCEEDED, None)
    assert set_up(scene) == [(True, "https://example.net/sms", [] if call == "update_one" else ["pbx@example.net"])] * 2
    assert not scene.ledger.account_state("default").paused
    assert (calls(scene)["checkout"], len(scene.sandbox.ledger())) == (1, 2)


@pytest.mark.parametrize(
    ("call", "code"),
    [("sms_enabled", "sms_not_confirmed"), ("destinations", "routing_not_confirmed"), ("update_one", "routing_not_confirmed")],
)
def test_a_yes_without_effect_is_no_set_up(scene: Scene, call: str, code: str) -> None:
    scene.sandbox.add_fault(call, "refuse", status=200, body={"success": True}, times=None)
    view = played(scene, CALLBACK_ALONE if call == "update_one" else ASKED)
    assert view.state is JobState.PARTIAL
    assert view.result is not None
    assert [one.error.code if one.error else None for one in view.result.numbers] == [code] * 2
    assert (view.result.totals.done, calls(scene)["checkout"]) == (2, 1)
    history = [entry.happened.what for entry in next(iter(scene.histories().values())).entries]
    assert (Happening.ROUTED in history) == (call == "sms_enabled")


def test_a_route_that_shows_late_is_waited_for(real_ledger: Ledger) -> None:
    with Sandbox(SandboxOptions(numbers_per_city=8, apply_late_s=0.2)) as sandbox:
        stage = Stage(real_ledger, sandbox)
        job = stage.submit(ASKED.model_copy(update={"sms": False, "sms_relay_url": None}))
        assert stage.attempt(job).reason == "settling"
        view = stage.finish(job)
        assert (view.state, set(map(tuple, stage.routes().values()))) == (JobState.SUCCEEDED, {("pbx@example.net",)})
        assert sandbox.state()["calls"]["destinations"] == 1
        stage.close()


def test_wherever_the_setting_up_dies_it_is_done_and_nothing_is_bought_again(quick_valkey: redis.Redis) -> None:
    place, points = 0, [""]
    while place < len(points):
        scene = Scene(quick_valkey, sandbox=SMS_OFF)
        play, workers = Play(scene, scene.submit(ASKED)), DyingWorkers(*([place] if len(points) > 1 else []))
        play_on(play, workers)
        if len(points) == 1:
            points = workers.reached
            place = points.index("after:save.bought")
        assert scene.view(play.job).state is JobState.SUCCEEDED, workers.died
        assert set_up(scene) == [(True, "https://example.net/sms", ["pbx@example.net"])] * 2, workers.died
        assert (calls(scene)["checkout"], len(scene.sandbox.ledger())) == (1, 2), workers.died
        scene.close()
        place += 1
    assert {"after:save.sms_on", "before:set_sms_enabled", "after:set_route"} <= set(points)
