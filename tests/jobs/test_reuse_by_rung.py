"""Reuse with a ladder and with quotes: each rung's own numbers before its stock, and never one in place of a number that was quoted."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import redis

from didflow import Didflow, Quote, Rung, SearchAndBuy
from didflow.contract.jobs import JobView
from didflow.contract.results import NumberResult, RungReport
from tests.jobs.test_killed_at_every_point import DyingWorkers, Play, play_on
from tests.jobs.test_reuse import bought, handed_out, numbers, outcomes, scene, spare
from tests.support.simulation.simulation import Attempt, Scene

__all__ = ["scene"]

LA, SD, SF = "LOS ANGELES, CA", "SAN DIEGO, CA", "SAN FRANCISCO, CA"
LADDER = (Rung(name="la", city=LA), Rung(name="sd", city=SD), Rung(name="sf", city=SF))
LADDERED = SearchAndBuy(country="US", ladder=LADDER, reuse=True)
PLAIN = SearchAndBuy(country="US", city=(LA,), reuse=True)


def played(scene: Scene, request: SearchAndBuy = LADDERED, **changes: object) -> JobView:
    job = scene.submit(request.model_copy(update=changes))
    scene.finish(job)
    return scene.view(job)


def rungs(view: JobView) -> dict[str, RungReport]:
    assert view.result is not None
    assert view.result.search is not None
    return {rung.name: rung for rung in view.result.search.rungs}


def given(view: JobView) -> Counter[tuple[int | None, str | None]]:
    """How many of each rung were bought, and how many reused."""
    return Counter((one.rung, one.outcome.value if one.outcome else None) for one in numbers(view))


def left(scene: Scene, city: str, keep: int) -> None:
    scene.sandbox.order("sell_out", city=city, keep=keep)


def test_on_each_rung_ours_go_before_its_stock_and_after_the_stock_of_the_rungs_above(scene: Scene) -> None:
    spare(scene, 1, city=LA)
    spare(scene, 2, city=SD)
    left(scene, LA, 2)
    left(scene, SD, 1)
    view = played(scene, quantity=7)
    assert view.state == "succeeded"
    assert given(view) == {(1, "reused"): 1, (1, "bought"): 2, (2, "reused"): 2, (2, "bought"): 1, (3, "bought"): 1}
    assert {name: (rung.bought, rung.reused) for name, rung in rungs(view).items()} == {"la": (2, 1), "sd": (1, 2), "sf": (1, 0)}
    assert scene.sandbox.state()["calls"]["checkout"] == 1
    assert bought(scene) == 4


def test_a_number_of_ours_on_a_later_rung_waits_while_the_first_rung_has_some_for_sale(scene: Scene) -> None:
    spare(scene, 2, city=SD)
    view = played(scene, quantity=3)
    assert given(view) == {(1, "bought"): 3}
    assert handed_out(scene) == set()


@pytest.mark.parametrize(("policy", "wait_until"), [("all_or_nothing", None), ("best_effort", datetime.now(UTC) + timedelta(days=1))])
def test_ours_alone_are_enough_on_whatever_rung(scene: Scene, policy: str, wait_until: datetime | None) -> None:
    ours = spare(scene, 2, city=SF)
    left(scene, LA, 0)
    left(scene, SD, 0)
    job = scene.submit(LADDERED.model_copy(update={"quantity": 2, "policy": policy, "wait_until": wait_until}))
    view = scene.run(job)
    assert (view.state, given(view), {one.number for one in numbers(view)}) == ("succeeded", {(3, "reused"): 2}, set(ours))
    assert "cart_put" not in scene.sandbox.state()["calls"]


@pytest.mark.parametrize(
    ("share", "came_to"),
    [
        (1, {(1, "reused"): 1, (2, "bought"): 4}),
        (3, {(1, "reused"): 2, (1, "bought"): 1, (2, "bought"): 2}),
    ],
)
def test_the_share_of_a_rung_counts_ours_too(scene: Scene, share: int, came_to: dict[tuple[int, str], int]) -> None:
    spare(scene, 2, city=LA)
    assert given(played(scene, ladder=(LADDER[0].model_copy(update={"quantity": share}), *LADDER[1:]), quantity=5)) == came_to


def test_where_a_rung_s_numbers_are_taken_meanwhile_ours_of_the_next_are_handed_out_first(scene: Scene) -> None:
    spare(scene, 1, city=SD)
    left(scene, LA, 2)
    reserved = next(f"+{number}" for number, stocked in scene.sandbox.service.world.stock.items() if stocked.city.name == LA)
    scene.ledger.client.hset(scene.ledger.keys.reserved("default"), reserved, "another|0")
    assert given(played(scene, quantity=2)) == {(1, "bought"): 1, (2, "reused"): 1}
    spare(scene, 1, city=SD)
    assert given(played(scene, quantity=2)) == {(2, "reused"): 1, (2, "bought"): 1}, "and not one too many"


def first_rung_s_number_in_hand(scene: Scene, **changes: object) -> tuple[Attempt, str]:
    """A purchase that is about to put the one number of the first rung into the cart; the second rung has one of ours."""
    spare(scene, 1, city=SD)
    left(scene, LA, 1)
    attempt = Attempt(scene, scene.submit(LADDERED.model_copy(update=changes)))
    attempt.to("before:put_in_cart")
    return attempt, next(number for number, stocked in scene.sandbox.service.world.stock.items() if stocked.city.name == LA)


def test_what_was_put_into_the_cart_in_vain_is_taken_out_where_ours_are_enough(scene: Scene) -> None:
    attempt, number = first_rung_s_number_in_hand(scene, max_monthly_usd=Decimal("8.00"))
    scene.sandbox.order("set_fees", number=number, setup_usd="0.50", monthly_usd="9.00")
    attempt.end()
    assert given(scene.view(attempt.job)) == {(2, "reused"): 1}
    assert scene.sandbox.state()["accounts"]["default"]["cart"] == []


def test_a_standing_order_whose_time_ends_while_it_buys_is_given_none_of_ours_instead(scene: Scene) -> None:
    now_s = scene.ledger.now_ms() / 1000
    attempt, _ = first_rung_s_number_in_hand(scene, wait_until=datetime.fromtimestamp(now_s + 3600, UTC))
    scene.clock.pass_ms(3_700_000)
    attempt.end()
    scene.finish(attempt.job)
    assert (scene.view(attempt.job).state, handed_out(scene)) == ("expired", set())


def test_where_nothing_of_the_first_rung_can_be_afforded_ours_of_the_later_ones_are_handed_out(scene: Scene) -> None:
    spare(scene, 2, city=SD)
    view = played(scene, quantity=2, max_total_usd=Decimal("0.00"), policy="best_effort")
    assert given(view) == {(2, "reused"): 2}


def test_too_few_on_all_rungs_give_all_of_ours_back(scene: Scene) -> None:
    spare(scene, 1, city=LA)
    spare(scene, 1, city=SF)
    view = played(scene, quantity=100)
    assert (view.state, numbers(view), handed_out(scene), bought(scene)) == ("failed", (), set(), 0)


def test_where_sms_is_preferred_ours_with_sms_go_first(scene: Scene) -> None:
    ours = spare(scene, 8, city=LA)
    with_sms = {number for number in ours if owned(scene, number)["sms_enabled"]}
    assert 0 < len(with_sms) < 8
    view = played(scene, ladder=(Rung(city=LA, sms="preferred"),), quantity=len(with_sms))
    assert {one.number for one in numbers(view)} == with_sms


def owned(scene: Scene, number: str) -> dict[str, object]:
    found: dict[str, object] = scene.sandbox.owned()[number[1:]]
    return found


def test_wherever_the_worker_dies_each_rung_gives_what_it_would_have_given(quick_valkey: redis.Redis) -> None:
    place, points = -1, [""]
    while place < len(points):
        scene = Scene(quick_valkey, reuse_label="spare")
        spare(scene, 1, city=LA)
        (later,) = spare(scene, 1, city=SD)
        left(scene, LA, 1)
        play = Play(scene, scene.submit(LADDERED.model_copy(update={"quantity": 3})))
        workers = DyingWorkers(*([place] if place >= 0 else []))
        play_on(play, workers)
        points = points if place >= 0 else workers.reached
        found = given(scene.view(play.job))
        # What was in the cart when a worker died isn't bought by anybody for a day: then the rung has one less.
        assert found in ({(1, "reused"): 1, (1, "bought"): 1, (2, "reused"): 1}, {(1, "reused"): 1, (2, "reused"): 1, (2, "bought"): 1})
        assert bought(scene) == 1, workers.died
        assert later in handed_out(scene), workers.died
        scene.close()
        place += 1
    assert points.count("after:hand_out") == 2


# Quotes


def quoted(scene: Scene, request: SearchAndBuy = PLAIN, **changes: object) -> Quote:
    view = played(scene, request, dry_run=True, **changes)
    assert view.result is not None
    assert view.result.quote is not None
    return view.result.quote


def ordered(scene: Scene, quote: Quote) -> JobView:
    job = Didflow(scene.ledger.client, scene.ledger.keys.namespace).submit(quote=quote)
    scene.finish(job)
    return scene.view(job)


def kinds(found: tuple[NumberResult, ...]) -> dict[str, str | None]:
    return {one.number: "reused" if one.outcome == "reused" else "bought" for one in found}


def test_what_was_quoted_as_ours_is_handed_out_and_the_rest_bought_as_quoted(scene: Scene) -> None:
    spare(scene, 1)
    quote = quoted(scene, quantity=3)
    spare(scene, 1)
    view = ordered(scene, quote)
    assert view.state == "succeeded"
    assert kinds(numbers(view)) == kinds(quote.numbers), "those that were named, and no others of ours in their place"
    assert scene.sandbox.charged_usd() == quote.setup_usd + quote.monthly_usd


def test_a_quote_of_a_ladder_says_of_each_rung_what_is_ours(scene: Scene) -> None:
    spare(scene, 1, city=SD)
    left(scene, LA, 1)
    quote = quoted(scene, LADDERED, quantity=3)
    assert Counter((one.rung, one.outcome) for one in quote.numbers) == {(1, None): 1, (2, "reused"): 1, (2, None): 1}
    assert handed_out(scene) == set()
    scene.sandbox.order("restock", numbers=[one[1:] for one in spare_of_la(scene)])
    view = ordered(scene, quote)
    assert (view.state, kinds(numbers(view))) == ("succeeded", kinds(quote.numbers)), "though the first rung has more by now"


def spare_of_la(scene: Scene) -> list[str]:
    """Three of the city's numbers, which others bought."""
    return [f"+{number}" for number, stocked in scene.sandbox.service.world.stock.items() if stocked.city.name == LA][2:5]


