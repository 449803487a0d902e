"""Watching jobs that move numbers: a live display on a terminal, plain lines elsewhere, a table at the end."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from didflow.client.sync.client import Didflow
from didflow.contract.destinations import Route
from didflow.contract.errors import WaitTimeout
from didflow.contract.jobs import JobView
from didflow.contract.progress import Tally
from didflow.contract.requests import Reroute
from didflow.contract.results import NumberResult
from didflow.contract.states import REPORTED, JobState, Outcome
from didflow.terminal.output import WholeWords, clean, print_table, state_text
from didflow.terminal.tables import is_terminal, print_line
from producers.cli.next_step import advice_on
from producers.cli.render import inactive_of, show_inactive
from producers.cli.submit import timed_out

#: How often the display looks, at most; counting may take a twentieth of the time at most.
LOOK_EVERY_S = 0.5
COUNT_SHARE = 20
#: Without a terminal a line comes when the state changes, and this often while numbers move.
LINE_EVERY_S = 2.0
#: Errors of numbers that were left as they are because their job stopped.
_STOPPED = frozenset({"cancelled", "deadline_passed", "canary_failed"})
#: The most errors shown per outcome.
ERRORS_SHOWN = 3


@dataclass
class Watch:
    """What one job has shown so far. `rate` is of numbers that have an outcome, since the last look before the first of them had."""

    name: str
    began_s: float = field(default_factory=time.monotonic)
    tally: Tally | None = None
    _first: tuple[float, int] | None = None
    _count_after_s: float = 0.0

    def look(self, didflow: Didflow, job_id: str, *, last: bool = False) -> JobView:
        view, now_s = didflow.get(job_id), time.monotonic()
        if last or now_s >= self._count_after_s:
            self.tally = didflow.tally(job_id)
            took_s = time.monotonic() - now_s
            self._count_after_s = now_s + took_s * COUNT_SHARE
        if self.tally is not None and (self._first is None or self._first[1] == self.tally.decided):
            self._first = (now_s, self.tally.decided)
        return view

    def rate_per_s(self) -> float:
        if self.tally is None or self._first is None:
            return 0.0
        since_s, decided = self._first
        return max(0, self.tally.decided - decided) / max(0.1, time.monotonic() - since_s)

    def counts(self, state: JobState, *, called_off: bool = False) -> str:
        """`812 selected, 4 of 5 batches in flight, 400 accepted, 380 confirmed, 0 failed, 33/s, 12 s left`."""
        tally = self.tally
        if tally is None or not tally.selected:
            return "" if state in REPORTED else "selecting the numbers"
        parts = [f"{tally.selected} selected"] + ([f"{tally.inactive} inactive"] if tally.inactive else [])
        parts += [f"{tally.batches_running} of {tally.batches} batches in flight"] if tally.batches else []
        parts += [f"{tally.accepted} accepted", f"{tally.confirmed} confirmed", f"{tally.failed} failed"]
        parts += [f"{tally.count(Outcome.SUPERSEDED)} superseded"] if tally.count(Outcome.SUPERSEDED) else []
        rate = self.rate_per_s()
        if called_off:
            # Those that were never sent end as failed, too; and nothing is left to be estimated.
            parts[-1 if not tally.count(Outcome.SUPERSEDED) else -2] = f"{tally.failed} failed or not sent"
            parts += [f"cancelled before {tally.to_send} were sent"] if tally.to_send else []
        elif tally.to_send and rate:
            parts += [f"{rate:.0f}/s", f"{tally.to_send / rate:.0f} s left"]
        elif not tally.to_send and tally.count(Outcome.ACCEPTED) and state not in REPORTED:
            parts.append("reading back")
        return ", ".join(parts)


class _Face(Protocol):
    def show(self, watch: Watch, view: JobView) -> None: ...


class _Live:
    """Two lines and a bar that are drawn over."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, watch: Watch, view: JobView) -> None:
        head = Text(f"{clean(watch.name)}  ", style="bold") + state_text(view.state, view.reason)
        head += Text(f"  {time.monotonic() - watch.began_s:.0f} s", style="dim")
        done = watch.tally.confirmed + watch.tally.failed if watch.tally else 0
        total = watch.tally.selected if watch.tally and watch.tally.selected else None
        lines = Table.grid()
        for line in (
            head,
            ProgressBar(total=total, completed=done, width=60),
            Text(watch.counts(view.state, called_off=view.cancel_requested)),
        ):
            lines.add_row(line)
        self._live.update(lines, refresh=True)


class _Lines:
    """A line when something changed, not too often."""

    def __init__(self, console: Console) -> None:
        self._console, self._said, self._said_s = console, "", float("-inf")
        self._state: tuple[JobState, str | None] | None = None

    def show(self, watch: Watch, view: JobView) -> None:
        head = f"{clean(watch.name)} {view.state.value}" + (f" ({clean(view.reason)})" if view.reason else "")
        line = ": ".join(filter(None, (head, watch.counts(view.state, called_off=view.cancel_requested))))
        now_s = time.monotonic()
        if line == self._said or (self._state == (view.state, view.reason) and now_s - self._said_s < LINE_EVERY_S):
            return
        self._said, self._said_s, self._state = line, now_s, (view.state, view.reason)
        self._console.print(Text(line), soft_wrap=True)


class _Nothing:
    def show(self, watch: Watch, view: JobView) -> None: ...


