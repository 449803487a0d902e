"""`python -m worker.operate.reconcile`, which is `didflow reconcile`: do the ledger, the owned numbers and the routes agree?"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated

import typer

from didflow.contract.destinations import Destination, Route
from didflow.contract.errors import AlreadyDecided, InvalidRequest, InvalidSettings, ServiceUnavailable
from didflow.contract.numbers import parse_e164
from didflow.contract.provider import OwnedNumber, ReadFailed
from didflow.contract.requests import Reroute
from didflow.ledger import script_calls
from didflow.ledger.address import redis_url
from didflow.ledger.client import LedgerClient
from didflow.ledger.connection import connect
from didflow.ledger.gate import Gate
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import RETENTION_MS, Submission
from didflow.logs import configure_logs
from didflow.settings import load_settings
from didflow.terminal import options as given
from didflow.terminal.confirmation import FOR_GOOD, Stake, confirmed
from didflow.terminal.examples import HELP, as_lines
from didflow.terminal.output import ExitCode, WholeWords, clean, errors_shown, print_json, print_table
from didflow.terminal.tables import is_terminal, remarks
from worker.attempt.dialects import finder_of
from worker.attempt.patience import UntilStopped
from worker.attempt.provider_clients import client_of, pace_from
from worker.attempt.rate_limiter import SharedRateLimiter
from worker.jobs.owned_numbers import find_each, owned_whole
from worker.jobs.ports.provider import Provider
from worker.jobs.purchase.quote import readable_balance_usd
from worker.operate.beside_up import beside_up
from worker.process.provider_identity import check_server
from worker.reconcile.charges import Month
from worker.reconcile.diff import Drift, Reservation
from worker.reconcile.give import give, refused_gift
from worker.reconcile.ledger_view import read_books
from worker.reconcile.money import money_report, month_of, print_money
from worker.reconcile.report import Report, compare
from worker.wavix.request_gate import with_patience

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=HELP)


class Desk:
    """One account's books, side by side with the provider's lists."""

    def __init__(self, account: str, ledger: LedgerClient, provider: Provider, *, kept_ms: int = RETENTION_MS) -> None:
        self._account, self._ledger, self._provider, self._kept_ms = account, ledger, provider, kept_ms
        self._owned: dict[str, OwnedNumber] = {}

    def look(self) -> Report:
        """Compare everything. The provider is read first, so that what happens meanwhile is in the ledger. Raises ReadFailed."""
        now_ms = self._ledger.now_ms()
        owned = owned_whole(self._provider)
        in_cart = [offer.number for offer in self._provider.cart()]
        balance = readable_balance_usd(self._provider)
        books = read_books(self._ledger, self._account)
        closed = Gate(self._ledger).closed(self._account)

        def compared() -> Report:
            return compare(
                self._account,
                books,
                self._owned.values(),
                in_cart,
                balance_usd=balance,
                gate_closed=closed,
                now_ms=now_ms,
                kept_ms=self._kept_ms,
            )

        self._owned = {one.number: one for one in owned}
        report = compared()
        if missing := [finding.number for finding in report.findings if finding.kind == "gone"]:
            # Bought since the list was read, perhaps.
            self._owned |= find_each(self._provider, missing)
            report = compared()
        return report

    def accept(self, report: Report, numbers: Sequence[str]) -> None:
        """These orphans, or numbers in the cart, are no job's. Raises InvalidRequest for others; AlreadyDecided
        for one that another person gave to a purchase since the report was made."""
        orphans = {one.number: one.record_id for one in report.findings if one.kind == "orphan" and one.record_id is not None}
        in_cart = {one.number for one in report.findings if one.kind == "in_cart"}
        if strange := sorted(set(numbers) - orphans.keys() - in_cart):
            raise _refused("accept", f"{', '.join(strange)}: neither an orphan nor an unknown number in the cart")
        owned = {number: orphans[number] for number in numbers if number in orphans}
        Gate(self._ledger).accept(self._account, owned, [number for number in numbers if number not in owned])

    def give(self, report: Report, job_id: str, number: str) -> None:
        """The job bought this orphan: it keeps it, and buys one less. A repeated call finds it given.

        Raises InvalidRequest, JobNotFound; AlreadyDecided if another person decided otherwise first.
        """
        if number not in {one.number for one in report.findings if one.kind == "orphan"}:
            given_to = Gate(self._ledger).given_to(self._account, number)
            if given_to == job_id:
                return
            raise AlreadyDecided(number, given_to) if given_to else refused_gift(f"{number} is no orphan")
        give(self._ledger, self._account, job_id, self._owned[number], self._ledger.commands.actor)

    def repair(self, drifts: Sequence[Drift], reservations: Sequence[Reservation]) -> list[str]:
        """Put right what can be put right without a decision; the reroutes that were submitted."""
        for one in reservations:
            self._ledger.run(script_calls.unreserve(self._account, one.number, one.holder, self._ledger.commands.actor))
        jobs = []
        for route, numbers, key in reroutes(drifts):
            request = Reroute(numbers=numbers, destinations=route)
            jobs.append(self._ledger.submit(Submission(request, idempotency_key=key, account=self._account)).id)
        return jobs


def reroutes(drifts: Sequence[Drift]) -> list[tuple[tuple[Destination, ...], tuple[str, ...], str]]:
    """The reroutes that fix them: route, numbers, and a key that stays the same as long as nothing newer routes these numbers."""
    groups: dict[tuple[str, ...], list[Drift]] = defaultdict(list)
    for drift in drifts:
        groups[tuple(map(repr, drift.wanted))].append(drift)
    found = []
    for group in groups.values():
        if (route := _asked_for(group[0].wanted)) is not None:
            told = repr(sorted((one.number, one.record_id, one.job_id) for one in group)) + repr(route)
            key = f"reconcile-{hashlib.sha256(told.encode()).hexdigest()[:24]}"
            found.append((route, tuple(one.number for one in group), key))
    return found


def _asked_for(route: Route) -> tuple[Destination, ...] | None:
    """A route that a request may ask for; None if the provider showed something that it mayn't."""
    try:
        return tuple(Destination.model_validate(one.model_dump(exclude_none=True)) for one in route) or None
    except InvalidRequest:
        return None


