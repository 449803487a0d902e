"""Routes that read their bodies strictly, and know each of their query parameters."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from fastapi._compat import ModelField
from fastapi.dependencies.utils import request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from producers.http.representation import unless_known
from producers.http.strict_json import StrictRequest

#: Finds faults of a query, as FastAPI has them.
QueryFaults = Callable[[Mapping[str, str]], list[dict[str, Any]]]
E = TypeVar("E", bound=Callable[..., Any])

_MORE_FAULTS: dict[Callable[..., Any], QueryFaults] = {}


def with_query_faults(find: QueryFaults) -> Callable[[E], E]:
    """Of an endpoint whose query has parameters that FastAPI doesn't know: their faults are named together with those of the others."""

    def mark(endpoint: E) -> E:
        _MORE_FAULTS[endpoint] = find
        return endpoint

    return mark


class StrictRoute(APIRoute):
    """A route of the API."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        body_field = self.body_field
        more = (self.openapi_extra or {}).get("parameters", ())
        known = frozenset([*(field.alias for field in _parameters(self.dependant)), *(str(parameter["name"]) for parameter in more)])

        find_more = _MORE_FAULTS.get(self.endpoint, _no_more)

        async def strictly(request: Request) -> Response:
            # What a misspelt filter would leave out is all of it.
            strange = sorted(set(request.query_params) - known)[:10]
            if faults := [*(_strange(name, known) for name in strange), *find_more(request.query_params)]:
                raise RequestValidationError([*faults, *request_params_to_args(_parameters(self.dependant), request.query_params)[1]])
            strict = StrictRequest.of(request)
            if body_field is not None and await strict.is_large():
                checked, faults = await run_in_threadpool(body_field.validate, await strict.json(), {}, loc=("body",))
                if faults:
                    # FastAPI finds them again, with those of the query and the headers, and calls no endpoint: that too takes long.
                    return await run_in_threadpool(asyncio.run, handle(strict))
                strict.replace_json(checked)
            return unless_known(request, await handle(strict))

        return strictly


def _parameters(dependant: Any) -> list[ModelField]:
    """The query parameters of a route and of what it depends on."""
    inner = [field for one in dependant.dependencies for field in _parameters(one)]
    return [*dependant.query_params, *inner]


def _no_more(query: Mapping[str, str]) -> list[dict[str, Any]]:  # noqa: ARG001 - as all of them
    return []


def _strange(name: str, known: Collection[str]) -> dict[str, Any]:
    nearest = get_close_matches(name, sorted(known), n=1)
    step = f"leave it out, or write {nearest[0]}" if nearest else "leave it out: there is no such parameter"
    return {
        "type": "extra_forbidden",
        "loc": ("query", name[:60]),
        "msg": "there is no such parameter",
        "input": None,
        "ctx": {"step": step},
    }
