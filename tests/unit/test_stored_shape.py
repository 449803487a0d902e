"""A stored job has a version: a change of its shape must answer here whether an older worker may still run it."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter

from didflow.contract.job_kinds import KINDS
from didflow.contract.requests import REQUEST_VERSION, Request, Rung, SearchAndBuy
from didflow.ledger.script_calls import Submission, submit
from worker.jobs.documents.job import FollowCheckpoint
from worker.jobs.documents.status import Followed
from worker.jobs.documents.upload_job import UploadCheckpoint
from worker.jobs.purchase.state import PurchaseCheckpoint, PurchaseItem
from worker.jobs.release.state import ReleaseCheckpoint, ReleaseItem
from worker.jobs.reroute.route_change import RerouteCheckpoint, RouteChange, RouteChangeBatch

STORED: tuple[type[BaseModel], ...] = (
    PurchaseCheckpoint,
    PurchaseItem,
    RouteChange,
    RerouteCheckpoint,
    RouteChangeBatch,
    ReleaseItem,
    ReleaseCheckpoint,
    Followed,
    FollowCheckpoint,
    UploadCheckpoint,
)
#: The shape of each version that was released, and of the one to come.
SHAPES = {1: "838de740e322c623"}


def bare(schema: Any) -> Any:
    """Without the descriptions, which are for people."""
    if isinstance(schema, dict):
        return {name: bare(value) for name, value in schema.items() if name not in ("title", "description", "examples")}
    return [bare(one) for one in schema] if isinstance(schema, list) else schema


def shape() -> str:
    schemas = [TypeAdapter(Request).json_schema(), *(model.model_json_schema() for model in STORED)]
    return hashlib.sha256(json.dumps(bare(schemas), sort_keys=True).encode()).hexdigest()[:16]


def test_a_change_of_what_is_stored_is_a_new_version() -> None:
    assert SHAPES[REQUEST_VERSION] == shape(), (
        "what is stored of a job has another shape now. If a version with the old one was released, raise REQUEST_VERSION, so that older "
        "workers leave these jobs alone; then write the new shape down here"
    )


def inside(model: type[BaseModel], found: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """The model, and those of its fields."""
    if model not in found:
        found.add(model)
        for field in model.model_fields.values():
            for one in types_in(field.annotation):
                inside(one, found)
    return found


def types_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from types_in(one)


def test_what_a_stored_request_leaves_out_is_the_default() -> None:
    """A None isn't stored: a field that may be None, and is otherwise something else, would be read as that."""
    models: set[type[BaseModel]] = set()
    for kind in KINDS.values():
        if kind.request is not None:
            inside(kind.request, models)
    assert SearchAndBuy in models
    assert Rung in models
    for model in models:
        for name, field in model.model_fields.items():
            assert type(None) not in get_args(field.annotation) or field.default is None, (model, name)
    buy = SearchAndBuy(country="US")
    text = str(submit(Submission(buy)).args[3])
    assert "null" not in text
    assert SearchAndBuy.model_validate_json(text) == SearchAndBuy.model_validate_json(buy.model_dump_json()) == buy
