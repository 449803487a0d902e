"""Charges against jobs, without a provider: which belong together, what a month is, and what is a renewal."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from didflow.contract.provider import OwnedNumber
from didflow.contract.states import JobState
from didflow.contract.transactions import ACTIVATION_FEE, MONTHLY_FEE, NUMBER_ORDER, Transaction
from worker.reconcile.charges import MoneyReport, Month, compare_money, days_to_read, paid_in
from worker.reconcile.diff import Books, JobBook

NOVEMBER = Month.parse("2026-11")
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
ONE, TWO = "+12135550101", "+12135550102"


def bought(*numbers: str, began: datetime, ended: datetime | None = None, job: str = "job-1", usd: str = "1.50") -> JobBook:
    return JobBook(
        job,
        "search_and_buy",
        JobState.SUCCEEDED if ended else JobState.NEEDS_REVIEW,
        int(began.timestamp() * 1000),
        1,
        bought=dict.fromkeys(numbers, 7),
        costs=dict.fromkeys(numbers, Decimal(usd)),
        ended_ms=int(ended.timestamp() * 1000) if ended else None,
    )


def charge(place: int, *numbers: str, at: datetime, usd: str = "1.50", kind: int = NUMBER_ORDER, status: str = "Committed") -> Transaction:
    details = f"Phone number order {', '.join(numbers)}"
    return Transaction(id=place, at=at, type=kind, amount_usd=-Decimal(usd), details=details, status=status)


def compared(jobs: Iterable[JobBook], charges: Iterable[Transaction], owned: Iterable[OwnedNumber] = ()) -> MoneyReport:
    books = Books(tuple(jobs))
    paid = paid_in(books, NOVEMBER, NOW)
    return compare_money("default", books, paid, charges, {one.number: one for one in owned}, NOVEMBER)


def day(number: int, month: int = 11) -> datetime:
    return datetime(2026, month, number, 12, tzinfo=UTC)


def test_an_order_of_several_numbers_is_compared_with_all_of_them() -> None:
    job = bought(ONE, TWO, began=day(3), ended=day(3))
    assert compared([job], [charge(1, ONE, TWO, at=day(3), usd="3.00")]).counts == {}
    (finding,) = compared([job], [charge(1, ONE, TWO, at=day(3), usd="3.01")]).findings
    assert (finding.kind, finding.numbers, finding.charged_usd, finding.jobs_usd) == (
        "amount_differs",
        (ONE, TWO),
        Decimal("3.01"),
        Decimal("3.00"),
    )


def test_a_charge_that_a_server_lists_for_each_type_counts_once() -> None:
    once = charge(1, ONE, at=day(3))
    assert compared([bought(ONE, began=day(3), ended=day(3))], [once, once, once]).counts == {}


def test_a_number_bought_by_two_jobs_in_a_month_is_charged_twice() -> None:
    jobs = [bought(ONE, began=day(3), ended=day(3)), bought(ONE, began=day(20), ended=day(20), job="job-2")]
    assert compared(jobs, [charge(1, ONE, at=day(3)), charge(2, ONE, at=day(20))]).counts == {}
    (finding,) = compared(jobs, [charge(1, ONE, at=day(3))]).findings
    assert (finding.kind, finding.jobs) == ("amount_differs", ("job-1", "job-2"))


def test_a_monthly_fee_of_a_number_that_was_there_before_is_a_renewal_and_another_charge_is_not() -> None:
    old = OwnedNumber(record_id=1, number=TWO, status="active", added=day(1, 9))
    renewal, order = charge(1, TWO, at=day(9), kind=MONTHLY_FEE), charge(2, TWO, at=day(9), kind=ACTIVATION_FEE)
    report = compared([], [renewal], [old])
    assert (report.counts, report.renewals_usd) == ({}, Decimal("1.50"))
    assert compared([], [order], [old]).counts == {"charge_without_job": 1}
    new = old.model_copy(update={"added": day(8)})
    assert compared([], [renewal], [new]).counts == {"charge_without_job": 1}, "a person bought it this month"
    assert compared([], [renewal]).counts == {"charge_without_job": 1}, "the account doesn't have it"
    earlier = bought(TWO, began=day(1, 9), ended=day(1, 9))
    assert compared([earlier], [renewal]).counts == {}


def test_a_charge_that_a_parked_purchase_may_have_made_names_that_job() -> None:
    parked = JobBook("job-9", "search_and_buy", JobState.NEEDS_REVIEW, int(day(3).timestamp() * 1000), 1, open=frozenset({ONE}))
    (finding,) = compared([parked], [charge(1, ONE, at=day(3))]).findings
    assert (finding.kind, finding.jobs) == ("charge_without_job", ("job-9",))


def test_a_charge_taken_back_is_no_charge_and_a_refund_counts() -> None:
    job = bought(ONE, began=day(3), ended=day(3))
    assert compared([job], [charge(1, ONE, at=day(3), status="Reverted")]).counts == {"job_without_charge": 1}
    assert compared([job], [charge(1, ONE, at=day(3)), charge(2, ONE, at=day(3), usd="-0.50")]).counts == {"amount_differs": 1}


def test_only_the_month_s_own_charges_and_jobs_count_and_a_job_across_its_end_finds_its_charge() -> None:
    assert compared([bought(ONE, began=day(3, 10), ended=day(3, 10))], [charge(1, TWO, at=day(3, 10))]).counts == {}
    across = bought(ONE, began=datetime(2026, 10, 30, tzinfo=UTC), ended=day(2))
    assert compared([across], [charge(1, ONE, at=day(31, 10))]).counts == {}
    since, until = days_to_read(paid_in(Books((across,)), NOVEMBER, NOW), NOVEMBER)
    assert since <= datetime(2026, 10, 29, tzinfo=UTC).date()
    assert until >= datetime(2026, 12, 1, tzinfo=UTC).date()


def test_the_provider_s_clock_may_be_a_day_off() -> None:
    job = bought(ONE, began=day(3), ended=day(3))
    assert compared([job], [charge(1, ONE, at=day(3) + timedelta(hours=20))]).counts == {}


@pytest.mark.parametrize(("text", "begins", "ends"), [("2026-12", "2026-12-01", "2027-01-01"), ("2028-02", "2028-02-01", "2028-03-01")])
def test_a_month_ends_where_the_next_begins(text: str, begins: str, ends: str) -> None:
    month = Month.parse(text)
    assert (month.begins.date().isoformat(), month.ends.date().isoformat()) == (begins, ends)
