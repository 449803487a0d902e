"""A document over HTTP: the server takes the file, a worker fetches it and uploads it, and Redis never stores it."""

import base64
import hashlib
import json
import logging
import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from didflow.contract.api_keys import ApiScope
from didflow.contract.document_file import MAX_BYTES
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import JobState
from didflow.ledger import document_transfer
from didflow.ledger.script_loader import load_script
from tests.support.http_server import WITHIN_S, Api, api_of, served, serving
from tests.support.inline_worker import InlineWorker, numbers, outcomes, result_of
from tests.support.redis_relay import RedisRelay
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey

#: More than one part, and no part like another one.
PASSPORT = b"%PDF-1.4 " + b"".join(hashlib.sha256(str(place).encode()).digest() for place in range(8_000))


@pytest.fixture
def api(inline: InlineWorker, valkey: EmbeddedValkey) -> Iterator[Api]:
    with api_of(inline.ledger, valkey.url) as api:
        yield api


def german(inline: InlineWorker, count: int = 1) -> list[str]:
    """Numbers that need documents."""
    return [f"+{number}" for number in inline.sandbox.order("seed_owned", count=count, city="Berlin", approved=False)]


def upload(api: Api, *given: str, key: str = "upload-1", content: bytes = PASSPORT, kind: str = "id", **beside: Any) -> httpx.Response:
    headers = {"Content-Type": "application/pdf", "Idempotency-Key": key} | beside.pop("headers", {})
    params = {"type": kind, "number": given, **beside}
    return api.http.post("/v1/documents", params=params, headers=headers, content=content)


def papers(inline: InlineWorker, number: str) -> list[tuple[int, str]]:
    return [(one["kind"], one["status"]) for one in inline.sandbox.owned()[number.removeprefix("+")]["documents"]]


def sent(inline: InlineWorker) -> int:
    return int(inline.sandbox.state()["calls"].get("papers", 0))


def view_of(api: Api, answer: httpx.Response) -> JobView:
    return api.ledger.get(answer.json()["id"])


def became(view: JobView) -> dict[str, tuple[str | None, str | None]]:
    codes = {one.number: one.error.code if one.error else None for one in numbers(view)}
    return {number: (outcome, codes[number]) for number, outcome in outcomes(view).items()}


