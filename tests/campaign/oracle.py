"""What must be true when all is quiet: held against the sandbox's own records and what came out on the streams, not against our ledger."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from didflow.contract.events import Event, EventBody
from didflow.contract.follow_ups import DOCUMENTS
from didflow.contract.requests import Release, Reroute, SearchAndBuy
from didflow.contract.states import JobState, Outcome, WaitReason
from tests.campaign.countdown_oracle import was_lent
from tests.campaign.work import Asked

BOUGHT = frozenset({Outcome.BOUGHT, Outcome.BOUGHT_INACTIVE})
RELEASED = frozenset({Outcome.RELEASED, Outcome.ALREADY_RELEASED})
ROUTED = frozenset({Outcome.CONFIRMED, Outcome.UNCHANGED})


@dataclass(frozen=True)
class ProviderState:
    """What the provider says at the end."""

    ledger: list[dict[str, str]]
    owned: Mapping[str, Mapping[str, Any]]
    cart: list[str]
    given_back: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass
class Heard:
    """Everything that the two streams said, each entry once."""

    results: dict[str, Event] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    #: Numbers for which a release reported calls, each time.
    calls_came: list[str] = field(default_factory=list)

    def endings(self) -> dict[str, list[Event]]:
        """The results of each job, in the stream's order."""
        found: dict[str, list[Event]] = defaultdict(list)
        for _, event in sorted(self.results.items(), key=lambda item: _entry_order(item[0])):
            found[event.subject].append(event)
        return found

    def last(self) -> dict[str, EventBody]:
        """What each job said last of its end."""
        return {job_id: endings[-1].data for job_id, endings in self.endings().items()}

    def counting_down_since(self) -> dict[str, float]:
        """By release: since when it has said that it waits for its numbers' time, s."""
        waits = [event for event in self.events.values() if event.data.reason == WaitReason.GRACE]
        return {event.subject: event.time.timestamp() for event in sorted(waits, key=lambda event: event.time, reverse=True)}


def violations(asked: list[Asked], heard: Heard, provider: ProviderState, began_with: Mapping[str, list[str]]) -> list[str]:
    """Every broken promise, in words; empty if all were kept. `began_with`: the numbers that were there at first, with their routes."""
    last = heard.last()
    found = [*_ends(asked, heard), *_order(heard), *_money(asked, last, provider), *gone_violations(asked, last, provider, began_with)]
    found += _routes(asked, last, provider, began_with)
    found += [f"{number} was left in the cart" for number in provider.cart]
    return found


def _ends(asked: list[Asked], heard: Heard) -> Iterable[str]:
    endings = heard.endings()
    for one in asked:
        states = [event.data.state for event in endings.get(one.job_id, [])]
        terminal = [state for state in states if state.is_terminal]
        parked_last = bool(states) and states[-1] is JobState.NEEDS_REVIEW
        if len(terminal) != 1 and not (parked_last and not terminal):
            yield f"job {one.job_id} ({one.request.kind}) ended {len(terminal)} times: {[state.value for state in states]}"
        elif parked_last and endings[one.job_id][-1].data.error is None:
            yield f"job {one.job_id} is parked and doesn't say why"
    known = {one.job_id for one in asked}
    for job_id in endings.keys() - known:
        if job_id.removesuffix(f"-{DOCUMENTS}") in known:  # A purchase left it behind.
            if len(endings[job_id]) != 1:
                yield f"job {job_id} ended {len(endings[job_id])} times"
            continue
        yield f"job {job_id} ended and nobody asked for it"
    for event_id, count in Counter(event.id for event in (*heard.results.values(), *heard.events.values())).items():
        if count > 1:
            yield f"event id {event_id} came {count} times"


def _order(heard: Heard) -> Iterable[str]:
    for stream in (heard.results, heard.events):
        newest: dict[str, int] = {}
        for _, event in sorted(stream.items(), key=lambda item: _entry_order(item[0])):
            sequence = int(event.id.rpartition(":")[2])
            if sequence <= newest.get(event.subject, 0):
                yield f"event {event.id} came after {newest[event.subject]}"
            newest[event.subject] = sequence


