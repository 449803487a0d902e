"""A look for the catalogue: read one list of the provider's, and keep it with the moment at which the reading began.

Nothing is changed at the provider. While an emergency job calls it, a look waits. While other jobs' requests wait for the account's rate,
it takes only a small share of it.
"""

from collections.abc import Callable
from typing import TypeVar, assert_never

from didflow.contract.catalogue import CatalogueCity, Look
from didflow.contract.errors import JobError
from didflow.contract.provider import City, No, Page, ReadFailed, Region
from didflow.contract.requests import CatalogueLook
from didflow.contract.results import Result, Totals
from didflow.contract.states import JobState, WaitReason
from worker.jobs.catalogue.walk import Walked, walk
from worker.jobs.ports.context import CatalogueContext
from worker.jobs.ports.endings import AttemptFailed, Ended, Refused, Wait
from worker.jobs.ports.provider import CataloguePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.provider_answers import waiting_for

#: A look gives way to emergencies for this long at a time.
GIVES_WAY_S = 5.0
#: The most places and offers of one look.
MOST_PLACES, MOST_OFFERS = 10_000, 2_000

T = TypeVar("T")


def look(request: CatalogueLook, context: CatalogueContext, provider: CataloguePorts, rules: Rules) -> Ended:
    """Run one attempt. A second one reads the whole list again: half of an old list and half of a new one are none."""

    def before_page() -> None:
        context.check_interrupts()
        if context.catalogue.emergency_under_way():
            raise Wait(WaitReason.RATE_LIMITED, GIVES_WAY_S, "an emergency job uses the account's rate; the look waits until it is over")
        context.catalogue.give_way(rules.catalogue_page_s, context.check_interrupts)

    before_page()
    try:
        _look(request, context, provider, rules, before_page)
    except ReadFailed as failed:
        # Somebody waits for the list: a refusal is reported now. Nothing is lost: the next question asks again.
        if isinstance(failed.answer, No):
            raise Refused(JobError(code=failed.answer.code, message=f"the provider refuses a read: {failed.answer.message}")) from None
        if isinstance(trouble := waiting_for(failed.answer), AttemptFailed):
            raise Refused(trouble.error) from None
        raise
    return Ended(JobState.SUCCEEDED, Result(totals=Totals(requested=1, done=1)))


def _look(
    request: CatalogueLook, context: CatalogueContext, provider: CataloguePorts, rules: Rules, before_page: Callable[[], None]
) -> None:
    seen = Look(account=context.account, question=request.question, job_id=context.job_id, began_ms=context.now_ms())
    context.catalogue.keep(_read(request, provider, before_page, seen), kept_s=rules.catalogue_kept_s, most=rules.catalogue_looks)


def _read(request: CatalogueLook, provider: CataloguePorts, before_page: Callable[[], None], seen: Look) -> Look:
    country, region, city = request.country_id or 0, request.region_id, request.city_id or 0

    def places(read: Callable[[int], Page[T]], key: Callable[[T], int]) -> Walked[T]:
        return walk(read, key, before_page, MOST_PLACES)

    match request.what:
        case "countries":
            countries = places(provider.countries_page, lambda one: one.id)
            return seen.model_copy(update={"countries": countries.items, "gaps": countries.gaps})
        case "regions":
            regions = places(lambda page: provider.regions_page(country, page), lambda one: one.id)
            return seen.model_copy(update={"regions": regions.items, "gaps": regions.gaps})
        case "cities" if region is not None:
            cities = places(lambda page: provider.cities_page(country, region, page), lambda one: one.id)
            return seen.model_copy(update={"cities": _in_region("", cities.items), "gaps": cities.gaps})
        case "cities":
            return _cities_of_country(country, provider, before_page, seen)
        case "offers":
            offers = walk(
                lambda page: provider.offers(country, city, sms_only=False, page=page), lambda one: one.number, before_page, MOST_OFFERS
            )
            titles = provider.document_titles() if any(one.documents for one in offers.items) else {}
            needed = {kind for one in offers.items for kind in one.documents}
            known = {kind: titles[kind] for kind in sorted(needed & titles.keys())}
            return seen.model_copy(update={"offers": offers.items, "gaps": offers.gaps, "document_titles": known})
    assert_never(request.what)


def _cities_of_country(country: int, provider: CataloguePorts, before_page: Callable[[], None], seen: Look) -> Look:
    """The cities of all its regions, one region after the other; where it has none, its own."""
    regions = walk(lambda page: provider.regions_page(country, page), lambda one: one.id, before_page, MOST_PLACES)
    gaps = [f"regions: {regions.gaps}"] if regions.gaps else []
    found: list[CatalogueCity] = []
    for region in regions.items or (None,):
        cities = _cities_of(country, region, provider, before_page)
        found += _in_region(region.name if region else "", cities.items)
        gaps += [f"{region.name if region else 'cities'}: {cities.gaps}"] if cities.gaps else []
    if len(found) > MOST_PLACES:
        gaps.append(f"only the first {MOST_PLACES} cities are kept")
    return seen.model_copy(update={"cities": tuple(found[:MOST_PLACES]), "gaps": "; ".join(gaps)})


def _cities_of(country: int, region: Region | None, provider: CataloguePorts, before_page: Callable[[], None]) -> Walked[City]:
    return walk(
        lambda page: provider.cities_page(country, region.id if region else None, page), lambda one: one.id, before_page, MOST_PLACES
    )


def _in_region(region: str, cities: tuple[City, ...]) -> tuple[CatalogueCity, ...]:
    return tuple(CatalogueCity(id=city.id, name=city.name, area_code=city.area_code, region=region) for city in cities)
