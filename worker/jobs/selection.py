"""Which owned numbers a request means, and the guards that stop it when it means too many."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.contract.destinations import Transport
from worker.contract.errors import JobError
from worker.contract.provider import NotThere, OwnedNumber
from worker.contract.requests import Release, Reroute, SearchAndBuy, Selector
from worker.contract.results import NumberResult
from worker.contract.states import Outcome
from worker.jobs.owned import all_owned, find_each, find_owned
from worker.jobs.ports import Provider, Refused

#: Up to so many record ids, or numbers that a list didn't show, are asked for one by one.
_ONE_BY_ONE = 20


@dataclass(frozen=True)
class Selected:
    """`owned`: what the request means, each once. `not_found`: what it names and the account doesn't have."""

    owned: tuple[OwnedNumber, ...]
    not_found: tuple[str, ...]

    def missing_results(self) -> tuple[NumberResult, ...]:
        """The named numbers that aren't ours, for the result."""
        error = JobError(code="not_found", message="this account has no such number: check the number and the account")
        return tuple(NumberResult(number=name, outcome=Outcome.NOT_FOUND, error=error) for name in self.not_found)


def select(request: Reroute | Release, provider: Provider) -> Selected:
    """Read the numbers that the request names. Raises Refused if a selector matches none, or `expected_count` doesn't agree."""
    if request.selector is not None:
        selected = Selected(tuple(owned for owned in all_owned(provider, request.selector.label) if fits(owned, request.selector)), ())
        if not selected.owned:
            raise Refused(JobError(code="nothing_selected", message="no number of the account matches the selector: nothing was changed"))
    elif request.numbers:
        found = find_owned(provider, request.numbers)
        if len(missing := set(request.numbers) - found.keys()) <= _ONE_BY_ONE:
            found |= find_each(provider, missing)
        selected = Selected(tuple(found.values()), tuple(number for number in request.numbers if number not in found))
    else:
        selected = _by_record_id(request.record_ids, provider)
    if request.expected_count is not None and len(selected.owned) != request.expected_count:
        message = f"{len(selected.owned)} numbers are selected and {request.expected_count} were expected: nothing was changed"
        raise Refused(JobError(code="unexpected_count", message=message))
    return selected


def fits(owned: OwnedNumber, selector: Selector) -> bool:
    """Whether the number is what the selector describes; every field given must match."""
    return all(
        (
            selector.trunk_id is None or any(d.transport == Transport.SIP_TRUNK and d.trunk_id == selector.trunk_id for d in owned.route),
            selector.destination is None or any(_means(str(d), d.destination, selector.destination) for d in owned.route),
            selector.label is None or owned.label == selector.label,
            selector.country is None or owned.country_iso_code.casefold() == selector.country.casefold(),
            selector.city is None or owned.city.casefold() == selector.city.casefold(),
        )
    )


def _means(shown: str, bare: str, wanted: str) -> bool:
    return wanted.casefold() in (shown.casefold(), bare.casefold())


def _by_record_id(ids: Sequence[int], provider: Provider) -> Selected:
    if len(ids) > _ONE_BY_ONE:
        by_id = {owned.record_id: owned for owned in all_owned(provider)}
        found = {record_id: by_id[record_id] for record_id in ids if record_id in by_id}
    else:
        found = {}
        for record_id in ids:
            try:
                found[record_id] = provider.owned_one(record_id)
            except NotThere:
                continue
    return Selected(tuple(found.values()), tuple(f"#{record_id}" for record_id in ids if record_id not in found))


def check_fraction(selected: Selected, max_fraction: float | None, provider: Provider) -> None:
    """Raises Refused if more than this share of the account's numbers is selected."""
    if max_fraction is None or not selected.owned:
        return
    total = provider.owned(page=1).total
    if len(selected.owned) > max_fraction * total:
        message = (
            f"{len(selected.owned)} of {total} numbers are selected, more than max_fraction {max_fraction:g} allows: nothing was changed"
        )
        raise Refused(JobError(code="too_large_fraction", message=message))


def check_trunks(request: Reroute | SearchAndBuy, provider: Provider) -> None:
    """Raises Refused if a destination is a SIP trunk that the account doesn't have."""
    wanted = {destination.trunk_id for destination in request.destinations if destination.transport == Transport.SIP_TRUNK}
    if wanted:
        known = {trunk.id for trunk in provider.trunks()}
        if unknown := sorted(str(trunk) for trunk in wanted - known):
            have = ", ".join(str(trunk) for trunk in sorted(known)[:20]) or "none"
            raise Refused(JobError(code="unknown_trunk", message=f"the account has no SIP trunk {', '.join(unknown)}; it has {have}"))
