"""The pure decisions: which numbers fit, what a look tells, how long to wait."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didflow.contract.offer_criteria import matches, reason_against
from didflow.contract.provider import City, Country, Offer
from didflow.contract.requests import SearchAndBuy
from worker.attempt.runner import BACKOFF_LAST_S, backoff_s
from worker.jobs.ports.endings import Refused
from worker.jobs.ports.rules import Rules
from worker.jobs.purchase.criteria import affordable
from worker.jobs.purchase.locations import find_country, likely_has
from worker.jobs.purchase.settlement import LookAgain, Settled, Unsettled, judge
from worker.jobs.purchase.state import Checkout, PurchaseCheckpoint

OFFER = Offer(number="+12135680501", setup_usd=Decimal("1.00"), monthly_usd=Decimal("0.99"), channels=4, sms_enabled=True)
RULES = Rules(settle_s=10, settle_limit_s=600)
A, B = "+1", "+2"


@pytest.mark.parametrize(
    ("criteria", "reason"),
    [
        ({}, None),
        ({"prefix": "1213"}, None),
        ({"prefix": "1310"}, "prefix"),
        ({"area_code": "213"}, None),
        ({"area_code": "1213"}, "area_code"),
        ({"pattern": "*0501"}, None),
        ({"pattern": "1213568????"}, None),
        ({"pattern": "0501"}, "pattern"),
        ({"sms": True}, None),
        ({"min_channels": 5}, "channels"),
        ({"max_setup_usd": "1.00", "max_monthly_usd": "0.99"}, None),
        ({"max_setup_usd": "0.99"}, "setup_fee"),
        ({"max_monthly_usd": "0.98"}, "monthly_fee"),
    ],
)
def test_a_number_fits_or_there_is_a_reason(criteria: dict[str, Any], reason: str | None) -> None:
    assert reason_against(OFFER, SearchAndBuy.model_validate({"country": "US"} | criteria)) == reason


def test_documents_and_sms_are_looked_at() -> None:
    bare = OFFER.model_copy(update={"sms_enabled": False, "documents": ("id",), "channels": None})
    assert reason_against(bare, SearchAndBuy(country="US")) == "documents"
    assert reason_against(bare, SearchAndBuy(country="US", documents="allow_inactive")) is None
    assert reason_against(bare, SearchAndBuy(country="US", documents="allow_inactive", sms=True)) == "sms"
    assert reason_against(bare, SearchAndBuy(country="US", documents="allow_inactive", min_channels=1)) == "channels"


@given(st.text("0123456789", min_size=1, max_size=15), st.text("0123456789?*", min_size=1, max_size=30))
def test_a_pattern_full_of_stars_takes_no_time_and_means_what_it_says(digits: str, pattern: str) -> None:
    if "*" not in pattern:
        assert matches(digits, pattern) == (
            len(digits) == len(pattern) and all(p in ("?", d) for p, d in zip(pattern, digits, strict=True))
        )
    else:
        matches(digits, pattern)


@given(st.dictionaries(st.text("0123456789", min_size=1), st.decimals(0, 50, places=2)), st.decimals(0, 100, places=2))
def test_what_is_affordable_stays_within_the_budget(totals: dict[str, Decimal], budget: Decimal) -> None:
    chosen = affordable(totals, budget)
    assert sum((totals[number] for number in chosen), Decimal(0)) <= budget
    dearest = max((totals[number] for number in chosen), default=Decimal(0))
    assert all(totals[number] >= dearest for number in totals.keys() - set(chosen))


@pytest.mark.parametrize(
    ("area", "asked", "first"),
    [("213568", "213", True), ("213568", "2135689", True), ("213568", "310", False), ("", "310", True), ("213", None, True)],
)
def test_a_city_is_searched_first_if_its_area_code_leaves_room(area: str, asked: str | None, first: bool) -> None:
    assert likely_has(City(id=1, name="x", area_code=area), SearchAndBuy(country="US", area_code=asked)) is first


@pytest.mark.parametrize(
    ("owned", "checkpoint", "now_s", "verdict"),
    [
        ({A, B}, PurchaseCheckpoint(checkout=Checkout.UNCLEAR), 0, Settled({A, B}, set(), False, "")),
        ({A}, PurchaseCheckpoint(checkout=Checkout.NOT_SENT), 0, Settled({A}, {B}, False, "")),
        ({A}, PurchaseCheckpoint(checkout=Checkout.YES, first_look_ms=0), 1, LookAgain(0)),
        ({A}, PurchaseCheckpoint(checkout=Checkout.YES, first_look_ms=0), 600, Unsettled("")),
        (set(), PurchaseCheckpoint(checkout=Checkout.UNCLEAR, first_look_ms=0, revoked_ms=0), 9, LookAgain(0)),
        (set(), PurchaseCheckpoint(checkout=Checkout.UNCLEAR, first_look_ms=0, revoked_ms=0), 10, Settled(set(), {A, B}, True, "")),
        ({B}, PurchaseCheckpoint(checkout=Checkout.UNKNOWN, first_look_ms=0, revoked_ms=0), 10, Settled({B}, {A}, True, "")),
        (set(), PurchaseCheckpoint(checkout=Checkout.UNCLEAR, first_look_ms=0), 10, LookAgain(0)),
        (set(), PurchaseCheckpoint(checkout=Checkout.UNCLEAR, first_look_ms=0), 600, Unsettled("")),
    ],
)
def test_a_look_is_believed_only_as_far_as_it_proves(owned: set[str], checkpoint: PurchaseCheckpoint, now_s: int, verdict: object) -> None:
    found = judge({A, B}, owned, checkpoint, now_s * 1000, RULES)
    assert type(found) is type(verdict)
    if isinstance(found, Settled) and isinstance(verdict, Settled):
        assert (found.kept, found.absent, found.in_flight) == (verdict.kept, verdict.absent, verdict.in_flight)


@pytest.mark.parametrize(
    ("checkpoint", "now_s", "again_s"),
    [
        (PurchaseCheckpoint(checkout=Checkout.UNCLEAR, fenced_ms=0, first_look_ms=0), 1.0, 0.5),
        (PurchaseCheckpoint(checkout=Checkout.UNCLEAR, fenced_ms=0, first_look_ms=0), 9.8, 0.2),
        (PurchaseCheckpoint(checkout=Checkout.UNCLEAR, fenced_ms=0, first_look_ms=0), 12.0, 1.2),
        (PurchaseCheckpoint(checkout=Checkout.UNCLEAR, fenced_ms=0, first_look_ms=0, revoked_ms=10_000), 19.7, 0.3),
    ],
)
def test_the_next_look_is_no_later_than_a_list_can_prove_something(checkpoint: PurchaseCheckpoint, now_s: float, again_s: float) -> None:
    found = judge({A}, set(), checkpoint, int(now_s * 1000), RULES)
    assert isinstance(found, LookAgain)
    assert found.after_s == pytest.approx(again_s)


def test_an_iso_code_where_the_provider_shows_none_is_answered_with_what_to_write() -> None:
    with pytest.raises(Refused, match="write the country's name"):
        find_country([Country(id=1, name="Germany")], "DE")
    with pytest.raises(Refused, match="did you mean Germany"):
        find_country([Country(id=1, name="Germany")], "Germny")
    assert find_country([Country(id=1, name="Germany", iso_code="DE")], "de").id == 1


@pytest.mark.parametrize("wanted", ["GB", "uk", "United Kingdom", "Great Britain", "GBR"])
def test_a_country_is_found_by_any_of_its_names_and_codes(wanted: str) -> None:
    countries = [Country(id=1, name="Ukraine", iso_code="UA"), Country(id=2, name="U.K.", iso_code="GB")]
    assert find_country(countries, wanted).id == 2


@given(st.integers(1, 2**31), st.floats(0, 1))
def test_backoff_grows_to_a_limit_and_never_beyond(attempt: int, jitter: float) -> None:
    assert 1.0 <= backoff_s(attempt, jitter) <= BACKOFF_LAST_S * 1.5
    assert backoff_s(attempt, 0) <= backoff_s(attempt + 1, 0)
