"""Every field of both contracts, replaced by what a hostile or broken server may send: a clear error, an unclear answer, or a value."""

import copy
import gzip
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from structlog.testing import capture_logs

from didflow.contract.destinations import Destination
from didflow.contract.document_file import read_paper
from didflow.contract.provider import Barred, No, NotNow, NotThere, ReadFailed, Unclear, Yes
from tests.contract.openapi import Contract, contract
from worker.wavix.client import WavixClient

FUZZ = settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
#: Of one call with all its repetitions, on a machine that has other things to do.
CALL_S = 10.0
BASE = "https://api.example.net"
KEY = "k-5d41402abc4b2a76"
NUMBER = "+12565378257"
PAGES = {"current_page": 1, "per_page": 100, "total": 1, "total_pages": 1}

OFFER = {"id": 12565378257, "number": "12565378257", "activation_fee": "1.0", "monthly_fee": "2.50", "per_min": "0.01", "channels": "4"} | {
    "city": "X",
    "country": "United States",
    "country_short_name": "US",
    "cnam": None,
    "require_docs": [1],
    "sms_enabled": True,
}
OWNED = (
    OFFER
    | {"id": 47, "status": "active", "seconds": "61", "label": None, "sms_relay_url": None, "added": "2023-04-10T06:42:59.000Z"}
    | {
        "paid_until": "2023-12-07",
        "documents": [{"id": 1, "doc_type_id": 1, "status": "pending"}],
        "destination": [{"id": 1, "transport": 5, "destination": "32882", "priority": 1, "trunk_id": 144, "trunk_label": None}],
    }
)

Call = Callable[[WavixClient], object]
#: The call, and a good answer to it.
READS: dict[str, tuple[Call, Any]] = {
    "countries": (
        lambda client: client.countries(),
        {"countries": [{"id": 8652, "name": "United States", "short_name": "US", "has_provinces_or_states": True}]},
    ),
    "regions": (lambda client: client.regions(8652), {"regions": [{"id": 379, "name": "California"}]}),
    "cities": (lambda client: client.cities(8652, 379), {"cities": [{"id": 200, "name": "LOS ANGELES, CA", "area_code": 213568}]}),
    "offers": (lambda client: client.offers(8652, 200, sms_only=False, page=1), {"dids": [OFFER], "pagination": PAGES}),
    "cart": (lambda client: client.cart(), {"dids": [OFFER], "doc_types": []}),
    "owned": (lambda client: client.owned(page=1, search="2565"), {"items": [OWNED], "doc_types": [], "pagination": PAGES}),
    "owned_one": (lambda client: client.owned_one(47), OWNED),
    "trunks": (
        lambda client: client.trunks(),
        {"sip_trunks": [{"id": 144, "name": "32882", "label": "x", "status": "active"}], "pagination": PAGES},
    ),
    "balance": (lambda client: client.balance_usd(), {"balance": "309.06"}),
}
CHANGES: dict[str, tuple[Call, Any]] = {
    "cart_put": (lambda client: client.put_in_cart([NUMBER]), [OFFER]),
    "cart_delete": (lambda client: client.remove_from_cart([NUMBER]), {"success": True}),
    "checkout": (lambda client: client.check_out([NUMBER]), {"success": True}),
    "route": (lambda client: client.set_route([47], (Destination.sip("a@example.net"),), None), {"items": [OWNED]}),
    "update": (lambda client: client.set_sms_relay_url(47, "https://example.net/sms"), OWNED),
    "sms": (lambda client: client.set_sms_enabled(47, True), OWNED),
    "papers": (lambda client: client.upload_paper([47], read_paper("id", b"%PDF-1.4 a")), [{"id": 1, "status": "pending"}]),
    "release": (lambda client: client.release([47]), {"success": True}),
}
CALLS = READS | CHANGES

