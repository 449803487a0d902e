"""The inventory's filters as fields of a form, and from the address of a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from didflow.contract.inventory import InventoryFilter
from producers.http.inventory import filter_of


@dataclass(frozen=True)
class FilterField:
    """A filter in the form. `hint`: how its value is written."""

    name: str
    label: str
    kind: Literal["text", "number", "choice"] = "text"
    hint: str = ""


#: What is looked for every day.
FIRST = (
    FilterField("search", "Number", hint="Part of its digits."),
    FilterField("label", "Label"),
    FilterField("destination", "Destination", hint="Such as trunk:144."),
    FilterField("reference", "Bought for"),
    FilterField("country", "Country"),
    FilterField("city", "City"),
)
MORE = (
    FilterField("status", "Status"),
    FilterField("unused_for", "Unused for", hint="Such as 30d."),
    FilterField("renewal_within", "Renews within", hint="Such as 7d."),
    FilterField("trunk_id", "Trunk id", "number"),
    FilterField("record_id", "Record id", "number"),
    FilterField("document", "Document type"),
    FilterField("monthly_usd_min", "Monthly USD, from"),
    FilterField("monthly_usd_max", "Monthly USD, to"),
    FilterField("setup_usd_min", "Activation USD, from"),
    FilterField("setup_usd_max", "Activation USD, to"),
    FilterField("channels_min", "Channels, from", "number"),
    FilterField("channels_max", "Channels, to", "number"),
    FilterField("seconds_min", "Seconds this month, from", "number"),
    FilterField("seconds_max", "Seconds this month, to", "number"),
    FilterField("added_after", "Added after", hint="With its zone: 2026-11-30T12:00Z."),
    FilterField("added_before", "Added before"),
    FilterField("paid_until_after", "Paid until, after"),
    FilterField("paid_until_before", "Paid until, before"),
    FilterField("sms_relay_url", "SMS callback"),
    FilterField("sms", "SMS", "choice"),
    FilterField("without", "Without", hint="Such as label, reference."),
    FilterField("parked", "Parked", "choice"),
    FilterField("lent", "Lent from the pool", "choice"),
    FilterField("reserved", "Held by a job", "choice"),
    FilterField("quarantined", "Quarantined", "choice"),
    FilterField("missing", "Missing", "choice"),
)
_NAMES = tuple(field.name for field in (*FIRST, *MORE))


def chosen_in(query: Mapping[str, str]) -> dict[str, str]:
    """The filters that the address names, without empty ones."""
    return {name: text for name in _NAMES if (text := query.get(name, "").strip())}


def filter_from(chosen: Mapping[str, str]) -> InventoryFilter:
    """Raises InvalidRequest with every fault."""
    return filter_of(chosen)


def query_of(chosen: Mapping[str, str], **beside: str) -> str:
    """As an address has it."""
    return urlencode({**chosen, **{name: text for name, text in beside.items() if text}})
