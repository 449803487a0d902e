"""Numbers that the inventory's filters select, as record ids for a reroute or a release.

The job reads each record at the provider before it acts.
"""

from collections.abc import Sequence
from typing import Any

from didflow.contract.errors import Fault, InvalidRequest
from didflow.contract.inventory import InventoryFilter, MirrorState
from didflow.ledger.commands import Command
from didflow.ledger.inventory import selected
from didflow.ledger.keys import Keys

#: Fields whose values are whole numbers, which a text isn't.
_WHOLE = ("channels_min", "channels_max", "seconds_min", "seconds_max")


def selected_records(keys: Keys, account: str, matching: InventoryFilter, expected_count: int | None) -> Command[tuple[int, ...]]:
    """Sorted. Raises InvalidRequest for a filter of nothing, a mirror that may lack numbers, no match, and another count than expected."""
    if not matching.model_fields_set:
        raise _refused("matching", "names nothing: give at least one field")
    looked, found = yield from selected(keys, account, matching)
    if (why := _not_whole(looked.state)) is not None:
        raise _refused("matching", f"{why}: wait for the next sweep, or use a selector, which lists the account")
    records = tuple(sorted(number.record_id for number in found if number.missing_since is None))
    if not records:
        raise _refused("matching", "no number of the account matches: look with `didflow numbers` and fewer filters")
    if expected_count is not None and expected_count != len(records):
        raise _refused("expected_count", f"{len(records)} numbers match and {expected_count} were expected: nothing was submitted")
    return records


def filter_given(texts: Sequence[str]) -> InventoryFilter:
    """From ``field=value``. Raises InvalidRequest with every fault."""
    fields: dict[str, Any] = {}
    faults: list[Fault] = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in fields:
            faults.append(
                Fault("where", f"{text[:60]!r} is " + ("given twice" if equals else "no filter: write field=value, such as unused_for=30d"))
            )
            continue
        words: dict[str, object] = {"true": True, "false": False}
        fields[name] = int(value) if name in _WHOLE and value.isdecimal() and len(value) < 12 else words.get(value, value)
    try:
        found = InventoryFilter.model_validate(fields)
    except InvalidRequest as error:
        faults += [_of_filter(fault) for fault in error.faults]
    if faults:
        raise InvalidRequest("; ".join(f"{place}: {what}" for place, what in faults), tuple(faults))
    return found


def _of_filter(fault: Fault) -> Fault:
    """A field that doesn't exist, and is like none that does, is answered with all that do."""
    if fault.code == "extra_forbidden" and "write" not in fault.next_step:
        fields = ", ".join(InventoryFilter.model_fields)
        return Fault(f"where.{fault.path}", fault.message, fault.code, f"leave it out, or write one of {fields}")
    return fault.within("where.")


def _not_whole(state: MirrorState) -> str | None:
    if state.swept_at is None:
        return "the inventory has no complete sweep yet"
    if state.trouble:
        return f"the last sweep of the inventory wasn't complete ({state.trouble})"
    return "Redis restarted and isn't reconciled yet" if state.gate_closed else None


def _refused(where: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{where}: {what}", ((where, what),))