#: JSON texts in the place of a value; `null` and an absent one are among them as None.
BAD = [
    "null", "1e99999999", "-1e99999999", "1e-99999999", "-1", "0",
    "NaN", "Infinity", "1e400", "9" * 5000, '"' + "9" * 5000 + '"',
    '"1e99999999"', "true", "{}", "[]", "[[]]", '[{"id": 1}]', '""', '"\\u0000"', '"\\ud800"', '"+"', '"\u0663"', "4.5",
    '{"id": 1, "id": 2}',
    "[" * 2000 + "]" * 2000, "[" * 20_000,
    '"' + "x" * 100_000 + '"', str(2**63), str(2**64), '"NaN"', "1000000000", '"<b>"',
]  # fmt: skip


def places(part: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value in it."""
    yield path
    parts = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for name, value in parts:
        yield from places(value, (*path, name))


def spoiled(good: Any, path: tuple[str | int, ...], bad: str | None) -> bytes:
    """The answer with the JSON text `bad` in one place; without the value, if it is None."""
    if not path:
        return (bad or "").encode("utf-8", "surrogatepass")
    changed = copy.deepcopy(good)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    if bad is None:
        del inner[path[-1]]
        return json.dumps(changed).encode()
    inner[path[-1]] = "the place"
    return json.dumps(changed).replace('"the place"', bad).encode("utf-8", "surrogatepass")


def answered(call: Call, answer: httpx.Response) -> object:
    """What becomes of the call; anything but the errors that it may raise is a fault of ours."""

    def answers(request: httpx.Request) -> httpx.Response:
        # A record whose route names a trunk by its login has the client look at the trunks, too.
        if request.url.path == "/v1/trunks" and call is not READS["trunks"][0]:
            return httpx.Response(200, json=READS["trunks"][1])
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    client = WavixClient(BASE, SecretStr(KEY), "numbers", transport=httpx.MockTransport(answers), read_backoff_s=0.0001)
    began_s = time.monotonic()
    try:
        with capture_logs():
            return call(client)
    except (ReadFailed, NotThere) as error:
        return error
    finally:
        client.close()
        assert time.monotonic() - began_s < CALL_S


def check(name: str, outcome: object) -> None:
    """It is of a kind that jobs know, can be stored, and is short."""
    if name in CHANGES:
        assert isinstance(outcome, Yes | No | Unclear | NotNow | Barred), outcome
    repr(outcome).encode()
    assert len(repr(outcome)) < 500_000


@pytest.mark.parametrize("name", CALLS)
def test_a_good_answer_is_read(name: str) -> None:
    call, good = CALLS[name]
    outcome = answered(call, httpx.Response(200, json=good))
    assert not isinstance(outcome, Exception | Unclear | No), outcome


@pytest.mark.parametrize("name", CALLS)
def test_no_value_in_no_place_breaks_a_call(name: str) -> None:
    call, good = CALLS[name]
    for place, path in enumerate(places(good)):
        for bad in (None, *BAD[place % 4 :: 4]):  # Each value in every fourth place: all in all places take minutes.
            if path or bad is not None:
                body = spoiled(good, path, bad)
                check(name, answered(call, httpx.Response(200, content=body)))


@pytest.mark.parametrize("name", CALLS)
@FUZZ
@given(data=st.data())
def test_no_answer_at_all_breaks_a_call(name: str, data: st.DataObject) -> None:
    """Any status and headers; a body of JSON, of bytes, of packed bytes, or a good one with two values replaced."""
    call, good = CALLS[name]
    status = data.draw(st.sampled_from([200, 201, 204, 301, 400, 401, 403, 404, 409, 418, 422, 429, 500, 502, 503]))
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["success", "2565", "id"]),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_names(good)), inner, max_size=5),
        max_leaves=12,
    )
    body = data.draw(st.one_of(st.binary(max_size=60), anything.map(lambda value: json.dumps(value).encode()), _spoiled_twice(good)))
    headers = data.draw(
        st.dictionaries(
            st.sampled_from(["Retry-After", "Content-Type", "Location", "Set-Cookie"]),
            st.sampled_from(["", "0.001", "600", "1e99", "9" * 400, "Tue, 99 Nov 99999", "text/html", "http://[", "\x7f", "a=b"]),
        )
    )
    if data.draw(st.booleans()):
        body, headers = gzip.compress(body), headers | {"X-Encoding": "gzip"}
    check(name, answered(call, httpx.Response(status, content=body, headers=headers)))


def _names(good: Any) -> list[str]:
    return sorted({name for path in places(good) for name in path if isinstance(name, str)} | {"error", "message", "success"})


def _spoiled_twice(good: Any) -> st.SearchStrategy[bytes]:
    one = st.tuples(st.sampled_from(list(places(good))[1:]), st.sampled_from([None, *BAD]))

    def apply(change: tuple[tuple[str | int, ...], str | None], raw: bytes) -> bytes:
        return spoiled(good, *change) + raw

    return st.builds(apply, one, st.sampled_from([b"", b" ", b"\n{}", b"\xff"]))


# What the contracts let be null, and what they let be missing


def schemas(file: Contract, schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool, bool]]:
    """Each property under a schema: its path, whether it may be null, and whether it may be missing."""
    known = file.resolved(schema)
    for part in known.get("allOf", ()):
        yield from schemas(file, part, path)
    if "items" in known:
        yield from schemas(file, known["items"], path)
    for name, inner in known.get("properties", {}).items():
        kinds = file.resolved(inner).get("type")
        yield (*path, name), isinstance(kinds, list) and "null" in kinds, name not in known.get("required", ())
        yield from schemas(file, inner, (*path, name))


def changed(part: Any, path: tuple[str, ...], change: Callable[[dict[str, Any]], None]) -> Any:
    """A copy in which the objects that hold the last name of the path were changed."""
    part = copy.deepcopy(part)
    holders = [part]
    for name in path[:-1]:
        holders = [one[name] for holder in holders for one in (holder if isinstance(holder, list) else [holder]) if name in one]
    for holder in holders:
        for one in holder if isinstance(holder, list) else [holder]:
            if isinstance(one, dict) and path[-1] in one:
                change(one)
    return part


def optional_fields() -> Iterator[tuple[str, str, tuple[str, ...], bool]]:
    """Dialect, call, and the path of each property of its answer that the contract lets be null (True) or missing (False)."""
    paths = {"countries": "/v1/buy/countries"} | {
        "regions": "/v1/buy/countries/1/regions", "cities": "/v1/buy/countries/1/regions/2/cities",
        "offers": "/v1/buy/countries/1/cities/2/dids", "cart": "/v1/buy/cart", "trunks": "/v1/trunks", "balance": "/v1/profile/config"
    }  # fmt: skip
    for dialect, owned in (("mydids", "/v1/mydids"), ("numbers", "/v1/numbers")):
        file = contract(dialect)
        for name, path in (paths | {"owned": owned, "owned_one": f"{owned}/47"}).items():
            operation = file.operation("GET", path)
            assert operation is not None, path
            schema = file.response_schema(operation, 200)
            for place, may_be_null, may_be_missing in schemas(file, schema):
                if may_be_null:
                    yield dialect, name, place, True
                if may_be_missing:
                    yield dialect, name, place, False


#: Where the contract requires nothing at all, what a decision rests on is required all the same: the list itself, what a record is called,
#: what a number costs, how many pages there are, and the balance.
NEEDED = {"countries", "regions", "cities", "dids", "items", "sip_trunks", "id", "name", "number", "activation_fee", "monthly_fee"} | {
    "pagination", "total_pages", "balance",
}  # fmt: skip


@pytest.mark.parametrize(("dialect", "name", "path", "null"), list(optional_fields()))
def test_what_the_contract_lets_be_null_or_missing_may_be(dialect: str, name: str, path: tuple[str, ...], null: bool) -> None:
    def change(holder: dict[str, Any]) -> None:
        if null:
            holder[path[-1]] = None
        else:
            del holder[path[-1]]

    if not null and path[-1] in NEEDED:
        return
    call, good = READS[name]
    body = changed(good, path, change)
    outcome = answered(call, httpx.Response(200, json=body))
    assert not isinstance(outcome, Exception), outcome


def test_the_contracts_do_name_nullable_lists() -> None:
    nullable = {(name, path) for _, name, path, null in optional_fields() if null}
    assert ("trunks", ("sip_trunks",)) in nullable
    assert ("owned", ("items", "label")) in nullable
