"""The trace context of a submit: in the job, in each of its events, in its log lines, in what follows it."""

import asyncio
import json
from typing import Any

import structlog

from didflow import AsyncDidflow, Didflow, FollowDocuments, Job, SearchAndBuy, Submission
from didflow.contract.events import event_adapter
from didflow.contract.follow_ups import DOCUMENTS
from didflow.ledger.connection import connect_async
from didflow.ledger.ledger import Ledger
from tests.support.inline_worker import InlineWorker
from tests.support.ledger_roles import claimed
from worker.local.embedded_valkey import EmbeddedValkey

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BUY = SearchAndBuy(country="US", city=("LOS ANGELES, CA",))


STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


def states(ledger: Ledger, job_id: str) -> list[str | None]:
    """The same of the trace state."""
    client: Any = ledger.client
    entries = [fields for name in ("events", "results") for _, fields in client.xrange(f"{ledger.keys.namespace}:{name}")]
    return [fields.get("tracestate") for fields in entries if fields["subject"] == job_id]


def traces(ledger: Ledger, job_id: str) -> list[str | None]:
    """Of each event of the job on both streams."""
    client: Any = ledger.client
    entries = [fields for name in ("events", "results") for _, fields in client.xrange(f"{ledger.keys.namespace}:{name}")]
    events = [event_adapter().validate_python({**fields, "data": json.loads(fields["data"])}) for fields in entries]
    return [event.traceparent for event in events if event.subject == job_id]


def test_it_is_in_the_job_in_each_event_and_in_each_line_of_the_log(inline: InlineWorker, real_ledger: Ledger) -> None:
    job = Didflow(real_ledger.client, real_ledger.keys.namespace).submit(BUY, traceparent=TRACE, tracestate=STATE)
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        view = inline.finish(job)
    assert (view.state, view.traceparent, view.tracestate) == ("succeeded", TRACE, STATE)
    found = traces(real_ledger, job.id)
    assert len(found) >= 3
    assert set(found) == {TRACE}
    assert states(real_ledger, job.id) == [STATE] * len(found)
    assert {line.get("traceparent") for line in lines if line["event"].startswith(("job.", "wavix."))} == {TRACE}


def test_a_job_without_one_has_none_anywhere(inline: InlineWorker, real_ledger: Ledger) -> None:
    job = Didflow(real_ledger.client, real_ledger.keys.namespace).submit(BUY, traceparent="00-nonsense", tracestate=STATE)
    view = inline.finish(job)
    assert (view.state, view.traceparent, set(traces(real_ledger, job.id))) == ("succeeded", None, {None})
    assert (view.tracestate, set(states(real_ledger, job.id))) == (None, {None})


def test_many_submits_and_the_asynchronous_client_take_it_too(real_ledger: Ledger, valkey: EmbeddedValkey) -> None:
    didflow = Didflow(real_ledger.client, real_ledger.keys.namespace)
    one, other = didflow.submit_many([Submission(BUY, traceparent=TRACE, tracestate=STATE), Submission(BUY)])
    assert [didflow.get(job.id).tracestate for job in (one, other) if isinstance(job, Job)] == [STATE, None]
    assert [didflow.get(job.id).traceparent for job in (one, other) if isinstance(job, Job)] == [TRACE, None]
    assert didflow.get(didflow.acting(traceparent=TRACE).submit(BUY).id).traceparent == TRACE
    acting = didflow.acting(traceparent=TRACE, tracestate=STATE)
    assert didflow.get(acting.submit(BUY).id).tracestate == STATE
    assert didflow.get(acting.submit(BUY, traceparent=TRACE).id).tracestate is None, "a state belongs to its parent"

    async def submit() -> str:
        client = AsyncDidflow(connect_async(valkey.url), real_ledger.keys.namespace)
        try:
            return (await client.submit(BUY, traceparent=TRACE)).id
        finally:
            await client.aclose()

    assert didflow.get(asyncio.run(submit())).traceparent == TRACE


def test_what_follows_a_job_belongs_to_its_trace(real_ledger: Ledger) -> None:
    job = Didflow(real_ledger.client, real_ledger.keys.namespace).submit(BUY, traceparent=TRACE, tracestate=STATE)
    claim = claimed(real_ledger, job.id)
    assert real_ledger.follow_up(claim, DOCUMENTS, FollowDocuments(job_id=job.id), delay_ms=0)
    follower = real_ledger.get(f"{job.id}-{DOCUMENTS}")
    assert (follower.traceparent, traces(real_ledger, follower.id)) == (TRACE, [TRACE])
    assert (follower.tracestate, states(real_ledger, follower.id)) == (STATE, [STATE])
