"""When a process makes traces; and that otherwise nothing of OpenTelemetry is imported by us."""

import subprocess
import sys

import pytest
import structlog

from didflow.tracing.process import is_asked_for, process_traces

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
URL = "http://127.0.0.1:4318"

#: Refuses every import of OpenTelemetry, as where it isn't installed, and prints which module asked for it. (redis-py does, for metrics of
#: its own.)
OFF = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            frame = sys._getframe(1)
            while frame.f_globals["__name__"].startswith("importlib"):
                frame = frame.f_back
            print(frame.f_globals["__name__"])
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
import didflow, worker.process.worker_process, worker.process.isolated_process
didflow.Didflow.from_url("redis://127.0.0.1:1/0").close()
from didflow.tracing.process import process_traces
print("traces", process_traces())
"""

#: An application with a provider of its own.
APPLICATION = """
import threading
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

provider, memory = TracerProvider(), InMemorySpanExporter()
provider.add_span_processor(SimpleSpanProcessor(memory))
trace.set_tracer_provider(provider)
from didflow.tracing.process import process_traces
traces = process_traces()
traces.submit("release", None).failed("refused")
traces.close(1.0)
traces.submit("reroute", None).failed("refused")
print([span.name for span in memory.get_finished_spans()], threading.active_count())
"""


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, False),
        ({ENDPOINT: URL}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{URL}/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "console, OTLP"}, True),
        ({"OTEL_TRACES_EXPORTER": "console", ENDPOINT: URL}, False),
        ({"OTEL_TRACES_EXPORTER": "none", ENDPOINT: URL}, False),
        ({"OTEL_TRACES_EXPORTER": "", ENDPOINT: URL}, True),
        ({"OTEL_SDK_DISABLED": "TRUE", ENDPOINT: URL}, False),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": URL}, False),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", ENDPOINT: URL}, False),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", ENDPOINT: URL}, True),
        ({"OTEL_SERVICE_NAME": "shop"}, False),
    ],
)
def test_the_standard_variables_ask_for_traces(environment: dict[str, str], asked: bool) -> None:
    assert is_asked_for(environment) is asked


def test_nothing_is_imported_where_traces_are_off() -> None:
    done = subprocess.run([sys.executable, "-c", OFF], env={}, capture_output=True, text=True, check=True, timeout=60)
    asked = {line for line in done.stdout.splitlines() if not line.startswith("redis.")}
    assert asked == {"traces None"}


def test_without_the_extra_a_process_that_is_asked_for_traces_makes_none_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, URL)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)  # As where it isn't installed.
    monkeypatch.delitem(sys.modules, "didflow.tracing.otel", raising=False)
    with structlog.testing.capture_logs() as lines:
        assert process_traces.__wrapped__() is None
    assert [(line["event"], line["next"]) for line in lines] == [("traces.off", "pip install 'didflow[otel]'")]


def test_an_application_s_own_provider_is_used_and_left_to_it() -> None:
    environment = {"OTEL_TRACES_EXPORTER": "otlp"}
    done = subprocess.run([sys.executable, "-c", APPLICATION], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "['submit release', 'submit reroute'] 1"
