"""Selects the owned numbers of a request, and checks the guards against selecting too many."""

from collections.abc import Collection, Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC

from didflow.contract.countries import same_country
from didflow.contract.destinations import Route, Transport
from didflow.contract.errors import JobError
from didflow.contract.inventory import InventoryFilter
from didflow.contract.provider import Barred, NotNow, NotNowReason, NotThere, OwnedNumber, ReadFailed
from didflow.contract.requests import Release, Reroute, SearchAndBuy, Selector
from didflow.contract.results import NumberResult
from worker.jobs.owned_numbers import ONE_BY_ONE, check_read, find_each, find_owned, listed, listed_as, shared_digits
from worker.jobs.ports.endings import Refused
from worker.jobs.ports.inventory import MirroredNumbers
from worker.jobs.ports.provider import OwnedPort, TrunkPort
from worker.jobs.ports.rules import Rules
from worker.jobs.reroute.route_change import UNREADABLE_MARK, RouteChange

#: Named numbers that are looked up in one go.
_AT_ONCE = 1000

#: The code of a selector that matches none.
NOTHING_SELECTED = "nothing_selected"


@dataclass(frozen=True)
class Selected:
    """`owned`: what the request means, each once. `not_found`: what it names and the account doesn't have."""

    owned: tuple[OwnedNumber, ...]
    not_found: tuple[str, ...]

    def missing_results(self) -> tuple[NumberResult, ...]:
        """The named numbers that aren't ours, for the result."""
        return tuple(RouteChange.of_nobody(name).result() for name in self.not_found)


class Choice:
    """The owned numbers that a request means, each once, in lists that needn't be kept.

    `not_found`, known at the end: what it names and the account doesn't have; for a selector, the records that can't be read, so that
    they aren't mistaken for numbers that don't match.
    """

    def __init__(self, request: Reroute | Release, provider: OwnedPort, mirror: MirroredNumbers, rules: Rules) -> None:
        self._request, self._provider, self._mirror, self._rules = request, provider, mirror, rules
        self.not_found: tuple[str, ...] = ()
        self.label = request.selector.label if request.selector else None

    def __iter__(self) -> Iterator[Sequence[OwnedNumber]]:
        request = self._request
        if request.selector is not None:
            yield from self._fitting(request.selector)
        elif request.numbers:
            yield from self._named(request.numbers)
        else:
            yield from self._by_record_id(request.record_ids)

    def _fitting(self, selector: Selector) -> Iterator[Sequence[OwnedNumber]]:
        unread: set[str | None] = set()
        conditions, any_fits = selector.conditions, False
        for items in self._that_may_fit(conditions, unread):
            found = [owned for owned in items if fits(owned, selector)]
            found = self._mirror.fitting(found, conditions) if conditions is not None else found
            any_fits = any_fits or bool(found)
            yield found
        if unread and not any_fits:
            raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE))
        self.not_found = tuple(sorted((number or "a record") + UNREADABLE_MARK for number in unread))

    def _that_may_fit(self, conditions: InventoryFilter | None, unread: set[str | None]) -> Iterator[Sequence[OwnedNumber]]:
        listing = isinstance(self._request, Reroute) and self._request.read_routes
        max_age_s = 0.0 if listing else self._rules.mirror_max_age_s
        records = self._mirror.records(conditions, max_age_s) if conditions is not None and max_age_s else None
        if records is not None:
            yield from self._by_record_id(records)
        elif self.label is not None:
            yield from listed_as(self._provider, self.label, unread=unread)
        else:
            yield from listed(self._provider, unread=unread)

    def _named(self, numbers: Sequence[str]) -> Iterator[Sequence[OwnedNumber]]:
        missing = set(numbers)
        for items in self._with(missing):
            found = [owned for owned in items if owned.number in missing]
            missing -= {owned.number for owned in found}
            yield found
        if few := len(missing) <= ONE_BY_ONE:
            yield self._found_each(missing)
        if missing:
            # A second, different read: a search may find nothing. The whole list, as for a selector.
            unread: set[str | None] = set()
            for items in listed(self._provider, unread=unread):
                found = [owned for owned in items if owned.number in missing]
                missing -= {owned.number for owned in found}
                yield found
            check_read(missing, unread)
        if not few:
            yield self._found_each(missing)  # The list may end too early.
        self.not_found = tuple(number for number in numbers if number in missing)

    def _found_each(self, missing: set[str]) -> list[OwnedNumber]:
        """Those of them that a search for all their digits shows; they aren't missing any more."""
        found = list(find_each(self._provider, missing).values())
        missing -= {owned.number for owned in found}
        return found

    def _with(self, wanted: Collection[str]) -> Iterator[Sequence[OwnedNumber]]:
        """Lists that hold these numbers: the pages of the digits that they share, unless a question for each takes fewer calls."""
        if len(wanted) <= _AT_ONCE:
            yield list(find_owned(self._provider, wanted).values())
            return
        search = shared_digits(min(wanted), max(wanted))
        if len(wanted) < self._provider.owned(page=1, search=search).total_pages:
            yield list(find_each(self._provider, wanted).values())
        else:
            yield from listed(self._provider, search)

    def _by_record_id(self, ids: Sequence[int]) -> Iterator[Sequence[OwnedNumber]]:
        """By the list and by the record itself, the cheaper one first; the other for what the first didn't show."""
        missing = set(ids)
        for few in (True, False) if len(ids) <= ONE_BY_ONE else (False, True):
            if missing:
                for found in self._one_by_one(missing) if few else self._by_list(missing):
                    missing -= {owned.record_id for owned in found}
                    yield found
        self.not_found = tuple(f"#{record_id}" for record_id in ids if record_id in missing)

    def _by_list(self, ids: Set[int]) -> Iterator[Sequence[OwnedNumber]]:
        for items in listed(self._provider):
            yield [owned for owned in items if owned.record_id in ids]

    def _one_by_one(self, ids: Set[int]) -> Iterator[Sequence[OwnedNumber]]:
        for record_id in sorted(ids):
            with suppress(NotThere):
                yield [self._provider.owned_one(record_id)]


