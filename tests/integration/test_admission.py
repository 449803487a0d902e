"""The provider's side of the gate: what it sees of many clients in many processes, at its rate, at its 429, and when it is away."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from pydantic import SecretStr

from didflow.contract.destinations import Destination
from didflow.contract.provider import No, NotNow, NotNowReason, ReadFailed
from didflow.contract.requests import Reroute, SearchAndBuy
from didflow.contract.states import JobState, Lane
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from didflow.ledger.rate_limit import LATE_S, Breaker, Pace, rate_state
from tests.support.cluster import Cluster, cluster, until
from tests.support.inline_worker import InlineWorker, settings_for
from worker.attempt.patience import PATIENCE_S
from worker.attempt.provider_clients import Providers
from worker.attempt.rate_limiter import SharedRateLimiter
from worker.attempt.runner import JobRunner
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.client import WavixClient
from worker.wavix.reads import READ_ATTEMPTS
from worker.wavix.sandbox import Sandbox
from worker.wavix.sandbox.options import SANDBOX_KEY

RATE = 20
FAST = Pace.of(500, 0.5)
#: Opens at the third failure, in the middle of a read's attempts, for longer than a test takes.
FIRM = Breaker(failures=3, first_s=30.0)
#: Opens when all attempts of a read have failed; the probes come soon.
QUICK = Breaker(failures=READ_ATTEMPTS, first_s=0.3, last_s=0.3, probe_s=2.0)
NUMBER = "+12135550100"


@dataclass
class Asking:
    """A process of `tests.support.asking_process`."""

    process: subprocess.Popen[str]

    def begin(self) -> None:
        self._say("begin")

    def end(self) -> dict[str, Any]:
        self._say("end")
        assert self.process.stdout is not None
        return cast("dict[str, Any]", json.loads(self.process.stdout.readline()))

    def _say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()


@contextmanager
def asking(valkey: EmbeddedValkey, ledger: Ledger, sandbox: Sandbox, threads: Mapping[Lane, int]) -> Iterator[list[Asking]]:
    """A process for each lane with so many threads, ready to begin, all with one account and one ledger."""
    environment = os.environ | {
        "WAVIX_API_KEY": SANDBOX_KEY,
        "WAVIX_BASE_URL": sandbox.url,
        "DIDFLOW_REDIS_URL": valkey.url,
        "DIDFLOW_NAMESPACE": ledger.keys.namespace,
        "DIDFLOW_RATE_LIMIT": str(RATE),
    }
    command = [sys.executable, "-m", "tests.support.asking_process"]
    root, pipe = Path(__file__).parents[2], subprocess.PIPE
    processes = [
        subprocess.Popen([*command, lane.value, str(count)], env=environment, text=True, cwd=root, stdin=pipe, stdout=pipe)
        for lane, count in threads.items()
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield [Asking(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def calls(sandbox: Sandbox) -> int:
    return sum(sandbox.state()["calls"].values())


def pass_time(seconds: float) -> None:
    """What is checked is what happens, or doesn't, in this time."""
    time.sleep(seconds)


def test_two_processes_of_many_threads_use_the_rate_and_never_more(valkey: EmbeddedValkey, real_ledger: Ledger, sandbox: Sandbox) -> None:
    with asking(valkey, real_ledger, sandbox, {Lane.MONEY: 8, Lane.BULK: 8}) as processes:
        began_s = time.monotonic()
        for process in processes:
            process.begin()
        until(lambda: calls(sandbox), what="a first call")
        pass_time(5.0)
        each = [process.end()["answers"] for process in processes]
        took_s = time.monotonic() - began_s
    state = sandbox.state()
    assert state["busiest_second"] >= 0.7 * RATE
    # Not by the second: on a busy machine those of one second arrive in the next. A request that would be sent late is tested below.
    assert calls(sandbox) <= RATE * took_s + 1
    assert set(state["statuses"]) == {"200"}
    assert min(each) > 0.3 * sum(each), "nobody starves"


