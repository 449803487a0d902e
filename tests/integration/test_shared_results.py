"""Several consumers of one group: each entry is in one pair of hands, a dead consumer is replaced, and a restart of Redis ends no loop."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from didflow import AsyncDidflow, Destination, Didflow, InvalidRequest, ServiceUnavailable
from didflow.contract.business_events import REQUEST
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from producers.business_events import BusinessEvents
from producers.churn import Churn
from producers.failover import Failover
from producers.onboarding import Onboarding
from tests.support.cluster import until
from tests.support.ledger_roles import claimed, finished, submitted
from worker.local.embedded_valkey import EmbeddedValkey


@pytest.fixture
def didflow(real_ledger: Ledger) -> Didflow:
    return Didflow(real_ledger.client, real_ledger.keys.namespace)


def ended(ledger: Ledger, count: int) -> list[str]:
    jobs = [submitted(ledger).id for _ in range(count)]
    for job_id in jobs:
        assert finished(ledger, claimed(ledger, job_id))
    return jobs


def test_a_result_that_a_living_consumer_has_not_begun_is_another_one_s(real_ledger: Ledger, didflow: Didflow) -> None:
    jobs = ended(real_ledger, 6)
    busy = didflow.results("billing", "busy", block_s=0.05)
    assert next(busy).event.subject == jobs[0]
    others = didflow.results("billing", "other", block_s=0.05, give_up_idle=True)
    assert [delivery.event.subject for delivery in others] == jobs[1:]


def test_an_event_that_a_living_consumer_has_not_begun_is_another_one_s(didflow: Didflow) -> None:
    ids = [f"evt-{place}" for place in range(6)]
    for event_id in ids:
        BusinessEvents(didflow).send(REQUEST, {"request": {"kind": "search_and_buy", "country": "US"}}, event_id=event_id)
    busy = BusinessEvents(didflow, consumer="busy").take_in(block_s=0.05)
    assert next(busy).event_id == ids[0]
    others = BusinessEvents(didflow, consumer="other").take_in(block_s=0.05, give_up_idle=True)
    assert [taken.event_id for taken in others] == ids[1:]


#: Prints what it was assigned, and acknowledges it when its work of 0.1 s is done.
CONSUMER = """
import sys, time
from didflow import Didflow
for delivery in Didflow.from_url(sys.argv[1], sys.argv[2]).results("billing", sys.argv[3], block_s=0.1, min_idle_s=3.0):
    print(delivery.event.subject, flush=True)
    time.sleep(0.1)
    delivery.ack()
"""


class Consumers:
    """Consumers of one group, each a process of its own, and what each was assigned, in its order."""

    def __init__(self, url: str, namespace: str, names: str) -> None:
        command = [sys.executable, "-c", CONSUMER, url, namespace]
        self.running = {name: subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in names}
        self.had: dict[str, list[str]] = {name: [] for name in names}
        self.threads = [threading.Thread(target=self._listen, args=(name,)) for name in names]
        for thread in self.threads:
            thread.start()

    def _listen(self, name: str) -> None:
        output = self.running[name].stdout
        assert output is not None
        for line in output:
            self.had[name].append(line.strip())

    def all(self) -> list[str]:
        return list(itertools.chain.from_iterable(self.had.values()))

    def stop(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def consumers(valkey: EmbeddedValkey, namespace: str) -> Iterator[Consumers]:
    found = Consumers(valkey.url, namespace, "abc")
    yield found
    found.stop()


def test_living_consumers_never_share_a_result_and_a_dead_one_is_replaced_in_time(real_ledger: Ledger, consumers: Consumers) -> None:
    jobs = ended(real_ledger, 48)
    until(lambda: all(consumers.had.values()), what="a result for each")
    consumers.running["c"].kill()
    consumers.running["c"].wait()
    died_s = time.monotonic()
    until(lambda: set(consumers.all()) == set(jobs), what="every result")
    until(lambda: real_ledger.client.xpending(real_ledger.keys.results, "billing")["pending"] == 0, what="the last acknowledgement")
    assert time.monotonic() - died_s < 30
    twice = [job for job, count in Counter(consumers.all()).items() if count > 1]
    assert twice in ([], [consumers.had["c"][-1]]), "only what the dead one had in hand is handed out again"


class Restarted:
    """A server of its own, with jobs that have results, that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.server = EmbeddedValkey(folder)
        self.server.start()
        self.ledger = Ledger(connect(self.server.url), "didflow")

    def kill_for_a_moment(self, away: threading.Event) -> threading.Thread:
        """Kill it now; start it again when someone found it away."""
        assert self.server.pid is not None
        os.kill(self.server.pid, signal.SIGKILL)
        until(lambda: self.server.died, what="the server's death")
        thread = threading.Thread(target=lambda: away.wait(20) and self.server.start())
        thread.start()
        return thread


