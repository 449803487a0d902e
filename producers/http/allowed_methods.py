"""Which methods a path has: the answer to another one names all of them (RFC 9110, 15.5.6). Starlette names those of one route."""

import re
from collections.abc import Iterable

from fastapi import APIRouter
from fastapi.routing import APIRoute

_PARAMETER = re.compile(r"\{[^}]*\}")


def methods_of(path: str, routers: Iterable[APIRouter]) -> list[str]:
    """All methods of the path that matches best: a fixed one before one with parts that vary. `path` is without the routers' prefix."""
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute) and route.path_regex.match(path)]
    best = max((route.path for route in routes), key=_fixed, default="")
    return sorted({method for route in routes if route.path == best for method in route.methods or ()})


def _fixed(path: str) -> tuple[int, int]:
    """How much of a path is fixed; of two that have as much, the one with fewer parts that vary comes first."""
    return len(_PARAMETER.sub("", path)), -path.count("{")
