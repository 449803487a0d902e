"""The inventory as a table for other programs: a line for each number."""

from datetime import UTC, datetime

from didflow.contract.inventory import InventoryNumber

COLUMNS = (
    "number",
    "record_id",
    "status",
    "country",
    "city",
    "label",
    "route",
    "sms",
    "sms_relay_url",
    "setup_usd",
    "monthly_usd",
    "channels",
    "added",
    "paid_until",
    "seconds",
    "unused_since",
    "documents_needed",
    "documents",
    "reference",
    "parked_by",
    "lent_to",
    "reserved_by",
    "quarantined_until",
    "seen_at",
    "missing_since",
)


def cells(one: InventoryNumber) -> tuple[object, ...]:
    """The number's line."""
    return (
        one.number,
        one.record_id,
        one.status,
        one.country_iso_code,
        one.city,
        one.label,
        ", ".join(map(str, one.route)) or "(none)",
        "yes" if one.sms_enabled else "no",
        one.sms_relay_url,
        one.setup_usd,
        one.monthly_usd,
        one.channels,
        time_text(one.added),
        time_text(one.paid_until),
        one.seconds,
        time_text(one.unused_since),
        " ".join(one.required_documents),
        "; ".join(f"{document.kind} {document.status}" for document in one.documents),
        one.reference,
        one.parked_by,
        one.lent_to,
        one.reserved_by,
        time_text(one.quarantined_until),
        time_text(one.seen_at),
        time_text(one.missing_since),
    )


def time_text(moment: datetime | None) -> str:
    """In UTC; '' for None."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else ""
