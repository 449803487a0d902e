"""Messages of webhooks: events as they are kept for the endpoints that want them."""

from collections.abc import Mapping
from dataclasses import dataclass

#: The type of the event that `didflow webhooks test` sends.
TEST_TYPE = "didflow.webhook.test.v1"
#: Messages that are queued again, or made due, by one script.
TOGETHER = 200


@dataclass(frozen=True)
class Message:
    """An event for endpoints. `key`: what its order is kept for; `body`: what is posted."""

    event_id: str
    type: str
    key: str
    account: str
    reference: str
    body: str


def is_whole(fields: Mapping[str, str]) -> bool:
    """Whether these are the fields of a message. Something else may have written to the stream."""
    return all(fields.get(name) for name in ("id", "type", "body")) and {"account", "reference"} <= fields.keys()
