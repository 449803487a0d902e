"""What must be true of releases that counted down: by the sandbox's own records, and by what the two streams said.

Released is exactly what was requested and neither cancelled nor called; nothing goes by a call that came after an answered cancel;
what stays has its own route; what was to be parked went from there.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from didflow.contract.events import EventBody
from didflow.contract.requests import Release
from didflow.contract.results import NumberResult
from didflow.contract.states import JobState, Outcome
from tests.campaign.countdowns import CalledOff

#: A call that had been begun when its job was cancelled comes within this: it waits for its turn for five seconds at most.
GOING_S = 6.0
#: Where purchases send what they are assigned.
TRUNK = 144
#: From the look at a number's calls to its release: both lists may lag, reads are repeated, and the call waits for its turn.
LOOKED_S = 10.0
#: Where a number goes that stays, if its job says so: it is parked for someone to look.
LEFT_PARKED = "still_parked"
#: What a release says of a number that a purchase was given.
HANDED_OUT = "handed_out"


@dataclass(frozen=True)
class Countdown:
    """One that was requested, with the route of each number before, as the sandbox had it."""

    job_id: str
    request: Release
    routes: Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Happened:
    """What producers and callers did meanwhile, and when each job had begun to wait for its numbers' time. Wall clock, s.

    reported  the numbers of `didflow.release.calls_came.v1`, each as often as it was reported
    """

    called_off: Mapping[str, CalledOff] = field(default_factory=dict)
    called: Mapping[str, float] = field(default_factory=dict)
    waits_since: Mapping[str, float] = field(default_factory=dict)
    reported: Sequence[str] = ()


def countdown_violations(
    asked: Sequence[Countdown],
    last: Mapping[str, EventBody],
    owned: Mapping[str, Mapping[str, Any]],
    given_back: Sequence[Mapping[str, Any]],
    happened: Happened,
) -> Iterable[str]:
    """Every broken promise, in words."""
    gone = {int(record["record_id"]): record for record in given_back}
    reused = [(number.number, body) for body in last.values() for number in body.numbers if number.outcome is Outcome.REUSED]
    yield from _handed_out(asked, last, owned, reused)
    for one in asked:
        body = last.get(one.job_id)
        if body is None:
            continue
        cancel = happened.called_off.get(one.job_id)
        if body.state is JobState.CANCELLED and cancel is None:
            yield f"release {one.job_id} was cancelled and nobody called it off"
        if body.state.is_terminal and cancel is None and {number.number for number in body.numbers} != set(one.request.numbers):
            yield f"release {one.job_id} doesn't say what became of each number"
        for number in body.numbers:
            if was_lent(number):
                continue
            record = gone.get(number.record_id or 0)
            if record is not None:
                yield from _went(one, number, record, cancel, happened)
            elif number.number.removeprefix("+") in owned:
                yield from _stayed(one, body.state, number, owned[number.number.removeprefix("+")], cancel, happened)
    for called, count in Counter(happened.reported).items():
        if count > 1:
            yield f"that calls came for {called} was reported {count} times"


def was_lent(number: NumberResult) -> bool:
    """Whether a release says so of its number."""
    return number.error is not None and number.error.code == HANDED_OUT


def _handed_out(
    asked: Sequence[Countdown],
    last: Mapping[str, EventBody],
    owned: Mapping[str, Mapping[str, Any]],
    reused: Sequence[tuple[str, EventBody]],
) -> Iterable[str]:
    """What releases say that they lent is what purchases say that they were given: each once, with its new route, and here until its
    customer left."""
    bodies = [last[one.job_id] for one in asked if one.job_id in last]
    lent = Counter(number.number for body in bodies for number in body.numbers if was_lent(number))
    given = Counter(number for number, _ in reused)
    if lent != given:
        yield f"lent were {sorted(lent.items())}, handed out {sorted(given.items())}"
    left = {(body.reference, number.number) for body in last.values() for number in body.numbers if number.outcome is Outcome.RELEASED}
    for number, body in reused:
        record = owned.get(number.removeprefix("+"))
        error = next((one.error for one in body.numbers if one.number == number), None)
        if record is None and (body.reference, number) in left:
            continue
        if record is None:
            yield f"{number} was handed out to {body.job} and isn't here"
        elif error is None and [one.get("trunk_id") for one in record["destinations"]] != [TRUNK]:
            yield f"{number} was handed out to {body.job} and goes to {record['destinations']}"


def _went(one: Countdown, number: NumberResult, record: Mapping[str, Any], cancel: CalledOff | None, happened: Happened) -> Iterable[str]:
    came_s = float(record["came_s"])
    if cancel is not None and came_s > cancel.answered_s + (0.0 if cancel.at_rest else GOING_S):
        rest = "" if cancel.at_rest else ", which a worker had"
        yield f"{number.number} went by a call that came {came_s - cancel.answered_s:.1f} s after {one.job_id}{rest} was called off"
    if one.request.parking and not _same(record["destinations"], one.request.parking):
        yield f"{number.number} was to be parked by {one.job_id}, and went from {record['destinations']}"
    called_s, since_s = happened.called.get(number.number), happened.waits_since.get(one.job_id)
    if called_s and since_s and since_s < called_s < came_s - LOOKED_S:
        yield f"{number.number} was called {came_s - called_s:.1f} s before {one.job_id} gave it back"


def _stayed(
    one: Countdown,
    state: JobState,
    number: NumberResult,
    record: Mapping[str, Any],
    cancel: CalledOff | None,
    happened: Happened,
) -> Iterable[str]:
    parked = state is JobState.NEEDS_REVIEW
    says_so = number.outcome is Outcome.UNCLEAR or (number.error is not None and number.error.code == LEFT_PARKED)
    before = one.routes[number.number]
    if list(record["destinations"]) != list(before) and not (parked and says_so):
        said = f"{one.job_id} ({state.value}, {number.outcome})"
        yield f"{number.number} stays after {said} and goes to {record['destinations']}, not {before}"
    called = number.number in happened.called
    if number.outcome is Outcome.IN_USE and not called:
        yield f"release {one.job_id} says that {number.number} is in use, and nobody called it"
    if number.outcome is Outcome.IN_USE and happened.reported.count(number.number) != 1:
        yield f"that calls came for {number.number} was reported {happened.reported.count(number.number)} times"
    if state.is_terminal and cancel is None and not called:
        yield f"{number.number} was to go by {one.job_id}, which says {number.outcome}: {number.error}"


def _same(destinations: Sequence[Mapping[str, Any]], parking: Sequence[Any]) -> bool:
    return [one["destination"] for one in destinations] == [one.destination for one in parking]
