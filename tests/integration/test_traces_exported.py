"""A client and a worker process, each with the standard variables: what a collector of OTLP over HTTP receives from them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from didflow import Didflow
from didflow.ledger.ledger import Ledger
from tests.support.inline_worker import InlineWorker
from tests.support.role_processes import BIN, ROOT
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox.options import SANDBOX_KEY

#: A client: submits one purchase and prints the job's id.
CLIENT = """
from didflow import Didflow, SearchAndBuy
didflow = Didflow.from_env()
print(didflow.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)), idempotency_key="order-4711").id)
"""

Received = SimpleQueue[ResourceSpans]


@pytest.fixture
def collector() -> Iterator[tuple[str, Received]]:
    received: Received = SimpleQueue()

    class Collects(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for spans in ExportTraceServiceRequest.FromString(body).resource_spans:
                received.put(spans)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collects) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


def taken(received: Received) -> dict[str, set[str]]:
    """The names of all spans so far, by service."""
    found: dict[str, set[str]] = {}
    while not received.empty():
        spans = received.get()
        (service,) = [one.value.string_value for one in spans.resource.attributes if one.key == "service.name"]
        found.setdefault(service, set()).update(span.name for scope in spans.scope_spans for span in scope.spans)
    return found


@pytest.mark.long
def test_a_command_and_a_worker_process_export_before_they_end(
    inline: InlineWorker, valkey: EmbeddedValkey, real_ledger: Ledger, collector: tuple[str, Received]
) -> None:
    url, received = collector
    environment = os.environ | {
        "DIDFLOW_REDIS_URL": valkey.url,
        "DIDFLOW_NAMESPACE": real_ledger.keys.namespace,
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_BSP_SCHEDULE_DELAY": "600000",  # So that it is their end that exports.
    }
    client = [sys.executable, "-c", CLIENT]
    done = subprocess.run(client, env=environment | {"OTEL_SERVICE_NAME": "shop"}, capture_output=True, text=True, check=True, timeout=60)
    job_id = done.stdout.strip()
    assert taken(received) == {"shop": {"submit search_and_buy"}}

    provider = {"WAVIX_BASE_URL": inline.sandbox.url, "WAVIX_API_KEY": SANDBOX_KEY, "WAVIX_DIALECT": "mydids"}
    # Dramatiq's own command: its processes run no exit handlers.
    command = [str(BIN / "dramatiq"), "worker.app", "--processes", "1", "--threads", "2", "--path", str(ROOT)]
    worker = subprocess.Popen(command, env=environment | provider, stderr=subprocess.DEVNULL)
    try:
        view = Didflow(real_ledger.client, real_ledger.keys.namespace).wait(job_id, 60)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    finally:
        worker.kill()
        worker.wait()
    assert view.state == "succeeded"
    names = taken(received)
    assert set(names) == {"didflow"}
    assert {"attempt search_and_buy", "POST /v1/buy/cart/checkout"} <= names["didflow"]
