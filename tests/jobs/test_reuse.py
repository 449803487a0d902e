"""Reuse before buying: what waits in the pool goes out first, to one job each, and costs nothing."""

from decimal import Decimal

import pytest
import redis

from didflow import Didflow
from didflow.client.sync.number_pool import Pool
from didflow.contract.destinations import Destination
from didflow.contract.jobs import JobView
from didflow.contract.requests import Release, SearchAndBuy
from didflow.contract.states import JobState
from tests.support.simulation.dying_workers import DyingWorkers, Play, play_on
from tests.support.simulation.pool_numbers import LABEL, bought, handed_out, numbers, outcomes, spare
from tests.support.simulation.simulation import Attempt, Simulation

ASKED = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), reuse=True)
PBX = (Destination.sip("pbx@example.net"),)


@pytest.fixture
def simulation_settings() -> dict[str, object]:
    return {"reuse_label": LABEL}


def played(simulation: Simulation, **changes: object) -> JobView:
    job = simulation.submit(ASKED.model_copy(update=changes))
    simulation.finish(job)
    return simulation.view(job)


def waiting(simulation: Simulation) -> set[str]:
    """Those of the pool that a new job would get."""
    view = played(simulation, quantity=1000, policy="best_effort", dry_run=True)
    assert view.result is not None
    assert view.result.quote is not None
    return {one.number for one in view.result.quote.numbers if one.outcome == "reused"}


def test_the_pool_goes_out_first_and_only_the_rest_is_bought(simulation: Simulation) -> None:
    ours = spare(simulation, 2)
    view = played(simulation, quantity=3, destinations=PBX)
    assert view.state is JobState.SUCCEEDED
    assert {number for number, outcome in outcomes(view).items() if outcome == "reused"} == set(ours)
    assert sorted(outcomes(view).values(), key=str) == ["bought", "reused", "reused"]
    assert bought(simulation) == 1
    assert view.result is not None
    assert view.result.totals.charged_usd == simulation.sandbox.charged_usd()
    assert view.result.totals.done == 3
    assert all(one.monthly_usd is None and one.record_id for one in numbers(view) if one.outcome == "reused")
    assert list(simulation.routes().values()) == [["pbx@example.net"]] * 3


def test_it_is_off_by_default(simulation: Simulation) -> None:
    spare(simulation)
    assert list(outcomes(played(simulation, reuse=False)).values()) == ["bought"]


def test_only_what_fits_is_handed_out(simulation: Simulation) -> None:
    fits, routed, called_back, other, elsewhere = *spare(simulation, 3), *spare(simulation, label="vip"), *spare(simulation, 8)[-1:]
    simulation.sandbox.order("set_number", number=called_back[1:], sms_relay_url="https://last-customer.example.net/sms")
    simulation.sandbox.order(
        "set_destinations", number=routed[1:], destinations=[{"transport": 1, "destination": "a@example.net", "priority": 1}]
    )
    assert elsewhere.startswith("+1619")
    view = played(simulation, quantity=1000, policy="best_effort", max_total_usd=Decimal("0.01"))
    given = {number for number, outcome in outcomes(view).items() if outcome == "reused"}
    assert fits in given
    assert not {routed, called_back, other, elsewhere} & given
    assert all(number.startswith("+1213568") for number in given)


def test_a_number_goes_to_one_job_also_after_that_has_ended(simulation: Simulation) -> None:
    (number,) = spare(simulation)
    assert outcomes(played(simulation)) == {number: "reused"}
    assert list(outcomes(played(simulation)).values()) == ["bought"], "it has no destinations and is assigned all the same"
    pool = Pool(Didflow(simulation.ledger.client, simulation.ledger.keys.namespace))
    ((name, job_id),) = ((one.number, one.job_id) for one in pool.handed_out())
    assert (name, job_id) == (number, simulation.jobs[0].id)
    assert pool.take_back([number, "+12135550100"]) == (number,)
    assert pool.take_back([number]) == ()
    assert outcomes(played(simulation)) == {number: "reused"}


