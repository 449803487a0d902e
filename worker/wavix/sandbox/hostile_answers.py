"""Answers that a broken or hostile server gives: packed, with fields that were replaced, with the caller's key in them."""

import base64
import gzip
import html
import json
import urllib.parse
from typing import Any

from worker.wavix.sandbox.faults import KeyForm

_PLACE = "a place for a text that is no JSON value"


def packed(payload: bytes, size: int) -> bytes:
    """Gzip, of at least `size` bytes: JSON may end with any number of spaces."""
    return gzip.compress(payload.ljust(size), compresslevel=9)


def with_field(payload: bytes, field: str, value: str, record: str | None) -> bytes:
    """The JSON text with every such field replaced. `value` is written as it is: 1e99999999, NaN, or half a text."""
    changed = _replaced(json.loads(payload), field, record)
    return json.dumps(changed).replace(json.dumps(_PLACE), value).encode("utf-8", "surrogatepass")


def _replaced(part: Any, field: str, record: str | None) -> Any:
    if isinstance(part, list):
        return [_replaced(one, field, record) for one in part]
    if not isinstance(part, dict):
        return part
    meant = record is None or str(part.get("number")) == record
    return {name: _PLACE if name == field and meant else _replaced(value, field, record) for name, value in part.items()}


def refusal_with(key: str, form: KeyForm) -> bytes:
    """A refusal, as JSON text, that quotes the key."""
    quoted = json.dumps(f"bad key {key}")
    match form:
        case "slashes":
            quoted = quoted.replace("/", "\\/")
        case "unicode":
            quoted = '"bad key ' + "".join(f"\\u{ord(one):04X}" for one in key) + '"'
        case "url":
            quoted = json.dumps(f"GET /v1/x?appid={urllib.parse.quote(key, safe='')}")
        case "base64":
            quoted = json.dumps("Authorization: Basic " + base64.b64encode(f"appid:{key}".encode()).decode())
        case "html":
            quoted = json.dumps(f"bad key {html.escape(key)}")
        case "html_codes":
            quoted = json.dumps("bad key " + "".join(f"&#{ord(one)};" for one in key))
        case "plain":
            pass
    return b'{"success": false, "message": ' + quoted.encode() + b"}"