def test_a_file_reaches_the_provider_and_nothing_of_it_is_kept(
    api: Api, inline: InlineWorker, valkey: EmbeddedValkey, caplog: pytest.LogCaptureFixture
) -> None:
    (number,) = german(inline)
    inline.ledger.client.config_set("slowlog-max-len", 100_000)
    inline.ledger.client.config_set("slowlog-log-slower-than", 0)
    with caplog.at_level(logging.DEBUG), working(inline):
        headers = {"Prefer": "wait=30", "Content-Disposition": 'attachment; filename="../../Erika Mustermann.pdf"'}
        answer = upload(api, number, headers=headers, reference="customer-9")
    inline.ledger.client.config_set("slowlog-log-slower-than", 10_000)
    assert (answer.status_code, answer.json()["state"], answer.json()["reference"]) == (200, "succeeded", "customer-9")
    assert became(view_of(api, answer)) == {number: ("confirmed", None)}
    assert papers(inline, number) == [(1, "pending")]
    job_id = answer.json()["id"]
    inline.ledger.client.bgrewriteaof()
    kept = b"".join(file.read_bytes() for file in valkey.folder.rglob("*") if file.is_file())
    assert job_id.encode() in kept, "this is where the server writes"
    logs = caplog.text + repr(inline.ledger.client.slowlog_get(100_000)) + json.dumps(answer.json())
    events = repr(inline.ledger.client.xrange(inline.ledger.keys.results)) + repr(inline.story(view_of(api, answer)))
    for start in range(0, len(PASSPORT) - 48, len(PASSPORT) // 50 // 3 * 3):
        some = PASSPORT[start : start + 48]
        coded = base64.b64encode(some)
        assert some not in kept and coded not in kept  # noqa: PT018 - thousands of bytes that no message should print
        assert coded.decode() not in logs + events
    assert b"Mustermann" not in kept and "Mustermann" not in logs  # noqa: PT018


def test_only_what_needs_it_and_does_not_have_it_gets_it(api: Api, inline: InlineWorker) -> None:
    first, second = german(inline, 2)
    (active,) = inline.own(1)
    with working(inline):
        assert became(view_of(api, upload(api, first, wait="30"))) == {first: ("confirmed", None)}
        again = upload(api, first, active, "+12135550100", second, key="upload-2", wait="30")
    assert (again.status_code, again.json()["state"]) == (200, "partial")
    assert became(view_of(api, again)) == {
        first: ("unchanged", "there_already"),
        active: ("unchanged", "not_needed"),
        "+12135550100": ("not_found", "not_found"),
        second: ("confirmed", None),
    }
    assert sent(inline) == 2
    assert papers(inline, active) == []


def test_a_repeat_is_the_same_job_and_another_file_is_refused(api: Api, inline: InlineWorker) -> None:
    (number,) = german(inline)
    first = upload(api, number)
    assert (first.status_code, first.headers["location"]) == (202, f"/v1/jobs/{first.json()['id']}")
    again = upload(api, number)
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (first.json()["id"], "true")
    other = upload(api, number, content=PASSPORT + b"!")
    assert (other.status_code, other.json()["code"], other.json()["job_id"]) == (422, "idempotency_conflict", first.json()["id"])
    with working(inline):
        ended = upload(api, number, wait="30")
        assert (ended.status_code, ended.json()["state"]) == (200, "succeeded")
    assert sent(inline) == 1


def test_a_file_of_no_named_type_is_known_by_its_content(api: Api) -> None:
    answer = upload(api, "+493012345678", headers={"Content-Type": "application/octet-stream"})
    assert (answer.status_code, answer.json()["request"]["size_bytes"]) == (202, len(PASSPORT))


def test_the_numbers_of_a_purchase(api: Api, inline: InlineWorker) -> None:
    order = SearchAndBuy(country="DE", city=("Berlin",), quantity=2, documents="allow_inactive")
    purchase = inline.finish(inline.submit(order, reference="shop-1"))
    bought = [one.number for one in numbers(purchase)]
    secret = api.key("shop", ApiScope.BUY, ApiScope.READ, reference_prefix="shop-")
    with api.client(secret) as http:
        params = {"type": "id", "job": purchase.id, "reference": "shop-1"}
        headers = {"Content-Type": "application/pdf", "Idempotency-Key": "upload-1"}
        answer = http.post("/v1/documents", params=params, headers=headers, content=PASSPORT)
        assert answer.status_code == 202, answer.text
        assert sorted(answer.json()["request"]["numbers"]) == sorted(bought)
        named = http.post(
            "/v1/documents", params={"type": "id", "number": bought[0], "reference": "shop-1"}, headers=headers, content=PASSPORT
        )
        assert (named.status_code, named.json()["code"]) == (403, "key_limited")
        foreign = inline.submit(order, reference="other")
        hidden = http.post("/v1/documents", params=params | {"job": foreign.id}, headers=headers, content=PASSPORT)
        assert hidden.status_code == 404
    none = upload(api, job=purchase.id, kind="address")
    assert (none.status_code, [one["parameter"] for one in none.json()["errors"]]) == (422, ["job"])
    with api.client(api.key("reader", ApiScope.READ)) as http:
        assert http.post("/v1/documents", params=params, headers=headers, content=PASSPORT).status_code == 403


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"headers": {"Content-Type": "text/html"}}, 415, "unsupported_media_type"),
        ({"headers": {"Content-Type": "application/json"}}, 415, "unsupported_media_type"),
        ({"headers": {"Content-Type": "application/pdf\u00ff;<script>"}}, 415, "unsupported_media_type"),
        ({"headers": {"Content-Type": "image/png"}}, 422, "invalid_request"),
        ({"content": b"<html>"}, 422, "invalid_request"),
        ({"content": b""}, 422, "invalid_request"),
        ({"content": b"%PDF-1.4 /Encrypt 5 0 R"}, 422, "invalid_request"),
        ({"content": b"%PDF-1.4 /ByteRange ["}, 422, "invalid_request"),
        ({"content": b"%PDF-" + bytes(MAX_BYTES)}, 413, "body_too_large"),
        ({"kind": "../id"}, 422, "invalid_request"),
        ({"account": "no\nsuch"}, 422, "invalid_request"),
        ({"number": ""}, 422, "invalid_request"),
        ({"filename": "passport.pdf"}, 422, "invalid_request"),
    ],
)
def test_what_the_command_refuses_is_refused_before_anything_is_submitted(
    api: Api, changed: dict[str, Any], status: int, code: str
) -> None:
    given = dict(changed)
    if "headers" in given:
        given["headers"] = {name: value.encode("latin-1") for name, value in given["headers"].items()}
    answer = upload(api, "+493012345678", **given)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert api.ledger.perform(api.ledger.commands.find(limit=10)) == ()


