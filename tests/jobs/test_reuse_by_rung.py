"""Reuse with a ladder and with quotes: each rung's own numbers before its stock, and never one in place of a number that was quoted."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import redis

from didflow import Didflow, Quote, Rung, SearchAndBuy
from didflow.contract.jobs import JobView
from didflow.contract.results import NumberResult, RungReport
from tests.support.ledger_roles import reserve_for
from tests.support.simulation.dying_workers import DyingWorkers, Play, play_on
from tests.support.simulation.pool_numbers import LABEL, bought, handed_out, numbers, outcomes, spare
from tests.support.simulation.simulation import Attempt, Simulation

LA, SD, SF = "LOS ANGELES, CA", "SAN DIEGO, CA", "SAN FRANCISCO, CA"
LADDER = (Rung(name="la", city=LA), Rung(name="sd", city=SD), Rung(name="sf", city=SF))
LADDERED = SearchAndBuy(country="US", ladder=LADDER, reuse=True)
PLAIN = SearchAndBuy(country="US", city=(LA,), reuse=True)


@pytest.fixture
def simulation_settings() -> dict[str, object]:
    return {"reuse_label": LABEL}


def played(simulation: Simulation, request: SearchAndBuy = LADDERED, **changes: object) -> JobView:
    job = simulation.submit(request.model_copy(update=changes))
    simulation.finish(job)
    return simulation.view(job)


def rungs(view: JobView) -> dict[str, RungReport]:
    assert view.result is not None
    assert view.result.search is not None
    return {rung.name: rung for rung in view.result.search.rungs}


def given(view: JobView) -> Counter[tuple[int | None, str | None]]:
    """How many of each rung were bought, and how many reused."""
    return Counter((one.rung, one.outcome.value if one.outcome else None) for one in numbers(view))


def left(simulation: Simulation, city: str, keep: int) -> None:
    simulation.sandbox.order("sell_out", city=city, keep=keep)


def test_on_each_rung_ours_go_before_its_stock_and_after_the_stock_of_the_rungs_above(simulation: Simulation) -> None:
    spare(simulation, 1, city=LA)
    spare(simulation, 2, city=SD)
    left(simulation, LA, 2)
    left(simulation, SD, 1)
    view = played(simulation, quantity=7)
    assert view.state == "succeeded"
    assert given(view) == {(1, "reused"): 1, (1, "bought"): 2, (2, "reused"): 2, (2, "bought"): 1, (3, "bought"): 1}
    assert {name: (rung.bought, rung.reused) for name, rung in rungs(view).items()} == {"la": (2, 1), "sd": (1, 2), "sf": (1, 0)}
    assert simulation.sandbox.state()["calls"]["checkout"] == 1
    assert bought(simulation) == 4


def test_a_number_of_ours_on_a_later_rung_waits_while_the_first_rung_has_some_for_sale(simulation: Simulation) -> None:
    spare(simulation, 2, city=SD)
    view = played(simulation, quantity=3)
    assert given(view) == {(1, "bought"): 3}
    assert handed_out(simulation) == set()


@pytest.mark.parametrize(("policy", "wait_until"), [("all_or_nothing", None), ("best_effort", datetime.now(UTC) + timedelta(days=1))])
def test_ours_alone_are_enough_on_whatever_rung(simulation: Simulation, policy: str, wait_until: datetime | None) -> None:
    ours = spare(simulation, 2, city=SF)
    left(simulation, LA, 0)
    left(simulation, SD, 0)
    job = simulation.submit(LADDERED.model_copy(update={"quantity": 2, "policy": policy, "wait_until": wait_until}))
    view = simulation.run(job)
    assert (view.state, given(view), {one.number for one in numbers(view)}) == ("succeeded", {(3, "reused"): 2}, set(ours))
    assert "cart_put" not in simulation.sandbox.state()["calls"]


@pytest.mark.parametrize(
    ("share", "came_to"),
    [
        (1, {(1, "reused"): 1, (2, "bought"): 4}),
        (3, {(1, "reused"): 2, (1, "bought"): 1, (2, "bought"): 2}),
    ],
)
def test_the_share_of_a_rung_counts_ours_too(simulation: Simulation, share: int, came_to: dict[tuple[int, str], int]) -> None:
    spare(simulation, 2, city=LA)
    assert given(played(simulation, ladder=(LADDER[0].model_copy(update={"quantity": share}), *LADDER[1:]), quantity=5)) == came_to


def test_where_a_rung_s_numbers_are_taken_meanwhile_ours_of_the_next_are_handed_out_first(simulation: Simulation) -> None:
    spare(simulation, 1, city=SD)
    left(simulation, LA, 2)
    reserved = next(f"+{number}" for number, stocked in simulation.sandbox.service.world.stock.items() if stocked.city.name == LA)
    reserve_for(simulation.ledger, "another", reserved)
    assert given(played(simulation, quantity=2)) == {(1, "bought"): 1, (2, "reused"): 1}
    spare(simulation, 1, city=SD)
    assert given(played(simulation, quantity=2)) == {(2, "reused"): 1, (2, "bought"): 1}, "and not one too many"


def first_rung_s_number_in_hand(simulation: Simulation, **changes: object) -> tuple[Attempt, str]:
    """A purchase that is about to put the one number of the first rung into the cart; the second rung has one of ours."""
    spare(simulation, 1, city=SD)
    left(simulation, LA, 1)
    attempt = Attempt(simulation, simulation.submit(LADDERED.model_copy(update=changes)))
    attempt.to("before:put_in_cart")
    return attempt, next(number for number, stocked in simulation.sandbox.service.world.stock.items() if stocked.city.name == LA)


def test_what_was_put_into_the_cart_in_vain_is_taken_out_where_ours_are_enough(simulation: Simulation) -> None:
    attempt, number = first_rung_s_number_in_hand(simulation, max_monthly_usd=Decimal("8.00"))
    simulation.sandbox.order("set_fees", number=number, setup_usd="0.50", monthly_usd="9.00")
    attempt.end()
    assert given(simulation.view(attempt.job)) == {(2, "reused"): 1}
    assert simulation.sandbox.state()["accounts"]["default"]["cart"] == []


def test_a_standing_order_whose_time_ends_while_it_buys_is_given_none_of_ours_instead(simulation: Simulation) -> None:
    now_s = simulation.ledger.now_ms() / 1000
    attempt, _ = first_rung_s_number_in_hand(simulation, wait_until=datetime.fromtimestamp(now_s + 3600, UTC))
    simulation.clock.pass_ms(3_700_000)
    attempt.end()
    simulation.finish(attempt.job)
    assert (simulation.view(attempt.job).state, handed_out(simulation)) == ("expired", set())


def test_where_nothing_of_the_first_rung_can_be_afforded_ours_of_the_later_ones_are_handed_out(simulation: Simulation) -> None:
    spare(simulation, 2, city=SD)
    view = played(simulation, quantity=2, max_total_usd=Decimal("0.00"), policy="best_effort")
    assert given(view) == {(2, "reused"): 2}


def test_too_few_on_all_rungs_give_all_of_ours_back(simulation: Simulation) -> None:
    spare(simulation, 1, city=LA)
    spare(simulation, 1, city=SF)
    view = played(simulation, quantity=100)
    assert (view.state, numbers(view), handed_out(simulation), bought(simulation)) == ("failed", (), set(), 0)


def test_where_sms_is_preferred_ours_with_sms_go_first(simulation: Simulation) -> None:
    ours = spare(simulation, 8, city=LA)
    with_sms = {number for number in ours if owned(simulation, number)["sms_enabled"]}
    assert 0 < len(with_sms) < 8
    view = played(simulation, ladder=(Rung(city=LA, sms="preferred"),), quantity=len(with_sms))
    assert {one.number for one in numbers(view)} == with_sms


def owned(simulation: Simulation, number: str) -> dict[str, object]:
    found: dict[str, object] = simulation.sandbox.owned()[number[1:]]
    return found


@pytest.mark.parametrize(("first", "every"), [(1, 4), pytest.param(0, 1, marks=pytest.mark.long)])
def test_wherever_the_worker_dies_each_rung_gives_what_it_would_have_given(quick_valkey: redis.Redis, first: int, every: int) -> None:
    place, points = -1, [""]
    while place < len(points):
        simulation = Simulation(quick_valkey, reuse_label="spare")
        spare(simulation, 1, city=LA)
        (later,) = spare(simulation, 1, city=SD)
        left(simulation, LA, 1)
        play = Play(simulation, simulation.submit(LADDERED.model_copy(update={"quantity": 3})))
        workers = DyingWorkers(*([place] if place >= 0 else []))
        play_on(play, workers)
        points = points if place >= 0 else workers.reached
        found = given(simulation.view(play.job))
        # What was in the cart when a worker died isn't bought by anybody for a day: then the rung has one less.
        assert found in ({(1, "reused"): 1, (1, "bought"): 1, (2, "reused"): 1}, {(1, "reused"): 1, (2, "reused"): 1, (2, "bought"): 1})
        assert bought(simulation) == 1, workers.died
        assert later in handed_out(simulation), workers.died
        simulation.close()
        place = first if place < 0 else place + every
    assert points.count("after:hand_out") == 2


# Quotes


def quoted(simulation: Simulation, request: SearchAndBuy = PLAIN, **changes: object) -> Quote:
    view = played(simulation, request, dry_run=True, **changes)
    assert view.result is not None
    assert view.result.quote is not None
    return view.result.quote


def ordered(simulation: Simulation, quote: Quote) -> JobView:
    job = Didflow(simulation.ledger.client, simulation.ledger.keys.namespace).submit(quote=quote)
    simulation.finish(job)
    return simulation.view(job)


def kinds(found: tuple[NumberResult, ...]) -> dict[str, str | None]:
    return {one.number: "reused" if one.outcome == "reused" else "bought" for one in found}


def test_what_was_quoted_as_ours_is_handed_out_and_the_rest_bought_as_quoted(simulation: Simulation) -> None:
    spare(simulation, 1)
    quote = quoted(simulation, quantity=3)
    spare(simulation, 1)
    view = ordered(simulation, quote)
    assert view.state == "succeeded"
    assert kinds(numbers(view)) == kinds(quote.numbers), "those that were named, and no others of ours in their place"
    assert simulation.sandbox.charged_usd() == quote.setup_usd + quote.monthly_usd


def test_a_quote_of_a_ladder_says_of_each_rung_what_is_ours(simulation: Simulation) -> None:
    spare(simulation, 1, city=SD)
    left(simulation, LA, 1)
    quote = quoted(simulation, LADDERED, quantity=3)
    assert Counter((one.rung, one.outcome) for one in quote.numbers) == {(1, None): 1, (2, "reused"): 1, (2, None): 1}
    assert handed_out(simulation) == set()
    simulation.sandbox.order("restock", numbers=[one[1:] for one in spare_of_la(simulation)])
    view = ordered(simulation, quote)
    assert (view.state, kinds(numbers(view))) == ("succeeded", kinds(quote.numbers)), "though the first rung has more by now"


def spare_of_la(simulation: Simulation) -> list[str]:
    """Three of the city's numbers, which others bought."""
    return [f"+{number}" for number, stocked in simulation.sandbox.service.world.stock.items() if stocked.city.name == LA][2:5]


