"""What jobs read back of numbers, as the script that stores it writes it into the mirror at once: see `confirm_all` in its part."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from didflow.contract.destinations import Route
from didflow.contract.inventory import NumberShown, RouteShown, Shown
from didflow.ledger.inventory_columns import COLUMNS_OF, columns, line_of, patch, route_columns
from didflow.ledger.inventory_rows import GROUPS, MOST_ALIKE, Row, parts_of, route_parts


def shown_fields(shown: Mapping[str, Shown]) -> dict[str, list[Any]]:
    """By number: record id, groups, their parts, their columns, and the whole row and line for one that the mirror doesn't have."""
    return {number: _fields(one) for number, one in shown.items()}


def _fields(one: Shown) -> list[Any]:
    match one:
        case RouteShown(record_id, route, sms_relay_url):
            return [str(record_id), "r", *_of_route(route, sms_relay_url), "", ""]
        case NumberShown(owned, confirmed):
            # Not known here when it was seen first: the next sweep says so.
            row = Row(owned, first_seen_ms=0)
            groups = "".join(GROUPS[name] for name in confirmed)
            parts = {place: text for group in groups for place, text in parts_of(owned, group).items()}
            every = columns(row, 0, 0)
            changed = patch({name: every[name] for group in groups for name in COLUMNS_OF[group]})
            return [str(owned.record_id), groups, _named(parts), changed, row.text(), line_of(row, 0)]


@lru_cache(MOST_ALIKE)
def _of_route(route: Route, sms_relay_url: str | None) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """Parts and columns; a failover has the same for all of its numbers."""
    return _named(route_parts(route, sms_relay_url)), patch(route_columns(route, sms_relay_url))


def _named(parts: Mapping[int, str]) -> dict[str, str]:
    return {str(place): text for place, text in parts.items()}