@pytest.fixture
def restarted(tmp_path: Path) -> Iterator[Restarted]:
    own = Restarted(tmp_path)
    yield own
    own.server.stop()


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when a consumer says that it waits for Redis."""
    said = threading.Event()
    monkeypatch.setattr("didflow.client.redis_away.log.warning", lambda *_: said.set())
    return said


def test_a_loop_waits_for_a_redis_that_is_away_and_gets_each_result_once(restarted: Restarted, away: threading.Event) -> None:
    jobs = ended(restarted.ledger, 4)
    deliveries = Didflow(connect(restarted.server.url, timeout_s=1.0)).results("billing", "a", block_s=0.05)
    first, second = next(deliveries), next(deliveries)
    starting = restarted.kill_for_a_moment(away)
    third, fourth = next(deliveries), next(deliveries)
    starting.join()
    assert away.is_set()
    assert [one.event.subject for one in (first, second, third, fourth)] == jobs, "what is in the caller's hands isn't handed out again"
    away.clear()
    starting = restarted.kill_for_a_moment(away)
    for delivery in (first, second, third, fourth):
        delivery.ack()
    starting.join()
    assert restarted.ledger.client.xpending("didflow:results", "billing")["pending"] == 0
    more = ended(restarted.ledger, 1)
    assert next(deliveries).event.subject == more[0]


def test_a_loop_of_fulfilments_and_one_in_asyncio_wait_too(restarted: Restarted, away: threading.Event) -> None:
    orders = [submitted(restarted.ledger, f"onboarding:{order}").id for order in (1, 2)]
    for job_id in orders:
        finished(restarted.ledger, claimed(restarted.ledger, job_id))
    fulfilments = Onboarding(Didflow(connect(restarted.server.url, timeout_s=1.0))).fulfilments("crm-1", block_s=0.05)
    next(fulfilments).ack()
    starting = restarted.kill_for_a_moment(away)
    assert next(fulfilments).order == "2"
    starting.join()

    async def simulation() -> list[str]:
        didflow = AsyncDidflow.from_url(restarted.server.url)
        deliveries = didflow.results("billing", "a", block_s=0.05)
        first = await anext(deliveries)
        starting = await asyncio.to_thread(lambda: restarted.kill_for_a_moment(away))
        await first.ack()
        second = await anext(deliveries)
        await asyncio.to_thread(starting.join)
        await didflow.aclose()
        return [first.event.subject, second.event.subject]

    away.clear()
    assert asyncio.run(simulation()) == orders
    assert away.is_set()


def test_a_loop_that_is_not_to_wait_breaks(restarted: Restarted) -> None:
    ended(restarted.ledger, 2)
    deliveries = Didflow(connect(restarted.server.url, timeout_s=1.0)).results("billing", "a", block_s=0.05, wait_for_redis=False)
    first = next(deliveries)
    restarted.server.stop()
    with pytest.raises(ServiceUnavailable):
        first.ack()
    with pytest.raises(ServiceUnavailable):
        next(deliveries)


NAN = float("nan")
WRONG = [
    ({"group": ""}, {"group"}),
    ({"group": None, "consumer": "x" * 201}, {"group", "consumer"}),
    ({"consumer": "a\nb"}, {"consumer"}),
    ({"block_s": NAN, "min_idle_s": float("inf"), "max_deliveries": 0}, {"block_s", "min_idle_s", "max_deliveries"}),
    ({"block_s": -1, "min_idle_s": "6", "max_deliveries": 1.5}, {"block_s", "min_idle_s", "max_deliveries"}),
]


@pytest.mark.parametrize(("changes", "faults"), WRONG)
def test_wrong_arguments_of_a_loop_are_all_named_at_once(didflow: Didflow, changes: dict[str, object], faults: set[str]) -> None:
    arguments: dict[str, object] = {"group": "billing", "consumer": "a"} | changes
    for client in (didflow, AsyncDidflow.from_url("redis://127.0.0.1:1/0")):
        with pytest.raises(InvalidRequest) as refused:
            client.results(**arguments)  # type: ignore[arg-type]
        assert {where for where, _ in refused.value.faults} == faults


def test_wrong_arguments_of_the_events_are_named(didflow: Didflow) -> None:
    for arguments, fault in (({"group": ""}, "group"), ({"consumer": ""}, "consumer"), ({"take_over_s": NAN}, "take_over_s")):
        with pytest.raises(InvalidRequest) as refused:
            BusinessEvents(didflow, **arguments)
        assert [where for where, _ in refused.value.faults] == [fault]
    with pytest.raises(InvalidRequest, match="block_s"):
        next(BusinessEvents(didflow).take_in(block_s=NAN))
    for event_type, data, event_id in ((REQUEST, {"x": {1}}, "1"), (REQUEST, {}, None), ("\ud800", {}, "1")):
        with pytest.raises(InvalidRequest):
            BusinessEvents(didflow).send(event_type, data, event_id=event_id)  # type: ignore[arg-type]
    assert didflow.ledger.client.xlen(didflow.ledger.keys.requests) == 0


def test_verbs_that_build_requests_raise_ours_and_never_pydantic_s(didflow: Didflow) -> None:
    failover, churn = Failover(didflow), Churn(didflow, protected_labels=("",))
    wrong: list[Callable[[], object]] = [
        lambda: failover.away("INC-1", ("no number",), (Destination.trunk(207),)),
        lambda: failover.away("INC-1", ("+12135550100",), ()),
        lambda: failover.away("INC-1", ("+12135550100",), (Destination.trunk(207),), canary=0),
        lambda: failover.plan("evening", ("no number",), (Destination.trunk(207),)),
        lambda: churn.check("case-1", ["no number"]),
        lambda: churn.churned("acme", grace="-1d"),
    ]
    for verb in wrong:
        with pytest.raises(InvalidRequest) as refused:
            verb()
        assert refused.value.faults
    assert didflow.find() == ()
