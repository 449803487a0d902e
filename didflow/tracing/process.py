"""Whether this process makes traces: the standard variables of OpenTelemetry ask for them, and the extra `otel` is installed."""

import os
from collections.abc import Mapping
from functools import cache

import structlog

from didflow.tracing.ports import Traces

_INSTALL = "pip install 'didflow[otel]'"

log = structlog.stdlib.get_logger("didflow.traces")


@cache
def process_traces() -> Traces | None:
    """The traces of this process; None if it makes none: then OpenTelemetry isn't imported."""
    if not is_asked_for(os.environ):
        return None
    try:
        from didflow.tracing.otel import OpenTelemetryTraces
    except ImportError:
        log.warning("traces.off", because="OTEL_* asks for traces, and OpenTelemetry isn't installed", next=_INSTALL)
        return None
    return OpenTelemetryTraces.of_process()


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether traces are to be exported by OTLP over HTTP, the only protocol that didflow has."""

    def said(name: str) -> str:
        return environment.get(name, "").strip().lower()

    if said("OTEL_SDK_DISABLED") == "true":
        return False
    exporters = {one.strip() for one in said("OTEL_TRACES_EXPORTER").split(",")} - {""}
    protocol = said("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or said("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    has_endpoint = bool(said("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or said("OTEL_EXPORTER_OTLP_ENDPOINT"))
    asked = "otlp" in exporters or (not exporters and has_endpoint)
    if asked and protocol != "http/protobuf":
        log.warning("traces.off", because=f"{protocol} isn't supported", next="OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
        return False
    return asked
