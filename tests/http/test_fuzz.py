"""Generated requests to every operation: no 500, and no answer outside the description."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.described_answers import description
from tests.support.generated_json import of_schema
from tests.support.http_server import Api

OPERATIONS = [
    (path, method)
    for path, operations in description()["paths"].items()
    for method in operations
    # They don't end by themselves.
    if not path.endswith("/events")
]
TEXT = st.text(max_size=20) | st.sampled_from(
    ["0", "-1", "nan", "night", "INC-1", "+12135550100", "9" * 30, "2026-02-30", "\x00", "%00", "..", "x" * 300]
)


def request_of(path: str, method: str) -> st.SearchStrategy[dict[str, Any]]:
    """Requests to an operation: some as described, some not at all."""
    operation = description()["paths"][path][method]
    parameters = operation.get("parameters", ())
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    of_body = st.none() if body is None else of_schema(body, description()) | st.from_type(type(None)) | TEXT
    names = {kind: [one["name"] for one in parameters if one["in"] == kind] for kind in ("path", "query", "header")}
    headers = st.fixed_dictionaries({}, optional=dict.fromkeys(names["header"], TEXT))
    waits = {"wait": st.just("0")} if "wait" in names["query"] else {}
    query = st.fixed_dictionaries(waits, optional={name: TEXT for name in names["query"] if name != "wait"})
    return st.fixed_dictionaries(
        {
            "path": st.fixed_dictionaries({name: TEXT.filter(bool) for name in names["path"]}),
            "query": query,
            "headers": headers,
            "body": of_body,
        }
    )


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    path, method = draw(st.sampled_from(OPERATIONS))
    return path, method, draw(request_of(path, method))


def send(api: Api, path: str, method: str, request: dict[str, Any]) -> None:
    for name, text in request["path"].items():
        path = path.replace("{" + name + "}", quote(text, safe="", errors="surrogatepass"))
    headers = {
        name: text.encode("utf-8", "surrogatepass").replace(b"\x00", b"").replace(b"\r", b"").replace(b"\n", b"").strip()
        for name, text in request["headers"].items()
    }
    headers = {name: value for name, value in headers.items() if all(byte >= 0x20 or byte == 9 for byte in value) and b"\x7f" not in value}
    headers.setdefault("Idempotency-Key", b"fuzz")
    body = request["body"]
    if body is not None:
        headers["Content-Type"] = b"application/json"
    content = None if body is None else json.dumps(body).encode()
    answer = api.http.request(method, path, params=request["query"], headers=[(k.encode(), v) for k, v in headers.items()], content=content)
    assert answer.status_code < 500 or answer.status_code == 504, (method, path, answer.text)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(one=requests())
def test_no_request_is_answered_with_500(api: Api, one: tuple[str, str, dict[str, Any]]) -> None:
    send(api, *one)


@pytest.mark.long
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_each_operation_is_tried_at_length(api: Api, path: str, method: str) -> None:
    @settings(max_examples=300, suppress_health_check=list(HealthCheck))
    @given(request=request_of(path, method))
    def tried(request: dict[str, Any]) -> None:
        send(api, path, method, request)

    tried()