def test_a_429_with_retry_after_stops_all_processes_at_once_until_then(
    valkey: EmbeddedValkey, real_ledger: Ledger, sandbox: Sandbox
) -> None:
    with asking(valkey, real_ledger, sandbox, {Lane.EMERGENCY: 4, Lane.BULK: 4}) as processes:
        for process in processes:
            process.begin()
        until(lambda: calls(sandbox) > RATE / 2, what="some traffic")
        sandbox.add_fault("*", "rate_limit", seconds=2.0)
        until(lambda: sandbox.state()["statuses"].get("429"), what="the 429")
        pass_time(0.25)  # Who had its moment already: a tenth of a second's calls.
        stopped = calls(sandbox)
        pass_time(1.4)
        assert calls(sandbox) == stopped
        until(lambda: calls(sandbox) > stopped, within_s=10.0, what="the end of the pause")
        before = calls(sandbox)
        pass_time(2.0)
        assert 0.2 * RATE < (calls(sandbox) - before) / 2.0 < 0.65 * RATE, "half of the rate at first"
        assert sandbox.state()["statuses"]["429"] == 1


def test_an_emergency_has_its_share_while_eight_threads_of_bulk_work_saturate_the_rate(
    valkey: EmbeddedValkey, real_ledger: Ledger, sandbox: Sandbox
) -> None:
    with asking(valkey, real_ledger, sandbox, {Lane.BULK: 8, Lane.EMERGENCY: 2}) as (bulk, emergency):
        began_s = time.monotonic()
        bulk.begin()
        until(lambda: calls(sandbox) > RATE, what="saturation")
        emergency.begin()
        until(lambda: calls(sandbox) > 2 * RATE, what="an emergency's first calls")
        before = calls(sandbox)
        until(lambda: calls(sandbox) > before + 3 * RATE, what="seconds of both")
        helped, others, sent = emergency.end(), bulk.end(), calls(sandbox) - RATE
        took_s = time.monotonic() - began_s
    # Its two threads of ten would have a fifth, behind the eight that wait.
    assert helped["answers"] >= 0.35 * sent
    assert others["longest_s"] < PATIENCE_S, "and none of them is passed by for ever"
    assert calls(sandbox) <= RATE * took_s + 1


# An outage


def client_of(ledger: Ledger, sandbox: Sandbox, breaker: Breaker) -> WavixClient:
    gate = SharedRateLimiter(ledger, "default", FAST, breaker, emergency=False)
    return WavixClient(sandbox.url, SecretStr(SANDBOX_KEY), "mydids", timeout_s=1.0, admission=gate, read_backoff_s=0.001)


@pytest.fixture
def client(real_ledger: Ledger, sandbox: Sandbox) -> Iterator[WavixClient]:
    client = client_of(real_ledger, sandbox, QUICK)
    yield client
    client.close()


def down(client: WavixClient, sandbox: Sandbox, kind: str = "status_500_before") -> None:
    """The provider fails until its faults are cleared, and the breaker has seen it."""
    sandbox.add_fault("*", kind, times=None)
    with pytest.raises(ReadFailed) as failed:
        client.balance_usd()
    assert isinstance(failed.value.answer, NotNow)


@pytest.mark.parametrize("kind", ["status_500_before", "html_error", "drop", "hang"])
def test_an_outage_opens_the_breaker_and_nothing_more_is_sent(real_ledger: Ledger, sandbox: Sandbox, kind: str) -> None:
    client, other = (client_of(real_ledger, sandbox, FIRM) for _ in range(2))
    down(client, sandbox, kind)
    sent = calls(sandbox)
    assert sent == FIRM.failures, "the read wasn't repeated any further either"
    began_s = time.monotonic()
    with pytest.raises(ReadFailed):
        other.owned(page=1)
    refused = other.check_out([NUMBER])
    assert time.monotonic() - began_s < 1.0, "nobody waits in a thread"
    assert isinstance(refused, NotNow)
    assert refused.reason is NotNowReason.UNREACHABLE
    assert calls(sandbox) == sent
    client.close()
    other.close()


