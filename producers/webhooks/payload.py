"""What is posted: the CloudEvent as JSON, as the streams and Server-Sent Events show it."""

import json
from typing import Any
from urllib.parse import quote

from didflow.ledger.webhooks.messages import Message
from producers.http.stream_reading import Item

#: Above this the body has no `data`, but a link to where it can be read.
THIN_ABOVE_BYTES = 20_000


def message_of(item: Item) -> Message:
    """The message that endpoints get for an entry of a stream."""
    data = item.data
    job = _text(data.get("job"))
    body = json.dumps({**item.fields, "data": data}, ensure_ascii=True)
    if len(body) > THIN_ABOVE_BYTES:
        body = json.dumps({**_without_data(item), "dataref": _link(job)}, ensure_ascii=True)
    return Message(
        event_id=item.fields.get("id", ""),
        type=item.type,
        key=job or item.subject,
        account=_text(data.get("account")),
        reference=_text(data.get("reference")),
        body=body,
    )


def _without_data(item: Item) -> dict[str, str]:
    return {name: text for name, text in item.fields.items() if name not in ("data", "datacontenttype")}


def _link(job: str) -> str:
    """A path of the HTTP API, for the attribute `dataref` of CloudEvents."""
    return f"/v1/jobs/{quote(job, safe='')}" if job else "/v1/events"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
