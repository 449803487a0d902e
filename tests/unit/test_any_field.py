"""Any value in any field of a request or a business event: accepted, or refused with every fault named; never another error."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from didflow.contract.business_events import parse_business_event
from didflow.contract.errors import InvalidRequest
from didflow.contract.job_kinds import parse_request
from didflow.ledger.script_calls import Submission, submit
from tests.support.generated_requests import _NUMBERS, GOOD, INNER, JSON, events, requests

FUZZ = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

#: In Python a caller may also give objects.
OBJECTS: list[Any] = [
    *(float("nan"), float("inf"), -float("inf"), Decimal("NaN"), Decimal("sNaN"), Decimal("1e999999"), b"\xff", (), set(), object()),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-5))),
    *(datetime(2026, 12, 1), datetime(2026, 12, 1).date(), datetime(9999, 12, 31, tzinfo=UTC).date(), timedelta.max, timedelta.min),
    *({1: 2}, {None: None}, [object()], Decimal("-1")),
]
PYTHON = JSON | st.sampled_from(OBJECTS) | st.datetimes(timezones=st.just(timezone(timedelta(hours=-5)))) | st.timedeltas()


def refused(fields: Any) -> tuple[tuple[str, str], ...]:
    """The faults; none if it was accepted, and then it can be stored and read back."""
    try:
        request = parse_request(fields)
        stored = submit(Submission(request)).args[3]
    except InvalidRequest as error:
        faults = error.faults
    else:
        assert isinstance(stored, str)
        assert parse_request(stored) == request
        return ()
    assert faults
    assert all(what for _, what in faults)
    return faults


@FUZZ
@example({"kind": "search_and_buy", "country": "US", "destinations": [{"transport": Decimal("sNaN"), "destination": "a@b"}]})
@example({"kind": "release", "numbers": _NUMBERS, "at": "0001-01-01T00:00:00+01:00"})
@example({"kind": "search_and_buy", "country": "US", "policy": [], "ladder": [{"city": "TORONTO"}]})
@given(requests(PYTHON))
def test_any_value_in_any_field_of_a_request_is_accepted_or_named(fields: dict[str, Any]) -> None:
    refused(fields)


@FUZZ
@given(requests(JSON))
def test_of_several_faults_none_hides_another(fields: dict[str, Any]) -> None:
    model = next((model for model, good in GOOD.items() if good["kind"] == fields.get("kind")), None)
    if model is None:
        return
    named = {_first(where) for where, _ in refused(fields)}
    for name, value in fields.items():
        alone = {_first(where) for where, _ in refused(GOOD[model] | {name: value})}
        assert name not in alone or name in named, (name, value)


def _first(where: str) -> str:
    """The field: the kind of the request stands before it."""
    return where.partition(".")[2].partition(".")[0]


@FUZZ
@given(events())
def test_any_value_in_any_field_of_an_event_is_accepted_or_named(fields: dict[str, str]) -> None:
    faults: tuple[tuple[str, str], ...] | None = None
    try:
        parse_business_event(fields)
    except InvalidRequest as error:
        faults = error.faults
    assert faults != ()


def test_every_field_is_replaced() -> None:
    """A model that is added stands in one of the tables above."""

    def models(annotation: Any) -> Iterator[type[BaseModel]]:
        with suppress(TypeError):
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                yield annotation
        for part in getattr(annotation, "__args__", ()):
            yield from models(part)

    known = {*GOOD, *INNER}
    for model in known:
        assert {inner for field in model.model_fields.values() for inner in models(field.annotation)} <= known, model
