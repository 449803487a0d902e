"""Holds each answer of the HTTP API against the OpenAPI description: no status and no body that isn't described."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator


@cache
def description() -> dict[str, Any]:
    """The OpenAPI document as it is published. To generate it takes a second; `tests/http/test_description.py` compares it with the app."""
    document: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
    return document


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    """Fixed paths before those with parts that vary."""
    found = sorted(description()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), path) for path in found]


def check_answer(answer: httpx.Response) -> None:
    """Fails for an answer that isn't described. Paths that aren't described have no answers but 401, 404 and 405."""
    raw = answer.request.url.raw_path.decode().partition("?")[0]
    template = next((path for pattern, path in _paths() if pattern.fullmatch(raw)), None)
    method = answer.request.method.lower()
    if template is None or method not in description()["paths"][template]:
        assert answer.status_code in (200, 401, 403, 404, 405, 503), (method, raw, answer.status_code)
        return
    responses = description()["paths"][template][method]["responses"]
    if answer.status_code == 304:
        return
    assert str(answer.status_code) in responses, (method, template, answer.status_code, answer.read()[:500])
    content = responses[str(answer.status_code)].get("content", {})
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind == "text/event-stream" or answer.status_code == 204:
        return
    assert kind in content, (method, template, answer.status_code, kind)
    if kind.endswith("json"):
        answer.read()
        problems = [
            f"{fault.json_path}: {fault.message[:300]}"
            for fault in _validator(template, method, answer.status_code, kind).iter_errors(answer.json())
        ]
        assert problems == [], (method, template, answer.status_code)


@cache
def _validator(template: str, method: str, status: int, kind: str) -> Draft202012Validator:
    schema = description()["paths"][template][method]["responses"][str(status)]["content"][kind]["schema"]
    return Draft202012Validator({**schema, "components": description()["components"]})
