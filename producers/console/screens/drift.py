"""What changed elsewhere: numbers that came, went or were changed by another party than didflow, as sweeps found them."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.contract.api_keys import ApiScope
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys
from didflow.ledger.views import moment
from producers.console.visit import Visiting
from producers.http.cursors import cursor_of, parts_of
from producers.http.inventory import may_see

router = APIRouter()
#: Events that are read for a page: most of them are about other things.
READ_AT_MOST = 1000
PER_PAGE = 100
#: What the events say, in words.
KINDS = {
    "didflow.number.appeared.v1": "appeared",
    "didflow.number.disappeared.v1": "disappeared",
    "didflow.number.changed_elsewhere.v1": "changed elsewhere",
}


@dataclass(frozen=True)
class Drifted:
    """What a sweep found. `field`, `was`, `now`: of a change."""

    at: Any
    what: str
    number: str
    account: str
    field: str | None
    was: str | None
    now: str | None


@router.get("/numbers/drift")
async def show_drift(
    visit: Visiting, account: Annotated[str, Query(max_length=200)] = "default", cursor: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """The newest first, from the events."""
    visit.caller.need(ApiScope.READ)
    may_see(visit.caller, account)
    before = "({}-{}".format(*parts_of(cursor, int, int)) if cursor else "+"
    ledger = visit.services.didflow.ledger
    found, rest = await ledger.perform(drifted(ledger.keys, account, before))
    return visit.page("drift.html", found=found, rest=rest, account=account, is_first=not cursor, read=READ_AT_MOST)


def drifted(keys: Keys, account: str, before: str) -> Command[tuple[list[Drifted], str | None]]:
    """What the events before that place say, and a cursor of those before them (None: there are no more)."""
    entries = yield RedisCommand("xrevrange", (keys.events,), {"max": before, "count": READ_AT_MOST})
    drifts = [(entry_id, _read(entry_id, fields)) for entry_id, fields in entries if fields and fields.get("type") in KINDS]
    found = [(entry_id, one) for entry_id, one in drifts if one.account == account]
    last = found[PER_PAGE - 1][0] if len(found) > PER_PAGE else entries[-1][0] if len(entries) == READ_AT_MOST else None
    return [one for _, one in found[:PER_PAGE]], None if last is None else cursor_of(*map(int, last.split("-")))


def _read(entry_id: str, fields: dict[str, str]) -> Drifted:
    try:
        data = json.loads(fields.get("data", ""))
    except ValueError:
        data = {}
    said = data if isinstance(data, dict) else {}
    values = (said.get("field"), said.get("from"), said.get("to"))
    shown = (None if value is None else str(value) for value in values)
    return Drifted(
        moment(entry_id.partition("-")[0]), KINDS[fields["type"]], fields.get("subject", ""), str(said.get("account", "")), *shown
    )