def test_a_money_call_is_no_probe_a_read_goes_before_it(real_ledger: Ledger, sandbox: Sandbox, client: WavixClient) -> None:
    down(client, sandbox)
    until(lambda: due(real_ledger), what="the time of the probe")
    assert isinstance(client.check_out([NUMBER]), NotNow)
    seen = sandbox.state()["calls"]
    assert "checkout" not in seen
    assert sum(seen.values()) == QUICK.failures + 1
    sandbox.clear_faults()
    until(lambda: due(real_ledger), what="the time of the next probe")
    assert not isinstance(client.check_out([NUMBER]), NotNow), "the read found it alive, so the checkout went"
    assert sandbox.state()["calls"]["checkout"] == 1
    assert rate_state(real_ledger, "default").open_since is None


def due(ledger: Ledger) -> bool:
    probe_at = rate_state(ledger, "default").probe_at
    return probe_at is not None and ledger.now_ms() / 1000 >= probe_at.timestamp()


def test_a_probe_refused_with_403_shows_that_the_provider_is_up(real_ledger: Ledger, sandbox: Sandbox, client: WavixClient) -> None:
    down(client, sandbox)
    sandbox.clear_faults()
    sandbox.order("reconfigure", scopes={"default": ("numbers", "buy")})
    until(lambda: due(real_ledger), what="the time of the probe")
    assert isinstance(client.check_out([NUMBER]), No), "it was sent, after a probe that was answered with 403"
    assert rate_state(real_ledger, "default").open_since is None


def test_of_many_that_come_when_it_may_be_back_one_probes(real_ledger: Ledger, sandbox: Sandbox, client: WavixClient) -> None:
    down(client, sandbox)
    sandbox.clear_faults()
    sandbox.add_fault("*", "slow", seconds=0.5)
    until(lambda: due(real_ledger), what="the time of the probe")
    before, together, refused = calls(sandbox), threading.Barrier(8), []

    def come() -> None:
        mine = client_of(real_ledger, sandbox, QUICK)
        together.wait()
        try:
            mine.balance_usd()
        except ReadFailed as failed:
            refused.append(failed.answer)
        mine.close()

    in_threads([come] * 8)
    assert len(refused) == 7
    assert calls(sandbox) == before + 1
    assert client.put_in_cart(["+1"]) != NotNow(NotNowReason.UNREACHABLE)
    assert rate_state(real_ledger, "default").open_since is None


def in_threads(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_client_without_a_breaker_never_opens_it_but_its_429_pauses_all_clients(real_ledger: Ledger, sandbox: Sandbox) -> None:
    gate = SharedRateLimiter(real_ledger, "default", FAST, None, emergency=False)
    doctor = WavixClient(sandbox.url, SecretStr(SANDBOX_KEY), "mydids", timeout_s=1.0, admission=gate, read_backoff_s=0.001)
    for _ in range(2):
        down(doctor, sandbox)
    assert rate_state(real_ledger, "default").failures == 0
    sandbox.clear_faults()
    sandbox.add_fault("*", "rate_limit", seconds=60.0)
    assert isinstance(doctor.check_out([NUMBER]), NotNow)
    other = client_of(real_ledger, sandbox, QUICK)
    refused = other.check_out([NUMBER])
    assert isinstance(refused, NotNow)
    assert refused.reason is NotNowReason.RATE_LIMITED
    assert refused.retry_after_s is not None
    assert refused.retry_after_s > 50
    doctor.close()
    other.close()


# Without Redis, and late


def counting(sent: list[httpx.Request]) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"balance": "1.00", "success": True})

    return httpx.MockTransport(answer)


def test_without_redis_nothing_is_sent(free_port: int, namespace: str) -> None:
    nowhere = Ledger(connect(f"redis://127.0.0.1:{free_port}"), namespace)
    sent: list[httpx.Request] = []
    gate = SharedRateLimiter(nowhere, "default", FAST, QUICK, emergency=True)
    client = WavixClient("https://api.example.net", SecretStr("k"), "numbers", transport=counting(sent), admission=gate)
    assert isinstance(client.check_out([NUMBER]), NotNow)
    with pytest.raises(ReadFailed) as failed:
        client.balance_usd()
    assert isinstance(failed.value.answer, NotNow)
    assert sent == []
    client.close()


