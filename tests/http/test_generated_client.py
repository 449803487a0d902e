"""A client that a generator makes from the description runs the demo's jobs."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.http_server import api_of
from tests.support.inline_worker import InlineWorker
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-client-generator" / "bin" / "python"

#: What a user of the generated client writes: buy, move away, bring back, release; each waits for its end.
PROGRAM = """
import json, sys
from client import AuthenticatedClient
from client.api.jobs import list_numbers, submit_failback, submit_release, submit_reroute, submit_search_and_buy
from client.models import Destination, Failback, FailbackOrder, JobView, Problem, Release, ReleaseOrder, Reroute, RerouteOrder
from client.models import SearchAndBuy, SearchAndBuyOrder, Transport

url, key = sys.argv[1:]
http = AuthenticatedClient(base_url=url, token=key, timeout=120.0)

def run(submit, order, name):
    job = submit.sync(client=http, body=order, wait=60.0, idempotency_key=name)
    assert isinstance(job, JobView), job
    return job

wanted = SearchAndBuy(country="US", city=["LOS ANGELES, CA"], quantity=2, max_monthly_usd="2.50")
order = SearchAndBuyOrder(request=wanted, reference="customer-9")
bought = run(submit_search_and_buy, order, "order-4711")
again = submit_search_and_buy.sync_detailed(client=http, body=order, idempotency_key="order-4711")
numbers = [one.number for one in list_numbers.sync(client=http, job_id=bought.id).numbers]
there = Destination(transport=Transport(1), destination="backup@example.net")
moved = run(submit_reroute, RerouteOrder(request=Reroute(numbers=numbers, destinations=[there])), "away")
back = run(submit_failback, FailbackOrder(request=Failback(job_id=moved.id)), "back")
released = run(submit_release, ReleaseOrder(request=Release(numbers=numbers)), "gone")
none = SearchAndBuyOrder(request=SearchAndBuy(country="US", quantity=0))
refused = submit_search_and_buy.sync(client=http, body=none, idempotency_key="x")
assert isinstance(refused, Problem), refused
states = [job.state.value for job in (bought, moved, back, released)]
print(json.dumps([states, numbers, again.headers["idempotency-replayed"], [fault.pointer for fault in refused.errors]]))
"""


@pytest.mark.long
def test_a_generated_client_runs_the_jobs(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("the generator isn't there: `make .venv-client-generator/ready`")
    (tmp_path / "config.yml").write_text("post_hooks: []\n")
    described = ["--path", str(ROOT / "docs" / "openapi.json"), "--output-path", str(tmp_path / "client")]
    made = subprocess.run(
        [str(PYTHON), "-m", "openapi_python_client", "generate", *described, "--meta", "none", "--config", str(tmp_path / "config.yml")],
        capture_output=True,
        text=True,
        check=True,
    )
    left_out = {line for line in made.stderr.splitlines() if line.startswith("WARNING")}
    # OpenMetrics is for Prometheus; files are sent as application/octet-stream.
    assert left_out == {"WARNING parsing GET /metrics within monitoring.", "WARNING parsing POST /v1/documents within documents."}
    assert "application/octet-stream" in (tmp_path / "client" / "api" / "documents" / "upload_document.py").read_text()
    (tmp_path / "program.py").write_text(PROGRAM)
    with working(inline), api_of(inline.ledger, valkey.url) as api:
        key = api.http.headers["authorization"].removeprefix("Bearer ")
        command = [str(PYTHON), "-W", "ignore", "program.py", api.url, key]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    states, numbers, replayed, places = json.loads(ran.stdout)
    assert (states, replayed, places) == (["succeeded"] * 4, "true", ["/request/quantity"])
    assert len(numbers) == 2
    assert inline.sandbox.owned() == {}
