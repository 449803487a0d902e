"""Reads an earlier attempt's checkpoint, perhaps of another version."""

from collections.abc import Collection
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from didflow.contract.errors import JobError
from didflow.contract.results import Result, Totals
from worker.jobs.ports.endings import NeedsReview

Stored = TypeVar("Stored", bound=BaseModel)


def read_stored(model: type[Stored], text: str) -> Stored:
    """Raises NeedsReview for what this version can't read: money may have moved, so nothing is started again."""
    try:
        return model.model_validate_json(text)
    except ValidationError:
        error = JobError(code="unreadable_progress", message=f"this version can't read what the job wrote before ({model.__name__})")
        raise NeedsReview(error, Result(totals=Totals(requested=0, done=0), error=error)) from None


def read_if_readable(model: type[Stored], text: str | None) -> Stored | None:
    """For what is of use only if it can be read."""
    try:
        return model.model_validate_json(text) if text else None
    except ValidationError:
        return None


def read_checkpoint(model: type[Stored], checkpoint: str | None, begun: Collection[str]) -> Stored:
    """The job's checkpoint; a new one for a job that has `begun` nothing with any number. Raises NeedsReview.

    A checkpoint is written with every number that is begun: without one a number may be bought or released already, and it isn't known
    how far the job went.
    """
    return read_stored(model, checkpoint or "") if checkpoint or begun else model()