def test_another_pool_number_replaces_one_that_another_job_got_meanwhile(simulation: Simulation) -> None:
    (first,) = spare(simulation, 1)
    quote = quoted(simulation)
    assert outcomes(played(simulation, PLAIN)) == {first: "reused"}
    (second,) = spare(simulation, 1)
    assert outcomes(ordered(simulation, quote)) == {second: "reused"}


def test_what_was_quoted_for_nothing_is_not_bought(simulation: Simulation) -> None:
    (ours,) = spare(simulation, 1)
    quote = quoted(simulation, quantity=2)
    played(simulation, PLAIN)
    view = ordered(simulation, quote)
    assert (view.state, view.error and view.error.code, numbers(view)) == ("failed", "quote_worse", ())
    assert view.error is not None
    assert f"on worse terms than {ours}, which was quoted as ours and isn't to be had any more" in view.error.message
    assert bought(simulation) == 0


@pytest.mark.parametrize(("monthly", "stands_in"), [("0.10", True), ("9.00", False)])
def test_ours_stand_in_for_what_is_sold_if_a_month_of_them_is_no_dearer(simulation: Simulation, monthly: str, stands_in: bool) -> None:
    quote = quoted(simulation)
    left(simulation, LA, 0)
    simulation.sandbox.order("restock", numbers=[some := spare_of_la(simulation)[0][1:]])
    simulation.sandbox.order("set_fees", number=some, setup_usd="0.50", monthly_usd=monthly)
    (ours,) = spare(simulation, 1)
    assert ours == f"+{some}"
    view = ordered(simulation, quote)
    if stands_in:
        assert outcomes(view) == {ours: "reused"}
    else:
        assert (view.error and view.error.code, handed_out(simulation)) == ("quote_worse", set())
