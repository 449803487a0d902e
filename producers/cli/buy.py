"""`didflow buy`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter

from didflow.client.sync.client import Didflow
from didflow.contract.errors import InvalidRequest
from didflow.contract.requests import Rung, SearchAndBuy
from didflow.contract.results import Quote
from didflow.terminal import completion
from didflow.terminal import options as given
from didflow.terminal.confirmation import FOR_GOOD, can_ask, confirmed
from didflow.terminal.output import errors_told
from producers.cli.option_groups import Labels, Turn, grouped
from producers.cli.pricing import Priced, ordered_before, priced, shown
from producers.cli.submit import submit

#: What an option of one rung is called, where the field has another name.
_RUNG_FIELDS = {"max_monthly": "max_monthly_usd", "max_setup": "max_setup_usd"}


@grouped
def buy(
    *,
    country: Annotated[str | None, typer.Option(help="ISO code or name", show_default=False, autocompletion=completion.countries)] = None,
    region: Annotated[str | None, typer.Option(help="state or province", show_default=False)] = None,
    city: Annotated[
        list[str] | None, typer.Option(help='as the provider spells it: "LOS ANGELES, CA"; may be repeated', show_default=False)
    ] = None,
    area_code: Annotated[str | None, typer.Option(help="digits after the country code", show_default=False)] = None,
    prefix: Annotated[str | None, typer.Option(help="first digits, country code included", show_default=False)] = None,
    pattern: Annotated[str | None, typer.Option(help='digits, ? for one, * for any: "*777"', show_default=False)] = None,
    number_type: Annotated[
        str, typer.Option(help="geographic | toll_free | all", autocompletion=completion.one_of("geographic", "toll_free", "all"))
    ] = "all",
    sms: Annotated[bool, typer.Option("--sms", help="must receive SMS")] = False,
    min_channels: Annotated[int | None, typer.Option(help="minimum inbound channels", show_default=False)] = None,
    max_setup: Annotated[str | None, typer.Option(help="maximum activation fee per number, USD", show_default=False)] = None,
    max_monthly: Annotated[str | None, typer.Option(help="maximum monthly fee per number, USD", show_default=False)] = None,
    max_total: Annotated[str | None, typer.Option(help="maximum total charge of the job, USD", show_default=False)] = None,
    documents: Annotated[
        str,
        typer.Option(
            help="refuse | allow_inactive: numbers that need documents", autocompletion=completion.one_of("refuse", "allow_inactive")
        ),
    ] = "refuse",
    quantity: Annotated[int, typer.Option("--quantity", "-q", help="1 to 1000")] = 1,
    policy: Annotated[
        str,
        typer.Option(
            help="all_or_nothing | at_least | best_effort", autocompletion=completion.one_of("all_or_nothing", "at_least", "best_effort")
        ),
    ] = "all_or_nothing",
    at_least: Annotated[int | None, typer.Option(help="with policy at_least: this many or none", show_default=False)] = None,
    rung: Annotated[
        list[str] | None,
        typer.Option(
            "--rung",
            help='a rung of the ladder, tried in the given order: "city=LOS ANGELES, CA; sms=needed; quantity=2"',
            show_default=False,
        ),
    ] = None,
    wait_until: Annotated[
        str | None, typer.Option(help="a standing order: wait for stock until: 2h, 3d, or a time with zone", show_default=False)
    ] = None,
    quote: Annotated[
        Path | None,
        typer.Option(help="buy by this quote, or nothing: a dry run's --json output; - reads stdin", show_default=False),
    ] = None,
    to: given.To = None,
    sms_relay_url: Annotated[str | None, typer.Option(help="where inbound SMS go", show_default=False)] = None,
    reuse: Annotated[bool, typer.Option("--reuse", help="first assign our own numbers from the pool")] = False,
    dry_run: given.DryRun = False,
    reusable_quote: Annotated[
        bool, typer.Option("--reusable-quote", help="with --dry-run: the quote is valid for any number of orders, instead of one")
    ] = False,
    labels: Labels,
    turn: Turn,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """Search for numbers and buy them, once per key. A dry run prints the price and a quote that can be ordered."""
    with errors_told(as_json=as_json):
        fields: dict[str, Any] = {
            "country": country,
            "region": region,
            "city": tuple(city or ()),
            "area_code": area_code,
            "prefix": prefix,
            "pattern": pattern,
            "number_type": number_type,
            "sms": sms,
            "min_channels": min_channels,
            "max_setup_usd": max_setup,
            "max_monthly_usd": max_monthly,
            "max_total_usd": max_total,
            "documents": documents,
            "quantity": quantity,
            "policy": "at_least" if at_least is not None else policy,
            "at_least": at_least,
            "sms_relay_url": sms_relay_url,
            "reuse": reuse,
            "dry_run": dry_run,
            "reusable_quote": reusable_quote,
        }
        ladder, check_ladder = given.tried(lambda: _ladder(rung), None)
        until, check_until = given.tried(lambda: given.moment(wait_until, "wait_until"), None)
        fields |= {"ladder": ladder, "wait_until": until}
        request, begin, places, quoted, *_ = given.together(
            lambda: _request(fields, quote),
            lambda: given.moment(turn.not_before, "not_before"),
            lambda: given.destinations(to),
            lambda: _quote(quote, beside=fields | {"to": to}),
            lambda: labels.check(turn.priority),
            check_ladder,
            check_until,
        )
        if request is not None:
            request = SearchAndBuy.model_validate(vars(request) | {"destinations": places})
        if not dry_run:
            request, quoted = _agreed(request, quoted, labels, later=begin is not None, yes=yes, as_json=as_json)
        submit(request, labels, quote=quoted, priority=turn.priority, not_before=begin, as_json=as_json)


def _agreed(
    request: SearchAndBuy | None, quote: Quote | None, labels: Labels, *, later: bool, yes: bool, as_json: bool
) -> tuple[SearchAndBuy | None, Quote | None]:
    """What to submit, once a person has agreed to its price. A key that has a job buys nothing, so there is nothing to agree to."""
    if not yes and not can_ask():
        confirmed("buy?", FOR_GOOD, yes=False)
    didflow = Didflow.from_env()
    if labels.key and didflow.find(idempotency_key=labels.key):
        return ordered_before(didflow, request, labels.key), quote
    if yes:
        return request, quote
    if request is not None:
        price = priced(didflow, request, labels, later=later, as_json=as_json)
    elif quote is not None and quote.request is not None:
        price = shown(didflow, quote, quote.request, labels, binding=True)
    else:
        price = Priced("buy what this quote says? It can't be undone")
    confirmed(price.question, FOR_GOOD, yes=False)
    if price.quote is not None:
        return None, price.quote
    return request, quote


def _request(fields: dict[str, Any], quote: Path | None) -> SearchAndBuy | None:
    """None where a quote says what to buy."""
    if quote is not None:
        return None
    if fields["country"] is None:
        given.refuse("country", "give --country, or --quote")
    return SearchAndBuy.model_validate(fields)


def _ladder(rungs: list[str] | None) -> tuple[Rung, ...] | None:
    """From texts such as ``city=LOS ANGELES, CA; quantity=2``. Raises InvalidRequest."""
    if rungs is None:
        return None
    return given.together(*(lambda place=place, text=text: _rung(place, text) for place, text in enumerate(rungs, 1)))


def _rung(place: int, text: str) -> Rung:
    fields: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            given.refuse(f"rung {place}", f"{part[:40]!r} is no criterion: write name=value, such as city=LOS ANGELES, CA")
        name = _RUNG_FIELDS.get(name, name)
        if name == "city":
            fields["city"] = (*fields.get("city", ()), value)
        else:
            fields[name] = int(value) if name in ("quantity", "min_channels") and value.isdecimal() and len(value) < 10 else value
    try:
        return Rung.model_validate(fields)
    except InvalidRequest as error:
        faults = tuple((f"rung {place}.{where}", what) for where, what in error.faults)
        raise InvalidRequest("; ".join(f"{where}: {what}" for where, what in faults), faults) from None


def _quote(path: Path | None, beside: dict[str, Any]) -> Quote | None:
    """The quote in what `didflow buy --dry-run --json` printed, or by itself. Raises InvalidRequest."""
    if path is None:
        return None
    plain = SearchAndBuy(country="US")
    if extra := [name for name, value in beside.items() if value and value != getattr(plain, name, None)]:
        given.refuse("quote", f"defines the whole order: leave out {', '.join(extra)}")
    try:
        printed = TypeAdapter(dict[str, Any]).validate_json(given.file_text(path))
        return Quote.model_validate((printed.get("result") or {}).get("quote") or printed)
    except (OSError, ValueError, AttributeError):  # A ValidationError is a ValueError, and so is InvalidRequest.
        given.refuse("quote", f"{str(path)[:80]} holds no quote: give it what `didflow buy --dry-run --json` printed")
        raise
