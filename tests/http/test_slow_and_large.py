"""Large bodies delay no other request; what comes too slowly is given up; what is too large is refused."""

import asyncio
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from didflow import AsyncDidflow, Didflow
from didflow.contract.errors import JobError
from didflow.contract.requests import Release
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import JobState, Outcome
from didflow.ledger.script_calls import Submission
from producers.http.app import application
from producers.http.job_numbers import csv_lines
from tests.support.cluster import until
from tests.support.http_server import WITHIN_S, Api, serving
from tests.support.ledger_roles import claimed, submitted
from worker.local.embedded_valkey import EmbeddedValkey

HEAD = "POST /v1/jobs/release HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=WITHIN_S) as raw:
        yield raw


def answer_on(raw: socket.socket) -> tuple[int, dict[str, object]]:
    """All that comes until the server hangs up: the status, and the problem."""
    text = b"".join(iter(lambda: raw.recv(65_536), b"")).decode()
    head, _, body = text.partition("\r\n\r\n")
    assert "application/problem+json" in head, text
    return int(head.split()[1]), json.loads(body)


class Processor:
    """How much processor time of this process the server's loop took since: a share is the same however busy the machine is."""

    def __init__(self, api: Api) -> None:
        (loop,) = (thread for thread in threading.enumerate() if thread.name == f"http {urlsplit(api.url).port}")
        self._clock = time.pthread_getcpuclockid(loop.ident or 0)
        self._before = self._spent_s()

    @property
    def share_of_loop(self) -> float:
        in_loop_s, in_all_s = (now - then for now, then in zip(self._spent_s(), self._before, strict=True))
        return in_loop_s / in_all_s

    def _spent_s(self) -> tuple[float, float]:
        """Of the loop; of all threads but this one, which only asks."""
        return time.clock_gettime(self._clock), time.process_time() - time.thread_time()


def test_the_loop_answers_others_while_many_numbers_are_read(api: Api) -> None:
    """Most of the processor time goes to another thread than the loop's."""
    numbers = [f"+1213{place:07}" for place in range(2_000_000, 2_040_000)]
    body = json.dumps({"request": {"numbers": numbers, "dry_run": True}}).encode()
    headers = {"Content-Type": "application/json", "Authorization": api.http.headers["authorization"]}
    with httpx.Client(timeout=WITHIN_S, trust_env=False) as http:
        processor = Processor(api)
        answer = http.post(f"{api.url}/v1/jobs/release", content=body, headers=headers)
        assert processor.share_of_loop < 0.7
        assert (answer.status_code, answer.json()["request"]["numbers"]) == (202, numbers)
        processor = Processor(api)
        again = http.get(f"{api.url}{answer.headers['location']}", headers=headers)
        assert processor.share_of_loop < 0.7
    assert again.json() == answer.json()


def test_the_loop_answers_others_while_a_release_of_many_numbers_is_resolved(api: Api) -> None:
    numbers = tuple(f"+1213{place:07}" for place in range(2_000_000, 2_010_000))
    job_id = api.ledger.submit(Submission(Release(numbers=numbers))).id
    unclear = tuple(NumberResult(number=number, record_id=place, outcome=Outcome.UNCLEAR) for place, number in enumerate(numbers, 1))
    why = JobError(code="release_unclear", message="it can't be seen")
    result = Result(numbers=unclear, totals=Totals(requested=len(numbers), done=0), error=why)
    assert api.ledger.finish(claimed(api.ledger, job_id), JobState.NEEDS_REVIEW, result)
    path = f"/v1/jobs/{job_id}"
    tag = api.http.get(path).headers["etag"]
    headers = {"Content-Type": "application/json", "Authorization": api.http.headers["authorization"], "If-Match": tag}
    body = json.dumps({"took_effect": numbers}).encode()
    with httpx.Client(timeout=WITHIN_S, trust_env=False) as http:
        processor = Processor(api)
        answer = http.post(f"{api.url}{path}/resolve", content=body, headers=headers)
        assert processor.share_of_loop < 0.5
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded"), answer.text


