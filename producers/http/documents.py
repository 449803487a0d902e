"""Numbers that wait for documents: which are missing, and the job that follows them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from didflow.client.aio.documents import AsyncDocuments
from didflow.contract.api_keys import ApiScope
from didflow.contract.errors import JobNotFound
from didflow.contract.jobs import JobView
from didflow.contract.numbers import ListLength, NumberList
from didflow.contract.results import NumberResult
from producers.http.access import Asking, needs
from producers.http.jobs import JobId, job_id_in
from producers.http.orders import Label
from producers.http.problems import in_the_body, problems
from producers.http.representation import answer, without_rows
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["documents"], route_class=StrictRoute)

#: How long a request waits for a worker to read the numbers.
WITHIN_S = 30.0


class Waiting(BaseModel):
    """Numbers to ask about."""

    model_config = ConfigDict(extra="forbid")

    numbers: Annotated[NumberList, ListLength(1000, least=1)]
    account: Label = "default"


@dataclass(frozen=True)
class DocumentList:
    """How far each number is, and which documents a person has to upload."""

    numbers: tuple[NumberResult, ...]


@router.post(
    "/documents/missing",
    dependencies=[needs(ApiScope.BUY)],
    response_model=DocumentList,
    responses=problems(413, 415, 504),
    summary="List missing documents",
)
async def missing(
    services: Serving, caller: Asking, body: Waiting, wait: Annotated[float, Query(ge=0, le=WITHIN_S)] = WITHIN_S
) -> Response:
    """A worker reads the numbers now. 504 if none does in `wait` seconds: ask again."""
    if caller.key is not None and caller.key.reference_prefix is not None:
        caller.need_all_seen()
    caller.need_sight(body.account, None)
    documents = AsyncDocuments(services.acting_for(caller), account=body.account)
    with in_the_body():
        return answer(DocumentList(await documents.missing(body.numbers, timeout_s=wait)))


@router.get(
    "/jobs/{job_id}/documents",
    dependencies=[needs(ApiScope.READ)],
    response_model=JobView,
    responses=problems(404),
    summary="Read the job that follows a purchase's documents",
)
async def follower(services: Serving, caller: Asking, job_id: JobId) -> Response:
    """404 if all that was bought takes calls at once."""
    view = await services.job(caller, job_id_in(job_id))
    found = await AsyncDocuments(services.didflow).follower(view.id)
    if found is None:
        raise JobNotFound(f"{view.id}-documents")
    return answer(without_rows(found), JobView)
