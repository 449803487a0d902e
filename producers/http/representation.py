"""How things of didflow are written in answers: the same JSON that `--json` has, with every field, and an ETag."""

import hashlib
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from didflow.client.job_numbers import in_result
from didflow.contract.jobs import JobView
from didflow.contract.requests import Request as JobRequest

JSON = "application/json"
#: More are read and written in a thread.
MANY_NUMBERS = 2_000


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


def answer(value: object, kind: Any = None, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer, with its ETag."""
    content = written(value, kind)
    return Response(content, status, {"ETag": etag(content), **(headers or {})}, JSON)


async def shown(view: JobView, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A job as an answer. One of very many numbers is written in a thread."""
    if not is_large(view):
        return answer(without_rows(view), JobView, status=status, headers=headers)
    return await run_in_threadpool(answer, without_rows(view), JobView, status=status, headers=headers)


def is_large(view: JobView) -> bool:
    """Whether it has too many numbers to be written in the event loop: that would delay other requests."""
    return named_numbers(view.request) + len(in_result(view)) > MANY_NUMBERS


def named_numbers(request: JobRequest | None) -> int:
    """How many numbers and record ids a request names."""
    fields = {} if request is None else request.__dict__  # A missing attribute costs pydantic more than all else here.
    return sum(len(fields.get(name) or ()) for name in ("numbers", "record_ids"))


def unless_known(request: Request, response: Response) -> Response:
    """The answer to a read, or 304 without a body if the client has it already."""
    tag = response.headers.get("etag")
    if request.method != "GET" or response.status_code != 200 or tag is None:
        return response
    if not {tag, "*"} & set(_tags(request.headers.get("if-none-match", ""))):
        return response
    return Response(status_code=304, headers={"ETag": tag})


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