@pytest.fixture(scope="module")
def many(api: Api) -> str:
    """A job that has ended with more numbers than its record holds."""
    numbers = tuple(
        NumberResult(number=f"+1213{place:07}", record_id=place, outcome=Outcome.RELEASED) for place in range(2_000_000, 2_010_000)
    )
    job_id = submitted(api.ledger).id
    result = Result(numbers=numbers, totals=Totals(requested=len(numbers), done=len(numbers)))
    assert api.ledger.finish(claimed(api.ledger, job_id), JobState.SUCCEEDED, result)
    return job_id


@pytest.mark.parametrize(("path", "count"), [("", 10_000), ("/numbers", 100)])
def test_a_job_with_many_numbers_is_read_beside_the_loop(api: Api, many: str, path: str, count: int) -> None:
    with httpx.Client(timeout=WITHIN_S, trust_env=False, headers={"Authorization": api.http.headers["authorization"]}) as http:
        http.get(f"{api.url}/v1/jobs/{many}{path}")  # The first one also loads code, in the loop.
        processor = Processor(api)
        answer = http.get(f"{api.url}/v1/jobs/{many}{path}")
        assert processor.share_of_loop < 0.7
    numbers = (answer.json() if path else answer.json()["result"])["numbers"]
    assert [one["number"] for one in numbers] == [f"+1213{2_000_000 + place:07}" for place in range(count)]


def test_a_csv_of_many_numbers_leaves_the_loop_between_its_pieces(api: Api, many: str, valkey: EmbeddedValkey) -> None:
    """A client that reads fast makes no pause by itself."""
    turns, counted = 0, []

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def read() -> list[str]:
        pieces = []
        didflow = AsyncDidflow.from_url(valkey.url, api.ledger.keys.namespace)
        services = application(didflow, Didflow.from_url(valkey.url, api.ledger.keys.namespace)).services
        lines = csv_lines(services, await services.view(many))
        running = asyncio.create_task(others())
        async for piece in lines:
            pieces.append(piece)
            counted.append(turns)
        running.cancel()
        await didflow.aclose()
        return pieces

    pieces = asyncio.run(read())
    assert "".join(pieces).count("\r\n") == 10_001
    assert len(set(counted)) == len(counted) > 5, "others had a turn before each"


def test_a_large_body_is_checked_outside_of_the_loop(api: Api) -> None:
    """With every fault, those of the query too."""
    numbers = [f"+1213{place:07}" for place in range(2_000_000, 2_005_000)]
    numbers[7] = "x"
    body = {"request": {"numbers": numbers, "dry_run": True}, "priority": 10}
    answer = api.http.post("/v1/jobs/release?wait=-1", json=body)
    places = {fault.get("pointer", fault.get("parameter")) for fault in answer.json()["errors"]}
    assert (answer.status_code, places) == (422, {"/request/numbers/7", "/request/numbers", "/priority", "wait"})


def test_a_body_that_pauses_is_given_up(api: Api, valkey: EmbeddedValkey) -> None:
    with serving(api.ledger, valkey.url, body_pause_s=0.05) as url, connected(url) as raw:
        key = api.http.headers["authorization"]
        raw.sendall(f"{HEAD}Authorization: {key}\r\nContent-Length: 1000\r\n\r\n{{".encode())
        status, problem = answer_on(raw)
        assert (status, problem["code"], problem["retryable"]) == (408, "body_too_slow", True)


UPLOAD = "/v1/documents?type=id&number=%2B12135550100"


