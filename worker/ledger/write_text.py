"""A write, and the calls that go into the story with it, as the scripts read them."""

import json
from collections.abc import Sequence

from worker.contract.history import members_of
from worker.contract.jobs import AskedCall
from worker.contract.writes import Write
from worker.ledger.spending import spend_fields

#: What every write names, though it is empty: the script goes through each.
_LISTS = ("reserve", "taint", "free", "keep", "answered", "settled", "withdraw")


def write_text(write: Write, calls: Sequence[AskedCall]) -> str:
    """JSON for the script `save`; its header tells the members."""
    told = {name: getattr(write, name) for name in ("witness", "phase", "memo", "progress", "unsettled")}
    fields: dict[str, object] = {name: value for name, value in told.items() if value is not None}
    fields |= {"step": write.step, "detail": write.detail, "calls": calls_text(calls), "numbers": dict(write.numbers)}
    fields |= {name: list(getattr(write, name)) for name in _LISTS}
    fields |= {name: True for name in ("clear", "money", "unless_cancelled") if getattr(write, name)}
    if write.pages:
        fields["pages"] = {index: " ".join(numbers) for index, numbers in write.pages.items()}
    if write.history:
        fields["history"] = members_of(write.history)
    if write.offer:
        fields["offer"] = dict(write.offer)
    if write.hold:
        fields["hold"] = spend_fields(write.hold, write.limits)
    if write.settle:
        fields["settle"] = spend_fields(write.settle)
    return json.dumps(fields)


def calls_text(calls: Sequence[AskedCall]) -> str:
    """Calls as a step keeps them; empty for none."""
    return json.dumps([[one.call, one.request, one.answer] for one in calls]) if calls else ""
