"""`didflow reroute` and `release`."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from didflow.contract.destinations import Destination
from didflow.contract.requests import Release, Reroute
from didflow.terminal import options as given
from didflow.terminal.confirmation import FOR_GOOD, Stake, confirmed
from didflow.terminal.output import errors_told
from producers.cli import release_options
from producers.cli.option_groups import Guards, Labels, Listed, Selected, Turn, grouped
from producers.cli.submit import submit

#: Stands for the destinations while everything else is checked.
ANYWHERE = Destination.sip("pbx@example.net")
#: Stands for the numbers of a file that can't be read.
_SOME = ("+12135550100",)


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
    expected_count: given.ExpectedCount = None,
    protected_label: given.ProtectedLabels = None,
    expected_reference: Annotated[
        str | None, typer.Option(help="skip numbers that weren't bought for this reference", show_default=False)
    ] = None,
    expected_destination: Annotated[str | None, typer.Option(help="skip numbers that aren't routed there", show_default=False)] = None,
    at: release_options.At = None,
    grace: release_options.Grace = None,
    before_renewal: release_options.BeforeRenewal = None,
    park: release_options.Park = None,
    ignore_calls: release_options.IgnoreCalls = False,
    reusable: release_options.Reusable = False,
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
        fields |= {"selector": chosen, "expected_count": expected_count}
        fields |= {"protected_labels": tuple(protected_label or ()), "stop_on_traffic": not ignore_calls}
        fields |= {"reusable": reusable}
        fields |= {"expected_reference": expected_reference, "expected_destination": expected_destination}
        fields |= {"dry_run": dry_run or (chosen is not None and expected_count is None)}
        no_time: dict[str, Any] = {}
        nowhere: tuple[Destination, ...] = ()
        when, times = given.tried(lambda: release_options.fields(at, grace, before_renewal), no_time)
        places, parking = given.tried(lambda: given.destinations(park), nowhere)
        request: Release = given.together(
            tell_file,
            times,
            parking,
            lambda: Release.model_validate(fields | when | {"parking": places}),
            labels.check,
        )[3]
        if not request.dry_run:
            count = len(request.numbers) or len(request.record_ids) or request.expected_count
            confirmed(f"release {count} number(s) permanently{release_options.in_words(request)}. Continue?", FOR_GOOD, yes=yes)
        submit(request, labels, as_json=as_json)


def _named(listed: Listed, record_ids: list[int] | None, *, dry_run: bool) -> tuple[dict[str, Any], Callable[[], tuple[str, ...]]]:
    """The request's fields, and what says why the file can't be read, if it can't."""
    numbers, tell = given.tried(listed.numbers, given.listed_numbers(listed.number, None) or _SOME)
    return {"numbers": numbers, "record_ids": tuple(record_ids or ()), "dry_run": dry_run}, tell
