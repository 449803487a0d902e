"""The ledger's stored form read into the contract's models."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from pydantic import ValidationError

from didflow.contract.errors import InvalidRequest
from didflow.contract.job_kinds import parse_request
from didflow.contract.jobs import JobView, ProviderCall, Step
from didflow.contract.requests import Request
from didflow.contract.results import NumberResult, Result
from didflow.contract.states import JobState, Lane

#: The reason of a job whose state can't be read. The sweeper parks it.
UNREADABLE_STATE = "unreadable_state"


def moment(milliseconds: str | None) -> datetime | None:
    """Milliseconds since the epoch as a time in UTC; None for none, and for what can't be read."""
    try:
        return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None
    except (ValueError, OverflowError):
        return None


def whole(text: str | None, otherwise: int = 0) -> int:
    """A count as a field holds it; `otherwise` for none, and for what can't be read."""
    return int(text) if text and len(text) <= 15 and text.isascii() and text.isdigit() else otherwise


def job_view(job_id: str, fields: Mapping[str, str], *, known: tuple[str, Request] | None = None) -> JobView:
    """A job hash as producers see it. What this version can't read is as if it weren't there, never an error.

    A state that can't be read is `needs_review`: that is what the sweeper makes of it. `known`: a request as it is stored, and read.
    """
    text = fields.get("request")
    result = _result(fields.get("result"))
    state = next((state for state in JobState if state == fields.get("state")), None)
    return JobView(
        id=job_id,
        kind=fields.get("kind", ""),
        state=state or JobState.NEEDS_REVIEW,
        reason=(fields.get("reason") or None) if state else UNREADABLE_STATE,
        account=fields.get("account", ""),
        reference=fields.get("reference") or None,
        idempotency_key=fields.get("key") or None,
        lane=next((lane for lane in Lane if lane == fields.get("lane")), Lane.BULK),
        priority=whole(fields.get("priority"), 5),
        attempt=whole(fields.get("attempt")),
        phase=fields.get("phase") or None,
        progress=fields.get("progress") or None,
        created_at=moment(fields.get("created_ms")) or datetime.fromtimestamp(0, UTC),
        started_at=moment(fields.get("started_ms")),
        finished_at=moment(fields.get("finished_ms")),
        due_at=moment(fields.get("due_ms")),
        cancel_requested=fields.get("cancel") == "1",
        request=known[1] if known is not None and known[0] == text else _request(text),
        result=result,
        error=result.error if result else None,
        token=whole(fields.get("token")),
        actor=fields.get("actor") or None,
        decided_by=fields.get("decided_by") or None,
        incident=fields.get("incident") or None,
        traceparent=fields.get("traceparent") or None,
        tracestate=fields.get("tracestate") or None,
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
        fields["takes_calls"] = move.get("takes_calls")
    return NumberResult.model_validate(fields)


def steps(entries: Iterable[tuple[str, Mapping[str, str]]]) -> tuple[Step, ...]:
    """A job's story, oldest first."""
    return tuple(
        Step(
            at=datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC),
            attempt=whole(fields.get("attempt")),
            name=fields.get("name", ""),
            detail=fields.get("detail", ""),
            calls=tuple(ProviderCall(*call) for call in json.loads(fields.get("calls") or "[]")),
            witness=fields.get("witness"),
            actor=fields.get("actor"),
        )
        for entry_id, fields in entries
    )
