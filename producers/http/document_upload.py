"""`POST /v1/documents`: takes a document's file and submits the job that uploads it. A worker fetches the file; Redis never stores it."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from didflow.client.document_jobs import numbers_that_need
from didflow.contract.api_keys import ApiScope
from didflow.contract.document_file import MEDIA_TYPES, Paper, read_paper
from didflow.contract.errors import Fault, InvalidRequest
from didflow.contract.jobs import JobView
from didflow.contract.numbers import parse_e164
from didflow.contract.requests import UploadDocument
from didflow.contract.states import REPORTED
from producers.http.access import Asking, Caller, needs
from producers.http.jobs import job_id_in
from producers.http.orders import Label
from producers.http.problems import ProblemFault, Refused, problems
from producers.http.routes import StrictRoute
from producers.http.services import Services, Serving
from producers.http.strict_json import StrictRequest
from producers.http.submit import Key, Prefer, Wait, check_own, checked_key, submitted, wait_of
from producers.http.waiting import waited

router = APIRouter(tags=["documents"], route_class=StrictRoute)

T = TypeVar("T")
#: A file whose sender doesn't say what it is, as clients that generators make: its content says it.
ANY_FILE = "application/octet-stream"
_FILE = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/documents",
    dependencies=[needs(ApiScope.BUY)],
    summary="Upload a document",
    status_code=202,
    response_model=None,
    responses={
        202: {"model": JobView, "description": "The job; it hasn't ended"},
        200: {"model": JobView, "description": "The job; it has ended, or is parked"},
        **problems(400, 404, 413, 415, 422),
    },
    openapi_extra={"requestBody": {"required": True, "content": dict.fromkeys((*MEDIA_TYPES, ANY_FILE), _FILE)}},
)
async def upload_document(
    services: Serving,
    caller: Asking,
    request: Request,
    kind: Annotated[str, Query(alias="type", max_length=40, description="`id`, `address` or `localaddress`")],
    number: Annotated[tuple[str, ...], Query(max_length=1000, description="E.164, `+` as `%2B`; give it once for each number")] = (),
    job: Annotated[str | None, Query(max_length=200, description="Instead: the numbers of this job that need such a document")] = None,
    account: Annotated[Label, Query()] = "default",
    reference: Annotated[Label | None, Query()] = None,
    idempotency_key: Key = None,
    wait: Wait = None,
    prefer: Prefer = None,
) -> Response:
    """The file is the body, with its media type. It goes to the provider only for numbers that need it and don't have such a document
    yet; the result of the job says what became of each."""
    key = checked_key(idempotency_key, needed=True)
    caller.need_sight(account, reference)
    # A key that sees some references only names numbers by a job of one of them.
    if number and caller.key is not None and caller.key.reference_prefix is not None:
        caller.need_all_seen()
    numbers = await _numbers(services, caller, number, job, kind, account)
    content = await request.file() if isinstance(request, StrictRequest) else await request.body()
    wanted = await run_in_threadpool(_request, kind, _media_type(request), numbers, content)
    with services.files.room_for(len(content)):
        beside: dict[str, Any] = {"idempotency_key": key, "reference": reference, "account": account}
        submit = await services.acting_for(caller).submit(wanted, **beside)
        view = await services.view(submit.id)
        check_own(caller, view)
        if view.state not in REPORTED:
            services.files.hold(view.id, wanted.sha256, content)
    if (wait_s := wait_of(wait, prefer)) > 0 and view.state not in REPORTED:
        view = await waited(services, view, wait_s, request)
    return submitted(submit, view)


def _media_type(request: Request) -> str:
    """Raises Refused (415)."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in (*MEDIA_TYPES, ANY_FILE):
        what = f"the body is the file: send it with its Content-Type, one of {', '.join((*MEDIA_TYPES, ANY_FILE))}"
        raise Refused(415, "unsupported_media_type", what)
    return given


async def _numbers(
    services: Services, caller: Caller, texts: Sequence[str], job: str | None, kind: str, account: str
) -> tuple[str, ...] | tuple[Fault, ...]:
    """The numbers, or everything that is wrong with them."""
    if bool(texts) == (job is not None):
        return (Fault("number", "name the numbers, or a job: one of both"),)
    if job is None:
        read = [_number(text) for text in texts]
        faults = tuple(one for one in read if isinstance(one, Fault))
        return faults or tuple(dict.fromkeys(one for one in read if isinstance(one, str)))
    view = await services.job(caller, job_id_in(job))
    if view.account != account:
        return (Fault("job", f"{view.id} belongs to account {view.account!r}: give it as account"),)
    found = _or_faults(lambda: numbers_that_need(view, kind))
    if len(found) > 1000:
        return (Fault("job", "more than 1000 numbers need it: name them, at most 1000 at a time"),)
    return found


def _number(text: str) -> str | Fault:
    try:
        return parse_e164(text)
    except ValueError as error:
        return Fault("number", str(error))


def _or_faults(read: Callable[[], T]) -> T | tuple[Fault, ...]:
    try:
        return read()
    except InvalidRequest as error:
        return error.faults


def _request(kind: str, media_type: str, numbers: Sequence[str] | Sequence[Fault], content: bytes) -> UploadDocument:
    """Raises Refused (422) with every fault of numbers, type and file."""
    paper = _or_faults(lambda: read_paper(kind, content))
    faults = [one for one in (*numbers, *(() if isinstance(paper, Paper) else paper)) if isinstance(one, Fault)]
    if isinstance(paper, Paper) and media_type not in (paper.content_type, ANY_FILE):
        faults.append(Fault("file", f"is {paper.content_type} by its content, and was sent as {media_type}: send it as what it is"))
    if faults or not isinstance(paper, Paper):
        text = "; ".join(f"{fault.path}: {fault.message}" for fault in faults[:20])
        raise Refused(422, InvalidRequest.code, text, faults=tuple(map(_shown, faults)))
    digest = hashlib.sha256(content).hexdigest()
    return UploadDocument.model_validate({"document": paper.kind, "numbers": tuple(numbers), "sha256": digest, "size_bytes": len(content)})


def _shown(fault: Fault) -> ProblemFault:
    where: dict[str, str] = {"pointer": ""} if fault.path == "file" else {"parameter": fault.path}
    return ProblemFault(detail=fault.message, code=fault.code, next_step=fault.next_step, **where)