@pytest.mark.parametrize("path", ["/v1/jobs/release", "/v1/jobs/release?wait=1", "/v1/webhooks", UPLOAD, "/console/login"])
def test_a_client_that_hangs_up_in_its_body_is_no_fault_of_ours(api: Api, path: str) -> None:
    """Each fault writes a trace into the log, which delays the answers to others."""
    request_id = uuid.uuid4().hex
    kind = "application/x-www-form-urlencoded" if path.startswith("/console") else "application/json"
    own = f"Host: x\r\nOrigin: http://x\r\nContent-Type: {kind}\r\nX-Request-Id: {request_id}\r\nIdempotency-Key: gone\r\n"
    with capture_logs() as logged:
        with connected(api.url) as raw:
            head = f"POST {path} HTTP/1.1\r\n{own}Authorization: {api.http.headers['authorization']}\r\nContent-Length: 1000\r\n\r\n{{"
            raw.sendall(head.encode())
        until(lambda: any(one.get("request_id") == request_id for one in logged), what="the request in the log")
    assert [(one["event"], one["status"]) for one in logged if one.get("request_id") == request_id] == [("http.request", 400)]


@pytest.mark.parametrize(("begun", "answered"), [("", 0), ("GET /healthz HTTP/1.1\r\nHost:", 0), ("GET /hea", 1)])
def test_a_head_that_pauses_is_given_up(api: Api, valkey: EmbeddedValkey, begun: str, answered: int) -> None:
    """Also that of a second request on the same connection."""
    with serving(api.ledger, valkey.url, head_within_s=0.3) as url, connected(url) as raw:
        for _ in range(answered):
            raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            text = b""
            while not text.endswith(b"}"):
                text += raw.recv(65_536)
        raw.sendall(begun.encode())
        status, problem = answer_on(raw)
        assert (status, problem["code"]) == (408, "head_too_slow")


def test_a_request_that_takes_longer_than_its_head_may_is_answered(api: Api, valkey: EmbeddedValkey) -> None:
    with serving(api.ledger, valkey.url, head_within_s=0.05) as url, api.client() as http:
        http.headers["authorization"] = api.http.headers["authorization"]
        body = {"request": {"country": "US", "dry_run": True}}
        assert http.post(f"{url}/v1/jobs/search-and-buy?wait=0.3", json=body).status_code == 202


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 70_000, 431, "head_too_large"),
        (b"GET /" + b"a" * 70_000, 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % place for place in range(9000)), 431, "head_too_large"),
        (b"\x16\x03\x01 this is TLS\r\n\r\n", 400, "not_http"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n", 400, "not_http"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "not_http"),
    ],
)
def test_a_head_that_cannot_be_read_is_a_problem_too(api: Api, sent: bytes, status: int, code: str) -> None:
    with connected(api.url) as raw:
        raw.sendall(sent)
        found, problem = answer_on(raw)
        assert (found, problem["code"]) == (status, code)


def test_a_body_with_two_lengths_is_refused_and_the_connection_ends(api: Api) -> None:
    """Of a proxy in front that reads the other one, the rest would be another request: here one to revoke a key."""
    key = api.http.headers["authorization"]
    hidden = f"DELETE /v1/keys/ops HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n"
    lengths = f"Authorization: {key}\r\nContent-Length: {5 + len(hidden)}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(api.url) as raw:
        raw.sendall((HEAD + lengths + "0\r\n\r\n" + hidden).encode())
        found, problem = answer_on(raw)
    assert (found, problem["code"]) == (400, "ambiguous_request")
    assert api.http.get("/v1/keys").status_code == 200


@pytest.mark.parametrize(("name", "values"), [("Idempotency-Key", ("a", "b")), ("Content-Type", ("application/json", "text/plain"))])
def test_a_header_that_says_two_things_is_refused(api: Api, name: str, values: tuple[str, str]) -> None:
    others = {"Content-Type": "application/json", "Idempotency-Key": "twice"}
    others.pop(name)
    headers = [*others.items(), *((name, value) for value in values)]
    answer = api.http.post("/v1/jobs/search-and-buy", content=b'{"request":{"country":"US"}}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "ambiguous_request")
    assert name in answer.json()["detail"]
