"""A new kind of job: whether numbers take calls now.

Shows: the three parts that a kind consists of (request, record, handler), and that it then has everything that a job has: idempotency
key, lease, retries, result, event. For a kind that stays, put each part into the file that docs/adding-a-job-kind.md names.

It starts a Valkey, a sandbox of the provider and a worker of its own, so that the worker knows the kind:

    python examples/new_job_kind.py
"""

from typing import Literal, cast

from pydantic import Field, SecretStr

from didflow import Didflow, JobState, Outcome
from didflow.contract.job_kinds import KINDS, JobKind
from didflow.contract.requests import Request, RequestBase
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import Lane
from didflow.logs import configure_logs
from didflow.settings import SANDBOX_KEY, Settings
from worker.jobs.handlers import HANDLERS, KindHandler
from worker.jobs.owned_numbers import find_owned
from worker.jobs.partial_result import nothing_of
from worker.jobs.ports.attempt import Interrupts
from worker.jobs.ports.endings import Ended
from worker.jobs.ports.provider import OwnedPort
from worker.jobs.ports.rules import Rules
from worker.local.embedded_valkey import EmbeddedValkey
from worker.process.worker_process import WorkerProcess
from worker.wavix.sandbox import Sandbox


class CheckCalls(RequestBase):
    """1. The request. `numbers`: E.164, at most 100."""

    kind: Literal["check_calls"] = "check_calls"
    numbers: tuple[str, ...] = Field(min_length=1, max_length=100)


#: 2. The record. Nothing in it has a default: what a kind may do is decided and not forgotten.
RECORD = JobKind(
    name="check_calls", request=CheckCalls, lane=Lane.BULK, moves_money=False, buys=False, gives_back=False, changes_routes=False
)


def check_calls(request: CheckCalls, context: Interrupts, provider: OwnedPort, _rules: Rules) -> Ended:
    """3. The handler: one attempt. It changes nothing, so another attempt simply repeats it. It asks only for the ports that it uses."""
    context.check_interrupts()
    owned = find_owned(provider, request.numbers)
    numbers = tuple(
        NumberResult(number=number, record_id=owned[number].record_id, outcome=Outcome.UNCHANGED, takes_calls=owned[number].is_active)
        if number in owned
        else NumberResult(number=number, outcome=Outcome.NOT_FOUND)
        for number in request.numbers
    )
    state = JobState.SUCCEEDED if len(owned) == len(numbers) else JobState.PARTIAL
    return Ended(state, Result(numbers=numbers, totals=Totals(requested=len(numbers), done=len(owned))))


def register() -> None:
    KINDS[RECORD.name] = RECORD
    HANDLERS[RECORD.name] = KindHandler(
        model=CheckCalls,
        run=check_calls,
        known_so_far=lambda request, _context, error: nothing_of(len(request.numbers), error),
        requested=lambda request: len(request.numbers),
    )


def main() -> None:
    configure_logs(level="warning")
    register()
    with EmbeddedValkey(None) as valkey, Sandbox() as sandbox:
        mine = [f"+{number}" for number in sandbox.order("seed_owned", count=2)]
        settings = Settings(
            _env_file=None,
            redis_url=SecretStr(valkey.url),
            WAVIX_API_KEY=SecretStr(SANDBOX_KEY),
            WAVIX_BASE_URL=sandbox.url,
        )
        worker = WorkerProcess(settings)
        worker.start()
        didflow = Didflow.from_url(valkey.url, settings.namespace)
        job = didflow.submit(cast("Request", CheckCalls(numbers=(*mine, "+12135550100"))), idempotency_key="check-1")
        view = didflow.wait(job.id, timeout_s=60)
        print(view.kind, view.state)
        for number in view.result.numbers if view.result else ():
            print(number.number, number.outcome, "takes calls" if number.takes_calls else "takes no calls")
        worker.stop()


if __name__ == "__main__":
    main()
