"""Errors as RFC 9457 problem details, with the codes of `didflow.contract.errors`."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import Response

from didflow.contract.errors import (
    AlreadyDecided,
    AlreadyLeaving,
    ApiKeyNotFound,
    ConsoleSessionNotFound,
    DeadLetterNotFound,
    DidflowError,
    Fault,
    IdempotencyConflict,
    IncidentNotFound,
    InvalidRequest,
    InvalidSettings,
    JobNotFound,
    LoginRefused,
    LookFailed,
    NumbersGone,
    PlanNotFound,
    SecondPersonNeeded,
    ServiceUnavailable,
    SweepFailed,
    UnsafeRedis,
    WaitTimeout,
    WebhookNotFound,
    WrongJob,
)

MEDIA_TYPE = "application/problem+json"
#: The id of the request that is being answered.
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
#: How long a client leaves a server alone whose Redis is away.
AWAY_S = 5


class ProblemFault(BaseModel):
    """One thing that is wrong. `pointer`: where in the body, a JSON pointer; `parameter`: the query parameter or header."""

    model_config = ConfigDict(frozen=True)

    detail: str
    code: str
    next_step: str
    pointer: str | None = None
    parameter: str | None = None


class Problem(BaseModel):
    """An error. `code` is stable; `retryable`: the same request may work later without a change; `errors`: every fault at once."""

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool = False
    errors: tuple[ProblemFault, ...] = ()
    request_id: str | None = None
    job_id: str | None = None


class Refused(HTTPException):
    """An answer of the HTTP layer itself, such as a missing key. FastAPI lets it through wherever it is raised."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        faults: Iterable[ProblemFault] = (),
        headers: Mapping[str, str] | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.code, self.faults, self.retryable = code, tuple(faults), retryable


#: What a problem is, in words that don't change with the request.
TITLES = {
    400: "The request can't be read",
    401: "A key is needed",
    403: "The key doesn't allow this",
    404: "There is no such thing",
    405: "This method isn't supported here",
    406: "No such representation",
    408: "The request came too slowly",
    409: "The state of things doesn't allow this",
    412: "It has changed since you read it",
    413: "The body is too large",
    415: "The body has another type",
    422: "The request is invalid",
    429: "Too many requests",
    431: "The headers are too large",
    500: "didflow failed",
    503: "A service is away",
    504: "It took too long",
}


def status_of(error: DidflowError) -> int:
    """The HTTP status that goes with an error."""
    match error:
        case AlreadyLeaving() | AlreadyDecided() | WrongJob() | NumbersGone() | SecondPersonNeeded():
            return 409
        case InvalidRequest() | IdempotencyConflict():
            return 422
        case JobNotFound() | PlanNotFound() | IncidentNotFound() | DeadLetterNotFound():
            return 404
        case ApiKeyNotFound() | WebhookNotFound() | ConsoleSessionNotFound():
            return 404
        case WaitTimeout():
            return 504
        case ServiceUnavailable() | LookFailed() | SweepFailed() | UnsafeRedis() | InvalidSettings():
            return 503
    return 500


def of_error(error: DidflowError) -> Response:
    """The answer to a request that ended in one of our errors."""
    status = status_of(error)
    faults = tuple(map(_fault, error.faults)) if isinstance(error, InvalidRequest) else ()
    headers = {"Retry-After": str(AWAY_S)} if status == 503 and not isinstance(error, LoginRefused) else {}
    job_id = error.job_id if isinstance(error, IdempotencyConflict) else None
    return problem(
        status,
        error.code,
        _by_http(str(error)) if status == 404 else str(error),
        faults=faults,
        headers=headers,
        retryable=error.retryable,
        job_id=job_id,
    )


