"""didflow: the real ledger, runtime and client with the default settings; only the job's own steps are left out.

The request is a search-and-buy, which goes through the lane of the money jobs, with a reference and an idempotency key, as the README
recommends. Submitting many: `submit_many`.
"""

import itertools
import signal
import socket
import sys
import threading
from collections.abc import Sequence

from pydantic import SecretStr

from didflow import Didflow, SearchAndBuy
from didflow.contract.requests import Request
from didflow.contract.results import Result, Totals
from didflow.contract.states import JobState
from didflow.ledger.connection import connect
from didflow.ledger.keys import Keys
from didflow.ledger.script_calls import Submission
from didflow.logs import configure_logs
from didflow.settings import Settings
from tests.bench.contenders.contender import PROCESSES, server_url
from worker.jobs.ports.context import JobContext
from worker.jobs.ports.endings import Ended
from worker.jobs.ports.provider import Provider
from worker.jobs.ports.rules import Rules
from worker.jobs.reroute.route_change import RouteChangeBatch
from worker.process.worker_process import WorkerProcess
from worker.wavix.sandbox.options import SANDBOX_KEY

NAMESPACE = "didflow"
REQUEST = SearchAndBuy(country="US", city="LOS ANGELES, CA", quantity=1)


class Contender:
    def __init__(self) -> None:
        self._client = connect(server_url())
        self._didflow = Didflow(self._client, NAMESPACE)
        self._orders = itertools.count()

    def workers(self) -> Sequence[Sequence[str]]:
        # A worker runs nothing before it has seen whose account it serves, so there is a provider.
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        sandbox = ("-m", "worker.wavix.sandbox", "--port", port, "--numbers-per-city", "1")
        return [sandbox, *[("-m", "tests.bench.contenders.didflow_jobs", f"http://127.0.0.1:{port}")] * PROCESSES]

    def submit_many(self, count: int) -> None:
        submissions = (Submission(REQUEST, f"order-{next(self._orders)}", "customer-9") for _ in range(count))
        refused = [job for job in self._didflow.submit_many(submissions) if isinstance(job, Exception)]
        assert not refused, refused[0]

    def submit_one(self) -> None:
        self._didflow.submit(REQUEST, idempotency_key=f"order-{next(self._orders)}", reference="customer-9")

    def ended(self) -> int:
        return int(self._client.xlen(Keys(NAMESPACE).results))


def nothing(request: Request | RouteChangeBatch, context: JobContext, provider: Provider, rules: Rules) -> Ended:
    """A job that ends at once."""
    return Ended(JobState.SUCCEEDED, Result(totals=Totals(requested=1, done=0)))


def main() -> None:
    """One worker process, as `worker.process.worker_process` runs it."""
    fields = {"WAVIX_API_KEY": SecretStr(SANDBOX_KEY), "WAVIX_BASE_URL": sys.argv[1], "redis_url": SecretStr(server_url())}
    settings = Settings(_env_file=None, **fields)  # type: ignore[arg-type]
    configure_logs(log_format=settings.log_format, level=settings.log_level)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    process = WorkerProcess(settings, nothing)
    process.start()
    stop.wait()
    process.stop()


if __name__ == "__main__":
    main()
