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
from tests.support.inline_worker import InlineWorker
from tests.support.simulation.dying_workers import DyingWorkers, Play, play_on
from tests.support.simulation.simulation import Simulation
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
def simulation(quick_valkey: redis.Redis) -> Iterator[Simulation]:
    simulation = Simulation(quick_valkey, sandbox=SMS_OFF)
    yield simulation
    simulation.close()


def played(simulation: Simulation, request: SearchAndBuy = ASKED) -> JobView:
    job = simulation.submit(request)
    simulation.finish(job)
    return simulation.view(job)


def set_up(simulation: Simulation) -> list[tuple[bool, str | None, list[str]]]:
    """Of each number of ours: SMS on, callback, destinations."""
    return [
        (one["sms_enabled"], one["sms_relay_url"], [to["destination"] for to in one["destinations"]])
        for one in simulation.sandbox.owned().values()
    ]


def calls(simulation: Simulation) -> dict[str, int]:
    return dict(simulation.sandbox.state()["calls"])


def test_sms_is_on_and_then_called_back(simulation: Simulation) -> None:
    view = played(simulation)
    assert view.state is JobState.SUCCEEDED
    assert set_up(simulation) == [(True, "https://example.net/sms", ["pbx@example.net"])] * 2


def test_a_callback_alone_is_set_on_numbers_that_came_without_sms(simulation: Simulation) -> None:
    assert played(simulation, ASKED.model_copy(update={"destinations": ()})).state is JobState.SUCCEEDED
    assert set_up(simulation) == [(True, "https://example.net/sms", [])] * 2


def test_what_came_with_sms_is_left_as_it_is(quick_valkey: redis.Redis) -> None:
    simulation = Simulation(quick_valkey)
    assert played(simulation).state is JobState.SUCCEEDED
    assert "sms_enabled" not in calls(simulation)
    simulation.close()


@OLDER_DIALECT
@pytest.mark.parametrize("call", ["sms_enabled", "destinations"])
@pytest.mark.parametrize("kind", ["drop", "act_and_drop", "html_error", "status_500_after", "rate_limit", "cut_json"])
def test_trouble_after_the_purchase_buys_nothing_again(simulation: Simulation, call: str, kind: str) -> None:
    simulation.sandbox.add_fault(call, kind, times=2, seconds=0)
    view = played(simulation)
    assert view.state is JobState.SUCCEEDED
    assert set_up(simulation) == [(True, "https://example.net/sms", ["pbx@example.net"])] * 2
    assert calls(simulation)["checkout"] == 1
    assert len(simulation.sandbox.ledger()) == 2


@OLDER_DIALECT
def test_a_number_whose_sms_is_on_is_not_asked_for_again(simulation: Simulation) -> None:
    simulation.sandbox.add_fault("sms_enabled", "drop", skip=1)
    played(simulation)
    assert calls(simulation)["sms_enabled"] == 3, "the first, the second without an answer, and the second"


@OLDER_DIALECT
@pytest.mark.parametrize("call", ["sms_enabled", "destinations"])
def test_trouble_without_end_leaves_the_numbers_bought_and_says_so(quick_valkey: redis.Redis, call: str) -> None:
    simulation = Simulation(quick_valkey, sandbox=SMS_OFF, max_attempts=3)
    simulation.sandbox.add_fault(call, "drop", times=None)
    view = played(simulation)
    assert view.state is JobState.PARTIAL
    assert view.error is not None
    assert view.error.code == ("sms_unclear" if call == "sms_enabled" else "routing_unclear")
    assert view.result is not None
    assert {one.number for one in view.result.numbers} == {f"+{number}" for number in simulation.sandbox.owned()}
    assert (view.result.totals.done, calls(simulation)["checkout"]) == (2, 1)
    simulation.close()


