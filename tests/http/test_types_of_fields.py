"""What has another type than a field is refused by name, instead of being read as the one that it might mean."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.described_answers import description
from tests.support.http_server import Api

#: What isn't of the type, and what pydantic would make of it: 1, 1.0, true or false, and a moment of 1970.
WRONG: dict[str, tuple[Any, ...]] = {
    "integer": (True, "1", 1.5),
    "number": (True, "1"),
    "boolean": (0, 1, "no", "true"),
    "date-time": (0, 1.5, "0.5", "2027", 20270101, "20270101"),
    "duration": (True,),
}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = description()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def type_of(schema: dict[str, Any]) -> str:
    """The type of a field that may be null besides; the format, if it has one."""
    parts = [resolved(part) for part in schema.get("anyOf", [schema])]
    of_value = [part for part in parts if part.get("type") != "null"]
    if len(of_value) != 1 or {"enum", "const"} & of_value[0].keys():
        return "one of some"
    return str(of_value[0].get("format", of_value[0].get("type")))


def fields(schema: dict[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each field of a body, and of the objects in it, but for those of a union of objects: which of them is meant isn't known."""
    parts = [resolved(part) for part in schema.get("anyOf", [resolved(schema)])]
    objects = [part for part in parts if part.get("type") == "object" and part.get("properties")]
    for name, field in objects[0]["properties"].items() if len(objects) == 1 else ():
        yield (*at, name), type_of(field)
        yield from fields(field, (*at, name))


def bodies() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in description()["paths"].items():
        for method, operation in operations.items():
            if body := operation.get("requestBody", {}).get("content", {}).get("application/json"):
                yield method, re.sub(r"\{\w+\}", "x", path), body["schema"]


@pytest.mark.parametrize(("method", "path", "schema"), [pytest.param(*one, id=f"{one[0]} {one[1]}") for one in bodies()])
def test_a_value_of_another_type_is_refused_by_its_field(api: Api, method: str, path: str, schema: dict[str, Any]) -> None:
    for at, kind in fields(schema):
        for value in WRONG.get(kind, ()):
            body = value
            for name in reversed(at):
                body = {name: body}
            answer = api.http.request(method, path, json=body, headers={"Idempotency-Key": "types"})
            places = [fault.get("pointer") for fault in answer.json()["errors"]]
            assert "/" + "/".join(at) in places, (at, value, answer.text)


@pytest.mark.parametrize(("method", "path"), [pytest.param(method, path, id=f"{method} {path}") for method, path, _ in bodies()])
def test_a_body_that_is_no_json_is_described(api: Api, method: str, path: str) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "types"}
    answer = api.http.request(method, path, content=b"\x00", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "not_json")


@pytest.mark.parametrize(
    "path", ["/v1/routes?at=", "/v1/routes/diff?first=", "/v1/audit?since=", "/v1/audit?until=", "/v1/numbers?added_after="]
)
@pytest.mark.parametrize("moment", ["0.5", "2027", "1700000000", "20270101"])
def test_a_number_is_no_moment(api: Api, path: str, moment: str) -> None:
    """It would be seconds since 1970, or milliseconds if it is large."""
    answer = api.http.get(f"{path}{moment}")
    assert answer.status_code == 422, answer.text
    assert [fault["parameter"] for fault in answer.json()["errors"]] == [path.partition("?")[2][:-1]]
