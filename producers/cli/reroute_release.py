"""`didflow reroute` and `release`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from didflow.client.number_selection import filter_given
from didflow.client.sync.client import Didflow
from didflow.client.sync.inventory import Inventory
from didflow.contract.destinations import Destination
from didflow.contract.requests import Release, Reroute
from didflow.terminal import options as given
from didflow.terminal.confirmation import FOR_GOOD, Stake, confirmed
from didflow.terminal.output import errors_shown
from producers.cli.failover import checked, places_of
from producers.cli.option_groups import ANYWHERE, Guards, Labels, Listed, Selected, Turn, grouped
from producers.cli.release_options import GracePeriod, in_words
from producers.cli.submit import submit

#: Stands for a moment that is checked by itself.
ANY_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        help="numbers that the inventory shows so, as field=value: unused_for=30d, renewal_within=7d, reference=acme … May be repeated",
        show_default=False,
    ),
]
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
    expected_without: Annotated[
        str | None, typer.Option(help="skip numbers that have one of these: label,reference …", show_default=False)
    ] = None

    def fields(self) -> dict[str, Any]:
        return {
            "expected_count": self.expected_count,
            "protected_labels": tuple(self.protected_label or ()),
            "expected_reference": self.expected_reference,
            "expected_destination": self.expected_destination,
            "expected_without": self.expected_without,
        }


@grouped
def reroute(
    *,
    to: given.To = None,
    listed: Listed,
    record_id: given.RecordIds = None,
    selected: Selected,
    where: Where = None,
    guards: Guards,
    back_to: given.BackTo = None,
    deadline: given.Deadline = None,
    dry_run: given.DryRun = False,
    labels: Labels,
    turn: Turn,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """Change where calls to your numbers go. `didflow failback JOB` restores each number's previous route."""
    with errors_shown(as_json=as_json):
        fields, tell_file = _named(listed, record_id, dry_run=dry_run)
        fields |= {"selector": selected.selector(), **vars(guards)}
        fields |= _from_inventory(where, labels.account, fields)
        _, then, _, places, begin, end, _ = given.together(
            tell_file,
            lambda: given.past_moment(back_to, "back_to") if back_to is not None else None,
            lambda: Reroute.model_validate(fields | _whereto((ANYWHERE,) if to else (), ANY_MOMENT if back_to is not None else None)),
            lambda: given.destinations(to),
            lambda: given.moment(turn.not_before, "not_before"),
            lambda: given.moment(deadline, "deadline"),
            lambda: labels.check(turn.priority),
        )
        request = Reroute.model_validate(fields | _whereto(places, then) | {"deadline": end})
        stake = Stake(numbers=len(request.numbers) or len(request.record_ids) or request.expected_count)
        if then is not None and not request.dry_run and not yes:
            # What it restores differs from number to number: it is shown before anything is asked.
            if not (count := checked(Didflow.from_env(), request, labels.account, labels.timeout, only=False, as_json=as_json)):
                return
            confirmed(f"restore their routes of {back_to}?", Stake(numbers=count), yes=yes)
        elif stake.needs_yes and not request.dry_run:
            which = "all that are selected" if stake.numbers is None else f"{stake.numbers} numbers"
            confirmed(f"send the calls of {which} to {places_of(request)}?", stake, yes=yes)
        submit(request, labels, priority=turn.priority, not_before=begin, as_json=as_json)


def _whereto(places: Sequence[Destination], then: datetime | None) -> dict[str, object]:
    """The fields of a request for destinations, or for the routes of a moment."""
    if then is None:
        return {"destinations": tuple(places)}
    return {"back_to": then} | ({"destinations": tuple(places)} if places else {})


@grouped
def release(
    *,
    listed: Listed,
    record_id: given.RecordIds = None,
    selected: Selected,
    where: Where = None,
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
    with errors_shown(as_json=as_json):
        fields, tell_file = _named(listed, record_id, dry_run=dry_run)
        chosen = selected.selector()
        fields |= {"selector": chosen, "stop_on_traffic": not grace_period.ignore_calls, "reusable": grace_period.reusable}
        fields |= checks.fields()
        fields |= {"dry_run": dry_run or (chosen is not None and checks.expected_count is None)}
        fields |= _from_inventory(where, labels.account, fields)
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


def _from_inventory(where: list[str] | None, account: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields for numbers that the inventory shows so: without an expected count a dry run, which prints the count."""
    if not where:
        return {}
    if fields["numbers"] or fields["record_ids"] or fields["selector"] is not None:
        given.refuse("where", "names the numbers by itself, and goes with no other way to name them")
    wanted, expected = filter_given(where), fields["expected_count"]
    records = Inventory(Didflow.from_env(), account=account).record_ids(matching=wanted, expected_count=expected)
    found: dict[str, Any] = {"record_ids": records, "dry_run": fields["dry_run"] or expected is None}
    # What the filter says and the job can check when it acts, it checks.
    kept = {"expected_reference": wanted.reference, "expected_destination": wanted.destination, "expected_without": wanted.without}
    for name, value in kept.items():
        if value is not None and name in fields and fields[name] is None:
            found[name] = value
    return found


def _named(listed: Listed, record_ids: list[int] | None, *, dry_run: bool) -> tuple[dict[str, Any], Callable[[], tuple[str, ...]]]:
    """The request's fields, and what says why the file can't be read, if it can't."""
    numbers, tell = given.tried(listed.numbers, given.listed_numbers(listed.number, None) or _SOME)
    return {"numbers": numbers, "record_ids": tuple(record_ids or ()), "dry_run": dry_run}, tell