def _money(asked: list[Asked], last: Mapping[str, EventBody], provider: ProviderState) -> Iterable[str]:
    """Numbers bought = numbers reported, for each job; money charged = money reported; nothing bought for nobody."""
    charged: dict[str, Decimal] = {f"+{entry['number']}": Decimal(entry["amount_usd"]) for entry in provider.ledger}
    if len(charged) != len(provider.ledger):
        twice = [number for number, count in Counter(entry["number"] for entry in provider.ledger).items() if count > 1]
        yield f"bought twice: {twice}"
    owner: dict[str, str] = {}
    open_numbers: set[str] = set()
    for one in asked:
        body = last.get(one.job_id)
        if body is None or not isinstance(one.request, SearchAndBuy):
            continue
        mine = [number.number for number in body.numbers if number.outcome in BOUGHT]
        open_numbers |= {number.number for number in body.numbers if number.outcome is Outcome.UNCLEAR}
        if len(mine) > (0 if one.request.dry_run else one.request.quantity):
            yield f"job {one.job_id} asked for {one.request.quantity} and has {mine}"
        if len(mine) + sum(number.outcome is Outcome.REUSED for number in body.numbers) > one.request.quantity:
            yield f"job {one.job_id} asked for {one.request.quantity} and has more, with what was handed out to it"
        for number in mine:
            if number in owner:
                yield f"{number} was given to job {owner[number]} and to job {one.job_id}"
            owner[number] = one.job_id
            if number not in charged:
                yield f"job {one.job_id} says that it bought {number}, and the provider says no"
        cost = sum((charged.get(number, Decimal(0)) for number in mine), Decimal(0))
        if mine and body.totals is not None and body.totals.charged_usd != cost:
            yield f"job {one.job_id} reports {body.totals.charged_usd} USD and was charged {cost}"
    for number in charged.keys() - owner.keys() - open_numbers:
        yield f"{number} was bought and no job has it"


def gone_violations(
    asked: list[Asked], last: Mapping[str, EventBody], provider: ProviderState, began_with: Mapping[str, list[str]]
) -> Iterable[str]:
    """Released is exactly what was asked, as far as the jobs say that they did it."""
    ours = {f"+{number}" for number in provider.owned}
    records = {record["record_id"] for record in provider.owned.values()}
    may_go: set[str] = set()
    went = {number.record_id: body.job for body in last.values() for number in body.numbers if number.outcome in RELEASED}
    for one in asked:
        body = last.get(one.job_id)
        if body is None or not isinstance(one.request, Release):
            continue
        may_go |= set(one.request.numbers)
        if {number.number for number in body.numbers} - set(one.request.numbers):
            yield f"release {one.job_id} names numbers that it wasn't asked for"
        for number in body.numbers:
            here = number.record_id in records
            if number.outcome in RELEASED and here:
                yield f"release {one.job_id} says that {number.number} is gone, and it is here"
            # One that was lent belongs to a customer since, who may have left, too.
            went_later = was_lent(number) and went.get(number.record_id, one.job_id) != one.job_id
            if number.outcome not in RELEASED | {Outcome.UNCLEAR} and not here and not went_later:
                yield f"release {one.job_id} says {number.outcome} of {number.number}, and it is gone"
    bought = {f"+{entry['number']}" for entry in provider.ledger}
    for gone in (set(began_with) | bought) - ours - may_go:
        yield f"{gone} is gone and nobody asked for that"


def _routes(
    asked: list[Asked], last: Mapping[str, EventBody], provider: ProviderState, began_with: Mapping[str, list[str]]
) -> Iterable[str]:
    """Each number goes where the newest request sent it, as far as the jobs say that they did it."""
    newest: dict[str, tuple[str, list[str]]] = {}
    for one in asked:
        body = last.get(one.job_id)
        if body is None or one.request.kind not in ("reroute", "failback"):
            continue
        for number in body.numbers:
            if number.outcome in ROUTED and number.route_after is not None:
                newest[number.number] = (one.job_id, [_shown(destination) for destination in number.route_after])
            elif isinstance(one.request, Reroute) and number.outcome is not Outcome.SUPERSEDED:
                newest.pop(number.number, None)  # That request didn't come through, and says so.
    for digits, record in provider.owned.items():
        expected = newest.get(f"+{digits}")
        now = [_shown_raw(destination) for destination in record["destinations"]]
        if expected and now != expected[1]:
            yield f"+{digits} goes to {now}, and job {expected[0]} says {expected[1]}"


def _shown(destination: Any) -> str:
    return f"trunk:{destination.trunk_id}" if destination.trunk_id else str(destination.destination)


def _shown_raw(destination: Mapping[str, Any]) -> str:
    return f"trunk:{destination['trunk_id']}" if destination.get("trunk_id") else str(destination["destination"])


def _entry_order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)