def test_every_fault_is_named_at_once(api: Api) -> None:
    answer = upload(api, "12", "+493012345678", "abc", kind="passport", content=b"GIF89a")
    found = [(one.get("parameter"), one.get("pointer")) for one in answer.json()["errors"]]
    assert found == [("number", None), ("number", None), ("type", None), (None, "")]
    neither = upload(api)
    assert [one["parameter"] for one in neither.json()["errors"]] == ["number"]
    keyless = api.http.post("/v1/documents", params={"type": "id"}, headers={"Content-Type": "application/pdf"}, content=PASSPORT)
    assert (keyless.status_code, keyless.json()["code"]) == (400, "idempotency_key_missing")


def test_the_largest_file(api: Api, inline: InlineWorker) -> None:
    (number,) = german(inline)
    with working(inline):
        answer = upload(api, number, content=b"%PDF-" + bytes(MAX_BYTES - 5), wait="60")
    assert became(view_of(api, answer)) == {number: ("confirmed", None)}


def test_it_can_not_be_submitted_without_its_file(api: Api) -> None:
    request = {"kind": "upload_document", "document": "id", "numbers": ["+493012345678"], "sha256": "0" * 64, "size_bytes": 1}
    headers = {"Idempotency-Key": "upload-1"}
    assert api.http.post("/v1/jobs", json={"request": request}, headers=headers).status_code == 422
    assert api.http.post("/v1/jobs/upload-document", json={"request": request}, headers=headers).status_code in (404, 405)


@pytest.mark.faults
def test_a_server_that_was_killed_after_its_answer_leaves_a_clear_error(
    valkey: EmbeddedValkey, inline: InlineWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_transfer, "GIVE_UP_S", 0.1)
    (number,) = german(inline)
    with served(valkey.url, inline.ledger.keys.namespace) as (process, url):
        answer = httpx.post(
            f"{url}/v1/documents",
            params={"type": "id", "number": number},
            headers={"Content-Type": "application/pdf", "Idempotency-Key": "upload-1"},
            content=PASSPORT,
            trust_env=False,
            timeout=WITHIN_S,
        )
        assert answer.status_code == 202, answer.text
        os.kill(process.pid, signal.SIGKILL)
        process.wait(WITHIN_S)
    view = inline.finish(Job(answer.json()["id"], True, JobState.QUEUED))
    error = result_of(view).error
    assert (view.state, error and error.code) == (JobState.FAILED, "document_gone")
    assert error is not None
    assert "send the file again, with a new Idempotency-Key" in error.message
    assert (became(view), sent(inline)) == ({number: ("failed", "not_sent")}, 0)


@pytest.mark.faults
def test_killed_between_accept_and_answer_the_repeat_brings_the_file(valkey: EmbeddedValkey, inline: InlineWorker, namespace: str) -> None:
    (number,) = german(inline)
    ledger = inline.ledger
    inline.run(SearchAndBuy(country="US", dry_run=True))  # From then on the server takes the script by its hash.
    given: dict[str, Any] = {
        "params": {"type": "id", "number": number},
        "headers": {"Content-Type": "application/pdf", "Idempotency-Key": "upload-1"},
        "content": PASSPORT,
        "trust_env": False,
        "timeout": WITHIN_S,
    }
    with RedisRelay(valkey.url) as relay, served(relay.url, namespace) as (process, url):
        relay.instead_of_reply(load_script("submit").sha1, lambda: os.kill(process.pid, signal.SIGKILL))
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{url}/v1/documents", **given)
        process.wait(WITHIN_S)
    (job,) = ledger.perform(ledger.commands.find(idempotency_key="upload-1"))
    with serving(ledger, valkey.url, open_to="ann") as url, working(inline):
        again = httpx.post(f"{url}/v1/documents", **given | {"params": given["params"] | {"wait": "30"}})
    assert (again.json()["id"], again.headers["idempotency-replayed"], again.json()["state"]) == (job.id, "true", "succeeded")
    assert sent(inline) == 1
