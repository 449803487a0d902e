"""Search-and-buy against the sandbox: what is bought is what was asked, charged and reported."""

from decimal import Decimal

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.requests import SearchAndBuy
from tests.support.inline_worker import InlineWorker, charged, numbers, outcomes, result_of

LOS_ANGELES = ("LOS ANGELES, CA",)


def test_the_cheapest_that_fit_are_bought_once_and_the_money_agrees(inline: InlineWorker) -> None:
    view = inline.run(SearchAndBuy(country="US", city=LOS_ANGELES, quantity=3, max_monthly_usd=Decimal("2.50")))
    assert view.state == "succeeded"
    assert set(outcomes(view)) == inline.owned()
    assert charged(view) == inline.sandbox.charged_usd()
    assert all(number.monthly_usd is not None and number.monthly_usd <= Decimal("2.50") for number in numbers(view))
    assert all(number.record_id and number.paid_until for number in numbers(view))


def test_a_country_may_be_named_and_a_region_narrows(inline: InlineWorker) -> None:
    view = inline.run(SearchAndBuy(country="united states", region="new york", area_code="716"))
    assert [number.number[:5] for number in numbers(view)] == ["+1716"]


def test_pattern_prefix_sms_and_channels_are_kept(inline: InlineWorker) -> None:
    view = inline.run(SearchAndBuy(country="US", region="California", prefix="1619", pattern="*1*", sms=True, min_channels=4))
    assert numbers(view)[0].number.startswith("+1619")
    assert "1" in numbers(view)[0].number[5:]


def test_numbers_that_need_documents_are_refused_unless_allowed(inline: InlineWorker) -> None:
    refused = inline.run(SearchAndBuy(country="DE"))
    assert refused.state == "failed"
    assert result_of(refused).search is not None
    assert result_of(refused).search.refused == {"documents": 60}  # type: ignore[union-attr]
    allowed = inline.run(SearchAndBuy(country="DE", documents="allow_inactive"))
    assert list(outcomes(allowed).values()) == ["bought_inactive"]
    assert numbers(allowed)[0].documents_needed == ("id", "localaddress")


def test_all_or_nothing_buys_nothing_when_there_are_too_few(inline: InlineWorker) -> None:
    view = inline.run(SearchAndBuy(country="US", city=LOS_ANGELES, quantity=31))
    assert view.state == "failed"
    assert view.error is not None
    assert view.error.code == "no_stock"
    assert not inline.owned()
    assert inline.sandbox.state()["accounts"]["default"]["cart"] == []


@pytest.mark.parametrize(
    ("policy", "at_least", "state", "count"),
    [("at_least", 20, "partial", 30), ("at_least", 31, "failed", 0), ("best_effort", None, "partial", 30)],
)
def test_a_policy_says_what_too_few_are_worth(inline: InlineWorker, policy: str, at_least: int | None, state: str, count: int) -> None:
    view = inline.run(
        SearchAndBuy.model_validate({"country": "US", "city": LOS_ANGELES, "quantity": 40, "policy": policy, "at_least": at_least})
    )
    assert view.state == state
    assert len(inline.owned()) == count
    assert charged(view) == inline.sandbox.charged_usd()


def test_a_large_set_goes_through_several_carts_and_one_checkout(inline: InlineWorker) -> None:
    view = inline.run(SearchAndBuy(country="US", quantity=150))
    assert view.state == "succeeded"
    assert len(inline.owned()) == 150
    assert inline.sandbox.state()["calls"]["checkout"] == 1


def test_the_whole_job_stays_below_its_total_cap(inline: InlineWorker) -> None:
    view = inline.run(SearchAndBuy(country="US", quantity=10, policy="best_effort", max_total_usd=Decimal("5.00")))
    assert view.state == "partial"
    assert Decimal(0) < inline.sandbox.charged_usd() <= Decimal("5.00")
    assert charged(view) == inline.sandbox.charged_usd()


def test_a_dry_run_quotes_and_changes_nothing(inline: InlineWorker) -> None:
    view = inline.run(SearchAndBuy(country="US", quantity=2, dry_run=True))
    quote = result_of(view).quote
    assert view.state == "succeeded"
    assert quote is not None
    assert quote.balance_after_usd == Decimal("1000.00") - quote.setup_usd - quote.monthly_usd
    assert quote.first_year_usd == quote.setup_usd + 12 * quote.monthly_usd
    assert not inline.owned()
    assert "cart_put" not in inline.sandbox.state()["calls"]


def test_destinations_and_callback_are_set_after_the_purchase(inline: InlineWorker) -> None:
    request = SearchAndBuy(
        country="US", sms=True, quantity=2, destinations=(Destination.sip("pbx@example.net"),), sms_relay_url="https://example.net/sms"
    )
    view = inline.run(request)
    assert view.state == "succeeded"
    for record in inline.sandbox.owned().values():
        assert record["destinations"][0]["destination"] == "pbx@example.net"
        assert record["sms_relay_url"] == "https://example.net/sms"


def test_a_refused_route_leaves_the_numbers_bought_and_says_so(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("destinations", "refuse", status=400)
    view = inline.run(SearchAndBuy(country="US", destinations=(Destination.trunk(144),)))
    assert view.state == "partial"
    assert list(outcomes(view).values()) == ["bought"]
    assert view.error is not None
    assert view.error.code == "routing_bad_request"
    assert len(inline.owned()) == 1


@pytest.mark.parametrize(
    ("request_", "code", "hint"),
    [
        (SearchAndBuy(country="Untied States"), "unknown_country", "United States"),
        (SearchAndBuy(country="US", region="Californa"), "unknown_region", "California"),
        (SearchAndBuy(country="US", region="California", city=("LOS ANGLES, CA",)), "unknown_city", "LOS ANGELES, CA"),
    ],
)
def test_an_unknown_place_is_refused_with_the_nearest_names(inline: InlineWorker, request_: SearchAndBuy, code: str, hint: str) -> None:
    view = inline.run(request_)
    assert view.state == "failed"
    assert view.error is not None
    assert view.error.code == code
    assert hint in view.error.message


def test_two_jobs_never_share_a_number(inline: InlineWorker) -> None:
    first, second = (inline.run(SearchAndBuy(country="NL", city=("Amsterdam",), quantity=15)) for _ in range(2))
    assert not set(outcomes(first)) & set(outcomes(second))
    assert len(inline.owned()) == 30


def test_a_dry_run_keeps_the_total_cap_too(inline: InlineWorker) -> None:
    view = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), max_total_usd=Decimal("0.50"), dry_run=True))
    assert view.state == "failed"
    assert view.error is not None
    assert "budget" in view.error.message


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_trunk_that_is_not_there_is_refused_before_money_moves(inline: InlineWorker, dry_run: bool) -> None:
    view = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), destinations=(Destination.trunk(999),), dry_run=dry_run))
    assert view.state == "failed"
    assert view.error is not None
    assert view.error.code == "unknown_trunk"
    assert inline.sandbox.ledger() == []


def test_a_failure_for_documents_says_how_to_allow_them(inline: InlineWorker) -> None:
    view = inline.run(SearchAndBuy(country="Germany"))
    assert view.error is not None
    assert "allow numbers that need documents" in view.error.message


def test_the_united_kingdom_goes_by_both_its_codes(inline: InlineWorker) -> None:
    assert inline.run(SearchAndBuy(country="UK", dry_run=True)).state == "succeeded"