def test_of_two_jobs_that_saw_the_same_number_one_gets_it(simulation: Simulation) -> None:
    (number,) = spare(simulation)
    first, second = (simulation.submit(ASKED) for _ in range(2))
    slow = Attempt(simulation, first)
    slow.to("before:hand_out")
    simulation.finish(second)
    slow.end()
    simulation.finish(first)
    assert outcomes(simulation.view(second)) == {number: "reused"}
    assert list(outcomes(simulation.view(first)).values()) == ["bought"]


def test_too_few_go_back_and_the_next_job_gets_them(simulation: Simulation) -> None:
    (number,) = spare(simulation)
    view = played(simulation, quantity=50)
    assert (view.state, outcomes(view)) == (JobState.FAILED, {})
    assert (bought(simulation), waiting(simulation)) == (0, {number})
    assert outcomes(played(simulation)) == {number: "reused"}
    history = Didflow(simulation.ledger.client, simulation.ledger.keys.namespace).history(number)
    assert [entry.happened.what for entry in history.entries] == ["handed_out", "taken_back", "handed_out"]
    assert history.faults == ()


def test_at_least_counts_them(simulation: Simulation) -> None:
    spare(simulation, 2)
    view = played(simulation, quantity=50, policy="at_least", at_least=8)
    assert view.state is JobState.PARTIAL
    assert bought(simulation) == 6, "all that is left in the city"
    assert list(outcomes(view).values()).count("reused") == 2


@pytest.mark.parametrize("how", ["cancelled", "no clear answer", "a read is refused"])
def test_a_job_that_comes_to_nothing_gives_them_back(quick_valkey: redis.Redis, how: str) -> None:
    simulation = Simulation(quick_valkey, reuse_label=LABEL, max_attempts=2)
    (number,) = spare(simulation)
    job = simulation.submit(ASKED.model_copy(update={"quantity": 2}))
    if how == "cancelled":
        simulation.sandbox.order("set_balance", usd="0")
        assert simulation.run(job).reason == "funds"
        assert outcomes(played(simulation, quantity=1, policy="best_effort", max_total_usd=Decimal(0))) == {}, "kept for the job that waits"
        simulation.cancel(job)
    elif how == "no clear answer":
        simulation.sandbox.add_fault("cart_put", "drop", times=None)
    else:
        simulation.sandbox.add_fault("dids", "refuse", times=None, status=400)
    simulation.finish(job)
    assert simulation.view(job).state in (JobState.CANCELLED, JobState.FAILED)
    assert outcomes(simulation.view(job)) == {}
    simulation.sandbox.clear_faults()
    assert waiting(simulation) == {number}
    simulation.close()


def test_called_off_after_its_worker_died_it_gives_back_what_it_was_handed(simulation: Simulation) -> None:
    (number,) = spare(simulation)
    buying = Attempt(simulation, simulation.submit(ASKED.model_copy(update={"quantity": 2})))
    buying.to("after:hand_out")
    buying.kill()
    simulation.expire(buying.job)
    simulation.cancel(buying.job)
    simulation.finish(buying.job)
    assert simulation.view(buying.job).state is JobState.CANCELLED
    assert outcomes(played(simulation)) == {number: "reused"}


@pytest.mark.parametrize(("first", "every"), [(2, 4), pytest.param(0, 1, marks=pytest.mark.long)])
def test_wherever_the_worker_dies_each_number_is_handed_out_once(quick_valkey: redis.Redis, first: int, every: int) -> None:
    place, points = -1, [""]
    while place < len(points):
        simulation = Simulation(quick_valkey, reuse_label=LABEL)
        (number,) = spare(simulation)
        play = Play(simulation, simulation.submit(ASKED.model_copy(update={"quantity": 2, "destinations": PBX})))
        workers = DyingWorkers(*([place] if place >= 0 else []))
        play_on(play, workers)
        points = points if place >= 0 else workers.reached
        assert sorted(outcomes(simulation.view(play.job)).values(), key=str) == ["bought", "reused"], workers.died
        assert outcomes(simulation.view(play.job))[number] == "reused", workers.died
        assert (bought(simulation), handed_out(simulation)) == (1, {number}), workers.died
        assert list(simulation.routes().values()) == [["pbx@example.net"]] * 2, workers.died
        simulation.close()
        place = first if place < 0 else place + every
    assert "after:hand_out" in points


