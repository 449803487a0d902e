"""From the catalogue to an order: country, city, offers with their fees; a quote with its total; and the order by that quote."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.client.aio.catalogue import AsyncCatalogue
from didflow.contract.api_keys import ApiScope
from didflow.contract.destinations import Destination
from didflow.contract.errors import CatalogueTimeout, InvalidRequest, LookFailed, WrongJob
from didflow.contract.jobs import JobView
from didflow.contract.quotes import quotable
from didflow.contract.requests import SearchAndBuy, built
from didflow.contract.states import REPORTED
from didflow.terminal import options as given
from producers.console.forms import Form
from producers.console.screen import Screen
from producers.console.visit import Posted, Visit, Visiting
from producers.http.jobs import job_id_in
from producers.rung_texts import rung_of

router = APIRouter()
SCREEN = Screen("/order", "Order", "cart", router, scopes=(ApiScope.READ, ApiScope.BUY))
#: Offers that are shown, the cheapest ones.
SHOWN = 20
#: Criteria of one number, which choose the offers and go into the request.
CRITERIA = ("number_type", "area_code", "prefix", "pattern", "min_channels", "max_setup_usd", "max_monthly_usd", "documents")
_WHOLE = ("quantity", "at_least", "min_channels")
Text = Annotated[str, Query(max_length=200)]


@dataclass
class Lists:
    """What the catalogue has for the page. `waits`: why a list isn't there yet; `faults`: what of the address can't be used."""

    countries: Any = None
    regions: Any = None
    cities: Any = None
    offers: Any = None
    waits: str = ""
    faults: list[str] = field(default_factory=list)


@router.get("/order")
async def show_catalogue(visit: Visiting, country: Text = "", region: Text = "", city: Text = "", account: Text = "default") -> Response:
    """Lists as far as the address goes. A list that no worker has read yet is waited for by the page, not by the server."""
    visit.caller.need(ApiScope.READ, ApiScope.BUY)
    if visit.caller.key is not None and visit.caller.key.account is not None:
        visit.caller.need_sight(account, visit.caller.key.reference_prefix)
    query = visit.request.query_params
    chosen = {name: query.get(name, "").strip() for name in ("country", "region", "city", "sms", *CRITERIA)}
    catalogue, lists = AsyncCatalogue(visit.didflow, account=account), Lists()
    lists.countries = await _looked(lists, lambda: catalogue.countries(timeout_s=0))
    if country:
        if _has_regions(lists.countries, country):
            lists.regions = await _looked(lists, lambda: catalogue.regions(country, timeout_s=0))
        lists.cities = await _looked(lists, lambda: catalogue.cities(country, region=region or None, timeout_s=0))
    if country and city:
        wanted: dict[str, Any] = {name: _value(name, chosen[name]) for name in CRITERIA if chosen[name]}
        if chosen["sms"]:
            wanted["sms"] = True
        lists.offers = await _looked(lists, lambda: catalogue.offers(country, city, region=region or None, timeout_s=0, **wanted))
    return visit.page(
        "order.html",
        lists=lists,
        chosen=chosen,
        account=account,
        shown=SHOWN,
        country_choices=_choices(lists.countries, country),
        region_choices=_choices(lists.regions, region),
        city_choices=_choices(lists.cities, city),
        may=visit.may(ApiScope.BUY),
    )


@router.post("/order/quote")
async def ask_for_quote(visit: Visiting, form: Posted) -> Response:
    """A dry run of the purchase: it buys nothing, and says what it would cost."""
    account, reference = form["account"] or "default", form["reference"] or None
    visit.caller.need(ApiScope.BUY)
    visit.caller.need_sight(account, reference)
    job = await visit.didflow.submit(built(SearchAndBuy, _fields(form)), reference=reference, account=account)
    return visit.goes_to(f"/order/{job.id}")


@router.get("/order/{job_id}")
async def show_quote(visit: Visiting, job_id: str) -> Response:
    """The quote, with its total and until when it holds."""
    visit.caller.need(ApiScope.READ, ApiScope.BUY)
    view, request = await _quoted(visit, job_id)
    quote = view.result.quote if view.result else None
    ordered = await visit.services.didflow.find(idempotency_key=key_of(view.id), limit=1)
    numbers = len(quote.numbers) if quote else 0
    return visit.page(
        "order_quote.html",
        job=view,
        request=request,
        quote=quote,
        now_usd=quote.setup_usd + quote.monthly_usd if quote else None,
        is_over=bool(quote and quote.expires_at and quote.expires_at <= datetime.now(UTC)),
        is_short=numbers < request.quantity,
        goes_on=view.state not in REPORTED,
        ordered=ordered[0] if ordered else None,
        may=visit.may(ApiScope.BUY),
    )


@router.post("/order/{job_id}")
async def order(visit: Visiting, job_id: str, form: Posted) -> Response:
    """Buy on the terms of the quote, once. `standing`: place the standing order that was quoted, whatever there is now."""
    visit.caller.need(ApiScope.BUY)
    view, request = await _quoted(visit, job_id)
    visit.caller.need_sight(view.account, view.reference)
    visit.need_reason()
    beside: dict[str, Any] = {"idempotency_key": key_of(view.id), "reference": view.reference, "account": view.account}
    if form.has("standing"):
        if request.wait_until is None:
            raise WrongJob(f"the dry run {view.id} isn't one of a standing order")
        job = await visit.didflow.submit(quotable(request), **beside)
    else:
        if view.result is None or view.result.quote is None:
            raise WrongJob(f"the dry run {view.id} is {view.state.value} and has no quote")
        job = await visit.didflow.submit(quote=view.result.quote, **beside)
    return visit.goes_to(f"/jobs/{job.id}", done="submitted")


def key_of(dry_run: str) -> str:
    """The idempotency key of the order that a quote of the console leads to."""
    return f"console:{dry_run}"


async def _looked(lists: Lists, look: Callable[[], Awaitable[Any]]) -> Any:
    """The list; None if it isn't there yet, or can't be read: then `lists` says why."""
    try:
        return await look()
    except CatalogueTimeout as error:
        lists.waits = lists.waits or error.reason
    except LookFailed as error:
        lists.faults.append(str(error))
    except InvalidRequest as error:
        lists.faults += [f"{fault.path}: {fault.message}" for fault in error.faults]
    return None


def _has_regions(countries: Any, named: str) -> bool:
    wanted = named.casefold()
    items = countries.items if countries is not None else ()
    return any(one.has_regions for one in items if wanted in (one.name.casefold(), (one.iso_code or "").casefold()))


def _choices(answer: Any, chosen: str) -> list[tuple[str, str]]:
    """For a `select`: values and their texts. What was chosen is among them, even if the list doesn't have it."""
    items = answer.items if answer is not None else ()
    named = [(getattr(one, "iso_code", None) or one.name, one.name) for one in items]
    here = [] if not chosen or chosen in {value for value, _ in named} else [(chosen, chosen)]
    return [("", "any"), *here, *named]


