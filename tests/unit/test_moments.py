"""Times and durations are bounded wherever they come in: what didflow can't count is refused by name."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from didflow.contract.business_events import CHURNED, ORDER, REQUEST, parse_business_event
from didflow.contract.errors import InvalidRequest
from didflow.contract.job_kinds import parse_request
from didflow.contract.requests import Release, SearchAndBuy
from didflow.contract.time_values import EARLIEST, LATEST, about, bounded, later, read_span, span_text
from didflow.ledger.script_calls import Submission, submit
from didflow.terminal import options

BEFORE_ALL, AFTER_ALL = "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-05:00"
BUY: dict[str, Any] = {"kind": "search_and_buy", "country": "US"}
MOVE = {"kind": "reroute", "numbers": ["+12135550100"], "destinations": [{"transport": 1, "destination": "a@b"}]}
GIVE_BACK: dict[str, Any] = {"kind": "release", "numbers": ["+12135550100"]}
FOLLOW: dict[str, Any] = {"kind": "follow_documents", "numbers": ["+12135550100"]}

FIELDS = [(BUY, "wait_until"), (MOVE, "deadline"), (GIVE_BACK, "at"), (FOLLOW, "deadline")]


@pytest.mark.parametrize("moment", [BEFORE_ALL, AFTER_ALL, "9999-12-31", "1969-12-31T23:59:59Z", "0000-00-00", -(10**18), 10**30])
@pytest.mark.parametrize(("fields", "name"), FIELDS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_moment_out_of_bounds_is_refused_by_its_field(fields: dict[str, Any], name: str, moment: str | int) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_request(fields | {name: moment})
    assert [where.split(".")[-1] for where, _ in refused.value.faults] == [name]


@pytest.mark.parametrize("name", ["grace", "before_renewal"])
@pytest.mark.parametrize("span", ["-999999999.9d", "999999999.9d", "9" * 30 + "d", "P999999999999D", 1e300, -1, "nan"])
def test_a_duration_out_of_bounds_is_refused_by_its_field(name: str, span: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_request(GIVE_BACK | {name: span})
    assert [where.split(".")[-1] for where, _ in refused.value.faults] == [name]


def test_moments_within_bounds_are_kept_in_utc() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert SearchAndBuy(country="US", wait_until=datetime(2026, 12, 1, 5, 30, tzinfo=east)).wait_until == datetime(2026, 12, 1, tzinfo=UTC)
    assert Release(numbers=("+12135550100",), at=date(2026, 12, 1)).at == datetime(2026, 12, 2, 12, tzinfo=UTC)
    assert bounded(EARLIEST) == EARLIEST
    assert bounded(LATEST.astimezone(timezone(timedelta(hours=-12)))).tzinfo is UTC
    assert read_span("1.5d") == timedelta(days=1, hours=12)
    with pytest.raises(ValueError, match="1970 and 9999"):
        later(EARLIEST, timedelta.max)


@example(timedelta(seconds=1_000_001))
@example(timedelta.max)
@given(st.timedeltas())
def test_a_span_is_written_as_it_is_read_to_the_microsecond(span: timedelta) -> None:
    assert read_span(span_text(span)) == span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (90, "90s"),
        (0.5, "0.5s"),
        (600, "10m"),
        (7200, "2h"),
        (90_000, "25h"),
        (604_800, "7d"),
        (1_000_001, "1000001s"),
        (-60, "-1m"),
    ],
)
def test_a_span_is_written_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert span_text(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (172_800, "2 days"),
        (1e12, "11574074 days"),
    ],
)
def test_a_duration_for_a_person_has_at_least_two_of_its_unit(seconds: float, text: str) -> None:
    assert about(seconds) == text


@pytest.mark.parametrize("text", ["1" * 30 + "d", "-" + "9" * 30 + "s"])
def test_a_span_that_cannot_be_counted_is_a_fault(text: str) -> None:
    with pytest.raises(ValueError, match="longer than can be counted"):
        read_span(text)


@pytest.mark.parametrize("moment", [datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-5))), datetime(1, 1, 1, tzinfo=UTC)])
def test_a_submit_s_not_before_has_the_same_bounds(moment: datetime) -> None:
    with pytest.raises(InvalidRequest, match="not_before: needs a time between 1970 and 9999"):
        submit(Submission(SearchAndBuy(country="US"), not_before=moment))


@pytest.mark.parametrize(
    ("kind", "data", "where"),
    [
        (REQUEST, {"request": BUY, "not_before": AFTER_ALL}, "data.not_before"),
        (REQUEST, {"request": BUY | {"wait_until": BEFORE_ALL}}, "data.request.search_and_buy.wait_until"),
        (ORDER, {"request": {"country": "US", "wait_until": BEFORE_ALL}}, "data.request.wait_until"),
        (CHURNED, {"reference": "acme", "at": "9999-12-31"}, "data.at"),
        (CHURNED, {"reference": "acme", "grace": "-999999999.9d"}, "data.grace"),
        (REQUEST, {"request": BUY | {"policy": [], "ladder": [{}]}}, "data.request.search_and_buy.policy"),
    ],
)
def test_an_event_s_moments_are_refused_by_their_place(kind: str, data: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_business_event({"id": "e", "type": kind, "data": json.dumps(data)})
    assert where in [place for place, _ in refused.value.faults]


@pytest.mark.parametrize("text", ["99999999999d", AFTER_ALL, BEFORE_ALL, "9999-12-31", "2026-12-01T08:00", "-5m", "nan", "", "1e9d"])
def test_a_moment_of_a_command_is_refused_by_its_option(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        options.moment(text, "deadline")
    assert [where for where, _ in refused.value.faults] == ["deadline"]
