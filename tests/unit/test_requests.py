"""Bad input is refused before anything happens, every fault of it at once, each with what to do."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.errors import InvalidRequest
from didflow.contract.job_kinds import parse_request, request_adapter
from didflow.contract.requests import Reroute, is_past
from didflow.ledger.script_calls import Submission, submit

BUY: dict[str, Any] = {"kind": "search_and_buy", "country": "US"}
REROUTE: dict[str, Any] = {
    "kind": "reroute",
    "numbers": ["+12135550100"],
    "destinations": [{"transport": 1, "destination": "pbx@example.net"}],
}


@pytest.mark.parametrize(
    ("fields", "where", "words"),
    [
        (BUY | {"quantity": 0}, "quantity", "greater than or equal to 1"),
        (BUY | {"quantity": 1001}, "quantity", "less than or equal to 1000"),
        (BUY | {"quantity": "2"}, "quantity", "integer"),
        (BUY | {"quantity": True}, "quantity", "integer"),
        (BUY | {"max_monthly_usd": 1.5}, "max_monthly_usd", 'write it as text, "1.5"'),
        (BUY | {"max_monthly_usd": "-1"}, "max_monthly_usd", "zero or more"),
        (BUY | {"max_monthly_usd": "cheap"}, "max_monthly_usd", 'a text such as "1.50"'),
        (BUY | {"max_setup_usd": "NaN"}, "max_setup_usd", "finite"),
        (BUY | {"policy": "at_least"}, "request", "go together"),
        (BUY | {"policy": "at_least", "at_least": 3, "quantity": 2}, "request", "more than quantity"),
        (BUY | {"policy": "some"}, "policy", "best_effort"),
        (BUY | {"pattern": "12[a-z]"}, "pattern", "? for any one digit and * for any number of digits"),
        (BUY | {"country": "U\x1b[31mS"}, "country", "without control characters"),
        (BUY | {"area_code": "21x"}, "area_code", "digits alone"),
        (BUY | {"colour": "red"}, "colour", "not permitted"),
        (BUY | {"sms_relay_url": "ftp://x"}, "sms_relay_url", "begins with http:// or https://"),
        (BUY | {"ladder": []}, "ladder", "needs at least 1 rung"),
        (BUY | {"ladder": [{"sms": True}]}, "ladder.0.sms", "needed"),
        (BUY | {"ladder": [{"quantity": 0}]}, "ladder.0.quantity", "greater than or equal to 1"),
        (BUY | {"ladder": [{"colour": "red"}]}, "ladder.0.colour", "not permitted"),
        (BUY | {"ladder": [{}] * 21}, "ladder", "at most 20"),
        (BUY | {"ladder": [{}], "region": "California"}, "request", "region stand in its rungs"),
        (BUY | {"ladder": [{"quantity": 1}, {"quantity": 1}], "quantity": 3}, "request", "allow 2 numbers together, fewer than the 3"),
        (BUY | {"wait_until": "2026-12-01T08:00"}, "wait_until", "timezone"),
        (BUY | {"terms": {"numbers": []}}, "terms.numbers", "at least 1"),
        (REROUTE | {"numbers": []}, "request", "not an empty list"),
        (REROUTE | {"numbers": ["+12135550100", "12135550100"]}, "numbers", "listed more than once: +12135550100"),
        (REROUTE | {"numbers": ["911"]}, "numbers.0", "E.164"),
        (REROUTE | {"numbers": ["+1213555010012345"]}, "numbers.0", "possible"),
        (REROUTE | {"numbers": [12135550100]}, "numbers.0", "text in E.164"),
        (REROUTE | {"record_ids": [1]}, "request", "exactly one way"),
        (REROUTE | {"destinations": []}, "destinations", "at least 1"),
        (REROUTE | {"destinations": [{"transport": 2, "destination": "x"}]}, "destinations.0.transport", "transport 2 is unknown"),
        (REROUTE | {"destinations": [{"transport": 5, "destination": "x"}]}, "destinations.0", "needs its trunk_id"),
        (REROUTE | {"destinations": [{"transport": 1, "destination": "a@b", "trunk_id": 1}]}, "destinations.0", "with transport 5 only"),
        (REROUTE | {"destinations": [{"transport": 1, "destination": "a b@c"}]}, "destinations.0.destination", "without spaces"),
        (REROUTE | {"destinations": [{"transport": 1, "destination": "example.net"}]}, "destinations.0", "user@host"),
        (REROUTE | {"deadline": "2026-12-01T08:00"}, "deadline", "timezone"),
        (REROUTE | {"max_fraction": 1.5}, "max_fraction", "less than or equal to 1"),
        (BUY | {"policy": "at_least", "at_least": [], "\ud800": 1}, "request", "unicode string"),
        (BUY | {"max_total_usd": "1e999999999"}, "max_total_usd", "at most 12 digits before the point"),
        (BUY | {"max_total_usd": "1e-999999999"}, "max_total_usd", "30 after it"),
        (BUY | {"area_code": "\u0661\u0662\u0663"}, "area_code", "needs"),
        (BUY | {"pattern": "\u0661*"}, "pattern", "needs"),
        (BUY | {"city": "MONTR\ufffdAL"}, "city.0", "needs"),
        (REROUTE | {"destinations": [{"transport": 1, "destination": "\x9b2J@x"}]}, "destinations.0.destination", "needs"),
        (REROUTE | {"destinations": [{"transport": 5, "destination": "x", "trunk_id": 10**5000}]}, "destinations.0.trunk_id", "less than"),
        (REROUTE | {"expected_count": 10**5000}, "expected_count", "less than or equal to"),
        (REROUTE | {"canary": 2**31}, "canary", "less than or equal to"),
        ({"kind": "release", "record_ids": [2**63]}, "record_ids.0", "less than or equal to"),
        ({"kind": "release", "selector": {"label": "x"}, "dry_run": False}, "request", "needs expected_count"),
        ({"kind": "release", "selector": {}}, "selector", "names what to match"),
        ({"kind": "failback"}, "job_id", "required"),
        ({"kind": "port"}, "request", "search_and_buy"),
        ({}, "request", "kind"),
    ],
)
def test_a_fault_is_named_with_its_place(fields: dict[str, Any], where: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_request(fields)
    assert any(
        place.removeprefix(f"{fields.get('kind')}.") in (where, str(fields.get("kind"))) and words in what
        for place, what in refused.value.faults
    ), refused.value.faults
    assert refused.value.code == "invalid_request"


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_request(
            BUY
            | {
                "quantity": 0,
                "max_monthly_usd": 1.5,
                "max_setup_usd": "-1",
                "policy": "x",
                "destinations": [{"transport": 9, "destination": ""}],
            }
        )
    assert len(refused.value.faults) == 6


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (BUY | {"quantity": 0, "policy": "at_least"}, ("equal to 1", "go together")),
        (BUY | {"max_setup_usd": "x", "policy": "at_least", "at_least": 3, "quantity": 2}, ("amount in USD", "at_least 3 is more")),
        (BUY | {"quantity": "many", "policy": "at_least", "at_least": 3}, ("integer",)),
        (REROUTE | {"numbers": [], "destinations": []}, ("at least 1 destination", "exactly one way")),
        (REROUTE | {"numbers": ["12", "+12135550100", "12135550100"]}, ("'12' is not", "listed more than once: +12135550100")),
        (REROUTE | {"destinations": [{"transport": 5, "destination": "x", "priority": 0}]}, ("equal to 1", "needs its trunk_id")),
        (REROUTE | {"destinations": [{"transport": 1, "destination": "x", "trunk_id": 3}]}, ("with transport 5 only", "user@host")),
        ({"kind": "release", "selector": {"colour": 1, "all": True, "label": "x"}}, ("not permitted", "not both", "expected_count")),
        (
            {
                "kind": "release",
                "selector": {"colour": 1, "setup_usd_min": "9", "setup_usd_max": 10, "monthly_usd_min": "10", "monthly_usd_max": "9"},
            },
            ("not permitted", "monthly_usd_min is above", "expected_count"),
        ),
        (
            {"kind": "release", "selector": {"colour": 1, "unused_for": "soon", "channels_min": 3, "channels_max": 2, "all": True}},
            ("not permitted", "timedelta", "channels_min is above", "not both", "expected_count"),
        ),
    ],
)
@pytest.mark.parametrize("form", [lambda fields: fields, json.dumps], ids=["python", "json"])
def test_a_bad_field_hides_no_fault_between_fields(fields: dict[str, Any], words: tuple[str, ...], form: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_request(form(fields))
    said = [what for _, what in refused.value.faults]
    assert len(said) == len(words)
    assert all(any(word in what for what in said) for word in words), said


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"kind": 1}', '{"kind": "search_and_buy"}', "\x00", '"' * 100])
def test_text_that_is_no_request_is_refused_as_one(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_request(text)


def test_a_request_reads_back_as_it_was_written() -> None:
    request = parse_request(
        BUY | {"max_monthly_usd": "2.50", "city": "LOS ANGELES, CA", "destinations": [{"transport": 4, "destination": "13235550142"}]}
    )
    again = parse_request(request.model_dump_json())
    assert again == request
    assert again.max_monthly_usd == Decimal("2.50")  # type: ignore[union-attr]
    assert json.loads(request.model_dump_json())["max_monthly_usd"] == "2.50"


@pytest.mark.parametrize("text", ["+1 (213) 555-0100", "12135550100", "+12135550100", " 1-213-555-0100 "])
def test_a_number_has_one_form(text: str) -> None:
    assert parse_request(REROUTE | {"numbers": [text]}).numbers == ("+12135550100",)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sip:pbx@example.net", "sip:pbx@example.net"),
        ("sip:[did]@example.net", "sip:[did]@example.net"),
        ("pstn:+13235550142", "pstn:+13235550142"),
        ("tel:13235550142", "pstn:+13235550142"),
        ("trunk:144", "trunk:144"),
        ("trunk:144/32882", "trunk:144"),
    ],
)
def test_a_destination_is_written_in_one_word(text: str, shown: str) -> None:
    assert str(Destination.parse(text)) == shown


@pytest.mark.parametrize("text", ["", "sip:", "pbx@example.net", "trunk:x", "trunk:", "pstn:12", "sip:no spaces@x y"])
def test_what_is_no_destination_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Destination.parse(text)


def test_the_schema_names_every_kind() -> None:
    schema = json.dumps(request_adapter().json_schema())
    assert all(kind in schema for kind in ("search_and_buy", "reroute", "failback", "release"))


@pytest.mark.parametrize("deadline", ["9999-12-31T11:59:59+12:00", "1969-12-31T12:00:00-12:00"])
def test_a_deadline_at_either_end_of_time_can_be_compared(deadline: str) -> None:
    request = parse_request(REROUTE | {"deadline": deadline})
    assert isinstance(request, Reroute)
    assert is_past(request.deadline, datetime.now(UTC)) is deadline.startswith("1969")


@pytest.mark.parametrize(
    ("label", "where"),
    [
        ({"priority": True}, "priority"),
        ({"priority": 5.5}, "priority"),
        ({"priority": "5"}, "priority"),
        ({"idempotency_key": 7}, "idempotency_key"),
        ({"reference": "\x1b[2J"}, "reference"),
        ({"reference": "\ud800"}, "reference"),
        ({"account": None}, "account"),
        ({"not_before": "tomorrow"}, "not_before"),
        ({"not_before": datetime.max.replace(tzinfo=UTC)}, "not_before"),
    ],
)
def test_what_goes_along_with_a_request_is_checked_too(label: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        submit(Submission(parse_request(BUY), **label))
    assert [place for place, _ in refused.value.faults] == [where]
