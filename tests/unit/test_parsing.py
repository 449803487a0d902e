"""The provider's JSON as it drifts between versions."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from worker.wavix import parsing
from worker.wavix.answers import Said

OWNED: dict[str, Any] = {"id": 47, "number": "12565378257", "status": "active"}
OFFER: dict[str, Any] = {"number": "12565378257", "activation_fee": "15.0", "monthly_fee": "10.0"}


@pytest.mark.parametrize(("fee", "usd"), [("15.0", "15.0"), (15, "15"), (Decimal("0.1"), "0.1"), (" 1.50 ", "1.50"), ("0", "0")])
def test_money_is_exact(fee: Any, usd: str) -> None:
    assert parsing.offer(OFFER | {"activation_fee": fee}).setup_usd == Decimal(usd)


def test_a_json_number_never_becomes_a_float() -> None:
    body: Any = Said(200, b'{"monthly_fee": 0.1, "activation_fee": 1e2, "number": "1213"}').json()
    assert parsing.offer(body).total_usd == Decimal("100.1")


@pytest.mark.parametrize("fee", [None, "", "free", "-1", "NaN", "Infinity", True, [], {}])
def test_a_number_with_unreadable_fees_is_not_offered(fee: Any) -> None:
    assert parsing.offers([OFFER | {"monthly_fee": fee}, OFFER]) == (parsing.offer(OFFER),)


@pytest.mark.parametrize(("channels", "read"), [("4", 4), (4, 4), (None, None), ("many", None), ("4.0", 4)])
def test_channels_come_as_text_or_number(channels: Any, read: int | None) -> None:
    assert parsing.offer(OFFER | {"channels": channels}).channels == read


@pytest.mark.parametrize(
    ("field", "name", "value", "read"),
    [
        ("per_min", "per_minute_usd", "0.0059", Decimal("0.0059")),
        ("per_min", "per_minute_usd", Decimal("0.01"), Decimal("0.01")),
        ("sms_price", "sms_usd", "0.0", Decimal(0)),
        ("sms_price", "sms_usd", 0, Decimal(0)),
        ("sms_price", "sms_usd", Decimal("0.25"), Decimal("0.25")),
        ("free_min", "free_minutes", 123, 123),
        ("free_min", "free_minutes", "60", 60),
        ("cnam", "cnam", True, True),
        ("cnam", "cnam", False, False),
        ("cnam", "cnam", "false", False),
        ("domestic_cli", "domestic_cli", "1", True),
        ("domestic_cli", "domestic_cli", 0, False),
    ],
)
def test_prices_of_use_come_as_text_or_number(field: str, name: str, value: Any, read: object) -> None:
    assert getattr(parsing.offer(OFFER | {field: value}), name) == read


@pytest.mark.parametrize("value", [None, "", "free", "-1", -1, "NaN", "1e999999999", "9" * 30, [], {}])
def test_a_price_of_use_that_is_missing_or_unreadable_is_unknown_and_the_number_is_offered(value: Any) -> None:
    fields = dict.fromkeys(("per_min", "sms_price", "free_min", "cnam", "domestic_cli"), value)
    assert parsing.offer(OFFER | fields) == parsing.offer(OFFER)
    assert parsing.offer(OFFER).per_minute_usd is None


@pytest.mark.parametrize(
    ("documents", "read"),
    [([1, 3], ("id", "localaddress")), (["1"], ("id",)), (["address"], ("address",)), ([9], ("9",)), (None, ()), ([], ())],
)
def test_documents_come_as_ids_or_names(documents: Any, read: tuple[str, ...]) -> None:
    assert parsing.owned_number(OWNED | {"require_docs": documents}).required_documents == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2023-12-07", datetime(2023, 12, 7, tzinfo=UTC)),
        ("2023-04-10T06:42:59.000Z", datetime(2023, 4, 10, 6, 42, 59, tzinfo=UTC)),
        ("2023-04-10T06:42:59+00:00", datetime(2023, 4, 10, 6, 42, 59, tzinfo=UTC)),
        ("2023-04-10T06:42:59", datetime(2023, 4, 10, 6, 42, 59, tzinfo=UTC)),
        ("soon", None),
        ("", None),
        (None, None),
        (20231207, None),
    ],
)
def test_dates_and_date_times(text: Any, read: datetime | None) -> None:
    assert parsing.owned_number(OWNED | {"paid_until": text}).paid_until == read


def test_what_is_null_or_unknown_does_not_matter() -> None:
    fields = ("label", "sms_relay_url", "seconds", "destination", "documents", "activation_fee", "city")
    bare = parsing.owned_number(OWNED | dict.fromkeys(fields) | {"new_field": {"x": 1}})
    assert bare == parsing.owned_number(OWNED)
    assert parsing.owned_number(OWNED | {"seconds": "61"}).seconds == 61


@pytest.mark.parametrize("broken", [{"id": None}, {"number": None, "id": "x"}, {"number": "abc"}])
def test_an_owned_number_that_cannot_be_read_is_an_error_and_not_a_gap(broken: dict[str, Any]) -> None:
    with pytest.raises(parsing.Unreadable):
        parsing.owned_number(OWNED | broken)


def test_any_destination_is_taken_as_it_is() -> None:
    seen = parsing.destination({"transport": "7", "destination": None, "priority": None, "trunk_id": None})
    assert (seen.transport, seen.destination, seen.priority, seen.trunk_id) == (7, "", 1, None)
