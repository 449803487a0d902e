"""Style sheets and scripts, under names that hold their content's hash, so that a browser may keep them for ever."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

PATH = "/console/static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_KEEP = {"Cache-Control": "public, max-age=31536000, immutable"}


@dataclass(frozen=True)
class StaticFile:
    content: bytes
    media_type: str
    url: str


@cache
def static_files() -> dict[str, StaticFile]:
    """By name, such as ``console.css``; vendored files are among them."""
    folder = files("producers.console") / "static"
    found = {}
    for one in (*folder.iterdir(), *(folder / "vendor").iterdir()):
        stem, dot, ending = one.name.rpartition(".")
        if one.is_file() and (media_type := _TYPES.get(dot + ending)):
            content = one.read_bytes()
            tag = hashlib.sha256(content).hexdigest()[:12]
            found[one.name] = StaticFile(content, media_type, f"{PATH}/{stem}.{tag}.{ending}")
    return found


def static_url(name: str) -> str:
    """Where a page finds the file."""
    return static_files()[name].url


@cache
def _by_url() -> dict[str, StaticFile]:
    return {one.url: one for one in static_files().values()}


async def serve(request: Request) -> Response:
    """A file by the name that has its hash."""
    found = _by_url().get(f"{PATH}/{request.path_params['name']}")
    if found is None:
        return Response("no such file", 404, media_type="text/plain")
    return Response(found.content, headers=_KEEP, media_type=found.media_type)
