"""`didflow reroute` and `release`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from didflow.contract.destinations import Destination
from didflow.contract.requests import Release, Reroute
from didflow.terminal import options as given
from didflow.terminal.confirmation import FOR_GOOD, Stake, confirmed
from didflow.terminal.output import errors_told
from producers.cli.option_groups import Guards, Labels, Listed, Selected, Turn, grouped
from producers.cli.release_options import GracePeriod, in_words
from producers.cli.submit import submit

#: Stands for the destinations while everything else is checked.
ANYWHERE = Destination.sip("pbx@example.net")
#: Stands for the numbers of a file that can't be read.
_SOME = ("+12135550100",)


@dataclass(frozen=True)
class Checks:
    """What must be so, or a number isn't released."""

    expected_count: given.ExpectedCount = None
    protected_label: given.ProtectedLabels = None
    expected_reference: Annotated[
        str | None, typer.Option(help="skip numbers that weren't bought for this reference", show_default=False)
    ] = None
    expected_destination: Annotated[str | None, typer.Option(help="skip numbers that aren't routed there", show_default=False)] = None

    def fields(self) -> dict[str, Any]:
        return {
            "expected_count": self.expected_count,
            "protected_labels": tuple(self.protected_label or ()),
            "expected_reference": self.expected_reference,
            "expected_destination": self.expected_destination,
        }


@grouped
def reroute(
    *,
    to: given.To = None,
    listed: Listed,
    record_id: given.RecordIds = None,
    selected: Selected,
    guards: Guards,
    deadline: given.Deadline = None,
    dry_run: given.DryRun = False,
    labels: Labels,
    turn: Turn,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """Change where calls to your numbers go. `didflow failback JOB` restores each number's previous route."""
    with errors_told(as_json=as_json):
        fields, tell_file = _named(listed, record_id, dry_run=dry_run)
        fields |= {"selector": selected.selector(), **vars(guards)}
        _, _, places, begin, end, _ = given.together(
            tell_file,
            lambda: Reroute.model_validate(fields | {"destinations": (ANYWHERE,) if to else ()}),
            lambda: given.destinations(to),
            lambda: given.moment(turn.not_before, "not_before"),
            lambda: given.moment(deadline, "deadline"),
            lambda: labels.check(turn.priority),
        )
        request = Reroute.model_validate(fields | {"destinations": places, "deadline": end})
        stake = Stake(numbers=len(request.numbers) or len(request.record_ids) or request.expected_count)
        if stake.needs_yes and not request.dry_run:
            which = "all that are selected" if stake.numbers is None else f"{stake.numbers} numbers"
            confirmed(f"send the calls of {which} to {', then '.join(map(str, places))}?", stake, yes=yes)
        submit(request, labels, priority=turn.priority, not_before=begin, as_json=as_json)


@grouped
def release(
    *,
    listed: Listed,
    record_id: given.RecordIds = None,
    selected: Selected,
    checks: Checks,
    grace_period: GracePeriod,
    dry_run: given.DryRun = False,
    labels: Labels,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """Release numbers to the provider, permanently. Until they are released, `didflow cancel` restores everything.

    A selector without --expected-count is a dry run, which prints the count.
    """
    with errors_told(as_json=as_json):
        fields, tell_file = _named(listed, record_id, dry_run=dry_run)
        chosen = selected.selector()
        fields |= {"selector": chosen, "stop_on_traffic": not grace_period.ignore_calls, "reusable": grace_period.reusable}
        fields |= checks.fields()
        fields |= {"dry_run": dry_run or (chosen is not None and checks.expected_count is None)}
        no_time: dict[str, Any] = {}
        nowhere: tuple[Destination, ...] = ()
        when, times = given.tried(grace_period.times, no_time)
        places, parking = given.tried(grace_period.parking, nowhere)
        request: Release = given.together(
            tell_file,
            times,
            parking,
            lambda: Release.model_validate(fields | when | {"parking": places}),
            labels.check,
        )[3]
        if not request.dry_run:
            count = len(request.numbers) or len(request.record_ids) or request.expected_count
            confirmed(f"release {count} number(s) permanently{in_words(request)}. Continue?", FOR_GOOD, yes=yes)
        submit(request, labels, as_json=as_json)


def _named(listed: Listed, record_ids: list[int] | None, *, dry_run: bool) -> tuple[dict[str, Any], Callable[[], tuple[str, ...]]]:
    """The request's fields, and what says why the file can't be read, if it can't."""
    numbers, tell = given.tried(listed.numbers, given.listed_numbers(listed.number, None) or _SOME)
    return {"numbers": numbers, "record_ids": tuple(record_ids or ()), "dry_run": dry_run}, tell
