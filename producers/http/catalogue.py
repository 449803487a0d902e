"""The provider's catalogue: where numbers are sold, and which. Nothing is bought or reserved."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.client.aio.catalogue import AsyncCatalogue
from didflow.contract.api_keys import ApiScope
from didflow.contract.catalogue import CatalogueAnswer, CatalogueCity, CatalogueOffers
from didflow.contract.provider import Country, Region
from producers.http.access import Asking, Caller, needs
from producers.http.problems import in_the_query, problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Services, Serving

router = APIRouter(tags=["catalogue"], route_class=StrictRoute, dependencies=[needs(ApiScope.READ, ApiScope.BUY)])

#: How long a request waits for a worker's look at the provider.
WITHIN_S = 30.0
Account = Annotated[str, Query(min_length=1, max_length=200)]
MaxAge = Annotated[float | None, Query(ge=0, le=31_536_000, description="The oldest answer that will do, s; older: a worker reads it now")]
Wait = Annotated[float, Query(ge=0, le=WITHIN_S, description="How long to wait for that, s; then the answer is 504, and the look goes on")]
Where = Annotated[str, Query(min_length=1, max_length=200, description="ISO code or name")]
RegionName = Annotated[str | None, Query(min_length=1, max_length=200)]
Money = Annotated[str | None, Query(max_length=30, pattern=r"^[0-9]+(\.[0-9]+)?$", description="USD")]


def _catalogue(services: Services, caller: Caller, account: str) -> AsyncCatalogue:
    if caller.key is not None and caller.key.account is not None:
        caller.need_sight(account, caller.key.reference_prefix)
    return AsyncCatalogue(services.acting_for(caller), account=account)


@router.get("/catalogue/countries", response_model=CatalogueAnswer[Country], responses=problems(504), summary="List countries")
async def list_countries(
    services: Serving, caller: Asking, account: Account = "default", max_age_s: MaxAge = None, wait: Wait = WITHIN_S
) -> Response:
    """The countries in which the provider sells numbers."""
    with in_the_query():
        found = await _catalogue(services, caller, account).countries(max_age_s=max_age_s, timeout_s=wait)
    return answer(found, CatalogueAnswer[Country])


@router.get("/catalogue/regions", response_model=CatalogueAnswer[Region], responses=problems(504), summary="List regions")
async def list_regions(
    services: Serving, caller: Asking, country: Where, account: Account = "default", max_age_s: MaxAge = None, wait: Wait = WITHIN_S
) -> Response:
    """The regions of a country; empty where it has none."""
    with in_the_query():
        found = await _catalogue(services, caller, account).regions(country, max_age_s=max_age_s, timeout_s=wait)
    return answer(found, CatalogueAnswer[Region])


@router.get("/catalogue/cities", response_model=CatalogueAnswer[CatalogueCity], responses=problems(504), summary="List cities")
async def list_cities(
    services: Serving,
    caller: Asking,
    country: Where,
    region: RegionName = None,
    account: Account = "default",
    max_age_s: MaxAge = None,
    wait: Wait = WITHIN_S,
) -> Response:
    """The cities of a region, or of the whole country."""
    with in_the_query():
        found = await _catalogue(services, caller, account).cities(country, region=region, max_age_s=max_age_s, timeout_s=wait)
    return answer(found, CatalogueAnswer[CatalogueCity])


@router.get("/catalogue/offers", response_model=CatalogueOffers, responses=problems(504), summary="List numbers that are on sale")
async def list_offers(
    services: Serving,
    caller: Asking,
    country: Where,
    city: Annotated[list[str], Query(min_length=1, max_length=50)],
    region: RegionName = None,
    area_code: Annotated[str | None, Query(max_length=15)] = None,
    prefix: Annotated[str | None, Query(max_length=15)] = None,
    pattern: Annotated[str | None, Query(max_length=30)] = None,
    number_type: Annotated[str | None, Query(max_length=30)] = None,
    sms: bool | None = None,
    min_channels: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    max_setup_usd: Money = None,
    max_monthly_usd: Money = None,
    documents: Annotated[str | None, Query(max_length=30)] = None,
    account: Account = "default",
    max_age_s: MaxAge = None,
    wait: Wait = WITHIN_S,
) -> Response:
    """Those that fit, the cheapest first."""
    criteria: dict[str, Any] = {
        "area_code": area_code,
        "prefix": prefix,
        "pattern": pattern,
        "number_type": number_type,
        "sms": sms,
        "min_channels": min_channels,
        "max_setup_usd": max_setup_usd,
        "max_monthly_usd": max_monthly_usd,
        "documents": documents,
    }
    given = {name: value for name, value in criteria.items() if value is not None}
    with in_the_query():
        found = await _catalogue(services, caller, account).offers(
            country, city, region=region, max_age_s=max_age_s, timeout_s=wait, **given
        )
    return answer(found, CatalogueOffers)