def select(request: Reroute | Release, provider: OwnedPort, mirror: MirroredNumbers, rules: Rules) -> Selected:
    """Read the numbers that the request names. Raises Refused if a selector matches none, or `expected_count` doesn't agree."""
    choice = Choice(request, provider, mirror, rules)
    owned = tuple(one for found in choice for one in found)
    check_count(request, len(owned))
    return Selected(owned, choice.not_found)


def check_count(request: Reroute | Release, count: int) -> None:
    """Raises Refused if a selector matches none, or `expected_count` doesn't agree."""
    if request.selector is not None and not count:
        raise Refused(JobError(code=NOTHING_SELECTED, message=f"{_none(request)}; nothing was changed"))
    if request.expected_count is not None and count != request.expected_count:
        message = f"{count} numbers are selected and {request.expected_count} were expected: nothing was changed."
        message += f" If these are meant, give --expected-count {count} (field expected_count)" if count else ""
        raise Refused(JobError(code="unexpected_count", message=message))


def _none(request: Reroute | Release) -> str:
    if isinstance(request, Reroute) and request.back_to is not None:
        return f"the account had none of the selected numbers at {request.back_to.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return "no number of the account matches the selector"


def fits(owned: OwnedNumber, selector: Selector) -> bool:
    """Whether the number's record is what the selector describes, as far as that is in it (`IN_THE_RECORD`)."""
    return all(
        (
            selector.trunk_id is None or any(d.goes_to_trunk(selector.trunk_id) for d in owned.route),
            selector.destination is None or goes_to(owned.route, selector.destination),
            selector.label is None or owned.label == selector.label,
            selector.country is None or same_country(owned.country_iso_code, selector.country),
            selector.city is None or owned.city.casefold() == selector.city.casefold(),
        )
    )


def goes_to(route: Route, wanted: str) -> bool:
    """Whether one of these destinations is called so."""
    return any(_means(str(d), d.destination, wanted) for d in route)


def _means(shown: str, bare: str, wanted: str) -> bool:
    return wanted.casefold() in (shown.casefold(), bare.casefold())


def check_fraction(count: int, max_fraction: float | None, provider: OwnedPort) -> None:
    """Raises Refused if more than this share of the account's numbers is selected."""
    if max_fraction is None or not count:
        return
    total = provider.owned(page=1).total
    if count > max_fraction * total:
        message = f"{count} of {total} numbers are selected, more than max_fraction {max_fraction:g} allows: nothing was changed."
        message += " If this many are intended, raise --max-fraction (field max_fraction)"
        raise Refused(JobError(code="too_large_fraction", message=message))


def check_trunks(request: Reroute | SearchAndBuy, provider: TrunkPort) -> None:
    """Raises Refused if a destination is a SIP trunk that the account doesn't have.

    A key that may not read trunks leaves that to the provider, which refuses a destination with an unknown one.
    """
    wanted = {destination.trunk_id for destination in request.destinations if destination.transport == Transport.SIP_TRUNK}
    if not wanted:
        return
    try:
        known = {trunk.id for trunk in provider.trunks()}
    except ReadFailed as failed:
        if isinstance(failed.answer, Barred) and failed.answer.right:
            return
        raise
    if unknown := sorted(str(trunk) for trunk in wanted - known):
        have = ", ".join(str(trunk) for trunk in sorted(known)[:20]) or "none"
        raise Refused(JobError(code="unknown_trunk", message=f"the account has no SIP trunk {', '.join(unknown)}; it has {have}"))
