"""A job as records for other programs: one table, one record per line; the first column, `what`, has the record's type."""

from collections.abc import Iterator

from didflow.contract.departures import Departures
from didflow.contract.destinations import Route
from didflow.contract.document_file import described
from didflow.contract.jobs import JobView
from didflow.contract.results import NumberResult, Quote, Result, SearchReport, Summary, by_kind
from producers.cli.next_commands import next_commands
from producers.cli.next_step import advice_on
from producers.cli.release_dates import fate, sentence, when

COLUMNS = ("what", "name", "state", "USD setup", "USD month", "USD inbound", "route", "remark")

Record = tuple[object, ...]


def job_records(view: JobView, departures: Departures | None = None) -> Iterator[Record]:
    """The job, when its numbers go (of an open release), what became of its numbers, and what to do next, which is the last record."""
    state = view.state.value + (f" ({view.reason})" if view.reason else "")
    progress = view.progress if view.progress and not view.state.is_terminal else ""
    yield _record("job", view.id, state, remark="; ".join(filter(None, (view.kind.replace("_", "-"), origin(view), progress))))
    if departures is not None:
        yield _record("goes", when(departures.goes_at), departures.state, remark=sentence(departures))
        yield from (_record("number", one.number, one.standing, remark=fate(one)) for one in departures.numbers)
    if view.result is not None:
        yield from _of_result(view.result, view.id)
    if view.error is not None:
        yield _record("error", view.error.code, remark=view.error.message)
    for what, command in next_commands(view):
        yield _record("next", remark=f"{what}: {command}")
    yield _record("advice", remark=advice_on(view))


def _of_result(result: Result, job_id: str) -> Iterator[Record]:
    yield from map(_number, result.numbers)
    if result.summary is not None:
        yield from _of_summary(result.summary, job_id)
    if result.search is not None:
        yield from _of_search(result.search)
    if result.quote is not None:
        yield from _of_quote(result.quote)
    totals = result.totals
    if totals.charged_usd:
        charged = f"charged {totals.charged_usd} USD for {totals.done} of {totals.requested} numbers"
        yield _record("total", setup=totals.setup_usd, month=totals.monthly_usd, remark=charged)


def _number(number: NumberResult) -> Record:
    outcome = number.outcome.value if number.outcome else "would be done"
    place = route_text(number.route_after)
    return ("number", number.number, outcome, number.setup_usd, number.monthly_usd, prices_of(number), place, remark_of(number))


def _of_summary(summary: Summary, job_id: str) -> Iterator[Record]:
    for outcome, count in sorted(summary.outcomes.items(), key=lambda pair: -pair[1]):
        yield _record("outcome", outcome.replace("_", " "), count)
    yield from map(_number, summary.errors)
    yield _record("note", remark=where_listed(summary, job_id))


def _of_search(search: SearchReport) -> Iterator[Record]:
    for rung in search.rungs:
        why = ", ".join(f"{count} {kind}" for kind, count in by_kind(rung.refused).items())
        had = f"{rung.bought} bought" + (f", {rung.reused} reused" if rung.reused else "")
        yield _record("rung", f"{rung.rung} {rung.name}", had, remark=f"{rung.seen} seen" + (f", refused: {why}" if why else ""))


def _of_quote(quote: Quote) -> Iterator[Record]:
    yield from map(_number, quote.numbers)
    parts = ["a dry run: nothing was changed" + (" and nothing is reserved" if quote.request is not None else "")]
    if quote.request is not None:
        parts += [f"first year {quote.first_year_usd} USD", f"balance {balance_of(quote)}"]
    if quote.documents:
        parts.append(f"documents needed: {described(quote.documents, quote.document_titles)}")
    until = f"good until {quote.expires_at:%Y-%m-%d %H:%M:%S} UTC" if quote.signature is not None else ""
    setup, month = (quote.setup_usd, quote.monthly_usd) if quote.request is not None else (None, None)
    yield _record("quote", quote.id or "", until, setup=setup, month=month, remark="; ".join(parts))


def _record(what: str, name: object = "", state: object = "", *, setup: object = None, month: object = None, remark: str = "") -> Record:
    return (what, name, state, setup, month, "", "", remark)


def origin(view: JobView) -> str:
    """Where a job comes from, and when it is checked next."""
    parts = [f"account {view.account}", f"submitted {view.created_at:%Y-%m-%d %H:%M:%S} UTC", f"attempt {view.attempt}"]
    parts += [f"key {view.idempotency_key}"] if view.idempotency_key else []
    parts += [f"reference {view.reference}"] if view.reference else []
    parts += [f"by {view.actor}"] if view.actor else []
    parts += [f"decided by {view.decided_by}"] if view.decided_by else []
    parts += [f"incident {view.incident}"] if view.incident else []
    parts += [f"next look {view.due_at:%H:%M:%S} UTC"] if view.due_at and not view.state.is_terminal else []
    return ", ".join(parts)


def balance_of(quote: Quote) -> str:
    """The balance that a quote read."""
    if quote.balance_usd is None:
        return "not readable with this key"
    return f"{quote.balance_usd} USD, after the purchase {quote.balance_after_usd} USD"


def where_listed(summary: Summary, job_id: str) -> str:
    """How to read the numbers that a summary stands for."""
    return f"each of them: didflow status {job_id} --numbers --page 1 (of {summary.pages}), --numbers --all, or --csv FILE"


def prices_of(number: NumberResult) -> str:
    """What using the number costs and what it can be used for, as far as the provider says."""
    parts = [f"{number.per_minute_usd} a minute"] if number.per_minute_usd is not None else []
    parts += [f"{number.free_minutes} free"] if number.free_minutes else []
    parts += [f"{number.sms_usd} an SMS"] if number.sms_usd is not None else []
    parts += ["CNAM"] if number.cnam else []
    parts += ["domestic CLI"] if number.domestic_cli else []
    return ", ".join(parts)


def route_text(route: Route | None) -> str:
    """The destinations in their order."""
    return "" if route is None else ", ".join(str(destination) for destination in route) or "(none)"


def remark_of(number: NumberResult) -> str:
    """What is wrong with a number, or is still missing."""
    if number.error is not None:
        return number.error.message
    if number.takes_calls is False:
        return "inactive: takes no calls"
    if not number.documents_needed:
        return ""
    return "needs documents: " + described(number.documents_needed, number.document_titles)
