"""What jobs wrote against what the provider shows: each kind of disagreement, and what must not be taken for one."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from didflow.contract.destinations import Destination, Route, SeenDestination
from didflow.contract.provider import OwnedNumber
from didflow.contract.states import JobState
from worker.operate.reconcile import reroutes
from worker.reconcile.diff import (
    CLOCKS_APART_MS,
    Books,
    JobBook,
    Reservation,
    added_since,
    candidates,
    dead_reservations,
    drifted,
    gone,
    strangers,
    unclaimed,
)
from worker.reconcile.report import Report, compare

NOON = datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
PBX, TRUNK = (Destination.sip("pbx@example.net"),), (Destination.trunk(144),)


def owned(number: str = "+1", record_id: int = 7, added: datetime | None = NOON, route: Route = ()) -> OwnedNumber:
    return OwnedNumber(record_id=record_id, number=number, status="active", added=added, route=route)


def purchase(job_id: str = "buy", state: JobState = JobState.SUCCEEDED, order: int = 1, **facts: object) -> JobBook:
    return JobBook(job_id, "search_and_buy", state, NOON_MS - 1000, order, **facts)  # type: ignore[arg-type]


def moving(job_id: str, order: int, route: Route | None, state: JobState = JobState.SUCCEEDED) -> JobBook:
    return JobBook(job_id, "reroute", state, NOON_MS, order, routes={"+1": route})


def test_a_number_that_a_job_bought_is_claimed() -> None:
    assert unclaimed(Books((purchase(bought={"+1": 7}),)), [owned()]) == ()


def test_a_number_that_a_person_found_to_be_bought_is_claimed_whatever_its_record() -> None:
    assert unclaimed(Books((purchase(bought={"+1": None}),)), [owned()]) == ()


def test_a_number_that_a_job_has_open_is_claimed() -> None:
    assert unclaimed(Books((purchase(state=JobState.NEEDS_REVIEW, open=frozenset({"+1"})),)), [owned()]) == ()


def test_a_number_that_is_unknown_or_bought_again_or_given_up_is_not_claimed() -> None:
    assert unclaimed(Books(()), [owned()]) == (owned(),)
    assert unclaimed(Books((purchase(bought={"+1": 6}),)), [owned()]) == (owned(),)
    assert unclaimed(Books((purchase(burned=frozenset({"+1"})),)), [owned()]) == (owned(),)


def test_what_a_person_accepted_is_that_record_only() -> None:
    books = Books((), accepted=frozenset({"7"}))
    assert unclaimed(books, [owned()]) == ()
    assert unclaimed(books, [owned(record_id=8)]) == (owned(record_id=8),)


@pytest.mark.parametrize(
    ("added", "counts"),
    [
        (NOON, True),
        (NOON - timedelta(milliseconds=CLOCKS_APART_MS), True),
        (NOON - timedelta(milliseconds=CLOCKS_APART_MS + 1), False),
        (NOON.replace(hour=0, second=0), True),
        (NOON.replace(hour=0, second=0) - timedelta(days=1), False),
        (None, True),
    ],
    ids=["then", "by another clock", "before", "that day", "the day before", "unknown"],
)
def test_what_may_have_been_added_since(added: datetime | None, counts: bool) -> None:
    assert bool(added_since([owned(added=added)], NOON_MS)) == counts


def test_strangers_in_the_cart_are_those_that_are_kept_for_no_job() -> None:
    kept = (Reservation("+1", "job", 0), Reservation("+2", "job", NOON_MS + 1), Reservation("+3", "job", NOON_MS - 1))
    books = Books((), kept, accepted=frozenset({"+5"}))
    assert strangers(books, ["+1", "+2", "+3", "+4", "+5"], NOON_MS) == ("+3", "+4")


def test_candidates_are_unfinished_purchases_and_those_that_gave_the_number_up() -> None:
    jobs = (
        purchase("late", JobState.WAITING, 5),
        purchase("ended", JobState.SUCCEEDED, 4),
        purchase("gave up", JobState.FAILED, 3, burned=frozenset({"+1"})),
        purchase("parked", JobState.NEEDS_REVIEW, 2),
        moving("reroute", 1, PBX, JobState.RUNNING),
    )
    assert candidates(Books(jobs), ["+1"]) == ("parked", "gave up", "late")


def test_a_bought_number_that_is_not_owned_is_gone_unless_a_release_gave_it_back() -> None:
    bought = purchase(bought={"+1": 7})
    release = JobBook("give back", "release", JobState.SUCCEEDED, NOON_MS, 2, released=frozenset({7}))
    assert [one.number for one in gone(Books((bought,)), [])] == ["+1"]
    assert [one.number for one in gone(Books((bought,)), [owned(record_id=8)])] == ["+1"]
    assert gone(Books((bought, release)), []) == ()
    assert gone(Books((bought,)), [owned()]) == ()


def test_a_route_has_drifted_if_it_is_not_the_newest_jobs() -> None:
    books = Books((moving("old", 1, PBX), moving("new", 2, TRUNK)), newest={"+1": 2})
    assert drifted(books, [owned(route=TRUNK)]) == ()
    assert [(one.job_id, one.wanted) for one in drifted(books, [owned(route=PBX)])] == [("new", TRUNK)]


@pytest.mark.parametrize(
    "books",
    [
        Books((moving("old", 1, PBX), moving("new", 2, None)), newest={"+1": 2}),
        Books((moving("old", 1, PBX), moving("new", 2, TRUNK, JobState.RUNNING)), newest={"+1": 2}),
        Books((moving("old", 1, PBX),), newest={"+1": 9}),
        Books(()),
    ],
    ids=["the newest failed", "the newest is under way", "the newest is forgotten", "no job routed it"],
)
def test_nothing_is_said_of_a_route_that_no_job_vouches_for(books: Books) -> None:
    assert drifted(books, [owned(route=(SeenDestination(transport=1, destination="else@example.net"),))]) == ()


def test_a_reservation_is_dead_if_it_is_for_a_job_that_does_not_live() -> None:
    jobs = (purchase("lives", JobState.NEEDS_REVIEW), purchase("ended"))
    kept = tuple(
        Reservation(f"+{place}", holder, until)
        for place, (holder, until) in enumerate([("lives", 0), ("ended", 0), ("no", 0), ("ended", 9)])
    )
    assert [one.number for one in dead_reservations(Books(jobs, kept))] == ["+1", "+2"]


def report(books: Books, *numbers: OwnedNumber, closed: bool = False, kept_ms: int = 10**10) -> Report:
    return compare("default", books, numbers, ["+9"], balance_usd=Decimal(5), gate_closed=closed, now_ms=NOON_MS + 5000, kept_ms=kept_ms)


def test_numbers_older_than_the_ledger_are_counted_and_are_no_findings() -> None:
    old = owned(added=NOON - timedelta(days=9))
    assert (report(Books((purchase(),)), old).older, report(Books((purchase(),)), old).findings) == (1, ())
    assert report(Books((purchase(),)), owned()).counts == {"orphan": 1}


def test_numbers_whose_jobs_may_have_been_deleted_are_older_too() -> None:
    long_ago = JobBook("scheduled", "search_and_buy", JobState.SCHEDULED, 1000, 1)
    assert report(Books((long_ago,)), owned(added=NOON - timedelta(days=2)), kept_ms=86_400_000).older == 1


def test_a_stranger_in_the_cart_matters_while_the_gate_is_closed() -> None:
    assert report(Books((purchase(),))).counts == {}
    assert report(Books((purchase(),)), closed=True).counts == {"in_cart": 1}


def test_drifts_to_one_route_are_fixed_by_one_job_whose_key_stays_until_a_newer_one_routes_them() -> None:
    jobs = (JobBook("move", "reroute", JobState.SUCCEEDED, NOON_MS, 1, routes={"+1": PBX, "+2": PBX, "+3": TRUNK}),)
    seen = [owned(f"+{place}", place) for place in (1, 2, 3)]
    found = reroutes(drifted(Books(jobs), seen))
    assert [(route, numbers) for route, numbers, _ in found] == [(PBX, ("+1", "+2")), (TRUNK, ("+3",))]
    assert found == reroutes(drifted(Books(jobs), seen))
    later = (JobBook("move again", "reroute", JobState.SUCCEEDED, NOON_MS, 2, routes={"+1": PBX, "+2": PBX, "+3": TRUNK}),)
    assert {key for *_, key in found}.isdisjoint({key for *_, key in reroutes(drifted(Books(later), seen))})
