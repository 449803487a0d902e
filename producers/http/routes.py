"""Routes that read their bodies strictly, and know each of their query parameters."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from producers.http.strict_json import StrictRequest


class StrictRoute(APIRoute):
    """A route of the API."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        more = (self.openapi_extra or {}).get("parameters", ())
        known = frozenset([*_names(self.dependant), *(str(parameter["name"]) for parameter in more)])

        async def strictly(request: Request) -> Response:
            if strange := sorted(set(request.query_params) - known):
                # What a misspelt filter would leave out is all of it.
                raise RequestValidationError([_strange(name) for name in strange[:10]])
            return await handle(StrictRequest(request.scope, request.receive))

        return strictly


def _names(dependant: Any) -> list[str]:
    inner = [name for one in dependant.dependencies for name in _names(one)]
    return [*(field.alias for field in dependant.query_params), *inner]


def _strange(name: str) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": ("query", name[:60]), "msg": "there is no such parameter", "input": None}
