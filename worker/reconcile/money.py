"""`didflow reconcile --money`: compares a month's transactions with what jobs report as spent."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Protocol

from didflow.contract.errors import InvalidRequest, ServiceUnavailable
from didflow.contract.provider import Barred, Page, ReadFailed
from didflow.contract.transactions import NUMBER_CHARGES, Transaction
from didflow.ledger.client import LedgerClient
from didflow.terminal.output import print_json, print_table
from didflow.terminal.tables import is_terminal, remarks
from worker.jobs.owned_numbers import owned_whole
from worker.jobs.ports.provider import OwnedPort, TransactionPort
from worker.pages import all_pages
from worker.reconcile.charges import MoneyReport, Month, compare_money, days_to_read, paid_in
from worker.reconcile.ledger_view import read_books


class MoneyPorts(OwnedPort, TransactionPort, Protocol):
    """What the report reads."""


def money_report(account: str, ledger: LedgerClient, provider: MoneyPorts, month: Month) -> MoneyReport:
    """Compare a month. Raises ReadFailed, and ServiceUnavailable where the key may not read transactions."""
    now = datetime.fromtimestamp(ledger.now_ms() / 1000, UTC)
    books = read_books(ledger, account)
    paid = paid_in(books, month, now)
    since, until = days_to_read(paid, month)
    try:
        transactions = [one for kind in NUMBER_CHARGES for one in _all(provider, since, until, kind)]
    except ReadFailed as failed:
        if isinstance(failed.answer, Barred):
            raise ServiceUnavailable(
                "transactions are not readable with this key: it needs the scope `billing`. Nothing was compared"
            ) from None
        raise
    owned = {one.number: one for one in owned_whole(provider)}
    return compare_money(account, books, paid, transactions, owned, month)


def month_of(text: str | None) -> Month:
    """The month that was requested; none: this one. Raises InvalidRequest."""
    try:
        return Month.parse(f"{datetime.now(UTC):%Y-%m}" if text is None else text)
    except ValueError:
        what = f"{(text or '')[:20]!r} is not a month: write YYYY-MM, such as 2026-11"
        raise InvalidRequest(f"--month: {what}", (("--month", what),)) from None


def print_money(report: MoneyReport, *, as_json: bool) -> None:
    if as_json:
        print_json({**vars(report), "counts": report.counts})
        return
    console = remarks()
    console.print(
        f"account {report.account}, {report.month} (UTC): {report.transactions} charges for numbers; {report.jobs} jobs say that they"
        f" spent {report.jobs_usd} USD, and were charged {report.charged_usd} USD; renewals of other numbers {report.renewals_usd} USD",
        markup=False,
    )
    if not report.findings:
        console.print("all agrees to the cent", style="green")
    if not report.findings and is_terminal():
        return
    rows = [(one.kind, " ".join(one.numbers), " ".join(one.jobs), one.seen, one.what_to_do) for one in report.findings]
    print_table(("finding", "number", "job", "what is seen", "what to do"), rows, whole=2)
    if report.findings:
        console.print(", ".join(f"{count} {kind}" for kind, count in sorted(report.counts.items())))


def _all(provider: TransactionPort, since: date, until: date, kind: int) -> Iterator[Transaction]:
    """All pages. A server that ignores the filter gives each of them for each type, which does no harm."""

    def read(page: int) -> Page[Transaction]:
        return provider.transactions(since=since, until=until, kind=kind, page=page)

    for shown in all_pages(read, key=lambda one: one.id):
        yield from shown.items
