"""How things of didflow are written in answers: the same JSON that `--json` has, with every field, and an ETag."""

import hashlib
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from didflow.contract.jobs import JobView

JSON = "application/json"


#: By the type that they write.
_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def written(value: object, kind: Any = None) -> bytes:
    """JSON in UTF-8. Lone surrogates, which a damaged record may hold, are replaced."""
    return _adapter(type(value) if kind is None else kind).dump_json(value)


def etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def answer(
    value: object, kind: Any = None, *, status: int = 200, headers: dict[str, str] | None = None, request: Request | None = None
) -> Response:
    """A JSON answer. Given a read's request, an unchanged answer is 304 without a body."""
    content = written(value, kind)
    tagged = {"ETag": etag(content), **(headers or {})}
    if request is not None and tagged["ETag"] in _tags(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=tagged)
    return Response(content, status, tagged, JSON)


def _tags(header: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]


def matches(view: JobView, if_match: str) -> bool:
    """Whether the job is as it was when the caller read it."""
    return if_match.strip() == "*" or etag(written(without_rows(view))) in _tags(if_match)


def without_rows(view: JobView) -> JobView:
    """The job without the numbers of a result that is too large for one answer: `/numbers` has them."""
    if view.result is None or view.result.summary is None:
        return view
    return replace(view, result=view.result.model_copy(update={"numbers": ()}))
