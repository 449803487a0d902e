"""`didflow reroute` and `release`: what is done to numbers that we own."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from producers.cli import options as given
from producers.cli import timing
from producers.cli.output import errors_told
from producers.cli.submitting import confirmed, submit
from worker.contract.destinations import Destination
from worker.contract.requests import Release, Reroute

#: Stands for the destinations while everything else is checked.
ANYWHERE = Destination.sip("pbx@example.net")
#: Stands for the numbers of a file that can't be read.
_SOME = ("+12135550100",)


def reroute(
    to: given.To = None,
    number: given.Numbers = None,
    numbers_file: given.NumbersFile = None,
    record_id: given.RecordIds = None,
    from_trunk: given.FromTrunk = None,
    from_destination: given.FromDestination = None,
    label: given.Label = None,
    country: given.Country = None,
    city: given.City = None,
    everything: given.All = False,
    expected_count: given.ExpectedCount = None,
    max_fraction: given.MaxFraction = None,
    canary: given.Canary = None,
    deadline: given.Deadline = None,
    dry_run: given.DryRun = False,
    key: given.Key = None,
    reference: given.Reference = None,
    account: given.AccountName = "default",
    priority: given.Priority = 5,
    not_before: given.NotBefore = None,
    wait: given.Wait = False,
    timeout: given.Timeout = 300.0,
    as_json: given.Json = False,
) -> None:
    """Send the calls of numbers somewhere else. `didflow failback JOB` brings each back to where it was."""
    with errors_told(as_json=as_json):
        fields, listed = _named(number, numbers_file, record_id, expected_count, dry_run=dry_run)
        fields |= {"selector": given.selector(from_trunk, from_destination, label, country, city, everything=everything)}
        fields |= {"max_fraction": max_fraction, "canary": canary}
        _, _, places, begin, end, _ = given.together(
            listed,
            lambda: Reroute.model_validate(fields | {"destinations": (ANYWHERE,) if to else ()}),
            lambda: given.destinations(to),
            lambda: given.moment(not_before, "not_before"),
            lambda: given.moment(deadline, "deadline"),
            lambda: given.labels(key, reference, account, priority),
        )
        request = Reroute.model_validate(fields | {"destinations": places, "deadline": end})
        submit(
            request,
            key=key,
            reference=reference,
            account=account,
            priority=priority,
            not_before=begin,
            wait=wait,
            timeout_s=timeout,
            as_json=as_json,
        )


def release(
    number: given.Numbers = None,
    numbers_file: given.NumbersFile = None,
    record_id: given.RecordIds = None,
    from_trunk: given.FromTrunk = None,
    from_destination: given.FromDestination = None,
    label: given.Label = None,
    country: given.Country = None,
    city: given.City = None,
    everything: given.All = False,
    expected_count: given.ExpectedCount = None,
    protected_label: Annotated[
        list[str] | None, typer.Option(help="leave numbers with this label alone; may be repeated", show_default=False)
    ] = None,
    expected_reference: Annotated[
        str | None, typer.Option(help="leave alone what wasn't bought for this reference", show_default=False)
    ] = None,
    expected_destination: Annotated[str | None, typer.Option(help="leave alone what doesn't go there", show_default=False)] = None,
    at: timing.At = None,
    grace: timing.Grace = None,
    before_renewal: timing.BeforeRenewal = None,
    park: timing.Park = None,
    ignore_calls: timing.IgnoreCalls = False,
    dry_run: given.DryRun = False,
    key: given.Key = None,
    reference: given.Reference = None,
    account: given.AccountName = "default",
    wait: given.Wait = False,
    timeout: given.Timeout = 300.0,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """Give numbers back to the provider, for good; until they go `didflow cancel` brings everything back.

    A selector without --expected-count is a dry run, which tells the count.
    """
    with errors_told(as_json=as_json):
        fields, listed = _named(number, numbers_file, record_id, expected_count, dry_run=dry_run)
        chosen = given.selector(from_trunk, from_destination, label, country, city, everything=everything)
        fields |= {"selector": chosen, "protected_labels": tuple(protected_label or ()), "stop_on_traffic": not ignore_calls}
        fields |= {"expected_reference": expected_reference, "expected_destination": expected_destination}
        fields |= {"dry_run": dry_run or (chosen is not None and expected_count is None)}
        no_time: dict[str, Any] = {}
        nowhere: tuple[Destination, ...] = ()
        when, times = given.tried(lambda: timing.fields(at, grace, before_renewal), no_time)
        places, parking = given.tried(lambda: given.destinations(park), nowhere)
        request: Release = given.together(
            listed,
            times,
            parking,
            lambda: Release.model_validate(fields | when | {"parking": places}),
            lambda: given.labels(key, reference, account),
        )[3]
        if not request.dry_run:
            count = len(request.numbers) or len(request.record_ids) or request.expected_count
            confirmed(f"release {count} number(s) for good{timing.in_words(request)}. Go on?", yes=yes, must_ask=True)
        submit(request, key=key, reference=reference, account=account, wait=wait, timeout_s=timeout, as_json=as_json)


def _named(
    numbers: list[str] | None, file: Path | None, record_ids: list[int] | None, expected_count: int | None, *, dry_run: bool
) -> tuple[dict[str, Any], Callable[[], tuple[str, ...]]]:
    """The request's fields, and what says why the file can't be read, if it can't."""
    listed, tell = given.tried(lambda: given.listed_numbers(numbers, file), given.listed_numbers(numbers, None) or _SOME)
    return {"numbers": listed, "record_ids": tuple(record_ids or ()), "expected_count": expected_count, "dry_run": dry_run}, tell
