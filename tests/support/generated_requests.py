"""Requests and business events with arbitrary values in any field, for Hypothesis."""

import json
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from didflow.contract.business_events import TYPES
from didflow.contract.destinations import Destination
from didflow.contract.quote_terms import QuotedNumber, Terms
from didflow.contract.requests import (
    CatalogueLook,
    Failback,
    FollowDocuments,
    Release,
    Reroute,
    Rung,
    SearchAndBuy,
    Selector,
    UploadDocument,
)

_NUMBERS = ["+12135550100", "+12135550101"]


_DESTINATION = {"transport": 1, "destination": "a@example.net"}


#: A good request of each kind, and of each model that stands in one; every field of it is replaced in turn.
GOOD: dict[type[BaseModel], dict[str, Any]] = {
    SearchAndBuy: {"kind": "search_and_buy", "country": "US"},
    Reroute: {"kind": "reroute", "numbers": _NUMBERS, "destinations": [_DESTINATION]},
    Failback: {"kind": "failback", "job_id": "j"},
    Release: {"kind": "release", "numbers": _NUMBERS},
    FollowDocuments: {"kind": "follow_documents", "numbers": _NUMBERS},
    UploadDocument: {"kind": "upload_document", "document": "id", "numbers": _NUMBERS, "sha256": "0" * 64, "size_bytes": 1},
    CatalogueLook: {"kind": "catalogue_look", "what": "offers", "country_id": 8652, "city_id": 200},
}


INNER: dict[type[BaseModel], dict[str, Any]] = {
    Rung: {"city": ["LOS ANGELES, CA"]},
    Selector: {"label": "old"},
    Destination: _DESTINATION,
    Terms: {"numbers": [{"number": "+12135550100", "setup_usd": "1", "monthly_usd": "1"}]},
    QuotedNumber: {"number": "+12135550100", "setup_usd": "1", "monthly_usd": "1"},
}


#: Where each of the inner models stands.
PLACES: dict[str, type[BaseModel]] = {
    "ladder": Rung,
    "selector": Selector,
    "destinations": Destination,
    "parking": Destination,
    "terms": Terms,
}


#: Values at the edges of what times, durations, counts, money and texts can be.
EDGES: list[Any] = [
    *("0001-01-01T00:00:00+01:00", "9999-12-31", "9999-12-31T23:59:59-05:00", "2026-12-01", "2026-02-30", "1970-01-01T00:00:00Z"),
    *("-999999999.9d", "999999999.9d", "99999999999d", "P999999999D", "P1Y", "-P1D", "PT1e9S", "7d", "1.5h", "0s"),
    *(0, -1, 1, 2**31, 2**63, 2**64, 10**30, 1e300, -1e300, 1.5, 5e-324, True, False, None),
    *("", " ", "all_or_nothing", "at_least", "1e99999", "NaN", "-0", "1.50", "*777", "+12135550100", "US", "\x00", "\ud800", "\ufffd"),
    *([], {}, [[]], [{}], [None], {"": None}, ["+12135550100"] * 2, [_DESTINATION], [{"quantity": []}], {"quantity": {}}, {"all": []}),
]


JSON = st.recursive(
    st.sampled_from(EDGES)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["quantity", "city", "transport", "x"]), inner, max_size=3),
    max_leaves=5,
)


def fields_of(draw: st.DrawFn, model: type[BaseModel], good: dict[str, Any], values: st.SearchStrategy[Any]) -> dict[str, Any]:
    """The good fields with some replaced; where models stand inside, sometimes those with some of theirs replaced."""
    names = draw(st.lists(st.sampled_from(sorted(model.model_fields)), max_size=3, unique=True))
    changed = dict(good)
    for name in names:
        inner = PLACES.get(name)
        if inner is not None and draw(st.booleans()):
            one = fields_of(draw, inner, INNER[inner], values)
            changed[name] = [one, INNER[inner]] if name in ("ladder", "destinations", "parking") else one
        else:
            changed[name] = draw(values)
    return changed


@st.composite
def requests(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> dict[str, Any]:
    model = draw(st.sampled_from(list(GOOD)))
    fields = fields_of(draw, model, GOOD[model], values)
    return fields if draw(st.integers(0, 9)) == 0 else fields | {"kind": GOOD[model]["kind"]}


@st.composite
def events(draw: st.DrawFn) -> dict[str, str]:
    kind = draw(st.sampled_from(list(TYPES)))
    good: dict[str, Any] = {"request": GOOD[SearchAndBuy], "case": "c", "check": "k", "reference": "r"}
    model = TYPES[kind]
    data = fields_of(draw, model, {name: value for name, value in good.items() if name in model.model_fields}, JSON)
    if "request" in model.model_fields and draw(st.booleans()):
        data["request"] = draw(requests(JSON))
    fields = {"id": "e-1", "type": kind, "data": json.dumps(data)}
    if draw(st.integers(0, 4)) == 0:
        fields[draw(st.sampled_from(["id", "type", "data", "specversion", "source", "time"]))] = draw(st.text(max_size=8))
    return fields
