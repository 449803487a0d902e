"""The options by which `didflow numbers` filters: one for each field of the inventory."""

from dataclasses import dataclass, fields
from typing import Annotated

import typer

from didflow.contract.inventory import InventoryFilter
from didflow.terminal import completion


def _option(help_text: str, *names: str) -> typer.models.OptionInfo:
    return typer.Option(*names, help=help_text, show_default=False)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Filters:
    """Numbers by what the mirror shows of them."""

    search: Annotated[str | None, _option("part of the number's digits")] = None
    record_id: Annotated[int | None, _option("the provider's record id")] = None
    status: Annotated[str | None, _option("active or inactive")] = None
    document: Annotated[str | None, _option("needs or has this type of document")] = None
    country: Annotated[
        str | None, typer.Option(help="of this country (ISO code or name)", show_default=False, autocompletion=completion.countries)
    ] = None
    city: Annotated[str | None, _option("of this city")] = None
    label: Annotated[str | None, _option("with this label")] = None
    trunk_id: Annotated[int | None, _option("routed to this SIP trunk", "--trunk")] = None
    destination: Annotated[str | None, _option("routed to this destination")] = None
    sms: Annotated[bool | None, typer.Option("--sms/--no-sms", help="with SMS on, or off", show_default=False)] = None
    sms_relay_url: Annotated[str | None, _option("with this SMS callback", "--sms-callback")] = None
    setup_usd_min: Annotated[str | None, _option("set-up fee in USD at least", "--min-setup")] = None
    setup_usd_max: Annotated[str | None, _option("set-up fee in USD at most", "--max-setup")] = None
    monthly_usd_min: Annotated[str | None, _option("monthly fee in USD at least", "--min-monthly")] = None
    monthly_usd_max: Annotated[str | None, _option("monthly fee in USD at most", "--max-monthly")] = None
    channels_min: Annotated[int | None, _option("channels at least", "--min-channels")] = None
    channels_max: Annotated[int | None, _option("channels at most", "--max-channels")] = None
    added_after: Annotated[str | None, _option("bought after this time")] = None
    added_before: Annotated[str | None, _option("bought before this time")] = None
    paid_until_after: Annotated[str | None, _option("paid until after this time")] = None
    paid_until_before: Annotated[str | None, _option("paid until before this time")] = None
    renewal_within: Annotated[str | None, _option("renews within this time: 7d")] = None
    seconds_min: Annotated[int | None, _option("inbound seconds this month at least", "--min-seconds")] = None
    seconds_max: Annotated[int | None, _option("inbound seconds this month at most", "--max-seconds")] = None
    unused_for: Annotated[str | None, _option("without a call for this long: 30d")] = None
    reference: Annotated[str | None, _option("bought for this reference")] = None
    parked: Annotated[bool | None, typer.Option("--parked/--not-parked", help="a release has it, or none", show_default=False)] = None
    lent: Annotated[bool | None, typer.Option("--lent/--not-lent", help="of the pool, and assigned, or not", show_default=False)] = None
    reserved: Annotated[bool | None, typer.Option("--reserved/--not-reserved", help="a job holds it, or none", show_default=False)] = None
    quarantined: Annotated[
        bool | None, typer.Option("--quarantined/--not-quarantined", help="kept from our own searches, or not", show_default=False)
    ] = None
    missing: Annotated[
        bool | None, typer.Option("--missing/--not-missing", help="not in the last complete sweep, or in it", show_default=False)
    ] = None

    without: Annotated[
        str | None,
        _option("without these: label, city, country, reference, destination, trunk_id, sms_relay_url, document; several with commas"),
    ] = None

    def matching(self) -> InventoryFilter:
        """Raises InvalidRequest with every fault."""
        return InventoryFilter.model_validate({one.name: value for one in fields(self) if (value := getattr(self, one.name)) is not None})
