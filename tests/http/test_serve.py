"""`didflow serve` as a process, and what happens on bad days: killed, without Redis, without keys."""

import os
import signal
import socket
import ssl
import time
from pathlib import Path

import httpx
import pytest

from didflow.contract.api_keys import ApiKey, ApiScope, new_key_id
from didflow.contract.exit_codes import ExitCode
from didflow.ledger import api_keys
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_loader import load_script
from producers.http.server import END_WITHIN_S, Listen, listening_socket
from tests.support.http_server import WITHIN_S, served, serving
from tests.support.ledger_roles import submitted
from tests.support.redis_relay import RedisRelay
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey

TLS = Path(__file__).parents[1] / "contract" / "tls"
ORDER = {"request": {"country": "US"}}


@pytest.mark.faults
def test_killed_between_accept_and_answer_the_repeat_finds_the_job(valkey: EmbeddedValkey, namespace: str, real_ledger: Ledger) -> None:
    headers = {"Idempotency-Key": "order-1"}
    submitted(real_ledger)  # From then on the server takes the script by its hash.
    with RedisRelay(valkey.url) as relay, served(relay.url, namespace) as (process, url):
        relay.instead_of_reply(load_script("submit").sha1, lambda: os.kill(process.pid, signal.SIGKILL))
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{url}/v1/jobs/search-and-buy", json=ORDER, headers=headers, trust_env=False, timeout=WITHIN_S)
        assert process.wait(WITHIN_S) == -signal.SIGKILL
    (job,) = real_ledger.perform(real_ledger.commands.find(idempotency_key="order-1"))
    with serving(real_ledger, valkey.url, open_to="ann") as url:
        again = httpx.post(f"{url}/v1/jobs/search-and-buy", json=ORDER, headers=headers, trust_env=False, timeout=WITHIN_S)
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (job.id, "true")


def test_it_serves_tls_and_ends_cleanly(valkey: EmbeddedValkey, namespace: str) -> None:
    files = sorted(TLS.iterdir())
    certificate, key = (next(file for file in files if word in file.read_text()) for word in ("BEGIN CERTIFICATE", "PRIVATE KEY"))
    with served(valkey.url, namespace, "--tls-cert", str(certificate), "--tls-key", str(key)) as (process, url):
        assert url.startswith("https://127.0.0.1:")
        trusted = ssl.create_default_context(cafile=str(certificate))
        trusted.check_hostname = False
        with httpx.Client(verify=trusted, trust_env=False, timeout=WITHIN_S) as http, http.stream("GET", f"{url}/v1/events") as events:
            assert events.status_code == 200
            process.terminate()
            assert b"data" not in events.read(), "it ends, so that nobody who listens keeps the server"
            began_s = time.monotonic()
            assert process.wait(WITHIN_S) == 0
            assert time.monotonic() - began_s < END_WITHIN_S / 2, "a client that keeps its connection doesn't keep the server"


def test_packets_of_an_answer_wait_for_no_acknowledgement() -> None:
    """Nagle's algorithm would hold the second one back until the client acknowledges the first, which a client delays by up to 40 ms."""
    with listening_socket(Listen(port=0)) as taken, socket.create_connection(taken.getsockname()):
        accepted, _ = taken.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_without_a_key_it_listens_on_loopback_only(valkey: EmbeddedValkey, namespace: str, tmp_path: Path) -> None:
    shell = Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": namespace})
    refused = shell("serve", "--host", "0.0.0.0", "--port", "0")
    assert (refused.code, refused.out) == (ExitCode.INPUT, "")
    assert "didflow keys create" in refused.err


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--tls-cert", "missing.pem"), "--tls-key"),
        (("--tls-cert", "missing.pem", "--tls-key", "missing.pem"), "PEM"),
        (("--trusted-proxy", "*"), "--trusted-proxy"),
        (("--host", "no such host"), "--host"),
    ],
)
def test_wrong_options_are_named(valkey: EmbeddedValkey, tmp_path: Path, options: tuple[str, ...], word: str) -> None:
    refused = Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url})("serve", "--port", "0", *options)
    assert refused.code == ExitCode.INPUT
    assert word in refused.err


def test_while_redis_is_away_it_is_503_and_nothing_is_half_written(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    headers = {"Idempotency-Key": "order-1"}
    with (
        RedisRelay(valkey.url) as relay,
        serving(real_ledger, relay.url, open_to="ann") as url,
        httpx.Client(base_url=url, trust_env=False, timeout=WITHIN_S) as http,
    ):
        relay.close()
        for away in (http.post("/v1/jobs/search-and-buy", json=ORDER, headers=headers), http.get("/v1/jobs"), http.get("/v1/events")):
            assert (away.status_code, away.json()["code"], away.json()["retryable"]) == (503, "service_unavailable", True)
            assert int(away.headers["retry-after"]) > 0
        assert real_ledger.client.keys(f"{real_ledger.keys.namespace}:*") == []
        relay.open()
        assert http.post("/v1/jobs/search-and-buy", json=ORDER, headers=headers).status_code == 202


def test_a_proxy_is_believed_only_if_it_is_named(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    """A stranger's X-Forwarded-For doesn't make him a local one; and a proxy in front means that there are others behind it."""
    with serving(real_ledger, valkey.url, open_to="ann") as url:
        assert httpx.get(f"{url}/v1/jobs", headers={"X-Forwarded-For": "127.0.0.1"}, trust_env=False, timeout=WITHIN_S).status_code == 403


def test_the_keys_commands(valkey: EmbeddedValkey, namespace: str, tmp_path: Path, real_ledger: Ledger) -> None:
    shell = Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": namespace, "DIDFLOW_ACTOR": "ann"})
    created = shell(
        "keys", "create", "shop", "--scope", "read", "--scope", "buy", "--account", "default", "--rate", "5", "--expires", "90d"
    )
    secret = created.out.strip()
    assert (created.code, secret[:4]) == (0, "dfk_")
    assert "`didflow keys create boss --scope admin` makes it" in " ".join(created.err.split()), "no key may make others yet"
    (listed,) = shell("keys", "list", "--json").json
    assert (listed["name"], sorted(listed["scopes"]), listed["rate_per_s"], listed["created_by"]) == ("shop", ["buy", "read"], 5.0, "ann")
    assert secret not in str(listed)
    rotated = shell("keys", "rotate", "shop", "--overlap", "1h", "--json").json
    assert rotated["secret"] not in (secret, "")
    assert shell("keys", "list", "--json").json[0]["secrets"] == 2
    assert shell("keys", "revoke", "shop").code == ExitCode.INPUT, "it asks"
    assert shell("keys", "revoke", "shop", "--yes").code == 0
    assert shell("keys", "list", "--json").json == []
    assert shell("keys", "revoke", "shop", "--yes").code == ExitCode.INPUT
    assert [decision["what"] for decision in shell("decisions", "--json").json] == ["keys revoke", "keys rotate", "keys create"]
    wrong = shell(
        "keys", "create", "x" * 101, "--scope", "release", "--scope", "operate", "--reference-prefix", "a", "--rate", "0", "--json"
    )
    assert {fault[0] for fault in wrong.json["error"]["faults"]} == {"name", "rate_per_s", "request"}
    kept = real_ledger.perform(api_keys.create(real_ledger.commands, ApiKey(id=new_key_id(), name="y", scopes=frozenset({ApiScope.READ}))))
    assert kept.startswith("dfk_")
