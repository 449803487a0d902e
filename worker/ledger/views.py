"""The ledger's stored form read into the contract's models."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from pydantic import ValidationError

from worker.contract.errors import InvalidRequest
from worker.contract.jobs import JobView, Step
from worker.contract.requests import Request, parse_request
from worker.contract.results import NumberResult, Result
from worker.contract.states import JobState, Lane


def moment(milliseconds: str | None) -> datetime | None:
    """Milliseconds since the epoch as a time in UTC; None for none."""
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


def job_view(job_id: str, fields: Mapping[str, str]) -> JobView:
    """A job hash as producers see it. What this version can't read (request, result) is None, never an error."""
    result = _result(fields.get("result"))
    return JobView(
        id=job_id,
        kind=fields.get("kind", ""),
        state=JobState(fields["state"]),
        reason=fields.get("reason") or None,
        account=fields.get("account", ""),
        reference=fields.get("reference") or None,
        idempotency_key=fields.get("key") or None,
        lane=Lane(fields.get("lane", "bulk")),
        priority=int(fields.get("priority", "5")),
        attempt=int(fields.get("attempt", "0")),
        phase=fields.get("phase") or None,
        progress=fields.get("progress") or None,
        created_at=moment(fields.get("created_ms")) or datetime.fromtimestamp(0, UTC),
        started_at=moment(fields.get("started_ms")),
        finished_at=moment(fields.get("finished_ms")),
        due_at=moment(fields.get("due_ms")),
        cancel_requested=fields.get("cancel") == "1",
        request=_request(fields.get("request")),
        result=result,
        error=result.error if result else None,
    )


def _request(text: str | None) -> Request | None:
    try:
        return parse_request(text) if text else None
    except InvalidRequest:
        return None


def _result(text: str | None) -> Result | None:
    try:
        return Result.model_validate_json(text) if text else None
    except ValidationError:
        return None


def moved_number(text: str) -> NumberResult:
    """A number as a reroute or failback keeps it. Raises ValueError for what isn't one."""
    move = json.loads(text)
    fields = {name: move.get(name) for name in ("number", "outcome", "error")}
    if move.get("record_id"):  # Else the account doesn't have it.
        fields |= {"record_id": move["record_id"], "route_before": move.get("before"), "route_after": move.get("target")}
    return NumberResult.model_validate(fields)


def steps(entries: Iterable[tuple[str, Mapping[str, str]]]) -> tuple[Step, ...]:
    """A job's story, oldest first."""
    return tuple(
        Step(
            at=datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC),
            attempt=int(fields.get("attempt", "0")),
            name=fields.get("name", ""),
            detail=fields.get("detail", ""),
        )
        for entry_id, fields in entries
    )
