"""A ladder of criteria: rung by rung, as far as it is needed, one job, and for each rung what it saw and why it refused."""

from decimal import Decimal

from didflow.contract.jobs import JobView
from didflow.contract.requests import Rung, SearchAndBuy
from didflow.contract.results import RungReport, by_kind
from tests.support.inline_worker import InlineWorker, charged, numbers, result_of
from tests.support.ledger_roles import reserve_for

CITY = Rung(name="city", city="LOS ANGELES, CA")
REGION = Rung(name="region", region="California")
NEIGHBOURS = Rung(name="neighbours", city=("SAN DIEGO, CA", "SAN FRANCISCO, CA"))
COUNTRY = Rung(name="country")


def laddered(*rungs: Rung, **fields: object) -> SearchAndBuy:
    return SearchAndBuy.model_validate({"country": "US", "ladder": rungs, **fields})


def rungs(view: JobView) -> dict[str, RungReport]:
    search = result_of(view).search
    assert search is not None
    return {rung.name: rung for rung in search.rungs}


def bought_in(view: JobView) -> dict[str, int]:
    return {name: rung.bought for name, rung in rungs(view).items()}


def test_the_first_rung_that_has_enough_gives_all_and_the_others_are_not_looked_at(inline: InlineWorker) -> None:
    view = inline.run(laddered(CITY, REGION, COUNTRY, quantity=3))
    assert view.state == "succeeded"
    assert bought_in(view) == {"city": 3, "region": 0, "country": 0}
    assert (rungs(view)["region"].seen, rungs(view)["country"].seen) == (0, 0)
    assert {(number.rung, number.number[:5]) for number in numbers(view)} == {(1, "+1213")}


def test_city_region_country_give_what_the_rung_before_lacked_in_one_checkout(inline: InlineWorker) -> None:
    inline.sandbox.order("sell_out", city="LOS ANGELES, CA", keep=2)
    inline.sandbox.order("sell_out", city="SAN DIEGO, CA", keep=1)
    inline.sandbox.order("sell_out", city="SAN FRANCISCO, CA", keep=0)
    view = inline.run(laddered(CITY, NEIGHBOURS, COUNTRY, quantity=5))
    assert view.state == "succeeded"
    assert bought_in(view) == {"city": 2, "neighbours": 1, "country": 2}
    assert inline.sandbox.state()["calls"]["checkout"] == 1
    assert charged(view) == inline.sandbox.charged_usd()


def test_a_rung_gives_no_more_than_its_share(inline: InlineWorker) -> None:
    one_each = [rung.model_copy(update={"quantity": 1}) for rung in (CITY, NEIGHBOURS)]
    view = inline.run(laddered(*one_each, COUNTRY, quantity=4))
    assert bought_in(view) == {"city": 1, "neighbours": 1, "country": 2}


def test_the_share_of_a_rung_holds_over_several_checkouts(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("checkout", "status_500_before")
    view = inline.run(laddered(CITY.model_copy(update={"quantity": 1}), NEIGHBOURS, quantity=3, policy="best_effort"))
    assert view.state == "succeeded"
    assert bought_in(view) == {"city": 1, "neighbours": 2}
    assert charged(view) == inline.sandbox.charged_usd()


def test_price_bands_are_tried_in_their_order(inline: InlineWorker) -> None:
    bands = [CITY.model_copy(update={"name": most, "max_monthly_usd": Decimal(most)}) for most in ("0.50", "0.99", "9.00")]
    view = inline.run(laddered(*bands, quantity=12))
    reported = rungs(view)
    assert (reported["0.50"].seen, reported["0.50"].bought, reported["0.50"].refused) == (30, 0, {"monthly_fee": 30})
    assert 0 < reported["0.99"].bought < 12
    assert reported["0.99"].bought + reported["9.00"].bought == 12
    assert {number.monthly_usd for number in numbers(view) if number.rung == 2} == {Decimal("0.99")}


def test_sms_is_needed_first_and_then_preferred(inline: InlineWorker) -> None:
    needed = CITY.model_copy(update={"name": "needed", "sms": "needed", "quantity": 1})
    preferred = CITY.model_copy(update={"name": "preferred", "sms": "preferred"})
    look = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), sms=True, quantity=30, policy="best_effort", dry_run=True)
    quote = result_of(inline.run(look)).quote
    assert quote is not None
    here = {number.number for number in quote.numbers}
    view = inline.run(laddered(needed, preferred, quantity=len(here) + 2))
    assert rungs(view)["needed"].bought == 1
    assert here < {number.number for number in numbers(view)}, "all that can receive SMS, and as few others as are needed"
    assert rungs(view)["preferred"].seen == 30, "each number is counted once, though it is on two lists"


def test_every_kind_of_refusal_is_counted_in_its_rung(inline: InlineWorker) -> None:
    german = Rung(name="german", country="DE")
    dear = CITY.model_copy(update={"name": "dear", "max_monthly_usd": Decimal("0.10")})
    odd = CITY.model_copy(update={"name": "odd", "pattern": "*000000"})
    capped = laddered(german, dear, odd, CITY, quantity=40, policy="best_effort", max_total_usd=Decimal("10.00"))
    view = inline.run(capped)
    kinds = {name: by_kind(rung.refused) for name, rung in rungs(view).items()}
    assert view.state == "partial"
    assert kinds["german"] == {"documents": 60}
    assert kinds["dear"] == {"price": 30}
    assert kinds["odd"] == {"pattern": 30}
    assert kinds["city"]["guard"] > 0
    assert inline.sandbox.charged_usd() <= 10


def test_a_number_that_another_job_has_counts_as_taken(inline: InlineWorker) -> None:
    inline.sandbox.order("sell_out", city="LOS ANGELES, CA", keep=2)
    (here,) = (number for number in inline.sandbox.order("sell_out", city="LOS ANGELES, CA", keep=1))
    inline.sandbox.order("restock", numbers=[here])
    reserve_for(inline.ledger, "another", f"+{here}")
    view = inline.run(laddered(CITY, COUNTRY, quantity=2))
    assert by_kind(rungs(view)["city"].refused) == {"taken": 1}
    assert bought_in(view) == {"city": 1, "country": 1}


def test_a_rung_with_an_unknown_place_is_refused_before_money_moves(inline: InlineWorker) -> None:
    view = inline.run(laddered(CITY, Rung(region="Kalifornien"), quantity=1))
    assert (view.state, view.error and view.error.code) == ("failed", "unknown_region")
    assert not inline.owned()


def test_too_few_on_all_rungs_buys_nothing_and_says_so_of_each(inline: InlineWorker) -> None:
    view = inline.run(laddered(CITY, NEIGHBOURS, quantity=91))
    assert (view.state, view.error and view.error.code) == ("failed", "no_stock")
    assert {name: rung.seen for name, rung in rungs(view).items()} == {"city": 30, "neighbours": 60}
    assert "cart_put" not in inline.sandbox.state()["calls"]
