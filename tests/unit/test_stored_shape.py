"""A stored job has a version: a change of its shape must answer here whether an older worker may still run it."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, TypeAdapter

from didflow.contract.requests import REQUEST_VERSION, Request
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
SHAPES = {1: "2dd2cb2dbac873d3"}


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
