"""Rungs of a ladder as people write them: ``city=LOS ANGELES, CA; sms=needed; quantity=2``."""

from typing import Any

from didflow.contract.errors import InvalidRequest
from didflow.contract.requests import Rung
from didflow.terminal import options as given

#: What an option of one rung is called, where the field has another name.
_RUNG_FIELDS = {"max_monthly": "max_monthly_usd", "max_setup": "max_setup_usd"}


def rung_of(place: int, text: str) -> Rung:
    """The rung at this place of a ladder. Raises InvalidRequest with every fault."""
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
        faults = tuple(fault.within(f"rung {place}.") for fault in error.faults)
        raise InvalidRequest("; ".join(f"{where}: {what}" for where, what in faults), faults) from None
