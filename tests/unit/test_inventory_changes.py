"""What a sweep makes of a number: what jobs confirmed stays, months add up, and calls are seen by the monthly seconds."""

from datetime import UTC, datetime, timedelta

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.provider import OwnedNumber
from didflow.ledger.inventory_changes import SweepTimes, changes, is_newer, merged, renewal_due
from didflow.ledger.inventory_rows import Row

BOUGHT = datetime(2026, 9, 15, tzinfo=UTC)


def ms(day: datetime) -> int:
    return int(day.timestamp() * 1000)


def at(day: datetime, before: datetime | None = None, settle_s: float = 0.0) -> SweepTimes:
    return SweepTimes(ms(day), int(settle_s * 1000), ms(before) if before else None)


def owned(seconds: int = 0, **fields: object) -> OwnedNumber:
    known = {"record_id": 1, "number": "+12135550100", "status": "active", "added": BOUGHT, "seconds": seconds}
    return OwnedNumber.model_validate(known | fields)


def unused(row: Row) -> datetime | None:
    return datetime.fromtimestamp(row.unused_since_ms / 1000, UTC) if row.unused_since_ms else None


NOV_10, NOV_20, NOV_30 = (datetime(2026, 11, day, 12, tzinfo=UTC) for day in (10, 20, 30))
NOV_1, LATE = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 30, 23, 50, tzinfo=UTC)
DEC_1, DEC_2 = datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 2, 12, tzinfo=UTC)


def test_a_month_without_seconds_is_unused_since_it_began() -> None:
    assert unused(merged(None, owned(0), at(NOV_10))) == NOV_1


def test_a_number_bought_in_this_month_is_unused_since_then() -> None:
    bought = NOV_10 - timedelta(days=2)
    assert unused(merged(None, owned(0, added=bought), at(NOV_10))) == bought


def test_seconds_mean_that_a_call_may_have_come_until_now() -> None:
    first = merged(None, owned(60), at(NOV_10))
    assert unused(first) == NOV_10
    same = merged(first, owned(60), at(NOV_20, NOV_10))
    assert unused(same) == NOV_10
    called = merged(same, owned(61), at(NOV_30, NOV_20))
    assert unused(called) == NOV_30


def test_a_number_watched_to_the_end_of_a_month_stays_unused_into_the_next() -> None:
    row = merged(merged(None, owned(60), at(NOV_10)), owned(60), at(LATE, NOV_20))
    december = merged(row, owned(0), at(DEC_2, LATE))
    assert unused(december) == NOV_10
    assert december.months == {"2026-11": 60}


def test_a_gap_at_the_end_of_a_month_may_hide_calls() -> None:
    row = merged(None, owned(60), at(NOV_10))
    assert unused(merged(row, owned(0), at(DEC_2, NOV_10))) == DEC_1
    assert unused(merged(row, owned(5), at(DEC_2, NOV_10))) == DEC_2


def test_seconds_that_are_not_given_say_nothing() -> None:
    assert unused(merged(None, owned(0, seconds_unread=True), at(NOV_10))) is None


def test_twelve_months_are_kept() -> None:
    row = merged(None, owned(1), at(datetime(2025, 1, 5, tzinfo=UTC)))
    for month in range(1, 16):
        day = datetime(2025 + month // 12, month % 12 + 1, 5, tzinfo=UTC)
        row = merged(row, owned(month), at(day))
    assert len(row.months or {}) == 12
    assert max(row.months or {}) == "2026-03"


@pytest.mark.parametrize(("after_s", "settle_s", "wins"), [(1, 0, True), (-1, 0, False), (-5, 10, True), (-15, 10, False)])
def test_what_a_job_confirmed_wins_over_a_sweep_that_began_before_or_shortly_after(after_s: int, settle_s: int, wins: bool) -> None:
    """`after_s`: the confirmation, from the sweep's beginning."""
    ours, old = (Destination.sip("new@example.net"),), (Destination.sip("old@example.net"),)
    row = Row(owned(0, route=ours), 1, confirmed={"r": ms(NOV_10) + after_s * 1000})
    found = merged(row, owned(0, route=old, label="theirs"), at(NOV_10, settle_s=settle_s))
    assert [str(one) for one in found.owned.route] == [str(ours[0] if wins else old[0])]
    assert found.owned.label == "theirs", "other fields are the sweep's"
    assert ("r" in (found.confirmed or {})) == wins


def test_another_record_of_the_number_begins_anew() -> None:
    row = Row(owned(7), 1, unused_since_ms=1, months={"2026-10": 9}, confirmed={"r": ms(NOV_30)})
    found = merged(row, owned(0, record_id=2, added=NOV_10), at(NOV_20))
    assert (found.owned.record_id, found.months, found.confirmed) == (2, None, None)
    assert is_newer(owned(0, record_id=2, added=NOV_10), owned(0))


def test_the_same_route_in_another_form_is_no_change() -> None:
    asked, shown = owned(route=(Destination.trunk(144),)), owned(route=(Destination.trunk(144, "32882"),))
    assert changes(asked, shown) == []
    assert [one.field for one in changes(asked, owned(label="x", seconds=5, paid_until=NOV_30))] == ["route", "label"]


@pytest.mark.parametrize(("days", "told", "due"), [(2, 0, True), (4, 0, False), (-1, 0, False), (2, 2, False), (2, 31, True)])
def test_a_renewal_is_told_once_when_it_is_near(days: int, told: int, due: bool) -> None:
    """`told`: the renewal that was told of before, in days from now; 0: none."""
    before = int((NOV_10 + timedelta(days=told)).timestamp()) if told else 0
    row = Row(owned(paid_until=NOV_10 + timedelta(days=days)), 1, renewal_reported=before)
    assert (renewal_due(row, ms(NOV_10), 3 * 86_400_000) is not None) == due
