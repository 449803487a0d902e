"""The provider's published OpenAPI files as test data: what a request may be, what an answer must be."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FILES = {"mydids": "openapi-2025-11-mydids-appid.json", "numbers": "openapi-2026-06-numbers-bearer.json"}
#: The older file says 3.1 and writes 3.0's `nullable`; validated as what it means.
METHODS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True)
class Operation:
    """One method of one path. `raw` is its part of the file."""

    path: str
    method: str
    raw: Mapping[str, Any]
    parameters: tuple[Mapping[str, Any], ...]


class Contract:
    """One of the files. `base` is the part of a path that belongs to the server's address."""

    def __init__(self, dialect: str) -> None:
        self.document = _nullable_to_types(json.loads((Path(__file__).parent / "openapi" / FILES[dialect]).read_text()))
        self.base = "/v1" if dialect == "mydids" else ""
        self._registry = Registry().with_resource("file", Resource.from_contents(self.document, default_specification=DRAFT202012))

    def operations(self) -> Iterator[Operation]:
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    given = (*item.get("parameters", ()), *item[method].get("parameters", ()))
                    yield Operation(path, method, item[method], tuple(self.resolved(one) for one in given))

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation that a request's path belongs to; literal paths go before those with parameters."""
        found = [one for one in self.operations() if one.method == method.lower() and _matches(one.path, path.removeprefix(self.base))]
        return min(found, key=lambda one: one.path.count("{")) if found else None

    def resolved(self, part: Any) -> Any:
        if isinstance(part, dict) and "$ref" in part:
            target: Any = self.document
            for name in part["$ref"].removeprefix("#/").split("/"):
                target = target[name]
            return self.resolved(target)
        return part

    def faults(self, schema: Any, value: Any) -> list[str]:
        """How the value breaks the schema; empty if it doesn't."""
        validator = Draft202012Validator(_absolute(schema), registry=self._registry)
        return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(value)]

    def request_schema(self, operation: Operation) -> Any:
        return self.resolved(operation.raw.get("requestBody", {})).get("content", {}).get("application/json", {}).get("schema")

    def form_schema(self, operation: Operation) -> Any:
        return self.resolved(operation.raw["requestBody"])["content"]["multipart/form-data"]["schema"]

    def response_schema(self, operation: Operation, status: int) -> Any:
        answer = self.resolved(operation.raw["responses"].get(str(status)))
        return None if answer is None else answer.get("content", {}).get("application/json", {}).get("schema")

    def response_examples(self, operation: Operation) -> Iterator[tuple[int, Any]]:
        """Every example of a JSON answer, wherever the file keeps it."""
        for status, answer in operation.raw["responses"].items():
            content = self.resolved(answer).get("content", {}).get("application/json", {})
            for one in (content.get("example"), *(named.get("value") for named in content.get("examples", {}).values())):
                if one is not None:
                    yield int(status), one
            for part in (content.get("schema", {}), *content.get("schema", {}).get("allOf", ())):
                if isinstance(part, dict) and "example" in part and "type" not in part:
                    yield int(status), part["example"]


@cache
def contract(dialect: str) -> Contract:
    return Contract(dialect)


def _matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path) is not None


def _nullable_to_types(part: Any) -> Any:
    if isinstance(part, list):
        return [_nullable_to_types(one) for one in part]
    if not isinstance(part, dict):
        return part
    known = {name: _nullable_to_types(value) for name, value in part.items()}
    if known.pop("nullable", False) is True and isinstance(known.get("type"), str):
        known["type"] = [known["type"], "null"]
    return known


def _absolute(part: Any) -> Any:
    """References inside the file, made to point into it from anywhere."""
    if isinstance(part, list):
        return [_absolute(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {name: f"file{value}" if name == "$ref" and isinstance(value, str) else _absolute(value) for name, value in part.items()}
