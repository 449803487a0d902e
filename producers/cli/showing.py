"""A job as a person reads it."""

from collections.abc import Iterable

from rich.text import Text

from producers.cli.advice import advice
from producers.cli.output import WholeWords, clean, print_table, state_text
from producers.cli.tables import is_terminal
from worker.contract.destinations import Route
from worker.contract.jobs import JobView
from worker.contract.papers import described
from worker.contract.results import NumberResult, Quote, SearchReport, Summary, by_kind
from worker.contract.states import JobState

#: A longer table is cut on a terminal; a pipe and `--json` have everything.
SHOWN = 50
INACTIVE = "are inactive: they can be routed, but take no calls until their"
#: The column that is left out of a table narrower than `WIDE` columns of text.
PRICES = "USD inbound"
WIDE = 110


def show_job(view: JobView) -> None:
    """State, numbers, totals, and what to do next."""
    console = WholeWords()
    console.print(
        Text("job ") + Text(view.id, style="bold") + Text(f"  {clean(view.kind).replace('_', '-')}  ") + state_text(view.state, view.reason)
    )
    console.print(f"  {_origin(view)}", style="dim", markup=False)
    if view.progress and not view.state.is_terminal:
        console.print(f"  {clean(view.progress)}", markup=False)
    result = view.result
    if result is not None:
        show_numbers(result.numbers)
        if result.summary is not None:
            show_summary(result.summary, view.id)
        shown = result.numbers or (result.quote.numbers if result.quote else ())
        show_inactive(result.summary.inactive if result.summary else inactive_of(shown), result.totals.requested)
        if result.search is not None and result.search.rungs:
            show_rungs(result.search)
        if result.quote is not None:
            show_quote(result.quote, whole=result.summary is None)
        if result.totals.charged_usd:
            console.print(f"  charged {result.totals.charged_usd} USD for {result.totals.done} of {result.totals.requested} numbers")
    if view.error is not None:
        console.print(Text(f"  {clean(view.error.code)}: ", style="yellow") + Text(clean(view.error.message)))
    if view.state is not JobState.SUCCEEDED:
        console.print(Text(f"  {advice(view.state, view.reason)}", style="dim"))


def show_numbers(numbers: tuple[NumberResult, ...], *, at_most: int = SHOWN) -> None:
    if not numbers:
        return
    rows = [
        (
            n.number,
            n.outcome.value if n.outcome else "would be done",
            _fees(n),
            _prices(n),
            route_text(n.route_after),
            _remark(n),
        )
        for n in (numbers[:at_most] if is_terminal() else numbers)
    ]
    narrow = is_terminal() and WholeWords().width < WIDE
    headings = ("number", "outcome", "USD setup + month", PRICES, "route", "remark")
    used = [place for place, name in enumerate(headings) if not narrow or name != PRICES]
    print_table([headings[place] for place in used], [[row[place] for place in used] for row in rows], whole=3, indent=2)
    if len(numbers) > len(rows):
        WholeWords().print(f"  and {len(numbers) - at_most} more: --json shows all", style="dim")


def inactive_of(numbers: Iterable[NumberResult]) -> int:
    """How many of them take no calls, of a reroute or failback."""
    return sum(number.takes_calls is False for number in numbers)


def show_inactive(count: int, total: int) -> None:
    """A line that says so, if there are any."""
    if count:
        they = "is inactive: it can be routed, but takes no calls until its" if count == 1 else INACTIVE
        WholeWords().print(f"  {count:,} of {total:,} {they} documents are approved", style="yellow", soft_wrap=True)


def show_summary(summary: Summary, job_id: str) -> None:
    """What stands for very many numbers."""
    rows = [(count, outcome.replace("_", " ")) for outcome, count in sorted(summary.outcomes.items(), key=lambda pair: -pair[1])]
    print_table(("numbers", "outcome"), rows, whole=2, indent=2)
    show_numbers(summary.errors)
    how = f"  each of them: didflow status {job_id} --numbers --page 1 (of {summary.pages}), --numbers --all, or --csv FILE"
    WholeWords().print(how, style="dim", soft_wrap=True)


def show_rungs(search: SearchReport) -> None:
    """A ladder, rung by rung: what was seen there, what was bought (or was ours and handed out), and why the others weren't."""
    kinds = [", ".join(f"{count} {kind}" for kind, count in by_kind(rung.refused).items()) for rung in search.rungs]
    bought = [f"{rung.bought} + {rung.reused} reused" if rung.reused else rung.bought for rung in search.rungs]
    rows = [(f"{rung.rung} {rung.name}", rung.seen, had, why) for rung, had, why in zip(search.rungs, bought, kinds, strict=True)]
    print_table(("rung", "seen", "bought", "refused"), rows, indent=2)


def show_quote(quote: Quote, *, whole: bool = True) -> None:
    """What a dry run found."""
    console = WholeWords()
    console.print("  a dry run: nothing was changed" + (" and nothing is reserved" if quote.request is not None else ""), style="dim")
    show_numbers(quote.numbers)
    if whole:
        console.print(f"  {sum(number.outcome is None for number in quote.numbers)} of {len(quote.numbers)} numbers would be acted on")
    if quote.request is not None:
        console.print(f"  setup {quote.setup_usd} USD, monthly {quote.monthly_usd} USD, first year {quote.first_year_usd} USD")
        known = f"{quote.balance_usd} USD, after the purchase {quote.balance_after_usd} USD"
        console.print(f"  balance {known if quote.balance_usd is not None else 'not readable with this key'}")
    if quote.documents:
        console.print(f"  documents needed: {clean(described(quote.documents, quote.document_titles))}", markup=False)
    if quote.signature is not None:
        many = "any number of orders" if quote.reusable else "one order"
        how = f"  good for {many} until {quote.expires_at:%Y-%m-%d %H:%M:%S} UTC: with --json into a file, then didflow buy --quote FILE"
        console.print(how, style="dim", soft_wrap=True)


def _origin(view: JobView) -> str:
    parts = [f"account {view.account}", f"submitted {view.created_at:%Y-%m-%d %H:%M:%S} UTC", f"attempt {view.attempt}"]
    parts += [f"key {view.idempotency_key}"] if view.idempotency_key else []
    parts += [f"reference {view.reference}"] if view.reference else []
    parts += [f"next look {view.due_at:%H:%M:%S} UTC"] if view.due_at and not view.state.is_terminal else []
    return clean(", ".join(parts))


def _fees(number: NumberResult) -> str:
    return f"{number.setup_usd} + {number.monthly_usd}" if number.monthly_usd is not None else ""


def _prices(number: NumberResult) -> str:
    """What using the number costs and what it can be used for, as far as the provider says."""
    parts = [f"{number.per_minute_usd} a minute"] if number.per_minute_usd is not None else []
    parts += [f"{number.free_minutes} free"] if number.free_minutes else []
    parts += [f"{number.sms_usd} an SMS"] if number.sms_usd is not None else []
    parts += ["CNAM"] if number.cnam else []
    parts += ["domestic CLI"] if number.domestic_cli else []
    return ", ".join(parts)


def route_text(route: Route | None) -> str:
    return "" if route is None else ", ".join(str(destination) for destination in route) or "(none)"


def _remark(number: NumberResult) -> str:
    if number.error is not None:
        return number.error.message
    if number.takes_calls is False:
        return "inactive: takes no calls"
    if not number.documents_needed:
        return ""
    return "needs documents: " + described(number.documents_needed, number.document_titles)