def test_a_thread_that_slept_through_its_moment_asks_for_another(real_ledger: Ledger) -> None:
    clock_s, naps = [0.0], [LATE_S * 2, 0.0]

    def sleep(wait_s: float) -> None:
        clock_s[0] += wait_s + naps.pop(0)

    gate = SharedRateLimiter(real_ledger, "default", FAST, QUICK, emergency=False, clock=lambda: clock_s[0], sleep=sleep)
    leave = gate.ask()
    first_us = int(str(real_ledger.client.hget(real_ledger.keys.rate("default"), "last_us")))
    assert naps == []
    assert leave.moment_us == first_us


def test_a_thread_that_is_always_late_gives_up_and_sends_nothing(real_ledger: Ledger) -> None:
    clock_s, sent = [0.0], list[httpx.Request]()

    def sleep(wait_s: float) -> None:
        clock_s[0] += wait_s + 1.0

    gate = SharedRateLimiter(real_ledger, "default", FAST, QUICK, emergency=False, clock=lambda: clock_s[0], sleep=sleep)
    client = WavixClient("https://api.example.net", SecretStr("k"), "numbers", transport=counting(sent), admission=gate)
    assert isinstance(client.check_out([NUMBER]), NotNow)
    assert sent == []
    assert clock_s[0] < 2 * PATIENCE_S
    client.close()


# Jobs


def test_a_job_s_lane_reaches_the_gate(inline: InlineWorker) -> None:
    settings = settings_for(inline.sandbox.url, inline.ledger.keys.namespace)
    inline.runner = JobRunner(inline.ledger, settings, Providers(settings, inline.ledger), inline.leases, inline.stopping)
    numbers = inline.own(1)
    rate = inline.ledger.keys.rate("default")
    assert inline.run(SearchAndBuy(country="US")).state is JobState.SUCCEEDED
    assert inline.ledger.client.hget(rate, "emergency_us") is None
    assert inline.run(Reroute(numbers=tuple(numbers), destinations=(Destination.sip("pbx@example.net"),))).state is JobState.SUCCEEDED
    assert inline.ledger.client.hget(rate, "emergency_us") is not None


def test_an_outage_burns_no_attempt_and_holds_no_thread(tmp_path: Path) -> None:
    with cluster(tmp_path) as running:
        running.sandbox.add_fault("*", "drop", times=None)
        jobs = [running.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)), f"order-{place}") for place in range(24)]
        until(lambda: "didflow.account.breaker_opened.v1" in event_types(running), what="the breaker")
        until(lambda: all(waits(running, job.id) for job in jobs), what="all jobs to wait: more than there are threads")
        sent = sum(running.sandbox.state()["calls"].values())
        began_s = time.monotonic()
        late = running.submit(SearchAndBuy(country="CA", city=("TORONTO, ON",)))
        until(lambda: waits(running, late.id), what="a free thread")
        assert time.monotonic() - began_s < 10.0
        assert sum(running.sandbox.state()["calls"].values()) <= sent + 2, "but for a probe"
        running.sandbox.clear_faults()
        views = [running.wait(job) for job in (*jobs, late)]
        assert {view.state for view in views} == {JobState.SUCCEEDED}
        assert {view.attempt for view in views} == {1}
        assert len(running.charged()) == len(views)
        assert event_types(running).count("didflow.account.breaker_closed.v1") == 1


def waits(running: Cluster, job_id: str) -> bool:
    view = running.ledger.get(job_id)
    return (view.state, view.reason, view.attempt) == (JobState.WAITING, "provider_down", 0)


def event_types(running: Cluster) -> list[str]:
    entries = cast("list[tuple[str, dict[str, str]]]", running.ledger.client.xrange(running.ledger.keys.events))
    return [fields["type"] for _, fields in entries]
