"""When the numbers of releases go, as a person reads it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from didflow.contract.departures import Departure, Departures, Standing, in_words
from didflow.terminal.output import WholeWords, print_table
from didflow.terminal.tables import is_terminal

#: More numbers than these are counted on a terminal; a pipe and `--json` have all.
SHOWN = 10
_GOES = (Standing.COUNTS_DOWN, Standing.PARKED, Standing.GOING)


def show_departures(one: Departures) -> None:
    """When the release's numbers go, and which of them don't: on a terminal, beside the job."""
    console = WholeWords()
    console.print(f"  {sentence(one)}", markup=False, soft_wrap=True)
    if one.numbers:
        rows = [(number.number, number.standing, when(number.goes_at), number.why) for number in _shown(one.numbers)]
        print_table(("number", "standing", "goes (UTC)", "why"), rows, whole=3, indent=2)
        if len(one.numbers) > len(rows):
            console.print(f"  and {len(one.numbers) - len(rows)} more: --json shows all", style="dim")


def show_upcoming(found: Sequence[Departures]) -> None:
    """A line for each release, those that go first come first."""
    now = datetime.now(UTC)
    rows = [
        (
            one.reference,
            _listed(one.numbers, *_GOES),
            ("no sooner than " if one.no_sooner and one.goes_at else "") + when(one.goes_at),
            in_words(one.goes_at - now) if one.goes_at else one.reason or one.state,
            one.job,
            _listed(one.numbers, Standing.PARKED),
            _listed(one.numbers, Standing.PROTECTED),
            _listed(one.numbers, Standing.STAYS, Standing.HANDED_OUT),
        )
        for one in found
    ]
    print_table(("customer", "numbers", "goes (UTC)", "in", "job", "parked", "protected", "stays"), rows, whole=1)


def when(moment: datetime | None) -> str:
    """To the second; empty for none."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if moment else ""


def fate(one: Departure) -> str:
    """When a number goes, or what keeps it."""
    return "; ".join(part for part in (f"goes {when(one.goes_at)} UTC" if one.goes_at else "", one.why or "") if part)


def sentence(one: Departures) -> str:
    """When the first number goes, and how many go, are parked, and are protected."""
    counts = [(one.count(*_GOES), "to go"), (one.count(Standing.PARKED), "parked"), (one.count(Standing.PROTECTED), "protected")]
    said = ", ".join(f"{count} {word}" for count, word in counts if count)
    if one.goes_at is None:
        return said or "no number of it goes"
    sooner = "no sooner than " if one.no_sooner else ""
    unseen = "" if one.seen else "; no worker has read the numbers yet, so it isn't known which are protected"
    return f"goes {sooner}{when(one.goes_at)} UTC ({in_words(one.goes_at - datetime.now(UTC))})" + (f": {said}" if said else "") + unseen


def _shown(numbers: Sequence[Departure]) -> Sequence[Departure]:
    return numbers[:SHOWN] if is_terminal() else numbers


def _listed(numbers: Sequence[Departure], *which: Standing) -> str:
    found = [number.number for number in numbers if number.standing in which]
    more = len(found) - SHOWN
    return " ".join(found) if more <= 0 or not is_terminal() else f"{' '.join(found[:SHOWN])} and {more} more"
