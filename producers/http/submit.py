"""`POST /v1/jobs` and `POST /v1/jobs/{kind}`: a submit, with its idempotency key, and a wait for its end."""

import re
from difflib import get_close_matches
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from didflow.client.submission import asked, submit_and_get
from didflow.client.sync.client import Didflow
from didflow.contract.api_keys import ApiScope
from didflow.contract.errors import IdempotencyConflict, InvalidRequest
from didflow.contract.job_kinds import KINDS, JobKind, kind_of
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Failback, FollowDocuments, Release, Reroute
from didflow.contract.requests import Request as JobRequest
from didflow.contract.states import REPORTED
from didflow.ledger.script_calls import label_faults
from producers.http.access import Asking, Caller
from producers.http.orders import Order, any_order, order_of, ordered_models
from producers.http.problems import ProblemFault, Refused, problem, problems
from producers.http.representation import MANY_NUMBERS, answer, named_numbers, without_rows
from producers.http.routes import StrictRoute
from producers.http.services import Services, Serving
from producers.http.waiting import waited

#: The longest that a request may wait for the end of its job.
LONGEST_WAIT_S = 60

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same key with the same request is the same job. Required where money or numbers can move: 1 to 200 characters",
    ),
]
Wait = Annotated[
    float | None,
    Query(ge=0, le=LONGEST_WAIT_S, description="Wait up to this many seconds for the job's end; then the answer is 200, else 202"),
]
Prefer = Annotated[str | None, Header(description="`wait=10` is the same as ?wait=10")]

router = APIRouter(tags=["jobs"], route_class=StrictRoute)


def scope_of(kind: JobKind | None) -> ApiScope:
    """What a key needs for jobs of a kind; None for a kind that this version doesn't know."""
    if kind is None:
        return ApiScope.ADMIN
    if kind.gives_back:
        return ApiScope.RELEASE
    return ApiScope.REROUTE if kind.changes_routes else ApiScope.BUY


async def submit(
    services: Services, caller: Caller, order: Order, key: str | None, *, wait_s: float = 0.0, request: Request | None = None
) -> Response:
    """Submit, and answer with the job: 202 while it runs, 200 if it has ended."""
    wanted, quote = order.ordered, order.by_quote
    kind = kind_of(wanted) if wanted is not None else KINDS["search_and_buy"]
    caller.need(scope_of(kind))
    caller.need_sight(order.account, order.reference)
    if wanted is not None:
        await _check_limits(services, caller, order, wanted)
    key = checked_key(key, needed=_can_move(kind, wanted))
    beside: dict[str, Any] = {"idempotency_key": key}
    beside |= {name: getattr(order, name) for name in ("reference", "account", "priority", "not_before")}
    if _is_large(wanted):
        return await services.blocked(caller, lambda didflow: _submit_large(didflow, caller, wanted, beside))
    acting = services.acting_for(caller)
    one = asked(wanted, quote, **beside, actor=acting.actor)
    job, view = await acting.ledger.perform(submit_and_get(acting.ledger.commands, one))
    check_own(caller, view)
    if wait_s > 0 and view.state not in REPORTED:
        view = await waited(services, view, wait_s, request)
    return submitted(job, view)


#: Nothing of the other job is shown: not its id, and not whether its request is the same.
KEY_TAKEN = "this idempotency key belongs to a job that your key doesn't see: use another one"


def _is_large(wanted: JobRequest | None) -> bool:
    """Whether it has too many numbers to be written in the event loop: that would delay other requests."""
    return named_numbers(wanted) > MANY_NUMBERS


def _submit_large(didflow: Didflow, caller: Caller, wanted: JobRequest | None, beside: dict[str, Any]) -> Response:
    """In a thread. It doesn't wait for the job's end: with this many numbers that takes minutes."""
    job = didflow.submit(wanted, **beside)
    view = didflow.get(job.id)
    check_own(caller, view)
    return submitted(job, view)


def check_own(caller: Caller, view: JobView) -> None:
    """Raises Refused (422) if the idempotency key is that of a job which isn't the caller's business, whatever its request is."""
    if not caller.sees(view.account, view.reference):
        raise Refused(422, IdempotencyConflict.code, KEY_TAKEN)


def submitted(job: Job, view: JobView) -> Response:
    """The answer to a submit."""
    headers = {"Location": f"/v1/jobs/{job.id}"} | ({} if job.is_new else {"Idempotency-Replayed": "true"})
    return answer(without_rows(view), JobView, status=200 if view.state in REPORTED else 202, headers=headers)


