"""The receiver of webhooks takes what the library of Standard Webhooks signs, once, and nothing else."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

EXAMPLE = Path(__file__).parents[2] / "examples" / "webhook_receiver.py"
SECRETS = ("whsec_ZWFg4Sg1ke3+dXshVaR/RdjQpciF3zlJ2V7LpFJ6xPg=", "whsec_/2ZRq1zrG1HdLYrdagQ/cUiKr+pwuA9VLHtMTbmMFzI=")
OTHER = "whsec_v/aCV98st6aZp0UQVFygaBlI9XH6xU6c1elmZ8IEFDg="


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "secret").write_text("\n".join(SECRETS))
    command = [sys.executable, str(EXAMPLE), "--port", "0", str(tmp_path / "secret")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        yield child
        child.terminate()


def line(receiver: subprocess.Popen[str]) -> str:
    assert receiver.stdout is not None
    return receiver.stdout.readline().strip()


def posted(url: str, event_id: str, secret: str, at: datetime, body: str | None = None) -> int:
    """The status that a delivery is answered with. `body`: what is sent instead of what was signed."""
    event = json.dumps({"type": "didflow.job.succeeded.v1", "subject": event_id})
    headers = {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, at, event),
    }
    try:
        with urllib.request.urlopen(urllib.request.Request(url, (body or event).encode(), headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_what_is_signed_is_acted_on_once_and_nothing_else(receiver: subprocess.Popen[str]) -> None:
    url, now = line(receiver), datetime.now(UTC)
    old = now - timedelta(minutes=6)
    assert [posted(url, "first", secret, now) for secret in SECRETS] == [204, 204]
    assert posted(url, "forged", OTHER, now) == 401
    assert posted(url, "changed", SECRETS[0], now, "{}") == 401
    assert posted(url, "old", SECRETS[0], old) == 401
    assert posted(url, "last", SECRETS[0], now) == 204
    assert [line(receiver), line(receiver)] == ["didflow.job.succeeded.v1 first", "didflow.job.succeeded.v1 last"]
