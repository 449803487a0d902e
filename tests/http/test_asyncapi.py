"""The description of streams and webhooks: checked in, valid by the official schema, and true for real entries."""

import copy
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError

from producers.http.asyncapi import asyncapi
from producers.http.stream_reading import Position, read_on
from tests.support.http_server import WITHIN_S, Api

FILE = Path(__file__).parents[2] / "docs" / "asyncapi.json"
SCHEMA = Path(__file__).parent / "asyncapi" / "schema-3.0.0.json"


@pytest.fixture(scope="module")
def official() -> Draft7Validator:
    return Draft7Validator(json.loads(SCHEMA.read_text()))


def test_the_description_is_checked_in() -> None:
    """After a change: `.venv/bin/python -m producers.http asyncapi > docs/asyncapi.json`."""
    assert json.loads(FILE.read_text()) == asyncapi()


def test_it_is_served_beside_the_one_of_http(api: Api) -> None:
    answer = httpx.get(f"{api.url}/asyncapi.json", trust_env=False, timeout=WITHIN_S)
    assert (answer.status_code, answer.json()) == (200, asyncapi())


def test_it_is_valid_by_the_official_schema(official: Draft7Validator) -> None:
    official.validate(asyncapi())


@pytest.mark.parametrize(("path", "value"), [(("asyncapi",), "2.6.0"), (("operations", "publish_results", "action"), "publish")])
def test_what_is_not_asyncapi_3_is_found_out(official: Draft7Validator, path: tuple[str, ...], value: str) -> None:
    changed = copy.deepcopy(asyncapi())
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    with pytest.raises(ValidationError):
        official.validate(changed)


def test_every_reference_leads_somewhere() -> None:
    found = asyncapi()
    for reference in _references(found):
        inner = found
        for part in reference.removeprefix("#/").split("/"):
            inner = inner[part]


def test_real_entries_are_as_described(api: Api) -> None:
    """A job that is submitted and cancelled."""
    job = api.buy("asyncapi-1").json()["id"]
    assert api.http.post(f"/v1/jobs/{job}/cancel", json={}).status_code == 200
    seen = set[str]()
    for item in api.ledger.perform(read_on(api.ledger.keys, Position())):
        message = _described("results" if item.is_result else "events", item.type)
        _check(message["headers"], {name: text for name, text in item.fields.items() if name != "data"})
        _check(message["payload"], item.data)
        seen.add(item.type)
    assert seen >= {"didflow.job.queued.v1", "didflow.job.cancelled.v1"}


def _described(channel: str, kind: str) -> dict[str, Any]:
    """The message of this type, if the channel has it."""
    references = asyncapi()["channels"][channel]["messages"]
    names = [name for name in references if asyncapi()["components"]["messages"][name]["name"] == kind]
    assert len(names) == 1, (channel, kind)
    found: dict[str, Any] = asyncapi()["components"]["messages"][names[0]]
    return found


def _check(schema: dict[str, Any], instance: object) -> None:
    Draft202012Validator({**schema, "components": asyncapi()["components"]}).validate(instance)


def _references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [one for value in part.values() for one in _references(value)]
    return [one for value in part for one in _references(value)] if isinstance(part, list) else []
