"""Reuse before buying: numbers of ours that wait in a pool are handed out first. They cost nothing and nobody else gets them.

The pool is what the settings name: numbers with a label, without destinations and without an SMS callback. Who has which number is the
ledger's to say: it hands one out by a script, so two jobs never get the same; a release that was submitted before leaves it alone.
"""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from worker.contract.errors import JobError
from worker.contract.provider import Offer, OwnedNumber
from worker.contract.requests import SearchAndBuy
from worker.contract.results import NumberResult
from worker.contract.states import JobState, Outcome
from worker.jobs.fitting import reason_against
from worker.jobs.owned import all_owned, find_each
from worker.jobs.places import cities_to_search, find_country
from worker.jobs.ports import Ended, JobPage, Provider, Refused, Rules
from worker.jobs.purchase_state import Phase, Pick, PurchaseRecord

Fits = Callable[[OwnedNumber], bool]


def reuse(purchase: PurchaseRecord, page: JobPage, provider: Provider, rules: Rules) -> None:
    """Hand out of the pool what fits, up to what is missing. Raises Refused, LostLease, ReadFailed; Wait while money may not move."""
    if not purchase.request.reuse or purchase.missing <= 0 or purchase.memo.phase is not Phase.NEW:
        return
    page.money_point()  # Who has which number may be forgotten as well.
    fits = fitting(purchase.request, provider, rules)
    used = purchase.with_status("bound", "carted", "kept", "spent")
    waiting = [owned for owned in _waiting(fits, page, provider, rules) if owned.number not in used]
    while purchase.missing > 0 and waiting:
        page.pause_point()
        offered, waiting = waiting[: purchase.missing], waiting[purchase.missing :]
        granted = _handed_out(offered, purchase, page)
        # Read again now that nobody else can have it: the list may be older than what was done to the number since.
        fresh = find_each(provider, granted)
        _taken_back([number for number in granted if number not in fresh or not fits(fresh[number])], purchase, page)


def _waiting(fits: Fits, page: JobPage, provider: Provider, rules: Rules) -> list[OwnedNumber]:
    """What fits and nobody has, the cheapest first. Another job may yet be quicker."""
    theirs = page.handed_out()
    found = [owned for owned in pool(provider, rules) if theirs.get(owned.number) != owned.record_id and fits(owned)]
    return sorted(found, key=lambda owned: (owned.monthly_usd, owned.number))


def pool(provider: Provider, rules: Rules) -> Iterator[OwnedNumber]:
    """What may be handed out, if it fits."""
    if rules.reuse_label is None:
        message = "reuse was asked for, and the workers' settings name no pool: set DIDFLOW_REUSE_LABEL, or ask without reuse"
        raise Refused(JobError(code="no_pool", message=message))
    yield from all_owned(provider, label=rules.reuse_label)


def fitting(request: SearchAndBuy, provider: Provider, rules: Rules) -> Fits:
    """Whether a number of ours is in the pool and what the request asks for. Raises Refused for a place that doesn't exist."""
    country = find_country(provider.countries(), request.country)
    by_city = bool(request.city or request.region)
    cities = {city.name.casefold() for _, city in cities_to_search(provider, request)} if by_city else set()

    def fits(owned: OwnedNumber) -> bool:
        return (
            owned.label == rules.reuse_label
            and not owned.route
            and owned.sms_relay_url is None  # Else the next customer's messages would go to the last one.
            and owned.is_active
            and owned.number not in rules.protected_numbers
            and owned.country_iso_code.casefold() == (country.iso_code or "?").casefold()
            and (not by_city or owned.city.casefold() in cities)
            and reason_against(_as_offer(owned), request) is None
        )

    return fits


def _as_offer(owned: OwnedNumber) -> Offer:
    """As the search sees numbers: nothing is paid now, the monthly fee goes on."""
    return Offer(
        number=owned.number,
        setup_usd=Decimal(0),
        monthly_usd=owned.monthly_usd,
        channels=owned.channels,
        sms_enabled=owned.sms_enabled,
    )


def _handed_out(offered: Sequence[OwnedNumber], purchase: PurchaseRecord, page: JobPage) -> list[str]:
    picks = {owned.number: Pick(status="kept", setup_usd=Decimal(0), monthly_usd=Decimal(0), owned=owned, reused=True) for owned in offered}
    granted = page.hand_out([(owned.number, owned.record_id, picks[owned.number].model_dump_json()) for owned in offered])
    purchase.picks |= {number: pick for number, pick in picks.items() if number in granted}
    return sorted(granted)


def give_back(purchase: PurchaseRecord, page: JobPage) -> None:
    """Into the pool again with all that was handed out, if this job comes to nothing; not once it has bought, or begun to set routes."""
    if not purchase.bought and purchase.memo.phase is Phase.NEW:
        _taken_back(list(purchase.kept), purchase, page)


def give_back_unless_enough(purchase: PurchaseRecord, page: JobPage, least: int) -> None:
    """The same where the search is over and the policy calls what there is too few."""
    if not purchase.bought and len(purchase.kept) < least:
        _taken_back(list(purchase.kept), purchase, page)


def _taken_back(numbers: Sequence[str], purchase: PurchaseRecord, page: JobPage) -> None:
    picks = {number: purchase.picks[number].as_status("free") for number in numbers}
    if picks:
        page.take_back({number: pick.model_dump_json() for number, pick in picks.items()})
        purchase.picks |= picks


# A dry run


def would_reuse(request: SearchAndBuy, page: JobPage, provider: Provider, rules: Rules) -> tuple[NumberResult, ...]:
    """What would be handed out now, if nobody else is quicker. Reserves nothing."""
    if not request.reuse:
        return ()
    found = _waiting(fitting(request, provider, rules), page, provider, rules)
    return tuple(
        NumberResult(number=owned.number, outcome=Outcome.REUSED, record_id=owned.record_id, paid_until=owned.paid_until)
        for owned in found[: request.quantity]
    )


def without(request: SearchAndBuy, reused: Sequence[NumberResult]) -> SearchAndBuy:
    """The request for what is left to be bought."""
    least = max(1, request.at_least - len(reused)) if request.at_least else None
    return request.model_copy(update={"quantity": request.quantity - len(reused), "at_least": least}) if reused else request


def quoted_with(ended: Ended, reused: Sequence[NumberResult], request: SearchAndBuy, least: int) -> Ended:
    """A dry run's end, with what would be handed out."""
    quote = ended.result.quote
    if not reused or quote is None:
        return ended
    totals = ended.result.totals.model_copy(update={"requested": request.quantity})
    error = None if len(reused) >= least else ended.result.error
    whole = quote.model_copy(update={"numbers": (*reused, *quote.numbers)})
    result = ended.result.model_copy(update={"quote": whole, "totals": totals, "error": error})
    return Ended(JobState.FAILED if error else JobState.SUCCEEDED, result)
