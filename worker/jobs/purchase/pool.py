"""Reuse before buying: our own unused numbers in the pool are assigned first. They cost nothing, and no other job gets them.

The pool is what the settings name: numbers with a label, without destinations and without an SMS callback; and what releases have parked
that said so. Who has which number is the ledger's to say: it hands one out by a script, so two jobs never get the same; a release that
was submitted before leaves it alone. A parked one is taken out of its release in the same moment, and is its release's again if the
purchase comes to nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from didflow.contract.countries import same_country
from didflow.contract.destinations import Route, same_route
from didflow.contract.errors import JobError
from didflow.contract.number_holders import Loan
from didflow.contract.offer_criteria import reason_against
from didflow.contract.provider import Offer, OwnedNumber
from didflow.contract.requests import SearchAndBuy
from worker.jobs.checkpoint import read_if_readable
from worker.jobs.owned_numbers import all_owned, find_surely
from worker.jobs.ports.context import PurchaseContext
from worker.jobs.ports.endings import Refused
from worker.jobs.ports.provider import OwnedPort, PurchasePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.purchase.locations import cities_to_search, country_of
from worker.jobs.purchase.state import ItemStatus, Phase, PurchaseItem, PurchaseRecord
from worker.jobs.release.state import ReleaseItem


@dataclass(frozen=True)
class Spare:
    """A number that may be assigned. `parked_at`: where its calls go while it waits; nowhere, if it is in the pool."""

    owned: OwnedNumber
    parked_at: Route = ()
    loan: Loan | None = None


#: Whether it waits where it should, and is what was requested.
Fits = Callable[[Spare], bool]


def hand_out(
    offered: Sequence[Spare], rung: int, fits: Fits, purchase: PurchaseRecord, context: PurchaseContext, provider: PurchasePorts
) -> int:
    """Hand these out, if they are still to be had and fit; how many were. Raises LostLease, ReadFailed, CancelRequested, HandBack."""
    context.check_interrupts()
    granted = _handed_out(offered, rung, purchase, context)
    # Read again now that no other job can have it: the list may be older than a later change of the number.
    fresh, was = find_surely(provider, granted), {one.owned.number: one for one in offered}
    gone = [number for number in granted if number not in fresh or not fits(replace(was[number], owned=fresh[number]))]
    _taken_back(gone, purchase, context)
    return len(granted) - len(gone)


def waiting(request: SearchAndBuy, context: PurchaseContext, provider: PurchasePorts, rules: Rules) -> list[Spare]:
    """The unassigned numbers, the cheapest first. Another job may still be quicker."""
    theirs = context.pool.handed_out()
    spare = [*map(Spare, pool(provider, rules)), *_parked(request, context, provider)]
    found = [one for one in spare if theirs.get(one.owned.number) != one.owned.record_id]
    return sorted(found, key=lambda one: (one.owned.monthly_usd, one.owned.number))


def _parked(request: SearchAndBuy, context: PurchaseContext, provider: PurchasePorts) -> list[Spare]:
    """What releases have parked and may lend; only to jobs that give it another route."""
    if not request.destinations or not (offered := context.pool.offered()):
        return []
    owned, found = find_surely(provider, offered), []
    for number, (record_id, job_id, text) in offered.items():
        item = read_if_readable(ReleaseItem, text)
        if item is None or item.park is None or not item.may_be_lent or number not in owned:
            continue
        if owned[number].record_id == record_id == item.record_id:
            lent = item.model_copy(update={"lent": context.job_id})
            found.append(Spare(owned[number], item.park.target, Loan(job_id, text, lent.model_dump_json())))
    return found


def pool(provider: OwnedPort, rules: Rules) -> Iterator[OwnedNumber]:
    """What may be assigned, if it fits."""
    if rules.reuse_label is None:
        message = "reuse was requested, but the workers' settings name no pool: set DIDFLOW_REUSE_LABEL, or leave out --reuse (field reuse)"
        raise Refused(JobError(code="no_pool", message=message))
    yield from all_owned(provider, label=rules.reuse_label)


def fitting(request: SearchAndBuy, provider: PurchasePorts, rules: Rules) -> Fits:
    """Whether a number of ours is in the pool and what the request asks for. Raises Refused for a place that doesn't exist."""
    country = country_of(provider, request.country)
    by_city = bool(request.city or request.region)
    cities = {city.name.casefold() for _, city in cities_to_search(provider, request)} if by_city else set()

    def fits(spare: Spare) -> bool:
        owned = spare.owned
        return (
            (bool(spare.parked_at) or owned.label == rules.reuse_label)
            and same_route(owned.route, spare.parked_at)
            and owned.sms_relay_url is None  # Else the next customer's messages would go to the last one.
            and owned.is_active
            and owned.number not in rules.protected_numbers
            and same_country(owned.country_iso_code, country.iso_code or country.name)
            and (not by_city or owned.city.casefold() in cities)
            and reason_against(_as_offer(owned), request) is None
        )

    return fits


def _as_offer(owned: OwnedNumber) -> Offer:
    """As the search sees numbers: nothing is paid now, the monthly fee continues."""
    return Offer(
        number=owned.number,
        setup_usd=Decimal(0),
        monthly_usd=owned.monthly_usd,
        channels=owned.channels,
        sms_enabled=owned.sms_enabled,
    )


def _handed_out(offered: Sequence[Spare], rung: int, purchase: PurchaseRecord, context: PurchaseContext) -> list[str]:
    kept = PurchaseItem(status=ItemStatus.KEPT, setup_usd=Decimal(0), monthly_usd=Decimal(0), reused=True, rung=rung)
    items = {one.owned.number: kept.kept(one.owned).model_copy(update={"loan": one.loan}) for one in offered}
    asked = [(one.owned.number, one.owned.record_id, items[one.owned.number].model_dump_json()) for one in offered]
    granted = context.pool.hand_out(asked, {one.owned.number: one.loan for one in offered if one.loan})
    purchase.items |= {number: item for number, item in items.items() if number in granted}
    return sorted(granted)


def give_back(purchase: PurchaseRecord, context: PurchaseContext) -> None:
    """Into the pool again with all that was assigned, if this job comes to nothing; not once it has bought, or begun to set routes."""
    if not purchase.bought and purchase.checkpoint.phase is Phase.NEW:
        _taken_back(list(purchase.kept), purchase, context)


def give_back_unless_enough(purchase: PurchaseRecord, context: PurchaseContext, least: int) -> None:
    """The same where the search is over and the policy calls what there is too few."""
    if not purchase.bought and len(purchase.kept) < least:
        _taken_back(list(purchase.kept), purchase, context)


def _taken_back(numbers: Sequence[str], purchase: PurchaseRecord, context: PurchaseContext) -> None:
    items = {number: purchase.items[number].as_status(ItemStatus.FREE) for number in numbers}
    if items:
        loans = {number: item.loan for number, item in items.items() if item.loan}
        context.pool.take_back({number: item.model_dump_json() for number, item in items.items()}, loans)
        purchase.items |= items
