"""Signatures of deliveries, as Standard Webhooks 1.0 describes them (https://www.standardwebhooks.com)."""

import base64
import hmac
from collections.abc import Sequence
from urllib.parse import quote

from didflow.contract.webhooks import SECRET_PREFIX

#: What a header may hold as it is.
_ASCII = "".join(map(chr, range(0x21, 0x7F)))


def headers(secrets: Sequence[str], event_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers of a delivery. Each secret signs, so that a receiver may hold the old or the new one during a rotation.

    `timestamp_s`: Unix time of this attempt; receivers refuse one that is minutes away from their clock. `event_id` has no full stop
    or space, because these separate the parts. Raises ValueError if a secret isn't base64.
    """
    # It may hold an account's name: a header has ASCII only, and receivers check the signature of what the header says.
    event_id = quote(event_id, safe=_ASCII)
    signed = b".".join((event_id.encode(), str(timestamp_s).encode(), body))
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    return f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}"
