"""The oracle of countdowns finds each thing that could be wrong, and nothing where all is well."""

from datetime import timedelta
from typing import Any

import pytest

from didflow.contract.errors import JobError
from didflow.contract.events import EventBody, Timings
from didflow.contract.requests import Release
from didflow.contract.results import NumberResult
from didflow.contract.states import JobState, Outcome
from tests.campaign.countdown_oracle import TRUNK, Countdown, Happened, countdown_violations
from tests.campaign.countdowns import PARKING, CalledOff
from tests.campaign.oracle import ProviderState, gone_violations
from tests.campaign.work import Asked

NUMBER, RECORD = "+12135550100", 47
OLD, PARKED = ({"destination": to} for to in ("old@example.net", "parked@example.net"))
TO_TRUNK = {"destination": "trunk", "trunk_id": TRUNK}
ASKED = Countdown("job", Release(numbers=(NUMBER,), grace=timedelta(seconds=2), parking=(PARKING,)), {NUMBER: [OLD]})
AT_REST, AT_WORK = CalledOff(100.0, at_rest=True), CalledOff(100.0, at_rest=False)


def found(
    outcome: Outcome,
    state: JobState = JobState.SUCCEEDED,
    *,
    went_at: float | None = None,
    to: dict[str, Any] = OLD,
    error: str | None = None,
    given_to: int = 0,
    **happened: Any,
) -> list[str]:
    """What the oracle says of one number: `went_at`, its release came then; None: it is here. `to`: where it goes. `given_to`: so many
    purchases say that they have it."""
    said = JobError(code=error, message="") if error else None
    number = NumberResult(number=NUMBER, record_id=RECORD, outcome=outcome, error=said)
    timings = Timings(submitted_ms=0, started_ms=None, finished_ms=None)
    body = EventBody(job="job", kind="release", state=state, account="default", attempt=1, numbers=(number,), timings=timings)
    has = body.model_copy(update={"kind": "search_and_buy", "numbers": (NumberResult(number=NUMBER, outcome=Outcome.REUSED),)})
    purchases = {f"order-{one}": has for one in range(given_to)}
    owned = {NUMBER[1:]: {"record_id": RECORD, "destinations": [to]}} if went_at is None else {}
    gone = [{"record_id": RECORD, "number": NUMBER[1:], "came_s": went_at, "destinations": [to]}] if went_at is not None else []
    return list(countdown_violations([ASKED], {"job": body, **purchases}, owned, gone, Happened(**happened)))


def lent(**more: Any) -> list[str]:
    return found(Outcome.SUPERSEDED, JobState.FAILED, error="handed_out", **more)


def said(job: str, kind: str, outcome: Outcome, reference: str, error: JobError | None = None) -> EventBody:
    """What a job says of the number at its end."""
    number = NumberResult(number=NUMBER, record_id=RECORD, outcome=outcome, error=error)
    more: dict[str, Any] = {"attempt": 1, "timings": Timings(submitted_ms=0, started_ms=None, finished_ms=None), "reference": reference}
    return EventBody(job=job, kind=kind, state=JobState.SUCCEEDED, account="default", numbers=(number,), **more)


LENDER = said("job", "release", Outcome.SUPERSEDED, "bob", JobError(code="handed_out", message=""))
GONE = {"record_id": RECORD, "number": NUMBER[1:], "came_s": 103.0, "destinations": [TO_TRUNK]}


def lent_and_gone(reference: str) -> list[str]:
    """What it says of a number that was lent for an order of ``ann``, and that a release of that reference gave back later."""
    order, later = said("order", "search_and_buy", Outcome.REUSED, "ann"), said("later", "release", Outcome.RELEASED, reference)
    return list(countdown_violations([ASKED], {"job": LENDER, "order": order, "later": later}, {}, [GONE], Happened()))


def test_a_number_that_was_lent_goes_when_its_new_customer_leaves_and_not_for_another() -> None:
    assert lent_and_gone("ann") == []
    assert lent_and_gone("carol") == [f"{NUMBER} was handed out to order and isn't here"]


