"""The OpenAPI description: at `/openapi.json`, in `docs/openapi.json`, and as a page that needs nothing from the internet."""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from starlette.responses import HTMLResponse, JSONResponse, Response

from producers.http.asyncapi import asyncapi
from producers.http.docs_page import POLICY, page_of
from producers.http.problems import Problem, problems

#: Of the API, which is `/v1`; not of the package.
VERSION = "1"
_TEXT = "Provision phone numbers: jobs that are never lost, purchases that happen exactly once."
_KEY = {"type": "http", "scheme": "bearer", "description": "A key that `didflow keys create` made"}


def describe(app: FastAPI) -> None:
    """Serve the description."""

    async def openapi() -> Response:
        return JSONResponse(app.openapi())

    async def streams() -> Response:
        return JSONResponse(asyncapi())

    async def page() -> Response:
        return HTMLResponse(page_of(app.openapi()), headers={"Content-Security-Policy": POLICY})

    app.add_api_route("/docs", page, include_in_schema=False)
    app.add_api_route("/openapi.json", openapi, include_in_schema=False)
    app.add_api_route("/asyncapi.json", streams, include_in_schema=False)
    app.openapi = lambda: _of(app)  # type: ignore[method-assign]


def _of(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        found = get_openapi(title="didflow", version=VERSION, description=_TEXT, routes=app.routes)
        schemas = found.setdefault("components", {}).setdefault("schemas", {})
        problem = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
        schemas |= problem.pop("$defs", {})
        schemas["Problem"] = problem
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        found["components"]["securitySchemes"] = {"key": _KEY}
        found["security"] = [{"key": []}]
        _name_operations(found)
        _add_missing_paths(found)
        app.openapi_schema = _with_one_name_each(found)
    return app.openapi_schema


def _name_operations(description: dict[str, Any]) -> None:
    """`list_jobs` instead of `list_jobs_v1_jobs_get`: generated clients take the names for their methods."""
    for operations in description["paths"].values():
        for operation in operations.values():
            operation["operationId"] = operation["operationId"].partition("_v1_")[0].partition("_metrics_get")[0]


def _add_missing_paths(description: dict[str, Any]) -> None:
    """A name with a line break in it, and one with a slash where names have none, lead to no path."""
    missing = problems(404)[404]
    for path, operations in description["paths"].items():
        for operation in operations.values() if "{" in path else ():
            operation["responses"] = dict(sorted({"404": missing, **operation["responses"]}.items()))


def _with_one_name_each(description: dict[str, Any]) -> dict[str, Any]:
    """A model that is read otherwise than it is written has two schemas of one title: generated clients need two names."""
    text = json.dumps(description)
    for name in [name for name in description["components"]["schemas"] if name.endswith("-Input")]:
        plain = name.removesuffix("-Input")
        text = text.replace(f'schemas/{plain}-Output"', f'schemas/{plain}"').replace(f'"{plain}-Output":', f'"{plain}":')
        text = text.replace(f'schemas/{name}"', f'schemas/Given{plain}"').replace(f'"{name}":', f'"Given{plain}":')
    named: dict[str, Any] = json.loads(text)
    for name, schema in named["components"]["schemas"].items():
        if name.startswith("Given"):
            schema["title"] = name
    return named
