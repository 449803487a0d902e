"""Spans by OpenTelemetry. Attributes follow its semantic conventions; no phone number, key, reference or error text is in any."""

import atexit
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from didflow.tracing.ports import AttemptSpan, AttemptStart, ProviderExchange, SubmitSpan

#: How long an export may take, with its retries, where OTEL_EXPORTER_OTLP_TIMEOUT says nothing. The SDK's 10 s would hold up the end of
#: each command while the collector is down.
EXPORT_TIMEOUT_S = 2.0

#: States that need attention.
_ERROR_STATES = frozenset({"failed", "needs_review"})
#: Answers after which it isn't known what the provider did, or that it can't serve.
_ERROR_ANSWERS = frozenset({"5xx", "none", "not_sent"})

T = TypeVar("T")

log = structlog.stdlib.get_logger("didflow.traces")


class OpenTelemetryTraces:
    """`owned`: the provider is ended with this; else it is the application's."""

    def __init__(self, provider: trace.TracerProvider, *, owned: TracerProvider | None = None) -> None:
        self._tracer, self._owned = provider.get_tracer("didflow"), owned

    @classmethod
    def of_process(cls) -> "OpenTelemetryTraces":
        """With the application's provider, if it has set one; else with one that exports by OTLP over HTTP as OTEL_* says."""
        provider = trace.get_tracer_provider()
        if not isinstance(provider, trace.ProxyTracerProvider):
            return cls(provider)
        named = "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "") or os.environ.get("OTEL_SERVICE_NAME")
        owned = TracerProvider(shutdown_on_exit=False, resource=Resource.create({} if named else {SERVICE_NAME: "didflow"}))
        waits = any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") for name in ("TIMEOUT", "TRACES_TIMEOUT"))
        owned.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=None if waits else EXPORT_TIMEOUT_S)))
        atexit.register(owned.shutdown)
        return cls(owned, owned=owned)

    def submit(self, kind: str, traceparent: str | None, tracestate: str | None = None) -> SubmitSpan:
        attributes = {
            "messaging.system": "didflow",
            "messaging.operation.type": "send",
            "messaging.operation.name": "submit",
            "didflow.job.kind": kind,
        }
        parent = _parent(traceparent, tracestate) if traceparent else None
        return _Submit(self._begun(partial(self._tracer.start_span, f"submit {kind}", parent, SpanKind.PRODUCER, attributes)))

    def attempt(self, start: AttemptStart) -> AttemptSpan:
        attributes: dict[str, str | int] = {
            "messaging.system": "didflow",
            "messaging.operation.type": "process",
            "messaging.operation.name": "attempt",
            "messaging.destination.name": start.lane,
            "messaging.message.id": start.job_id,
            "didflow.job.kind": start.kind,
            "didflow.job.attempt": start.attempt,
        }
        parent = _parent(start.traceparent, start.tracestate)
        submitted = trace.get_current_span(parent).get_span_context()
        links = (Link(submitted),) if submitted.is_valid else ()
        begin = partial(self._tracer.start_span, f"attempt {start.kind}", parent, SpanKind.CONSUMER, attributes, links)
        return _Attempt(self._tracer, self._begun(begin))

    def _begun(self, begin: Callable[[], Span]) -> Span:
        return _harmless(begin) or trace.INVALID_SPAN

    def close(self, within_s: float) -> None:
        if self._owned is not None:
            # Not to be waited for longer: a collector that is down takes its time for each batch.
            ending = threading.Thread(target=self._owned.shutdown, name="traces", daemon=True)
            ending.start()
            ending.join(within_s)


class _Submit:
    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        return self._carried("traceparent")

    @property
    def tracestate(self) -> str:
        return self._carried("tracestate")

    def _carried(self, header: str) -> str:
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(self._span, Context()))
        return carrier.get(header, "")

    def accepted(self, job_id: str, *, is_new: bool) -> None:
        self._span.set_attributes({"messaging.message.id": job_id, "didflow.job.is_new": is_new})
        _harmless(self._span.end)

    def failed(self, code: str) -> None:
        _mark(self._span, code)
        _harmless(self._span.end)


class _Attempt:
    def __init__(self, tracer: trace.Tracer, span: Span) -> None:
        self._tracer, self._span, self._context = tracer, span, trace.set_span_in_context(span)
        self._before = otel_context.attach(self._context)

    def called(self, exchange: ProviderExchange) -> None:
        _harmless(partial(self._call, exchange, time.time_ns()))

    def _call(self, exchange: ProviderExchange, ended_ns: int) -> None:
        attributes = {
            "http.request.method": exchange.method,
            "url.template": exchange.path,
            "didflow.provider.request": exchange.request,
            "didflow.provider.answer": exchange.answer,
        }
        began_ns = ended_ns - int(exchange.took_s * 1e9)
        name = f"{exchange.method} {exchange.path}"
        span = self._tracer.start_span(name, self._context, SpanKind.CLIENT, attributes, start_time=began_ns)
        if exchange.answer in _ERROR_ANSWERS:
            _mark(span, exchange.answer)
        span.end(ended_ns)

    def ended(self, state: str | None, reason: str | None) -> None:
        otel_context.detach(self._before)
        self._span.set_attributes({"didflow.job.state": state or "unknown"} | ({"didflow.job.wait_reason": reason} if reason else {}))
        if state is None or state in _ERROR_STATES:
            _mark(self._span, state or "unknown")
        _harmless(self._span.end)


def _parent(traceparent: str | None, tracestate: str | None) -> Context:
    """The context of the span that it names; an empty one if it is None or isn't valid."""
    carrier = {"traceparent": traceparent, "tracestate": tracestate or ""} if traceparent else {}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def _mark(span: Span, error: str) -> None:
    span.set_attribute("error.type", error)
    span.set_status(StatusCode.ERROR)


def _harmless(act: Callable[[], T]) -> T | None:
    """What it returns; None if it raised. A sampler or processor of an application may; no job may end otherwise because of it."""
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - it may be any, and its text may show what a span must not
        log.warning("traces.span_lost", error=type(error).__name__)
        return None