def wait_of(wait: float | None, prefer: str | None) -> float:
    """How long the caller waits, s. A preference that is too long is shortened."""
    if wait is not None:
        return wait
    preferred = re.search(r"(?:^|[,\s])wait=(\d{1,6})(?:$|[,;\s])", prefer or "")
    return min(float(preferred[1]), LONGEST_WAIT_S) if preferred else 0.0


def _can_move(kind: JobKind, wanted: JobRequest | None) -> bool:
    return not (wanted is not None and wanted.dry_run) and (kind.moves_money or kind.changes_routes)


def checked_key(key: str | None, *, needed: bool) -> str | None:
    """The key, in UTF-8. Raises Refused (400) if there is none, InvalidRequest if it can't be stored."""
    if key is None and needed:
        what = "give each order a key of its own, such as its number: repeated with it, nothing happens twice"
        fault = ProblemFault(detail=what, code="missing", next_step="send an Idempotency-Key", parameter="Idempotency-Key")
        raise Refused(400, "idempotency_key_missing", f"the header Idempotency-Key is missing: {what}", faults=(fault,))
    try:
        key = None if key is None else key.encode("latin-1").decode()  # Headers are read byte by byte.
    except UnicodeDecodeError:
        key = ""
    if faults := label_faults(key, None, "default", 5):
        raise InvalidRequest("; ".join(f"{where}: {what}" for where, what in faults), faults)
    return key


async def _check_limits(services: Services, caller: Caller, order: Order, wanted: JobRequest) -> None:
    """What a key that is limited to references or to an account may name."""
    if caller.sees_all:
        return
    await check_named_jobs(services, caller, wanted)
    match wanted:
        case Release() if caller.key and caller.key.reference_prefix and wanted.expected_reference != order.reference:
            what = "a key that is limited to references releases what was bought for the job's reference: give it as expected_reference"
            raise Refused(403, "key_limited", what)


async def check_named_jobs(services: Services, caller: Caller, wanted: JobRequest) -> None:
    """Raises JobNotFound if the request names a job that isn't the caller's business."""
    match wanted:
        case Failback(job_id=job_id) | FollowDocuments(job_id=str() as job_id):
            await services.job(caller, job_id)
        case Reroute(after=after, snapshot_of=snapshot_of):
            for job_id in filter(None, (after, snapshot_of)):
                await services.job(caller, job_id)


def unknown_kind(name: str) -> Response:
    """The answer to a submit to a kind of job that doesn't exist, with the kinds, the nearest first."""
    kinds = [model.model_fields["kind"].default.replace("_", "-") for model in ordered_models()]
    nearest = [*(kind for kind in kinds if name in kind.split("-")), *get_close_matches(name, kinds, n=1)]
    meant = f" (did you mean POST /v1/jobs/{nearest[0]}?)" if nearest else ""
    return problem(404, "unknown_kind", f"there is no kind of job {name[:60]!r}{meant}: use one of {', '.join(kinds)}")


def _add_route(path: str, model: type[Order], name: str) -> None:
    async def submit_job(
        services: Serving,
        caller: Asking,
        request: Request,
        order: Annotated[Order, Body()],
        idempotency_key: Key = None,
        wait: Wait = None,
        prefer: Prefer = None,
    ) -> Response:
        return await submit(services, caller, order, idempotency_key, wait_s=wait_of(wait, prefer), request=request)

    submit_job.__annotations__["order"] = Annotated[model, Body()]
    router.add_api_route(
        path,
        submit_job,
        methods=["POST"],
        summary="Submit a job" if name == "job" else f"Submit a job: {name.replace('_', ' ')}",
        status_code=202,
        response_model=None,
        operation_id=f"submit_{name}",
        responses={
            202: {"model": JobView, "description": "The job; it hasn't ended"},
            200: {"model": JobView, "description": "The job; it has ended, or is parked"},
            **problems(400, 404, 409, 413, 415, 422),
        },
    )


_add_route("/jobs", any_order(), "job")
for _kind in KINDS.values():
    if _kind.request in ordered_models():
        _add_route(f"/jobs/{_kind.name.replace('_', '-')}", order_of(_kind.request), _kind.name)


def by_path(prefix: str) -> dict[str, StrictRoute]:
    """The routes of submits by their whole path."""
    return {prefix + route.path: route for route in router.routes if isinstance(route, StrictRoute)}