def _refused(where: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{where}: {what}", ((where, what),))


@app.command(epilog=as_lines("Examples:", "didflow reconcile", "didflow reconcile --money --month 2026-11"))
def reconcile(
    account: given.AccountName = "default",
    repair: Annotated[
        bool, typer.Option("--repair", help="reroute drifted and left parked numbers, drop orphaned reservations; asks first")
    ] = False,
    accept: Annotated[
        list[str] | None, typer.Option(help="keep this orphan: no job bought it or put it in the cart", show_default=False)
    ] = None,
    give: Annotated[list[str] | None, typer.Option(help="JOB=NUMBER: this waiting job bought the orphan", show_default=False)] = None,
    money: Annotated[bool, typer.Option("--money", help="compare a month's transactions with the jobs instead")] = False,
    month: Annotated[str | None, typer.Option(help="with --money: YYYY-MM (UTC); default: this month", show_default=False)] = None,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """Compare owned numbers, routes and reservations with the ledger's jobs, and say what doesn't agree.

    With --money: compare what the provider charged in a month with what the jobs spent, to the cent. It changes nothing.

    Exit codes: 0 all agrees, 1 something doesn't, 2 bad input, 5 Redis or the provider can't be asked.
    """
    with errors_shown(as_json=as_json):
        if month is not None and not money:
            raise _refused("--month", "only with --money")
        if money and (repair or accept or give):
            raise _refused("--money", "compares only: --repair, --accept and --give are for the other comparison")
        settings = beside_up(load_settings())
        known = settings.account(account)
        if known is None:
            raise InvalidSettings(f"no account {account!r} here: set WAVIX_API_KEY for `default`, or name it in DIDFLOW_ACCOUNTS")
        ledger = Ledger(connect(redis_url(settings)), settings.namespace, actor=settings.acting)
        check_server(ledger, account, known)
        gate = SharedRateLimiter(ledger, account, pace_from(settings), None, emergency=False)
        client = client_of(known, finder_of(account, known, ledger), timeout_s=settings.http_timeout, admission=gate)
        desk = Desk(account, ledger, client, kept_ms=int(settings.retention_days * 86_400_000))
        try:
            with with_patience(UntilStopped()):
                if money:
                    _money(account, ledger, client, month_of(month), as_json=as_json)
                    return
                report = desk.look()
                if decided := _decide(desk, report, accept or [], give or [], yes=yes):
                    report = desk.look()
        except ReadFailed as error:
            raise ServiceUnavailable(f"the provider can't be asked ({error}): `didflow doctor`") from None
        finally:
            client.close()
        if as_json:
            print_json({**vars(report), "counts": report.counts, "drifts": None, "reservations": None})
        else:
            _print(report, decided=decided)
        if repair:
            _repair(desk, report, yes=yes)
        if report.findings:
            raise typer.Exit(ExitCode.JOB)


def _money(account: str, ledger: Ledger, client: Provider, month: Month, *, as_json: bool) -> None:
    report = money_report(account, ledger, client, month)
    print_money(report, as_json=as_json)
    if report.findings:
        raise typer.Exit(ExitCode.JOB)


def _decide(desk: Desk, report: Report, accept: Sequence[str], give: Sequence[str], *, yes: bool) -> bool:
    """Stores a person's finding. True if there was one."""
    numbers = [_number("accept", text) for text in accept]
    gifts = [(job_id, _number("give", text)) for job_id, _, text in (one.partition("=") for one in give)]
    if not numbers and not gifts:
        return False
    told = [f"{number} is no job's" for number in numbers] + [f"{number} was bought by job {job_id}" for job_id, number in gifts]
    WholeWords(stderr=True).print("\n".join(told), markup=False)
    confirmed("Is that so?", FOR_GOOD, yes=yes)
    for job_id, number in gifts:
        desk.give(report, job_id, number)
    if numbers:
        desk.accept(report, numbers)
    return True


def _number(where: str, text: str) -> str:
    try:
        return parse_e164(text)
    except ValueError as error:
        raise _refused(where, str(error)) from None


def _repair(desk: Desk, report: Report, *, yes: bool) -> None:
    console = WholeWords(stderr=True)
    moves = reroutes(report.drifts)
    for route, numbers, _ in moves:
        console.print(clean(f"reroute {len(numbers)} numbers to {', '.join(map(str, route))}: {' '.join(numbers[:10])}"), markup=False)
    if report.reservations:
        console.print(f"drop {len(report.reservations)} reservations")
    if not moves and not report.reservations:
        console.print("nothing can be repaired without a decision")
        return
    confirmed("Repair?", Stake(numbers=sum(len(numbers) for _, numbers, _ in moves)), yes=yes)
    for job_id in desk.repair(report.drifts, report.reservations):
        console.print(f"submitted reroute {job_id}: didflow status {job_id} --wait", soft_wrap=True)


def _print(report: Report, *, decided: bool) -> None:
    console = remarks()
    if decided:
        console.print("written down; what is left:")
    console.print(
        f"account {report.account}: {report.owned} numbers owned, {report.claimed} bought by or known to {report.jobs} jobs,"
        f" {report.older} older than the ledger",
        markup=False,
    )
    balance = f"{report.balance_usd} USD" if report.balance_usd is not None else "not readable with this key"
    console.print(
        f"jobs were charged {report.charged_usd} USD; the numbers cost {report.monthly_usd} USD a month; the balance is {balance}"
    )
    if report.gate == "closed":
        console.print("the gate is closed: no money moves until it is known what Redis lost", style="yellow")
    if not report.findings:
        console.print("all agrees", style="green")
    if not report.findings and is_terminal():
        return
    rows = [(one.kind, one.number, " ".join(one.jobs), one.seen, one.what_to_do) for one in report.findings]
    print_table(("finding", "number", "job", "what is seen", "what to do"), rows, whole=2)
    if report.findings:
        console.print(", ".join(f"{count} {kind}" for kind, count in sorted(report.counts.items())))


def main() -> None:
    """Run it; see `reconcile` for the exit codes."""
    configure_logs(level="critical")  # The report says it all.
    app(prog_name="didflow reconcile")


if __name__ == "__main__":
    main()
