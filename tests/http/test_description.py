"""The description: checked in, valid, complete, and shown without the internet."""

import json
import re
from pathlib import Path

import httpx
from openapi_schema_validator import OAS31Validator

from producers.http.app import described
from tests.support.described_answers import description
from tests.support.http_server import WITHIN_S, Api

FILE = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_description_is_checked_in() -> None:
    """After a change: `.venv/bin/python -m producers.http > docs/openapi.json`."""
    assert json.loads(FILE.read_text()) == described().openapi()


def test_it_is_openapi_3_1_and_its_schemas_are_valid() -> None:
    found = description()
    assert found["openapi"].startswith("3.1.")
    for schema in found["components"]["schemas"].values():
        OAS31Validator.check_schema(schema)
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(found)))
    assert named <= set(found["components"]["schemas"])


def test_every_operation_says_what_it_does_and_how_it_fails() -> None:
    for path, operations in description()["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert {"401", "403", "422", "429", "503"} <= set(operation["responses"]), (method, path)
            assert all("Problem" in json.dumps(one) for status, one in operation["responses"].items() if status >= "4"), (method, path)


def test_names_of_operations_are_names_of_functions_in_any_language() -> None:
    names = [operation["operationId"] for operations in description()["paths"].values() for operation in operations.values()]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z][a-zA-Z0-9_]*", name)] == []


def test_the_page_needs_nothing_from_elsewhere(api: Api) -> None:
    answer = httpx.get(f"{api.url}/docs", trust_env=False, timeout=WITHIN_S)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert re.findall(r"https?://|<script|<link|@import|url\(", answer.text) == []
    for path in description()["paths"]:
        assert f"<code>{path}</code>" in answer.text
    assert httpx.get(f"{api.url}/openapi.json", trust_env=False, timeout=WITHIN_S).json() == description()