def test_another_of_ours_stands_in_for_one_that_somebody_got_meanwhile(scene: Scene) -> None:
    (first,) = spare(scene, 1)
    quote = quoted(scene)
    assert outcomes(played(scene, PLAIN)) == {first: "reused"}
    (second,) = spare(scene, 1)
    assert outcomes(ordered(scene, quote)) == {second: "reused"}


def test_what_was_quoted_for_nothing_is_not_bought(scene: Scene) -> None:
    (ours,) = spare(scene, 1)
    quote = quoted(scene, quantity=2)
    played(scene, PLAIN)
    view = ordered(scene, quote)
    assert (view.state, view.error and view.error.code, numbers(view)) == ("failed", "quote_worse", ())
    assert view.error is not None
    assert f"on worse terms than {ours}, which was quoted as ours and isn't to be had any more" in view.error.message
    assert bought(scene) == 0


@pytest.mark.parametrize(("monthly", "stands_in"), [("0.10", True), ("9.00", False)])
def test_ours_stand_in_for_what_is_sold_if_a_month_of_them_is_no_dearer(scene: Scene, monthly: str, stands_in: bool) -> None:
    quote = quoted(scene)
    left(scene, LA, 0)
    scene.sandbox.order("restock", numbers=[some := spare_of_la(scene)[0][1:]])
    scene.sandbox.order("set_fees", number=some, setup_usd="0.50", monthly_usd=monthly)
    (ours,) = spare(scene, 1)
    assert ours == f"+{some}"
    view = ordered(scene, quote)
    if stands_in:
        assert outcomes(view) == {ours: "reused"}
    else:
        assert (view.error and view.error.code, handed_out(scene)) == ("quote_worse", set())