#: The commands that list what a 404 hasn't found, and the same over HTTP.
_LISTS = {
    "`didflow jobs`": "`GET /v1/jobs`",
    "`didflow incidents`": "`GET /v1/incidents`",
    "`didflow failover plan list`": "`GET /v1/failover-plans`",
    "`didflow keys list`": "`GET /v1/keys`",
    "`didflow keys sessions`": "`GET /v1/console/sessions`",
    "`didflow webhooks list`": "`GET /v1/webhooks`",
    "`didflow dead-letters`": "`GET /v1/dead-letters`",
}


def _by_http(words: str) -> str:
    """A next step as a client of this API takes it."""
    for command, route in _LISTS.items():
        words = words.replace(command, route)
    return words


def of_http(error: HTTPException) -> Response:
    """The answer of the HTTP layer, such as 404 for a path that doesn't exist."""
    if isinstance(error, Refused):
        return problem(
            error.status_code, error.code, error.detail, faults=error.faults, headers=error.headers or {}, retryable=error.retryable
        )
    code = {404: "no_such_path", 405: "method_not_allowed", 400: "not_readable"}.get(error.status_code, "http_error")
    detail = {404: "there is no such path: /docs lists them", 405: "this path has other methods: /docs lists them"}
    return problem(error.status_code, code, detail.get(error.status_code, str(error.detail)), headers=error.headers or {})


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    faults: Sequence[ProblemFault] = (),
    headers: Mapping[str, str] | None = None,
    retryable: bool = False,
    job_id: str | None = None,
) -> Response:
    """A response of type `application/problem+json`."""
    body = Problem(
        type=f"urn:didflow:problem:{code}",
        title=TITLES.get(status, "HTTP error"),
        status=status,
        detail=detail,
        code=code,
        retryable=retryable,
        errors=tuple(faults),
        request_id=REQUEST_ID.get(),
        job_id=job_id,
    )
    text = json.dumps(body.model_dump(mode="json", exclude_none=True), ensure_ascii=True)
    return Response(text, status, dict(headers or {}), MEDIA_TYPE)


#: Fields of a body beside its request.
_BESIDE = ("request", "reference", "account", "priority", "not_before", "quote")
_HEADERS = {"idempotency_key": "Idempotency-Key"}


def _fault(fault: Fault) -> ProblemFault:
    """A fault that the library found, after the body was read. Its path is dotted, and begins at the request or beside it."""
    if fault.path in _HEADERS:
        return ProblemFault(detail=fault.message, code=fault.code, next_step=fault.next_step, parameter=_HEADERS[fault.path])
    parts = fault.path.split(".")
    within = parts if parts[0] in _BESIDE else ["request", *parts]
    return ProblemFault(detail=fault.message, code=fault.code, next_step=fault.next_step, pointer=pointer(within))


@contextmanager
def in_the_query() -> Iterator[None]:
    """Faults that the library finds here are those of query parameters."""
    try:
        yield
    except InvalidRequest as error:
        faults = tuple(
            ProblemFault(detail=one.message, code=one.code, next_step=one.next_step, parameter=_parameter(one.path)) for one in error.faults
        )
        raise Refused(422, error.code, str(error), faults=faults) from None


def _parameter(path: str) -> str:
    """The field that a fault is about. A list is one parameter, whichever of its entries is wrong."""
    return next((part for part in reversed(path.split(".")) if part and not part.isdigit()), path)


@contextmanager
def in_the_body() -> Iterator[None]:
    """Faults that the library finds here are those of fields of the body itself, which has no `request`."""
    try:
        yield
    except InvalidRequest as error:
        faults = tuple(
            ProblemFault(detail=one.message, code=one.code, next_step=one.next_step, pointer=pointer(one.path.split(".")))
            for one in error.faults
        )
        raise Refused(422, error.code, str(error), faults=faults) from None


def pointer(parts: Iterable[Any]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


#: Answers that any route may give.
_ANY = (400, 401, 403, 422, 429, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for its description. One that has a body may come too slowly."""
    if 413 in statuses:
        statuses = (408, *statuses)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": TITLES[status], "content": content} for status in sorted({*_ANY, *statuses})}
