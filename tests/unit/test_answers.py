"""What an answer of a mutating call means: a table of everything that was seen or feared."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from didflow.contract.provider import Barred, No, NotNow, NotNowReason, Unclear, Yes
from worker.wavix.answers import Mutation, Said, classify, classify_failure, heard_of
from worker.wavix.request_gate import Heard

SUCCESS = {"success": True}
REFUSED = {"success": False, "message": "no"}


def said(status: int, body: Any, **headers: str) -> Said:
    return Said(
        status,
        body if isinstance(body, bytes) else json.dumps(body).encode(),
        {name.replace("_", "-"): value for name, value in headers.items()},
    )


@pytest.mark.parametrize(
    ("call", "answer", "kind"),
    [
        (Mutation.CHECKOUT, said(201, SUCCESS), Yes),
        (Mutation.CHECKOUT, said(200, SUCCESS), Yes),
        (Mutation.CHECKOUT, said(201, b'{"success": tr'), Unclear),
        (Mutation.CHECKOUT, said(201, REFUSED), Unclear),
        (Mutation.CHECKOUT, said(201, b""), Unclear),
        (Mutation.CHECKOUT, said(200, b"<html>ok</html>"), Unclear),
        (Mutation.CHECKOUT, said(204, b""), Unclear),
        (Mutation.CHECKOUT, said(301, b""), Unclear),
        (Mutation.CHECKOUT, said(404, REFUSED), No),
        (Mutation.CHECKOUT, said(404, b"<html>404</html>"), Unclear),
        (Mutation.CHECKOUT, said(400, REFUSED), No),
        (Mutation.CHECKOUT, said(408, REFUSED), Unclear),
        (Mutation.CHECKOUT, said(409, REFUSED), Unclear),
        (Mutation.CHECKOUT, said(422, {"error": "x", "error_dids": ["1213"]}), No),
        (Mutation.CHECKOUT, said(500, REFUSED), Unclear),
        (Mutation.CHECKOUT, said(502, b"<html>"), Unclear),
        (Mutation.CHECKOUT, said(503, REFUSED), Unclear),
        (Mutation.CHECKOUT, said(503, REFUSED, retry_after="7"), NotNow),
        (Mutation.CHECKOUT, said(429, b""), NotNow),
        (Mutation.CHECKOUT, said(401, REFUSED), Barred),
        (Mutation.CHECKOUT, said(403, {"message": "Insufficient funds"}), No),
        (Mutation.CHECKOUT, said(403, {"message": "Flex Pro only"}), Barred),
        (Mutation.CHECKOUT, said(401, b"<html>401</html>"), Unclear),
        (Mutation.CHECKOUT, said(403, b"<html>403 Forbidden</html>"), Unclear),
        (Mutation.RELEASE, said(403, b"  <!DOCTYPE html><h1>Forbidden</h1>"), Unclear),
        (Mutation.ROUTE, said(403, b"Forbidden", content_type="text/html; charset=utf-8"), Unclear),
        (Mutation.RELEASE, said(400, b"<html>400</html>"), Unclear),
        (Mutation.RELEASE, said(422, b"<html>not found</html>"), Unclear),
        (Mutation.SMS, said(404, b"<html>404</html>"), Unclear),
        (Mutation.CART_PUT, said(200, []), Yes),
        (Mutation.CART_PUT, said(200, SUCCESS), Yes),
        (Mutation.CART_PUT, said(422, REFUSED), Unclear),
        (Mutation.CART_PUT, said(403, {"message": "Insufficient funds"}), Barred),
        (Mutation.CART_DELETE, said(404, REFUSED), No),
        (Mutation.ROUTE, said(200, {"items": []}), Yes),
        (Mutation.ROUTE, said(422, REFUSED), No),
        (Mutation.UPDATE, said(200, {"id": 1}), Yes),
        (Mutation.RELEASE, said(422, REFUSED), No),
        (Mutation.RELEASE, said(404, REFUSED), No),
    ],
)
def test_an_answer_is_of_one_kind(call: Mutation, answer: Said, kind: type) -> None:
    assert type(classify(call, answer)) is kind


def test_a_no_says_which() -> None:
    assert classify(Mutation.CHECKOUT, said(403, {"message": "Insufficient funds"})) == No("insufficient_funds", "Insufficient funds")
    for status in (400, 402, 403, 422):
        assert classify(Mutation.CHECKOUT, said(status, {"error": "Insufficient funds"})) == No("insufficient_funds", "Insufficient funds")
    assert classify(Mutation.CHECKOUT, said(402, {"success": False})) == No("insufficient_funds", "HTTP 402")
    assert classify(Mutation.CHECKOUT, said(404, REFUSED)) == No("not_in_cart", "no")
    assert classify(Mutation.RELEASE, said(404, REFUSED)) == No("not_found", "no")
    assert classify(Mutation.CHECKOUT, said(422, {"error": "gone", "error_dids": ["1213", 44]})) == No(
        "some_unavailable", "gone", ("+1213", "+44")
    )


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [("7", 7.0), ("0", 0.0), ("99999", 300.0), ("soon", None), ("Tue, 24 Nov 2026 00:01:00 GMT", 60.0), ("-3", 0.0), ("", None)],
)
def test_retry_after_is_read_within_bounds(header: str, wait_s: float | None) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    assert said(429, b"", retry_after=header).retry_after_s(now) == (None if header == "-3" else wait_s)


@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout, httpx.WriteTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError, httpx.CloseError]
)
def test_no_answer_after_sending_is_unclear(error: type[httpx.TransportError]) -> None:
    assert isinstance(classify_failure(error("gone")), Unclear)


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_no_connection_means_that_nothing_happened(error: type[httpx.TransportError]) -> None:
    assert classify_failure(error("no")) == NotNow(NotNowReason.UNREACHABLE)


@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        (said(200, SUCCESS), Heard("fine")),
        (said(200, b"[]\n"), Heard("fine")),
        (said(204, b""), Heard("fine")),
        (said(404, b"<html>no such route</html>"), Heard("fine")),
        (said(401, REFUSED), Heard("fine")),
        (said(403, REFUSED), Heard("fine")),
        (said(422, REFUSED), Heard("fine")),
        (said(429, REFUSED), Heard("limited", None, "no")),
        (said(429, b"<html>", retry_after="7"), Heard("limited", 7.0, "HTTP 429")),
        (said(503, REFUSED, retry_after="7"), Heard("limited", 7.0, "no")),
        (said(503, REFUSED), Heard("down", words="no")),
        (said(500, b""), Heard("down", words="HTTP 500")),
        (said(200, b"<html>maintenance</html>"), Heard("down", words="HTTP 200, unreadable")),
        (said(201, b'{"success": tr'), Heard("down", words="HTTP 201, unreadable")),
        (said(200, b""), Heard("down", words="HTTP 200, unreadable")),
        (NotNow(NotNowReason.UNREACHABLE), Heard("down", words="unreachable")),
        (Unclear("ReadTimeout"), Heard("down", words="ReadTimeout")),
    ],
)
def test_what_an_answer_says_about_the_next_calls(answer: Said | NotNow | Unclear, heard: Heard) -> None:
    assert heard_of(answer) == heard
