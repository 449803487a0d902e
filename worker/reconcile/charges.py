"""Compares a month's charges with what jobs report as spent: pure. For `didflow reconcile --money`."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal

from didflow.contract.provider import OwnedNumber
from didflow.contract.transactions import MONTHLY_FEE, NUMBER_CHARGES, Transaction
from worker.reconcile.diff import Books, JobBook, candidates

#: The provider may write a charge so much before or after the job did, and in another time zone.
APART = timedelta(days=1)

MoneyKind = Literal["charge_without_job", "job_without_charge", "amount_differs"]
WITHOUT_JOB = "find out who bought it: a person in the portal, or a parked purchase (`didflow dead-letters`)"
WITHOUT_CHARGE = "ask the provider; the amount may have gone to a linked card, or be listed later"
DIFFERS = "compare the fees in the portal with `didflow status JOB`, and ask the provider"


@dataclass(frozen=True)
class Month:
    """A calendar month in UTC."""

    first: date

    @classmethod
    def parse(cls, text: str) -> "Month":
        """From YYYY-MM. Raises ValueError."""
        return cls(datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date())

    @property
    def begins(self) -> datetime:
        return datetime.combine(self.first, time(), UTC)

    @property
    def ends(self) -> datetime:
        """The first moment that is no longer in it."""
        return datetime.combine((self.first + timedelta(days=32)).replace(day=1), time(), UTC)

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


@dataclass(frozen=True)
class Paid:
    """What one job says that a number of it cost, and between which moments it can have been charged."""

    job_id: str
    number: str
    usd: Decimal
    since: datetime
    until: datetime

    def covers(self, moment: datetime) -> bool:
        return self.since - APART <= moment <= self.until + APART


@dataclass(frozen=True)
class MoneyFinding:
    """What doesn't agree: numbers, jobs (for a charge without a job those that may have made it), and the two amounts in USD."""

    kind: MoneyKind
    numbers: tuple[str, ...]
    jobs: tuple[str, ...]
    charged_usd: Decimal
    jobs_usd: Decimal
    transactions: tuple[int, ...]
    seen: str
    what_to_do: str


@dataclass(frozen=True)
class MoneyReport:
    """One account's month. `charged_usd` is what the provider charged for these jobs' purchases, `renewals_usd` the monthly fees of
    numbers that were owned before."""

    account: str
    month: str
    transactions: int
    jobs: int
    charged_usd: Decimal
    jobs_usd: Decimal
    renewals_usd: Decimal
    findings: tuple[MoneyFinding, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Findings by kind."""
        return dict(Counter(finding.kind for finding in self.findings))


def paid_in(books: Books, month: Month, now: datetime) -> tuple[Paid, ...]:
    """What the purchases that ran in this month say that they spent."""
    found = []
    for job in books.jobs:
        since, until = _ran(job, now)
        if since < month.ends and until >= month.begins:
            found += [Paid(job.job_id, number, usd, since, until) for number, usd in job.costs.items() if usd]
    return tuple(found)


def days_to_read(paid: Iterable[Paid], month: Month) -> tuple[date, date]:
    """The first and the last day of which transactions are needed: a job may have begun before the month and end after it."""
    listed = list(paid)
    since = min([month.begins, *(one.since for one in listed)]) - APART
    until = max([month.ends, *(one.until for one in listed)]) + APART
    return since.date(), until.date()


def compare_money(
    account: str,
    books: Books,
    paid: Collection[Paid],
    transactions: Iterable[Transaction],
    owned: Mapping[str, OwnedNumber],
    month: Month,
) -> MoneyReport:
    """Every charge with a job, and every job with its charges, to the cent."""
    charges = {one.id: one for one in transactions if one.type in NUMBER_CHARGES and one.charged_usd}
    by_number: dict[str, list[Paid]] = defaultdict(list)
    for one in paid:
        by_number[one.number].append(one)
    groups = _Groups()
    matched: list[Transaction] = []
    strange: list[Transaction] = []
    for charge in charges.values():
        known = [number for number in charge.numbers if any(one.covers(charge.at) for one in by_number.get(number, ()))]
        groups.join(known)
        (matched if known else strange).append(charge)
    in_month = [one for one in strange if month.begins <= one.at < month.ends]
    renewals = [one for one in in_month if _is_renewal(one, books, owned, month)]
    findings = [_without_job(one, books) for one in in_month if one not in renewals]
    for number in by_number:
        groups.join([number])
    for numbers in groups.all():
        of_group = [one for one in matched if set(one.numbers) & numbers]
        findings += _differing(numbers, [one for number in sorted(numbers) for one in by_number[number]], of_group)
    return MoneyReport(
        account=account,
        month=str(month),
        transactions=len([one for one in charges.values() if month.begins <= one.at < month.ends]),
        jobs=len({one.job_id for one in paid}),
        charged_usd=_sum(one.charged_usd for one in matched),
        jobs_usd=_sum(one.usd for one in paid),
        renewals_usd=_sum(one.charged_usd for one in renewals),
        findings=tuple(findings),
    )


class _Groups:
    """Numbers that one charge names together can only be compared together."""

    def __init__(self) -> None:
        self._group_of: dict[str, set[str]] = {}

    def join(self, numbers: Collection[str]) -> None:
        joined = set(numbers).union(*(self._group_of[number] for number in numbers if number in self._group_of))
        for number in joined:
            self._group_of[number] = joined

    def all(self) -> list[set[str]]:
        return list({id(group): group for group in self._group_of.values()}.values())


def _is_renewal(charge: Transaction, books: Books, owned: Mapping[str, OwnedNumber], month: Month) -> bool:
    """A monthly fee of numbers that were there before: owned since before the month, or bought by an older job."""
    bought = {number for job in books.jobs for number in job.bought}
    old = {number for number, one in owned.items() if one.added is not None and one.added < month.begins}
    return charge.type == MONTHLY_FEE and bool(charge.numbers) and all(number in bought | old for number in charge.numbers)


def _without_job(charge: Transaction, books: Books) -> MoneyFinding:
    seen = f"charged {charge.charged_usd} USD on {charge.at:%Y-%m-%d %H:%M} UTC ({charge.details}), by no job"
    jobs = candidates(books, charge.numbers)
    return MoneyFinding("charge_without_job", charge.numbers, jobs, charge.charged_usd, Decimal(0), (charge.id,), seen, WITHOUT_JOB)


def _differing(numbers: set[str], paid: Collection[Paid], charges: Collection[Transaction]) -> Iterable[MoneyFinding]:
    jobs_usd, charged_usd = _sum(one.usd for one in paid), _sum(one.charged_usd for one in charges)
    if jobs_usd == charged_usd:
        return
    kind: MoneyKind = "amount_differs" if charges else "job_without_charge"
    seen = f"the job says {jobs_usd} USD, " + (f"charged were {charged_usd} USD" if charges else "no charge names the number")
    yield MoneyFinding(
        kind,
        tuple(sorted(numbers)),
        tuple(dict.fromkeys(one.job_id for one in paid)),
        charged_usd,
        jobs_usd,
        tuple(one.id for one in charges),
        seen,
        DIFFERS if charges else WITHOUT_CHARGE,
    )


def _ran(job: JobBook, now: datetime) -> tuple[datetime, datetime]:
    ended_ms = job.ended_ms
    until = now if ended_ms is None else datetime.fromtimestamp(ended_ms / 1000, UTC)
    return datetime.fromtimestamp(job.created_ms / 1000, UTC), until


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
