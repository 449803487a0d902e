"""What OpenTelemetry sees of a job: the submit, each attempt, each provider call; and nothing of numbers, keys and references."""

import asyncio
import json
import re
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from didflow import AsyncDidflow, Destination, Didflow, Job, Release, SearchAndBuy, Submission
from didflow.contract.errors import IdempotencyConflict, ServiceUnavailable
from didflow.ledger.connection import connect, connect_async
from didflow.ledger.ledger import Ledger
from didflow.tracing.otel import OpenTelemetryTraces
from tests.support.inline_worker import InlineWorker, outcomes
from worker.attempt.provider_clients import Providers
from worker.attempt.runner import JobRunner
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox.options import SANDBOX_KEY

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BUY = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), destinations=(Destination.sip("pbx@example.net"),))


class Traced:
    """A client and a worker that trace into memory."""

    def __init__(self, inline: InlineWorker, provider: TracerProvider) -> None:
        self.inline, self.memory = inline, InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.traces = OpenTelemetryTraces(provider)
        self.didflow = Didflow(inline.ledger.client, inline.ledger.keys.namespace)
        self.didflow.ledger.commands.traces = self.traces
        self.works_with(self.traces)

    def works_with(self, traces: OpenTelemetryTraces | None) -> None:
        inline = self.inline
        inline.runner = JobRunner(inline.ledger, inline.settings, inline.provider, inline.leases, inline.stopping, traces=traces)

    def spans(self, kind: SpanKind) -> list[ReadableSpan]:
        return [span for span in self.memory.get_finished_spans() if span.kind is kind]


@pytest.fixture
def traced(inline: InlineWorker) -> Iterator[Traced]:
    provider = TracerProvider(shutdown_on_exit=False)
    yield Traced(inline, provider)
    provider.shutdown()