@contextmanager
def _face(console: Console, *, quiet: bool) -> Iterator[_Face]:
    if quiet:
        yield _Nothing()
    elif console.is_terminal:
        with Live(console=console, transient=True, refresh_per_second=8) as live:
            yield _Live(live)
    else:
        yield _Lines(console)


def watch(didflow: Didflow, job_id: str, name: str, timeout_s: float, *, quiet: bool) -> JobView:
    """Show a job until it has ended. Raises WaitTimeout, JobNotFound. Ctrl-C leaves the job alone."""
    console = WholeWords(stderr=True)
    deadline_s = time.monotonic() + timeout_s
    watched = Watch(name)
    try:
        with _face(console, quiet=quiet) as face:
            while True:
                left_s = deadline_s - time.monotonic()
                try:
                    view = didflow.wait(job_id, max(0.0, timeout_s if quiet else min(LOOK_EVERY_S, left_s)))
                except WaitTimeout:
                    if quiet or left_s <= LOOK_EVERY_S:
                        raise timed_out(didflow.get(job_id), timeout_s) from None
                    face.show(watched, watched.look(didflow, job_id))
                else:
                    watched.look(didflow, job_id, last=True)
                    face.show(watched, view)
                    return view
    except KeyboardInterrupt:
        console.print(f"job {job_id} continues: didflow status {job_id} --wait", soft_wrap=True)
        raise


def show_end(didflow: Didflow, view: JobView, name: str, *, first: bool = True) -> None:
    """What became of the numbers, by outcome, with the first errors.

    Elsewhere than on a terminal only these records are on stdout, with a header before the `first` of several jobs.
    """
    console = WholeWords(stderr=not is_terminal())
    console.print(Text(f"{clean(name)}  ", style="bold") + Text(f"job {view.id}  ") + state_text(view.state, view.reason))
    numbers = tuple(didflow.numbers(view.id))
    counts = Counter(number.outcome for number in numbers)
    words = Counter(_ending(number) for number in numbers)
    rows = [(word, str(count), _first_errors([one for one in numbers if _ending(one) == word])) for word, count in words.most_common()]
    if rows and is_terminal():
        print_table(("outcome", "numbers", "first errors"), rows, whole=2, indent=2)
    elif not is_terminal():
        for place, (word, count, errors) in enumerate(rows):
            print_line(
                ("job", "outcome", "numbers", "first errors"),
                (view.id, word, count, "; ".join(errors.plain.splitlines())),
                first=first and not place,
            )
    show_inactive(inactive_of(numbers), len(numbers))
    if numbers and set(counts) == {Outcome.UNCHANGED}:
        console.print("  nothing to do: every number goes there already")
    if isinstance(view.request, Reroute) and view.request.after is not None:
        console.print(f"  {_swept(view, numbers)}")
        if found_nothing(view):
            return
    if view.error is not None:
        console.print(Text(f"  {view.error.code}: ", style="yellow") + Text(clean(view.error.message)))
    if view.state is not JobState.SUCCEEDED:
        console.print(Text(f"  {advice_on(view)}", style="dim"))


def found_nothing(view: JobView) -> bool:
    """Whether it is a sweep that had nothing to sweep, which is how it should be."""
    is_sweep = isinstance(view.request, Reroute) and view.request.after is not None
    return is_sweep and view.state is JobState.SUCCEEDED and view.result is not None and not view.result.totals.requested


def _swept(view: JobView, numbers: tuple[NumberResult, ...]) -> str:
    found = [number for number in numbers if number.outcome is not Outcome.UNCHANGED]
    if not found:
        return "the sweep found no number that the plan missed" if view.result and (numbers or found_nothing(view)) else "nothing was swept"
    moved = sum(number.outcome is Outcome.CONFIRMED for number in found)
    return f"the sweep found {len(found)} numbers that the plan missed, and {moved} of them are confirmed"


def _ending(number: NumberResult) -> str:
    """What became of a number, in a word. One that was never sent, because the job stopped before, didn't fail."""
    stopped = number.outcome is Outcome.FAILED and (number.error is None or number.error.code in _STOPPED)
    return "not sent" if number.outcome is None or stopped else number.outcome.value


def _first_errors(numbers: Sequence[NumberResult]) -> Text:
    wrong = [number for number in numbers if number.error is not None]
    shown = [f"{number.number}: {number.error.message}" for number in wrong[:ERRORS_SHOWN] if number.error]
    more = len(wrong) - len(shown)
    return Text("\n").join(Text(clean(line)) for line in [*shown, *([f"and {more} more"] if more > 0 else [])])


def show_routes(numbers: tuple[NumberResult, ...]) -> None:
    """What a dry run would do, grouped by where the numbers go now."""
    groups = Counter((_routed(number.route_before), _verdict(number)) for number in numbers)
    rows = [(route, str(count), verdict) for (route, verdict), count in groups.most_common()]
    print_table(("goes now to", "numbers", "verdict"), rows, whole=2, indent=2)


def would_move(numbers: tuple[NumberResult, ...]) -> int:
    """How many numbers a dry run would move."""
    return sum(number.outcome is None for number in numbers)


def _verdict(number: NumberResult) -> str:
    if number.outcome is None:
        return "would move"
    return "goes there already" if number.outcome is Outcome.UNCHANGED else number.outcome.value


def _routed(route: Route | None) -> str:
    return "" if route is None else ", ".join(str(destination) for destination in route) or "(none)"


def say(text: str) -> None:
    """A line for people, beside what goes to stdout."""
    WholeWords(stderr=True).print(Text(clean(text)))
    sys.stderr.flush()
