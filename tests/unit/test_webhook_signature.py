"""Signatures, verified by the official package."""

import base64
import json
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from didflow.contract.webhooks import new_secret
from producers.webhooks.signature import headers
from worker.local.demo_http import is_signed

BODY = json.dumps({"type": "didflow.job.succeeded.v1", "data": {"customer": "Zoë"}}).encode()
EVENT = "01a2111074907e940948ef9147:7"


def now_s() -> int:
    return int(time.time())


def test_the_official_package_verifies_a_delivery() -> None:
    secret = new_secret()
    assert Webhook(secret).verify(BODY, headers([secret], EVENT, now_s(), BODY)) == json.loads(BODY)


def test_during_a_rotation_either_secret_verifies() -> None:
    old, new = new_secret(), new_secret()
    signed = headers([new, old], EVENT, now_s(), BODY)
    for secret in (old, new):
        Webhook(secret).verify(BODY, signed)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, signed)


@pytest.mark.parametrize(
    "changed",
    [{"webhook-id": "other:1"}, {"webhook-timestamp": str(int(time.time()) - 1)}, {"body": BODY + b" "}],
    ids=["id", "timestamp", "body"],
)
def test_a_changed_delivery_does_not_verify(changed: dict[str, str | bytes]) -> None:
    secret = new_secret()
    signed = headers([secret], EVENT, now_s(), BODY)
    body = changed.pop("body", BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, {**signed, **{name: str(value) for name, value in changed.items()}})


def test_the_specification_s_own_example() -> None:
    body = b'{"test": 2432232314}'
    signed = headers(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_has_256_bits_and_no_two_are_equal() -> None:
    made = {new_secret() for _ in range(50)}
    assert len(made) == 50
    assert {len(base64.b64decode(one.removeprefix("whsec_"), validate=True)) for one in made} == {32}


def test_a_secret_that_is_not_base64_is_refused() -> None:
    with pytest.raises(ValueError, match=r"base64|padding|alphabet"):
        headers(["whsec_not base64!"], EVENT, 1, BODY)


def test_the_demo_verifies_as_a_receiver_does() -> None:
    old, new = new_secret(), new_secret()
    signed = headers([new, old], EVENT, now_s(), BODY)
    assert is_signed(new, signed, BODY)
    assert is_signed(old, signed, BODY)
    assert not is_signed(new_secret(), signed, BODY)
    assert not is_signed(new, signed, BODY + b" ")


def test_an_id_beyond_ascii_is_sent_and_signed_with_percent_signs() -> None:
    secret = new_secret()
    found = headers([secret], "account:Łódź 1:7", 1_700_000_000, BODY)
    assert found["webhook-id"] == "account:%C5%81%C3%B3d%C5%BA%201:7"
    assert found == headers([secret], found["webhook-id"], 1_700_000_000, BODY)
    assert headers([secret], "a:1~%/+|", 1, BODY)["webhook-id"] == "a:1~%/+|"