def said(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def traceparent(span: ReadableSpan) -> str:
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"


def parents(spans: Sequence[ReadableSpan]) -> set[int | None]:
    return {span.parent.span_id if span.parent else None for span in spans}


def test_a_purchase_whose_answer_was_lost_is_one_trace(traced: Traced) -> None:
    traced.inline.sandbox.add_fault("checkout", "act_and_drop")
    traced.inline.sandbox.add_fault("owned", "refuse", times=6, status=503, body={"success": False, "message": "maintenance"})
    job = traced.didflow.submit(BUY, idempotency_key="order-1", reference="customer-9")
    view = traced.inline.finish(job)
    assert view.state == "succeeded"

    (submit,), attempts, calls = traced.spans(SpanKind.PRODUCER), traced.spans(SpanKind.CONSUMER), traced.spans(SpanKind.CLIENT)
    assert (submit.name, submit.parent, view.traceparent) == ("submit search_and_buy", None, traceparent(submit))
    assert said(submit)["messaging.message.id"] == job.id
    assert len(attempts) >= 2, "the list that settles it couldn't be read at first"
    assert {span.context.trace_id for span in (*attempts, *calls)} == {submit.context.trace_id}
    assert parents(attempts) == {submit.context.span_id}
    assert [[link.context.span_id for link in one.links] for one in attempts] == [[submit.context.span_id]] * len(attempts)
    assert parents(calls) <= {one.context.span_id for one in attempts}
    assert [said(one)["didflow.job.state"] for one in attempts] == ["waiting"] * (len(attempts) - 1) + ["succeeded"]
    assert said(attempts[0])["didflow.job.wait_reason"] == "provider_down"
    (checkout,) = [one for one in calls if one.name == "POST /v1/buy/cart/checkout"]
    assert parents([checkout]) == {attempts[0].context.span_id}
    # What ran when is inside of its attempt.
    first = [one for one in calls if one.parent and one.parent.span_id == attempts[0].context.span_id]
    assert all(
        (attempts[0].start_time or 0) <= (one.start_time or 0) <= (one.end_time or 0) <= (attempts[0].end_time or 0) for one in first
    )


def test_a_call_has_the_fingerprint_that_explain_shows_and_its_status_class(traced: Traced) -> None:
    traced.inline.sandbox.add_fault("checkout", "act_and_drop")
    job = traced.didflow.submit(BUY)
    traced.inline.finish(job)
    calls = [said(one) for one in traced.spans(SpanKind.CLIENT)]
    explained = {call.request for step in traced.inline.story(job) for call in step.calls}
    changes = [one for one in calls if one["http.request.method"] != "GET"]
    assert explained
    assert {one["didflow.provider.request"] for one in changes} == explained
    (checkout,) = [one for one in traced.spans(SpanKind.CLIENT) if one.name == "POST /v1/buy/cart/checkout"]
    assert (said(checkout)["didflow.provider.answer"], checkout.status.status_code) == ("none", StatusCode.ERROR)
    assert {one["didflow.provider.answer"] for one in calls if one["http.request.method"] == "GET"} == {"2xx"}
    assert "GET /v1/buy/countries/*/cities/*/dids" in {f"{one['http.request.method']} {one['url.template']}" for one in calls}


def test_no_number_key_or_reference_is_in_a_span(traced: Traced) -> None:
    old = traced.inline.own(2)
    traced.inline.sandbox.add_fault("checkout", "act_and_drop")
    jobs = [
        traced.didflow.submit(BUY, idempotency_key="order-4711", reference="customer-9"),
        traced.didflow.submit(Release(numbers=tuple(old)), idempotency_key="order-4712", reference="customer-9"),
    ]
    views = [traced.inline.finish(job) for job in jobs]
    with pytest.raises(IdempotencyConflict):
        traced.didflow.submit(BUY.model_copy(update={"quantity": 2}), idempotency_key="order-4711")
    spans = traced.memory.get_finished_spans()
    text = "\n".join(json.dumps([json.loads(span.to_json()), span.name]) for span in spans)
    numbers = [number.lstrip("+") for view in views for number in outcomes(view)]
    assert len(numbers) == 3
    secrets = (*numbers, "order-47", "customer-9", SANDBOX_KEY, "example.net")
    assert [secret for secret in secrets if secret in text] == []
    # Each path names words alone; the ids are those of spans and jobs.
    paths = {str(said(span)["url.template"]) for span in traced.spans(SpanKind.CLIENT)}
    assert [path for path in paths if re.search(r"(?<!/v)[0-9]", path)] == []
    assert not [event for span in spans for event in span.events]
    assert not [span.status.description for span in spans if span.status.description]


def test_a_submit_is_a_child_of_what_the_caller_names_else_of_its_current_span(traced: Traced) -> None:
    named = traced.didflow.submit(BUY, traceparent=TRACE)
    by_client = traced.didflow.acting(traceparent=TRACE).submit(BUY)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("application")
    with tracer.start_as_current_span("order") as order:
        current = traced.didflow.submit(BUY)
    spans = {str(said(span)["messaging.message.id"]): span for span in traced.spans(SpanKind.PRODUCER)}
    assert parents([spans[named.id], spans[by_client.id]]) == {int(TRACE.split("-")[2], 16)}
    assert parents([spans[current.id]]) == {order.get_span_context().span_id}
    assert [traced.didflow.get(one.id).traceparent for one in (named, current)] == [traceparent(spans[one.id]) for one in (named, current)]


def test_of_many_submits_each_has_a_span_and_a_refused_one_its_code(traced: Traced) -> None:
    first, again, refused = traced.didflow.submit_many(
        [Submission(BUY, "order-1", traceparent=TRACE), Submission(BUY, "order-1"), Submission(BUY, "order-1", account="other")]
    )
    assert isinstance(first, Job)
    assert isinstance(again, Job)
    assert isinstance(refused, IdempotencyConflict)
    spans = traced.spans(SpanKind.PRODUCER)
    assert [said(one).get("didflow.job.is_new") for one in spans] == [True, False, None]
    assert [said(one).get("error.type") for one in spans] == [None, None, refused.code]
    assert parents(spans[:1]) == {int(TRACE.split("-")[2], 16)}
    assert traced.didflow.get(first.id).traceparent == traceparent(spans[0])


def test_the_asynchronous_client_has_the_same_span(traced: Traced, valkey: EmbeddedValkey, namespace: str) -> None:
    async def submit() -> str:
        client = AsyncDidflow(connect_async(valkey.url), namespace)
        client.ledger.commands.traces = traced.traces
        try:
            return (await client.submit(BUY)).id
        finally:
            await client.aclose()

    job_id = asyncio.run(submit())
    (span,) = traced.spans(SpanKind.PRODUCER)
    assert (said(span)["messaging.message.id"], traced.didflow.get(job_id).traceparent) == (job_id, traceparent(span))


def test_a_submit_that_redis_did_not_answer_has_failed(traced: Traced, free_port: int) -> None:
    client = Didflow(connect(f"redis://127.0.0.1:{free_port}/0"), "nowhere")
    client.ledger.commands.traces = traced.traces
    with pytest.raises(ServiceUnavailable):
        client.submit(BUY)
    (span,) = traced.spans(SpanKind.PRODUCER)
    assert (span.status.status_code, said(span)["error.type"]) == (StatusCode.ERROR, "unanswered")


def test_a_job_without_a_context_has_attempts_without_links(traced: Traced) -> None:
    job = traced.inline.submit(BUY)
    traced.inline.finish(job)
    attempts = traced.spans(SpanKind.CONSUMER)
    assert attempts
    assert (parents(attempts), [one.links for one in attempts]) == ({None}, [()] * len(attempts))


def test_what_was_not_sampled_at_the_submit_is_not_sampled_in_the_worker(traced: Traced) -> None:
    unsampled = OpenTelemetryTraces(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    traced.didflow.ledger.commands.traces = unsampled
    job = traced.didflow.submit(BUY)
    view = traced.inline.finish(job)
    assert view.traceparent is not None
    assert int(view.traceparent[-2:], 16) & 1 == 0
    assert traced.memory.get_finished_spans() == ()


def test_a_parked_job_is_an_error(traced: Traced) -> None:
    job = traced.didflow.submit(BUY)
    traced.inline.ledger.client.hset(traced.inline.ledger.keys.job(job.id), "request", "{")
    assert traced.inline.attempt(job).state == "needs_review"
    (attempt,) = traced.spans(SpanKind.CONSUMER)
    assert (said(attempt)["didflow.job.state"], attempt.status.status_code) == ("needs_review", StatusCode.ERROR)


def test_pages_that_are_read_side_by_side_belong_to_their_attempt(traced: Traced) -> None:
    inline = traced.inline
    numbers = inline.own(150)
    accounts = Providers(inline.settings, inline.ledger)
    inline.runner = JobRunner(inline.ledger, inline.settings, accounts, inline.leases, inline.stopping, traces=traced.traces)
    assert traced.inline.finish(traced.didflow.submit(Release(numbers=tuple(numbers), dry_run=True))).state == "succeeded"
    (attempt,) = traced.spans(SpanKind.CONSUMER)
    reads = [one for one in traced.spans(SpanKind.CLIENT) if one.name == "GET /v1/mydids"]
    assert len(reads) == inline.sandbox.state()["calls"]["owned"] > 1
    assert parents(reads) == {attempt.context.span_id}


def test_after_an_attempt_no_span_is_current_in_its_thread(traced: Traced) -> None:
    traced.inline.finish(traced.didflow.submit(BUY))
    assert trace.get_current_span() is trace.INVALID_SPAN


class Raises(SpanProcessor):
    def on_start(self, span: Span, parent_context: object = None) -> None:
        raise RuntimeError("start +12135550100")

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("end +12135550100")


def test_a_span_processor_that_raises_changes_no_job(inline: InlineWorker) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Raises())
    traced = Traced(inline, provider)
    view = inline.finish(traced.didflow.submit(BUY))
    assert (view.state, len(inline.owned()), view.attempt) == ("succeeded", 1, 1)


def test_an_untraced_worker_keeps_the_context_of_a_traced_submit(traced: Traced, real_ledger: Ledger) -> None:
    traced.works_with(None)
    job = traced.didflow.submit(BUY)
    view = traced.inline.finish(job)
    (submit,) = traced.memory.get_finished_spans()
    assert (view.state, view.traceparent) == ("succeeded", traceparent(submit))
