"""A job as a person reads it."""

from collections.abc import Iterable

from rich.text import Text

from didflow.contract.departures import Departures
from didflow.contract.document_file import described
from didflow.contract.jobs import JobView
from didflow.contract.results import NumberResult, Quote, SearchReport, Summary, by_kind
from didflow.contract.states import JobState
from didflow.terminal.output import WholeWords, clean, print_table, state_text
from didflow.terminal.tables import in_lines, is_terminal
from producers.cli.job_records import COLUMNS, balance_of, job_records, origin, prices_of, remark_of, route_text, where_listed
from producers.cli.next_commands import next_commands
from producers.cli.next_step import advice_on
from producers.cli.release_dates import show_departures

#: A longer table is cut on a terminal; a pipe and `--json` have everything.
SHOWN = 50
INACTIVE = "are inactive: they can be routed, but take no calls until their"
#: The column that is left out of a table narrower than `WIDE` columns of text.
PRICES = "USD inbound"
WIDE = 110


def show_job(view: JobView, departures: Departures | None = None) -> None:
    """State, when its numbers go (of an open release), numbers, totals, and what to do next.

    Elsewhere than on a terminal it is one table of records.
    """
    if not is_terminal():
        print_table(COLUMNS, list(job_records(view, departures)))
        return
    console = WholeWords()
    console.print(
        Text("job ") + Text(view.id, style="bold") + Text(f"  {clean(view.kind).replace('_', '-')}  ") + state_text(view.state, view.reason)
    )
    console.print(in_lines(clean(origin(view)), console.width, "  "), style="dim", markup=False)
    if view.progress and not view.state.is_terminal:
        console.print(f"  {clean(view.progress)}", markup=False)
    if departures is not None:
        show_departures(departures)
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
        console.print(Text(f"  {advice_on(view)}", style="dim"))
    show_next(view)


def show_next(view: JobView) -> None:
    """The commands that come next, each on a line that can be copied."""
    for what, command in next_commands(view):
        WholeWords(stderr=not is_terminal()).print(f"  {clean(what)}: {clean(command)}", markup=False, soft_wrap=True)


def show_numbers(numbers: tuple[NumberResult, ...], *, at_most: int = SHOWN) -> None:
    if not numbers:
        return
    rows = [
        (
            n.number,
            n.outcome.value if n.outcome else "would be done",
            _fees(n),
            prices_of(n),
            route_text(n.route_after),
            remark_of(n),
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
        WholeWords(stderr=not is_terminal()).print(
            f"  {count:,} of {total:,} {they} documents are approved", style="yellow", soft_wrap=True
        )


def show_summary(summary: Summary, job_id: str) -> None:
    """What stands for very many numbers."""
    rows = [(count, outcome.replace("_", " ")) for outcome, count in sorted(summary.outcomes.items(), key=lambda pair: -pair[1])]
    print_table(("numbers", "outcome"), rows, whole=2, indent=2)
    show_numbers(summary.errors)
    WholeWords().print(f"  {where_listed(summary, job_id)}", style="dim", soft_wrap=True)


def show_rungs(search: SearchReport) -> None:
    """A ladder, rung by rung: what was seen there, what was bought (or was ours and assigned), and why the others weren't."""
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
        console.print(f"  balance {balance_of(quote)}")
    if quote.documents:
        console.print(f"  documents needed: {clean(described(quote.documents, quote.document_titles))}", markup=False)
    if quote.signature is not None:
        many = "any number of orders" if quote.reusable else "one order"
        how = f"  good for {many} until {quote.expires_at:%Y-%m-%d %H:%M:%S} UTC: with --json into a file, then didflow buy --quote FILE"
        console.print(how, style="dim", soft_wrap=True)


def _fees(number: NumberResult) -> str:
    return f"{number.setup_usd} + {number.monthly_usd}" if number.monthly_usd is not None else ""