async def _quoted(visit: Visit, job_id: str) -> tuple[JobView, SearchAndBuy]:
    """Raises WrongJob for what isn't a dry run of a purchase."""
    view = await visit.services.job(visit.caller, job_id_in(job_id))
    if not isinstance(view.request, SearchAndBuy) or not view.request.dry_run:
        raise WrongJob(f"job {view.id} is no dry run of a purchase")
    return view, view.request


def _fields(form: Form) -> dict[str, Any]:
    """Of the request. Raises InvalidRequest."""
    names = ("country", "region", "quantity", "policy", "at_least", "max_total_usd", "sms_relay_url", *CRITERIA)
    fields: dict[str, Any] = {name: _value(name, form[name]) for name in names if form[name]}
    fields |= {"city": tuple(one for one in form.all("city") if one), "sms": form.has("sms"), "reuse": form.has("reuse"), "dry_run": True}
    fields["destinations"] = tuple(Destination.parse(text, priority=at) for at, text in enumerate(form["destinations"].split(), 1))
    if form["wait_until"]:
        fields["wait_until"] = given.moment(form["wait_until"], "wait_until")
    rungs = [line for line in form["ladder"].splitlines() if line.strip()]
    if rungs:
        fields["ladder"] = tuple(rung_of(place, text) for place, text in enumerate(rungs, 1))
        for name in ("region", "city", "area_code", "prefix", "pattern"):  # The rungs say where.
            fields.pop(name, None)
    return fields


def _value(name: str, text: str) -> object:
    if name in _WHOLE:
        with suppress(ValueError):
            return int(text)
    return text
