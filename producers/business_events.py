"""Requests by events: other systems write business events to the stream `{namespace}:requests`, and this submits the jobs.

    for processed BusinessEvents(Didflow.from_env()).take_in():
        print(taken.event_id, taken.job or taken.refusal)

An event is acknowledged only when its job is durably submitted; a consumer that dies in between is replaced, and the event's id, which
is the idempotency key, makes of two submits one job. What can't be acted on goes to `{namespace}:requests:dead` with every fault, and holds
no other event. While Redis is unavailable or full, it waits. `didflow requests consume` runs this as a service.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from didflow.client.sync.client import Didflow
from didflow.contract.business_events import (
    BusinessEvent,
    CustomerChurned,
    CustomerReturned,
    OrderPlaced,
    ReleaseApproved,
    ReleaseCalledOff,
    RequestMade,
    parse_business_event,
)
from didflow.contract.errors import DidflowError, InternalError, InvalidRequest, NumbersGone, ServiceUnavailable, WrongJob
from didflow.contract.jobs import Job
from didflow.contract.printable import printable
from didflow.contract.requests import Release
from didflow.ledger.consumer_groups import Entry, acknowledge, added, follow, requests_of, set_aside
from didflow.ledger.conversations import converse
from didflow.ledger.dead_letters import faults_text
from didflow.ledger.group_membership import Membership
from didflow.ledger.group_progress import ACTING_GROUP
from producers.churn import GRACE, JOBS_AT_MOST, Churn
from producers.onboarding import Onboarding

#: The consumer group that acts. Other groups may read along.
GROUP = ACTING_GROUP
#: What a dead consumer held is taken over after this long; it does no harm to someone who is only slow.
TAKE_OVER_S = 30.0
#: An event that was delivered so often killed those who took it.
MAX_DELIVERIES = 5
#: How long a Redis that is away is left alone, at first and at last.
AGAIN_FIRST_S, AGAIN_LAST_S = 0.2, 10.0
#: A refused event keeps this many characters beside the reason; the requests stream has all of it.
KEPT_CHARACTERS = 65_536

T = TypeVar("T")

log = structlog.stdlib.get_logger("didflow.requests")


@dataclass(frozen=True)
class TakenIn:
    """What became of one event: a job, or the refusal with which it lies on the dead-letter stream. `event_id` as it came."""

    event_id: str
    type: str
    entry_id: str
    job: Job | None = None
    refusal: DidflowError | None = None


class BusinessEvents:
    """One consumer of the requests stream. Give every process on a host its own `consumer` name; the default is the host's name."""

    def __init__(
        self,
        didflow: Didflow,
        *,
        group: str = GROUP,
        consumer: str | None = None,
        take_over_s: float = TAKE_OVER_S,
        on_away: Callable[[ServiceUnavailable, float], None] | None = None,
    ) -> None:
        """`on_away` is called with what is wrong and for how many seconds Redis is left alone, each time that it is waited for.

        Raises InvalidRequest.
        """
        self._didflow, self._reader = didflow, didflow.ledger
        self._channel = requests_of(self._reader.keys)
        name = socket.gethostname() if consumer is None else consumer
        try:
            self._member = Membership(group, name, min_idle_s=take_over_s, max_deliveries=MAX_DELIVERIES, ends_idle=True)
        except InvalidRequest as error:
            faults = tuple((where.replace("min_idle_s", "take_over_s"), what) for where, what in error.faults)
            raise InvalidRequest("; ".join(f"{where}: {what}" for where, what in faults), faults) from None
        self._away = on_away or (lambda _error, _again_s: None)

    def send(self, event_type: str, data: Mapping[str, Any], *, event_id: str, source: str = "") -> str:
        """Write an event, as another system would; whether it can be acted on isn't checked here. Returns its id on the stream.

        Raises InvalidRequest for what can't be written as an event, ServiceUnavailable.
        """
        fields = {"specversion": "1.0", "id": event_id, "source": source, "type": event_type, "time": datetime.now(UTC).isoformat()}
        fields |= {"datacontenttype": "application/json", "data": _json(data)}
        _check_texts(fields)
        return self._reader.perform(added(self._channel, fields))

    def take_in(self, *, stopping: threading.Event | None = None, block_s: float = 2.0, give_up_idle: bool = False) -> Iterator[TakenIn]:
        """Act on every event, once; endless, until `stopping` is set. A Redis that is away or full is waited for.

        `give_up_idle` ends it where it would wait, for news or, with ServiceUnavailable, for Redis. Raises UnreadableRecord if the stream's
        key is something else.
        """
        stop = stopping or threading.Event()
        member = replace(self._member, block_s=block_s)
        again_s = AGAIN_FIRST_S
        while not stop.is_set():
            try:
                for entry in converse(self._reader, follow(self._channel, member, dict, time.monotonic)):
                    again_s = AGAIN_FIRST_S
                    if (taken := self._take(member, entry, None if give_up_idle else stop)) is None:
                        return
                    yield taken
                    if stop.is_set():
                        return
                if give_up_idle:
                    return
            except ServiceUnavailable as error:
                if give_up_idle:
                    raise
                self._away(error, again_s)
                stop.wait(again_s)
                again_s = min(AGAIN_LAST_S, again_s * 2)

    def _take(self, member: Membership, entry: Entry[dict[str, str]], stop: threading.Event | None) -> TakenIn | None:
        """Submit, then acknowledge; or store the refusal, then acknowledge. None if it was asked to stop before that."""
        event_id, kind = entry.event.get("id", ""), entry.event.get("type", "")
        try:
            outcome = self._patiently(lambda: self._submitted(entry.event), stop)
            self._patiently(lambda: self._answer(member, entry, outcome), stop)
        except _Stopped:
            return None
        if isinstance(outcome, Job):
            return TakenIn(event_id, kind, entry.entry_id, job=outcome)
        return TakenIn(event_id, kind, entry.entry_id, refusal=outcome)

    def _submitted(self, fields: Mapping[str, str]) -> Job | DidflowError:
        """The job, or why there is none. Raises ServiceUnavailable where only Redis keeps us from it."""
        try:
            return self._act(parse_business_event(fields))
        except ServiceUnavailable:
            raise
        except DidflowError as refusal:
            return refusal
        except Exception as error:
            # Left on the stream it would stop this consumer, and every one after it, at each start.
            log.exception(
                "requests.internal_error", event_id=printable(fields.get("id", "")[:200]), type=printable(fields.get("type", "")[:200])
            )
            return InternalError(error)

    def _answer(self, member: Membership, entry: Entry[dict[str, str]], outcome: Job | DidflowError) -> None:
        """Say that it is dealt with; where it was refused, only after that is stored."""
        if isinstance(outcome, Job):
            self._reader.perform(acknowledge(self._channel, member, entry.entry_id))
        else:
            self._refuse(member, entry, outcome)

    def _refuse(self, member: Membership, entry: Entry[dict[str, str]], refusal: DidflowError) -> None:
        faults = refusal.faults if isinstance(refusal, InvalidRequest) else ()
        kept, more = _shortened(entry.event), {"code": refusal.code, "faults": faults_text(faults)}
        more |= {} if kept == entry.event else {"cut": "1"}
        self._reader.perform(set_aside(self._channel, member, entry.entry_id, kept, str(refusal)[:KEPT_CHARACTERS], **more))

    def _patiently(self, do: Callable[[], T], stop: threading.Event | None) -> T:
        """Do it as soon as Redis lets us; without `stop` now or never. Not by giving the event back: each time that it is delivered counts
        against it."""
        again_s = AGAIN_FIRST_S
        while True:
            try:
                return do()
            except ServiceUnavailable as error:
                if stop is None:
                    raise
                self._away(error, again_s)
                if stop.wait(again_s):
                    raise _Stopped from None
                again_s = min(AGAIN_LAST_S, again_s * 2)

    def _act(self, event: BusinessEvent) -> Job:
        """What each type of event means. All of it may be done twice. Raises what the verb raises."""
        match event.data:
            case RequestMade(request=request, reference=reference, account=account, priority=priority, not_before=not_before):
                return self._didflow.submit(
                    request, idempotency_key=event.id, reference=reference, account=account, priority=priority, not_before=not_before
                )
            case OrderPlaced(request=buy, quote=quote, order=order, customer=customer, account=account):
                return Onboarding(self._didflow, account=account).order(order or event.id, buy, quote=quote, customer=customer)
            case ReleaseApproved(case=case, check=check, account=account, protected_labels=labels):
                return Churn(self._didflow, account=account, protected_labels=labels).approve(case, check)
            case ReleaseCalledOff(case=case, account=account):
                return _called_off(Churn(self._didflow, account=account), case)
            case CustomerChurned() as left:
                return Churn(self._didflow, account=left.account, protected_labels=left.protected_labels).churned(
                    left.reference,
                    numbers=left.numbers,
                    at=left.at,
                    grace=GRACE if left.grace is None else left.grace,
                    before_renewal=left.before_renewal,
                    parking=left.parking,
                    stop_on_traffic=left.stop_on_traffic,
                    reusable=left.reusable,
                    idempotency_key=event.id,
                )
            case CustomerReturned(reference=reference, account=account):
                return self._returned(reference, account)

    def _returned(self, reference: str, account: str) -> Job:
        """The release that was cancelled. Raises NumbersGone if numbers were released, WrongJob if no release of theirs is known."""
        found = Churn(self._didflow, account=account).returned(reference)
        if found.gone:
            orders = "; ".join(request.model_dump_json(exclude_defaults=True) for request in found.similar)
            raise NumbersGone(
                f"{reference!r} came back, but {', '.join(found.gone)} were already released. To order similar numbers: {orders}"
            )
        releases = [
            view
            for view in self._didflow.find(reference=reference, limit=JOBS_AT_MOST)
            if isinstance(view.request, Release) and not view.request.dry_run and view.account == account
        ]
        view = next((view for view in releases if view.id in found.called_off), releases[0] if releases else None)
        if view is None:
            raise WrongJob(f"there is no release of numbers of {reference!r} that could be cancelled")
        return Job(view.id, False, view.state)