def test_a_release_that_was_submitted_before_leaves_it_alone(simulation: Simulation) -> None:
    """As one whose grace period ends after the number went to someone."""
    going = spare(simulation, 3)
    release = simulation.submit(Release(numbers=tuple(going)))
    late = Attempt(simulation, release)
    late.to("before:quarantine")
    ((number, outcome),) = outcomes(played(simulation)).items()
    assert outcome == "reused"
    simulation.sandbox.add_fault("release", "refuse", status=422)  # The two others together, so that it continues with halves.
    late.end()
    simulation.finish(release)
    assert outcomes(simulation.view(release)) == dict.fromkeys(going, "released") | {number: "superseded"}
    assert number in {f"+{one}" for one in simulation.sandbox.owned()}
    meant = simulation.submit(Release(numbers=(number,)))
    simulation.finish(meant)
    assert outcomes(simulation.view(meant)) == {number: "released"}, "a release of after that is a release"


def test_what_a_release_has_begun_with_is_not_handed_out(simulation: Simulation) -> None:
    (number,) = spare(simulation)
    release = Attempt(simulation, simulation.submit(Release(numbers=(number,))))
    release.to("before:release")
    assert list(outcomes(played(simulation)).values()) == ["bought"]
    release.end()
    assert number not in {f"+{one}" for one in simulation.sandbox.owned()}


def test_one_that_is_being_given_to_a_purchase_is_not_released(simulation: Simulation) -> None:
    (number,) = spare(simulation)
    buying = Attempt(simulation, simulation.submit(ASKED.model_copy(update={"destinations": PBX})))
    buying.to("after:hand_out")
    release = simulation.submit(Release(numbers=(number,)))
    simulation.finish(release)
    assert outcomes(simulation.view(release)) == {number: "superseded"}
    buying.end()
    assert simulation.routes() == {number: ["pbx@example.net"]}


def test_one_that_changed_behind_the_list_goes_back(simulation: Simulation) -> None:
    stale, good = sorted(spare(simulation, 2))
    buying = Attempt(simulation, simulation.submit(ASKED.model_copy(update={"quantity": 2})))
    buying.to("before:hand_out")
    simulation.sandbox.order(
        "set_destinations", number=stale[1:], destinations=[{"transport": 1, "destination": "a@example.net", "priority": 1}]
    )
    buying.end()
    assert outcomes(simulation.view(simulation.jobs[0]))[good] == "reused"
    assert stale not in outcomes(simulation.view(simulation.jobs[0]))
    assert handed_out(simulation) == {good}


def test_a_quote_reports_what_would_be_handed_out(simulation: Simulation) -> None:
    (number,) = spare(simulation)
    view = played(simulation, quantity=2, dry_run=True)
    assert view.result is not None
    assert view.result.quote is not None
    assert [(one.outcome, one.setup_usd is None) for one in view.result.quote.numbers] == [("reused", True), (None, False)]
    assert view.result.quote.numbers[0].number == number
    assert played(simulation, quantity=1, dry_run=True).state is JobState.SUCCEEDED
    assert handed_out(simulation) == set()
    assert outcomes(played(simulation)) == {number: "reused"}
    assert waiting(simulation) == set(), "it is assigned"


@pytest.mark.parametrize("dry_run", [True, False])
def test_without_a_pool_nothing_is_bought_by_mistake(quick_valkey: redis.Redis, dry_run: bool) -> None:
    simulation = Simulation(quick_valkey)
    view = played(simulation, dry_run=dry_run)
    assert (view.state, view.error.code if view.error else None) == ("failed", "no_pool")
    assert bought(simulation) == 0
    simulation.close()
