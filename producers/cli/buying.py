"""`didflow buy`."""

from typing import Annotated, Any

import typer

from producers.cli import options as given
from producers.cli.output import errors_told
from producers.cli.submitting import confirmed, submit
from worker.contract.requests import SearchAndBuy


def buy(
    country: Annotated[str, typer.Option(help="ISO code or name")],
    region: Annotated[str | None, typer.Option(help="state or province", show_default=False)] = None,
    city: Annotated[
        list[str] | None, typer.Option(help='as the provider writes it: "LOS ANGELES, CA"; may be repeated', show_default=False)
    ] = None,
    area_code: Annotated[str | None, typer.Option(help="digits after the country code", show_default=False)] = None,
    prefix: Annotated[str | None, typer.Option(help="first digits, country code included", show_default=False)] = None,
    pattern: Annotated[str | None, typer.Option(help='digits, ? for one, * for any: "*777"', show_default=False)] = None,
    sms: Annotated[bool, typer.Option("--sms", help="must receive SMS")] = False,
    min_channels: Annotated[int | None, typer.Option(help="inbound channels at least", show_default=False)] = None,
    max_setup: Annotated[str | None, typer.Option(help="USD once per number at most", show_default=False)] = None,
    max_monthly: Annotated[str | None, typer.Option(help="USD a month per number at most", show_default=False)] = None,
    max_total: Annotated[str | None, typer.Option(help="USD that the whole job may cost now", show_default=False)] = None,
    documents: Annotated[str, typer.Option(help="refuse | allow_inactive: numbers that need documents")] = "refuse",
    quantity: Annotated[int, typer.Option("--quantity", "-q", help="1 to 1000")] = 1,
    policy: Annotated[str, typer.Option(help="all_or_nothing | at_least | best_effort")] = "all_or_nothing",
    at_least: Annotated[int | None, typer.Option(help="with policy at_least: so many or none", show_default=False)] = None,
    to: given.To = None,
    sms_relay_url: Annotated[str | None, typer.Option(help="where inbound SMS go", show_default=False)] = None,
    reuse: Annotated[bool, typer.Option("--reuse", help="first hand out our own numbers that wait in the pool")] = False,
    dry_run: given.DryRun = False,
    key: given.Key = None,
    reference: given.Reference = None,
    account: given.AccountName = "default",
    priority: given.Priority = 5,
    not_before: given.NotBefore = None,
    wait: given.Wait = False,
    timeout: given.Timeout = 300.0,
    yes: given.Yes = False,
    as_json: given.Json = False,
) -> None:
    """Search for numbers and buy them, once per key. A dry run says what it would cost."""
    with errors_told(as_json=as_json):
        fields: dict[str, Any] = {
            "country": country,
            "region": region,
            "city": tuple(city or ()),
            "area_code": area_code,
            "prefix": prefix,
            "pattern": pattern,
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
        }
        _, begin, places, _ = given.together(
            lambda: SearchAndBuy.model_validate(fields),
            lambda: given.moment(not_before, "not_before"),
            lambda: given.destinations(to),
            lambda: given.labels(key, reference, account, priority),
        )
        request = SearchAndBuy.model_validate(fields | {"destinations": places})
        if not dry_run:
            confirmed(f"buy {quantity} number(s) in {country}: this takes money and can't be undone. Go on?", yes=yes, must_ask=False)
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