class _Stopped(Exception):
    """Asked to stop while Redis was unavailable: the event isn't acknowledged, so it is delivered again."""


def _json(data: Mapping[str, Any]) -> str:
    try:
        return json.dumps(data, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        what = f"can't be written as JSON ({type(error).__name__}): give numbers of money and times as texts"
        raise InvalidRequest(f"data: {what}", (("data", what),)) from None


def _check_texts(fields: Mapping[str, Any]) -> None:
    """Raises InvalidRequest for what no entry of a stream can hold."""
    faults = tuple((name, "needs a text in UTF-8") for name, text in fields.items() if not isinstance(text, str) or not _is_utf_8(text))
    if faults:
        raise InvalidRequest("; ".join(f"{where}: {what}" for where, what in faults), faults)


def _is_utf_8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _called_off(churn: Churn, case: str) -> Job:
    view = churn.call_off(case)
    if view is None:
        raise WrongJob(f"churn case {case!r} has no release that could be cancelled")
    return Job(view.id, False, view.state)


def _shortened(fields: Mapping[str, str]) -> dict[str, str]:
    """As much of it as is kept beside the reason."""
    left, kept = KEPT_CHARACTERS, {}
    for name, text in fields.items():
        if (left := left - len(name)) <= 0:
            break
        kept[name] = text[:left]
        left -= len(text)
    return kept
