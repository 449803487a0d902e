"""The third witness: what came by webhook, held against what the streams said."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

from didflow.contract.events import Event
from tests.campaign.oracle import Heard
from tests.campaign.receiver import Arrived

#: A process may be frozen between the signature and the request, for longer than its lease. Receivers refuse what is minutes old.
SENT_WITHIN_S = 30.0


def webhook_violations(arrived: Sequence[Arrived], heard: Heard, secret: str, *, only_results: bool) -> list[str]:
    """What is wrong with the deliveries to one endpoint, in words. `only_results`: it wants the ends of jobs alone."""
    streams = (heard.results,) if only_results else (heard.results, heard.events)
    written = {event.id: event for stream in streams for event in stream.values()}
    return [*_signatures(arrived, secret), *_contents(arrived, written), *_all_came(arrived, written), *_in_order(arrived, written)]


def _signatures(arrived: Sequence[Arrived], secret: str) -> Iterable[str]:
    """By the official package. It has no clock of another moment to verify by, so it signs again what it should have been."""
    signing = Webhook(secret)
    for one in arrived:
        sent_s = int(one.headers.get("webhook-timestamp", "0"))
        expected = signing.sign(one.event_id, datetime.fromtimestamp(sent_s, UTC), one.body.decode())
        if expected not in one.headers.get("webhook-signature", "").split():
            yield f"webhook {one.event_id} has a wrong signature"
        if not -2.0 < one.at_s - sent_s < SENT_WITHIN_S:
            yield f"webhook {one.event_id} came {one.at_s - sent_s:.1f} s after it was signed"


def _contents(arrived: Sequence[Arrived], written: Mapping[str, Event]) -> Iterable[str]:
    for one in arrived:
        event = written.get(one.event_id)
        if event is None:
            if one.event.get("type", "").startswith("didflow.job."):
                yield f"webhook {one.event_id} is of no event that the endpoint wants"
            continue
        found = one.event
        if (found.get("id"), found.get("type"), found.get("subject")) != (event.id, event.type, event.subject):
            yield f"webhook {one.event_id} says {found.get('id')} {found.get('type')}, and the stream {event.id} {event.type}"
        elif "data" in found and found["data"].get("state") != event.data.state.value:
            yield f"webhook {one.event_id} says state {found['data'].get('state')}, and the stream {event.data.state.value}"
        elif "data" not in found and "dataref" not in found:
            yield f"webhook {one.event_id} has neither data nor a link to it"


def _all_came(arrived: Sequence[Arrived], written: Mapping[str, Event]) -> Iterable[str]:
    accepted = {one.event_id for one in arrived if one.accepted}
    for event_id in written.keys() - accepted:
        yield f"event {event_id} ({written[event_id].type}) never came by webhook"


def _in_order(arrived: Sequence[Arrived], written: Mapping[str, Event]) -> Iterable[str]:
    """An event comes only when the one before it, of the same job, was accepted. It may come again later, as any may."""
    order: dict[str, list[str]] = defaultdict(list)
    for event_id in sorted(written, key=lambda one: int(one.rpartition(":")[2])):
        order[event_id.rpartition(":")[0]].append(event_id)
    before = {event_id: ids[place - 1] for ids in order.values() for place, event_id in enumerate(ids) if place}
    accepted, came = set[str](), set[str]()
    for one in arrived:
        if one.event_id not in came and (earlier := before.get(one.event_id)) and earlier not in accepted:
            yield f"webhook {one.event_id} came before {earlier} was accepted"
        came.add(one.event_id)
        if one.accepted:
            accepted.add(one.event_id)
