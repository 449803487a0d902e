"""The handler of each job kind: one record for each kind of `didflow.contract.job_kinds`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from didflow.contract.errors import JobError
from didflow.contract.job_kinds import KINDS, MOVE_BATCH, parse_request
from didflow.contract.requests import CatalogueLook, Failback, FollowDocuments, Release, Request, Reroute, SearchAndBuy, UploadDocument
from didflow.contract.results import Result
from didflow.contract.validation import invalid
from worker.jobs.catalogue.job import look
from worker.jobs.documents.job import follow_documents, known_documents
from worker.jobs.documents.upload_job import known_upload, upload_document
from worker.jobs.partial_result import nothing_of
from worker.jobs.ports.context import JobContext
from worker.jobs.ports.endings import Ended
from worker.jobs.ports.provider import Provider
from worker.jobs.ports.rules import Rules
from worker.jobs.purchase.job import search_and_buy
from worker.jobs.purchase.result import written_purchase
from worker.jobs.release.job import release
from worker.jobs.release.state import known_release
from worker.jobs.reroute.batch import send_batch
from worker.jobs.reroute.job import failback, known_reroute, reroute
from worker.jobs.reroute.route_change import RouteChangeBatch

AnyModel = TypeVar("AnyModel", bound=BaseModel)
#: What jobs are run from.
Runnable = Request | RouteChangeBatch


@dataclass(frozen=True, kw_only=True)
class KindHandler(Generic[AnyModel]):
    """What is done with a job of a kind.

    model         its request
    run           one attempt of it, from what earlier ones wrote
    known_so_far  its numbers with what is written of each, and this error: for a job that ends from outside of `run`. The provider is asked
                  nothing. Raises NeedsReview if it can't be read
    requested     how many numbers the request asks for; 0 where only `run` finds that out
    """

    model: type[AnyModel]
    run: Callable[[AnyModel, JobContext, Provider, Rules], Ended]
    known_so_far: Callable[[AnyModel, JobContext, JobError], Result]
    requested: Callable[[AnyModel], int]


def _named(request: Reroute | Release | FollowDocuments) -> int:
    return len(request.numbers) or len(request.record_ids)  # What a selector means isn't settled.


#: By the name of the kind. A test holds them and the kinds together.
HANDLERS: dict[str, KindHandler[Any]] = {
    "search_and_buy": KindHandler(
        model=SearchAndBuy, run=search_and_buy, known_so_far=written_purchase, requested=lambda request: request.quantity
    ),
    "reroute": KindHandler(model=Reroute, run=reroute, known_so_far=known_reroute, requested=_named),
    "failback": KindHandler(model=Failback, run=failback, known_so_far=known_reroute, requested=lambda _: 0),
    "release": KindHandler(model=Release, run=release, known_so_far=known_release, requested=_named),
    "follow_documents": KindHandler(model=FollowDocuments, run=follow_documents, known_so_far=known_documents, requested=_named),
    "upload_document": KindHandler(
        model=UploadDocument, run=upload_document, known_so_far=known_upload, requested=lambda request: len(request.numbers)
    ),
    "catalogue_look": KindHandler(
        model=CatalogueLook, run=look, known_so_far=lambda _request, _context, error: nothing_of(1, error), requested=lambda _: 1
    ),
    # Its parent knows its numbers.
    MOVE_BATCH: KindHandler(
        model=RouteChangeBatch, run=send_batch, known_so_far=lambda _batch, _context, error: nothing_of(0, error), requested=lambda _: 0
    ),
}


def handler_of(request: BaseModel) -> KindHandler[Any]:
    """The handler of jobs with such a request."""
    return next(handler for handler in HANDLERS.values() if handler.model is type(request))


def stored_request(fields: Mapping[str, str]) -> Runnable:
    """The request of a job's record. Raises InvalidRequest for one that this version can't read."""
    text = fields.get("request", "")
    kind = KINDS.get(fields.get("kind", ""))
    if kind is None or kind.request is not None:
        return parse_request(text)
    try:
        part: Runnable = HANDLERS[kind.name].model.model_validate_json(text)
    except ValidationError as error:
        raise invalid(error) from None
    return part


def run_job(request: Runnable, context: JobContext, provider: Provider, rules: Rules) -> Ended:
    """One attempt of the job with this request."""
    return handler_of(request).run(request, context, provider, rules)


def known_so_far(request: Runnable, context: JobContext, error: JobError) -> Result:
    """The numbers with what is known of each; nothing is asked of the provider. Raises NeedsReview if it can't be read."""
    return handler_of(request).known_so_far(request, context, error)


def nothing_done(request: Runnable, error: JobError | None = None) -> Result:
    """The result of a job that ended before it did anything."""
    return nothing_of(handler_of(request).requested(request), error)
