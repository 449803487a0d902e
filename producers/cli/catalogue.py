"""`didflow catalogue`: what can be bought, as workers saw it at the provider, with the age of each list."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from didflow.client.sync.catalogue import Catalogue
from didflow.client.sync.client import Didflow
from didflow.contract.catalogue import CatalogueAnswer, CatalogueOffer, CatalogueOffers
from didflow.contract.provider import Country
from didflow.contract.results import by_kind
from didflow.contract.time_values import about, read_span
from didflow.terminal import completion
from didflow.terminal import options as given
from didflow.terminal.output import errors_shown, print_json, print_table
from didflow.terminal.tables import clean, remarks
from producers.cli.buy_options import Features
from producers.cli.option_groups import grouped

catalogue_app = typer.Typer(
    no_args_is_help=True, help="List the countries, regions, cities and numbers that can be bought. Nothing is bought or reserved."
)

#: What a table shows where the provider says nothing.
NOT_STATED = "not stated"

CountryName = Annotated[str, typer.Option("--country", help="ISO code or name", autocompletion=completion.countries)]
RegionName = Annotated[str | None, typer.Option("--region", help="state or province", show_default=False)]


@dataclass(frozen=True)
class Freshness:
    """How old an answer may be, and how long to wait for a new one."""

    max_age: Annotated[
        str | None,
        typer.Option(help="take an answer no older than: 90s, 10m, 2h, 3d, or any; default: the setting, 1h", show_default=False),
    ] = None
    fresh: Annotated[bool, typer.Option("--fresh", help="wait for a new look at the provider")] = False
    timeout: Annotated[
        float, typer.Option(min=0, callback=given.no_nan, help="seconds to wait for a new look at most; it continues after that")
    ] = 30.0

    def options(self) -> dict[str, Any]:
        """As the client takes them. Raises InvalidRequest."""
        return {"max_age_s": _age_s(self.max_age), "fresh": self.fresh, "timeout_s": self.timeout}


@dataclass(frozen=True)
class Criteria:
    """The digits, fees and documents of a number."""

    area_code: Annotated[str | None, typer.Option(help="digits after the country code", show_default=False)] = None
    prefix: Annotated[str | None, typer.Option(help="first digits, country code included", show_default=False)] = None
    pattern: Annotated[str | None, typer.Option(help='digits, ? for one, * for any: "*777"', show_default=False)] = None
    max_setup: Annotated[str | None, typer.Option(help="maximum activation fee per number, USD", show_default=False)] = None
    max_monthly: Annotated[str | None, typer.Option(help="maximum monthly fee per number, USD", show_default=False)] = None
    documents: Annotated[
        str,
        typer.Option(
            help="refuse | allow_inactive: numbers that need documents", autocompletion=completion.one_of("refuse", "allow_inactive")
        ),
    ] = "allow_inactive"

    def fields(self) -> dict[str, Any]:
        """As a request calls them."""
        fees = {"max_setup_usd": self.max_setup, "max_monthly_usd": self.max_monthly}
        plain = ("area_code", "prefix", "pattern", "documents")
        return {name: getattr(self, name) for name in plain} | fees


@catalogue_app.command("countries")
@grouped
def countries(*, freshness: Freshness, account: given.AccountName = "default", as_json: given.Json = False) -> None:
    """List the countries in which numbers are sold."""
    with errors_shown(as_json=as_json):
        answer = _catalogue(account).countries(**freshness.options())
        _show(answer, ("country", "name", "regions"), _country, as_json=as_json)


@catalogue_app.command("regions")
@grouped
def regions(*, country: CountryName, freshness: Freshness, account: given.AccountName = "default", as_json: given.Json = False) -> None:
    """List the regions of a country: its states or provinces."""
    with errors_shown(as_json=as_json):
        answer = _catalogue(account).regions(country, **freshness.options())
        _show(answer, ("region",), lambda one: (one.name,), as_json=as_json)


@catalogue_app.command("cities")
@grouped
def cities(
    *,
    country: CountryName,
    region: RegionName = None,
    freshness: Freshness,
    account: given.AccountName = "default",
    as_json: given.Json = False,
) -> None:
    """List the cities of a country or of one of its regions."""
    with errors_shown(as_json=as_json):
        answer = _catalogue(account).cities(country, region=region, **freshness.options())
        _show(answer, ("city", "region", "area code"), lambda one: (one.name, one.region, one.area_code), as_json=as_json)


@catalogue_app.command("offers")
@grouped
def offers(
    *,
    country: CountryName,
    city: Annotated[
        list[str],
        typer.Option(help='as the provider spells it: "LOS ANGELES, CA"; may be repeated', autocompletion=completion.cities),
    ],
    region: RegionName = None,
    features: Features,
    criteria: Criteria,
    freshness: Freshness,
    limit: Annotated[int, typer.Option(min=1, help="show this many of the cheapest; --json has all")] = 50,
    account: given.AccountName = "default",
    as_json: given.Json = False,
) -> None:
    """List the numbers of a city that fit, the cheapest first, with fees, prices and the documents that they need.

    The criteria are those of `didflow buy`, but numbers that need documents are shown, too. A dry run of `buy` offers the same numbers.
    """
    with errors_shown(as_json=as_json):
        answer = _catalogue(account).offers(country, city, region=region, **vars(features), **criteria.fields(), **freshness.options())
        if as_json:
            print_json(answer.model_dump(mode="json"))
            return
        headings = ("number", "setup", "monthly", "type", "SMS", "channels", "a minute", "an SMS", "free minutes", "CNAM", "documents")
        print_table(headings, [_offer(one) for one in answer.items[:limit]])
        _say_fit(answer, limit)
        _say_age(answer)


def _catalogue(account: str) -> Catalogue:
    return Catalogue(Didflow.from_env(), account=account)


def _show(answer: CatalogueAnswer[Any], headings: Sequence[str], row: Callable[[Any], Sequence[object]], *, as_json: bool) -> None:
    if as_json:
        print_json(answer.model_dump(mode="json"))
        return
    print_table(headings, [row(one) for one in answer.items])
    if not answer.items:
        remarks().print("the list is empty")
    _say_age(answer)


def _country(one: Country) -> tuple[object, ...]:
    return (one.iso_code, one.name, "yes" if one.has_regions else "")


def _offer(one: CatalogueOffer) -> tuple[object, ...]:
    facts = (one.number_type, one.sms, one.channels, one.per_minute_usd, one.sms_usd, one.free_minutes, one.cnam)
    return (one.number, one.setup_usd, one.monthly_usd, *map(_stated, facts), _documents(one))


def _stated(fact: object) -> str:
    if fact is None:
        return NOT_STATED
    return {True: "yes", False: "no"}[fact] if isinstance(fact, bool) else str(fact).replace("_", "-")


def _documents(one: CatalogueOffer) -> str:
    if one.documents is None:
        return NOT_STATED
    return ", ".join(f"{need.title} ({need.kind})" if need.title else need.kind for need in one.documents)


def _say_fit(answer: CatalogueOffers, limit: int) -> None:
    fit, shown = len(answer.items), min(limit, len(answer.items))
    cut = f", the {shown} cheapest are shown" if shown < fit else ""
    refused = ", ".join(f"{count} {kind}" for kind, count in sorted(by_kind(answer.refused).items()))
    remarks().print(clean(f"{fit} of {answer.seen} numbers fit{cut}" + (f"; refused: {refused}" if refused else "")), markup=False)


def _say_age(answer: CatalogueAnswer[Any]) -> None:
    line = f"seen {about(answer.age_s)} ago" + ("" if answer.complete else f"; may lack something: {answer.gaps}")
    remarks().print(clean(line), style="dim" if answer.complete else "yellow", markup=False)


def _age_s(text: str | None) -> float | None:
    if text is None:
        return None
    if text == "any":
        return float("inf")
    try:
        span = read_span(text)
    except ValueError:
        span = None
    if span is None or span.total_seconds() < 0:
        given.refuse("max_age", f"{text[:40]!r} is no age: write 90s, 10m, 2h, 3d, or any")
    return span.total_seconds() if span is not None else None