@OLDER_DIALECT
def test_a_refused_sms_keeps_no_route_back(simulation: Simulation) -> None:
    simulation.sandbox.add_fault("sms_enabled", "refuse", status=422)
    view = played(simulation)
    assert view.state is JobState.PARTIAL
    assert view.result is not None
    assert [one.error.code if one.error else None for one in view.result.numbers] == ["sms_refused", None]
    assert [str(one.route_after[0]) if one.route_after else None for one in view.result.numbers] == ["sip:pbx@example.net"] * 2
    assert sorted(on for on, _, _ in set_up(simulation)) == [False, True]
    assert {tuple(to) for _, _, to in set_up(simulation)} == {("pbx@example.net",)}


REFUSALS = [(404, False), (403, True), (400, False), (422, False), (429, False), (503, False)]
CALLBACK_ALONE = ASKED.model_copy(update={"destinations": ()})


@pytest.mark.parametrize("call", ["sms_enabled", "destinations", "update_one"])
@pytest.mark.parametrize(("status", "html"), REFUSALS)
def test_what_acts_and_then_refuses_is_set(simulation: Simulation, call: str, status: int, html: bool) -> None:
    simulation.sandbox.add_fault(call, "act_then_refuse", status=status, html=html)
    asked = CALLBACK_ALONE if call == "update_one" else ASKED
    view = played(simulation, asked)
    assert (view.state, view.error) == (JobState.SUCCEEDED, None)
    assert set_up(simulation) == [(True, "https://example.net/sms", [] if call == "update_one" else ["pbx@example.net"])] * 2
    assert not simulation.ledger.account_state("default").paused
    assert (calls(simulation)["checkout"], len(simulation.sandbox.ledger())) == (1, 2)


@pytest.mark.parametrize(
    ("call", "code"),
    [("sms_enabled", "sms_not_confirmed"), ("destinations", "routing_not_confirmed"), ("update_one", "routing_not_confirmed")],
)
def test_a_yes_without_effect_is_no_set_up(simulation: Simulation, call: str, code: str) -> None:
    simulation.sandbox.add_fault(call, "refuse", status=200, body={"success": True}, times=None)
    view = played(simulation, CALLBACK_ALONE if call == "update_one" else ASKED)
    assert view.state is JobState.PARTIAL
    assert view.result is not None
    assert [one.error.code if one.error else None for one in view.result.numbers] == [code] * 2
    assert (view.result.totals.done, calls(simulation)["checkout"]) == (2, 1)
    history = [entry.happened.what for entry in next(iter(simulation.histories().values())).entries]
    assert (Happening.ROUTED in history) == (call == "sms_enabled")


def test_a_route_that_shows_late_is_waited_for(real_ledger: Ledger) -> None:
    with Sandbox(SandboxOptions(numbers_per_city=8, apply_late_s=0.2)) as sandbox:
        inline = InlineWorker(real_ledger, sandbox)
        job = inline.submit(ASKED.model_copy(update={"sms": False, "sms_relay_url": None}))
        assert inline.attempt(job).reason == "settling"
        view = inline.finish(job)
        assert (view.state, set(map(tuple, inline.routes().values()))) == (JobState.SUCCEEDED, {("pbx@example.net",)})
        assert sandbox.state()["calls"]["destinations"] == 1
        inline.close()


def test_wherever_the_setting_up_dies_it_is_done_and_nothing_is_bought_again(quick_valkey: redis.Redis) -> None:
    place, points = 0, [""]
    while place < len(points):
        simulation = Simulation(quick_valkey, sandbox=SMS_OFF)
        play, workers = Play(simulation, simulation.submit(ASKED)), DyingWorkers(*([place] if len(points) > 1 else []))
        play_on(play, workers)
        if len(points) == 1:
            points = workers.reached
            place = points.index("after:save.bought")
        assert simulation.view(play.job).state is JobState.SUCCEEDED, workers.died
        assert set_up(simulation) == [(True, "https://example.net/sms", ["pbx@example.net"])] * 2, workers.died
        assert (calls(simulation)["checkout"], len(simulation.sandbox.ledger())) == (1, 2), workers.died
        simulation.close()
        place += 1
    assert {"after:save.sms_on", "before:set_sms_enabled", "after:set_route"} <= set(points)