def test_a_number_that_was_lent_and_is_gone_was_given_back_by_another_release() -> None:
    asked = [Asked("job", ASKED.request, "bob"), Asked("later", Release(numbers=(NUMBER,)), "leaves")]
    provider = ProviderState([], {}, [], [GONE])
    later = said("later", "release", Outcome.RELEASED, "ann")
    assert list(gone_violations(asked, {"job": LENDER, "later": later}, provider, {})) == []
    found = list(gone_violations(asked, {"job": LENDER}, provider, {}))
    assert found == [f"release job says {Outcome.SUPERSEDED} of {NUMBER}, and it is gone"]


def test_nothing_is_found_where_all_is_well() -> None:
    assert found(Outcome.RELEASED, went_at=103.0, to=PARKED) == []
    assert found(Outcome.CONFIRMED, JobState.CANCELLED, called_off={"job": AT_REST}) == []
    assert found(Outcome.RELEASED, JobState.SUCCEEDED, went_at=99.0, to=PARKED, called_off={"job": AT_REST}) == []
    assert found(Outcome.RELEASED, JobState.PARTIAL, went_at=105.0, to=PARKED, called_off={"job": AT_WORK}) == []
    assert found(Outcome.IN_USE, JobState.FAILED, called={NUMBER: 101.0}, reported=[NUMBER]) == []
    assert found(Outcome.UNCLEAR, JobState.NEEDS_REVIEW, to=PARKED, called_off={"job": AT_REST}) == []
    assert found(Outcome.FAILED, JobState.NEEDS_REVIEW, to=PARKED, error="still_parked", called_off={"job": AT_REST}) == []
    assert lent(to=TO_TRUNK, given_to=1) == []
    assert lent(to=TO_TRUNK, given_to=1, called_off={"job": AT_REST}) == []


@pytest.mark.parametrize(
    ("what", "violations"),
    [
        ("went by a call that came", found(Outcome.RELEASED, went_at=100.1, to=PARKED, called_off={"job": AT_REST})),
        ("which a worker had", found(Outcome.RELEASED, went_at=106.1, to=PARKED, called_off={"job": AT_WORK})),
        ("and went from", found(Outcome.RELEASED, went_at=103.0, to=OLD)),
        ("nobody called it off", found(Outcome.CONFIRMED, JobState.CANCELLED)),
        ("and goes to", found(Outcome.CONFIRMED, JobState.CANCELLED, to=PARKED, called_off={"job": AT_REST})),
        ("and goes to", found(Outcome.FAILED, JobState.NEEDS_REVIEW, to=PARKED, called_off={"job": AT_REST})),
        ("was to go by", found(Outcome.FAILED, JobState.FAILED)),
        ("nobody called it", found(Outcome.IN_USE, JobState.FAILED, reported=[NUMBER])),
        ("lent were", lent(to=TO_TRUNK)),
        ("lent were", lent(to=TO_TRUNK, given_to=2)),
        ("lent were", found(Outcome.CONFIRMED, JobState.CANCELLED, given_to=1, called_off={"job": AT_REST})),
        ("isn't here", lent(to=TO_TRUNK, given_to=1, went_at=103.0)),
        ("was handed out to job and goes to", lent(to=PARKED, given_to=1)),
        ("was reported 0 times", found(Outcome.IN_USE, JobState.FAILED, called={NUMBER: 101.0})),
        ("was reported 2 times", found(Outcome.IN_USE, JobState.FAILED, called={NUMBER: 101.0}, reported=[NUMBER] * 2)),
        (
            "gave it back",
            found(Outcome.RELEASED, went_at=115.0, to=PARKED, called={NUMBER: 101.0}, waits_since={"job": 100.0}),
        ),
    ],
)
def test_what_is_wrong_is_found(what: str, violations: list[str]) -> None:
    assert [violation for violation in violations if what in violation]
