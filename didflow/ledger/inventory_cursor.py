"""A cursor of a list: where it goes on, and of which list it is. It names no moment, so the list may change between two pages."""

import base64
import binascii
import hashlib
import json

from didflow.contract.errors import InvalidRequest
from didflow.contract.inventory import InventoryQuery


def cursor_of(account: str, query: InventoryQuery, last: str) -> str:
    """`last`: what the page's last number sorts by."""
    return base64.urlsafe_b64encode(json.dumps([_list_name(account, query), last]).encode()).decode().rstrip("=")


def after_cursor(account: str, query: InventoryQuery) -> str | None:
    """What the page before ended in; None for the first one. Raises InvalidRequest."""
    if query.cursor is None:
        return None
    try:
        padded = query.cursor + "=" * (-len(query.cursor) % 4)
        name, last = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        readable = isinstance(name, str) and isinstance(last, str)
    except (binascii.Error, ValueError, TypeError):
        readable = False
    if not readable:
        raise _refused("is no cursor: give a page's next_cursor as it is, or leave it out")
    if name != _list_name(account, query):
        raise _refused("belongs to another list: repeat the same account, filter and sort, or leave it out")
    return str(last)


def _list_name(account: str, query: InventoryQuery) -> str:
    asked = query.matching.model_dump(mode="json", exclude_none=True)
    text = json.dumps([account, query.sort, asked], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12]


def _refused(what: str) -> InvalidRequest:
    return InvalidRequest(f"cursor: {what}", (("cursor", what),))
