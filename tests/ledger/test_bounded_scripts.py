"""No script keeps the server from everybody else for long, however much there is to do; and what takes several of them is whole in the end,
or wasn't begun, wherever it is cut off."""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import Destination
from didflow.contract.errors import JobError
from didflow.contract.history import Happened, Happening
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import Reroute
from didflow.contract.results import NumberResult, Quote, Result, Totals
from didflow.contract.spending import Spend
from didflow.contract.states import JobState, Lane, Outcome
from didflow.contract.webhooks import Endpoint
from didflow.ledger import script_calls
from didflow.ledger.commands import entries_of
from didflow.ledger.connection import connect
from didflow.ledger.gate import Gate
from didflow.ledger.inventory import read_lines
from didflow.ledger.inventory_columns import missed_ms_in
from didflow.ledger.inventory_rows import Row
from didflow.ledger.inventory_sweeps import Changed, InventorySweeps, Kept, NumberNews, SweepTurn
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.replies import CancelRequested, Resolved
from didflow.ledger.reservations import strays
from didflow.ledger.script_calls import Call, Submission
from didflow.ledger.webhooks import endpoints, messages, queues
from didflow.ledger.webhooks.targets import targets
from producers.webhooks.fan_out import ENTRIES_MOST, PLACES_MOST
from tests.support.ledger_roles import claimed, finished, held_by, submitted, wait_until_ms
from worker.attempt.heartbeat import LeaseFlags
from worker.attempt.job_context import LedgerJobContext
from worker.jobs.ports.endings import Ended, LostLease, NumbersTaken
from worker.jobs.ports.large_jobs import SeenNumber
from worker.local.embedded_valkey import EmbeddedValkey

#: Commands in one script. A number, or a job, takes up to a dozen of them.
MOST_COMMANDS = 1_500
#: A script of a sweep has fewer: it runs beside everything else, all day.
MOST_OF_A_SWEEP = 500
#: Of the server's processor time: what else the machine does is not in it. On an idle machine nothing here takes 6 ms.
MOST_PROCESSOR_MS = 20.0

T = TypeVar("T")


class Measured(Ledger):
    """Counts the commands in each script that it runs, and its processor time, as the server counts them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.most: dict[str, int] = defaultdict(int)
        self.most_processor_ms: dict[str, float] = defaultdict(float)

    def _script(self, name: str, *args: str | int) -> Any:
        return self._measured(name, lambda: super(Measured, self)._script(name, *args))

    def run(self, call: Call[T]) -> T:
        return self._measured(call.script, lambda: super(Measured, self).run(call))

    def _measured(self, name: str, run: Callable[[], T]) -> T:
        commands, processor_ms = self.so_far()
        reply = run()
        commands_after, processor_ms_after = self.so_far()
        self.most[name] = max(self.most[name], commands_after - commands)
        self.most_processor_ms[name] = max(self.most_processor_ms[name], processor_ms_after - processor_ms)
        return reply

    def so_far(self) -> tuple[int, float]:
        stats: Any = self.client.info("commandstats")
        processor: Any = self.client.info("cpu")
        used_s = processor["used_cpu_user_main_thread"] + processor["used_cpu_sys_main_thread"]
        return sum(one["calls"] for one in stats.values()), used_s * 1000


@pytest.fixture
def measured(valkey: EmbeddedValkey, namespace: str) -> Iterator[Measured]:
    """A ledger that measures its scripts."""
    client = connect(valkey.url)
    ledger = Measured(client, namespace)
    yield ledger
    client.close()
    assert max(ledger.most_processor_ms.values(), default=0) <= MOST_PROCESSOR_MS, dict(ledger.most_processor_ms)
    assert max(ledger.most.values(), default=0) <= MOST_COMMANDS, dict(ledger.most)


def context_of(ledger: Ledger, claim: Claim) -> LedgerJobContext:
    return LedgerJobContext(ledger, claim, LeaseFlags(float("inf")), threading.Event(), lease_s=60.0)


def end(measured: Measured, claim: Claim, ended: Ended) -> None:
    context = context_of(measured, claim)
    context.finish(ended)
    assert context.end is not None
    assert measured.run(context.end)


def numbers(count: int, text: str = "leaving") -> dict[str, str]:
    return {f"+1213{place:07}": f'{{"status":"{text}"}}' for place in range(count)}


def test_the_selection_of_a_large_release(measured: Measured) -> None:
    claim = claimed(measured, submitted(measured).id)
    context = context_of(measured, claim)
    context.save(Write("selected", numbers=numbers(20_000), checkpoint='{"selected":true}', replace=True))
    assert context.numbers() == numbers(20_000)
    happened = {number: Happened(what=Happening.RELEASED, record_id=1) for number in numbers(2_000)}
    context.save(Write("released", numbers=numbers(2_000, "gone"), history=happened, answered=list(happened), withdraw=list(happened)))
    assert len(context.numbers()) == 20_000
    ours = list(happened)[:1000]
    assert context.guards.quarantine(ours) == frozenset()
    assert context.guards.count(range(1000), 950)[0] == frozenset(range(950))
    assert context.routes.claim(ours).newer == frozenset()


def test_a_chunk_of_a_failover_from_the_inventory(measured: Measured) -> None:
    running = claimed(measured, submitted(measured).id)
    context = context_of(measured, running)
    context.save(Write("snapshot_begun", clear=True))
    for index in range(3):
        seen = [SeenNumber(f"+1213{index}{place:06}", measured.now_ms(), '{"outcome":null}') for place in range(1000)]
        assert context.chunks.add(index, seen, settle_s=10.0, batch="{}") == frozenset()
        assert context.chunks.numbers(index) == tuple(one.number for one in seen)
    assert (context.chunks.count(), context.chunks.outcomes(), context.batches.open_count()) == (3, {"open": 3000}, 3)


def test_jobs_that_waited_for_an_account(measured: Measured) -> None:
    jobs = {submitted(measured).id for _ in range(600)}
    urgent = Reroute(numbers=("+12135550100",), destinations=(Destination.sip("pbx@example.net"),))
    emergency = measured.submit(Submission(urgent)).id
    measured.pause_account("default", 401, "wrong key", probe_ms=60_000)
    for lane, count in ((Lane.MONEY, 600), (Lane.EMERGENCY, 1)):
        for start in range(0, count, 50):
            measured.take(lane, 50, worker="w", consumer=lane.value, claimant=f"w:{start}", lease_ms=60_000)
    assert all(measured.get(job_id).reason == "account_paused" for job_id in jobs)
    measured.most.clear()
    assert measured.resume_account("default")
    due = measured.client.zrangebyscore(f"{measured.keys.namespace}:due", "-inf", measured.now_ms())
    assert emergency in due, "emergencies first"
    sweep_until_idle(measured)
    assert taken_by_all_lanes(measured) == jobs | {emergency}
    assert not measured.client.exists(f"{measured.keys.namespace}:waking")


def test_jobs_that_waited_for_a_gate(measured: Measured) -> None:
    jobs = {submitted(measured).id for _ in range(300)}
    measured.client.hset(measured.keys.epoch, "server", "another")
    gate = Gate(measured)
    turn = gate.take_turn("default", "w", turn_ms=60_000)
    assert turn is not None
    for start in range(0, 300, 50):
        measured.take(Lane.MONEY, 50, worker="w", consumer="money", claimant=f"w:{start}", lease_ms=60_000)
    assert all(measured.get(job_id).reason == "reconciling" for job_id in jobs)
    measured.most.clear()
    assert gate.let_through(turn, "default")
    sweep_until_idle(measured)
    assert taken_by_all_lanes(measured) == jobs


def test_many_leases_that_ended_and_many_jobs_that_are_to_be_forgotten(measured: Measured) -> None:
    short = Measured(measured.client, measured.keys.namespace, retention_ms=1)
    jobs = [submitted(measured).id for _ in range(300)]
    for start in range(0, 300, 50):
        measured.take(Lane.MONEY, 50, worker="w", consumer="money", claimant=f"w:{start}", lease_ms=1)
    wait_until_ms(measured, measured.now_ms() + 2)
    sweep_until_idle(measured)
    assert {claim.job_id for claim in take(measured, "again")} == set(jobs)
    for claim in list(claims_of(measured, jobs)):
        measured.client.zadd(f"{measured.keys.namespace}:retention", {claim: 0})
    sweep_until_idle(short)
    assert not measured.client.exists(*(measured.keys.job(job_id) for job_id in jobs))
    assert max(short.most.values()) <= MOST_COMMANDS, dict(short.most)


def claims_of(ledger: Ledger, jobs: list[str]) -> Iterator[str]:
    """Jobs as the sweeper forgets them: no longer running."""
    for job_id in jobs:
        ledger.client.zrem(ledger.keys.leases, job_id)
        yield job_id


def sweep_until_idle(ledger: Ledger) -> None:
    while ledger.sweep(max_crashes=5, retry_ms=0).more:
        pass


def take(ledger: Ledger, name: str, lane: Lane = Lane.MONEY) -> list[Claim]:
    found: list[Claim] = []
    for place in range(40):
        taken = ledger.take(lane, 50, worker=name, consumer=lane.value, claimant=f"{name}:{place}", lease_ms=60_000)
        found += taken.claims
        if taken.emptied:
            break
    return found


def taken_by_all_lanes(ledger: Ledger) -> set[str]:
    return {claim.job_id for lane in Lane for claim in take(ledger, "later", lane)}


class Died(Exception):
    """The process ended here."""


class Dying(Ledger):
    """Its process dies before, or after, the so manyth script."""

    left = -1

    def _script(self, name: str, *args: str | int) -> Any:
        if self.left == 0:
            raise Died
        reply = super()._script(name, *args)
        self.left -= 1
        return reply


@pytest.mark.parametrize("scripts", range(8))
def test_a_large_write_is_whole_or_was_not_made_wherever_it_is_cut_off(ledger: Ledger, scripts: int) -> None:
    """250 numbers: three parts, the save, three to make them true. What an earlier selection left doesn't come back."""
    job_id = submitted(ledger).id
    dying = Dying(ledger.client, ledger.keys.namespace, shebang=not is_fake(ledger))
    claim = claimed(dying, job_id, "first:a", lease_ms=1)
    context = context_of(dying, claim)
    context.save(Write("selected", numbers={"+19995550100": "stale"}, checkpoint="old"))
    dying.left = scripts
    try:
        context.save(Write("selected", numbers=numbers(250), checkpoint="new", replace=True, progress="0 of 250 numbers"))
        finished = True
    except Died:
        finished = False
    assert finished == (scripts >= 7)
    wait_until_ms(ledger, ledger.now_ms() + 2)
    ledger.sweep(max_crashes=5, retry_ms=0)
    second = context_of(ledger, claimed(ledger, job_id, "second:a"))
    second.complete_write()
    if scripts >= 4:
        assert (second.checkpoint, second.numbers()) == ("new", numbers(250))
    else:
        assert (second.checkpoint, second.numbers()) == ("old", {"+19995550100": "stale"})
        second.save(Write("selected", numbers=numbers(150, "other"), checkpoint="other", replace=True))
        assert second.numbers() == numbers(150, "other"), "what was cut off blocks no other job"


def test_parts_of_an_attempt_that_lost_its_lease_are_never_made_true(ledger: Ledger) -> None:
    job_id = submitted(ledger).id
    old = context_of(ledger, claimed(ledger, job_id, "first:a", lease_ms=1))
    wait_until_ms(ledger, ledger.now_ms() + 2)
    ledger.sweep(max_crashes=5, retry_ms=0)
    claimed(ledger, job_id, "second:a")
    with pytest.raises(LostLease):
        old.save(Write("selected", numbers=numbers(250), checkpoint="new"))
    assert not ledger.numbers(job_id)


def is_fake(ledger: Ledger) -> bool:
    return "fakeredis" in type(ledger.client).__module__


@pytest.mark.parametrize("how", ["cancelled", "ended"])
def test_the_many_batches_of_a_job_are_called_off_with_it(measured: Measured, how: str) -> None:
    """Those that wait, and those that run, by their heartbeat."""
    urgent = Reroute(numbers=("+12135550100",), destinations=(Destination.sip("pbx@example.net"),))
    job_id = measured.submit(Submission(urgent)).id
    parent = claimed(measured, job_id, "parent:a")
    for start in range(0, 300, 20):
        assert measured.fan_out(parent, "move_batch", {str(index): "{}" for index in range(start, start + 20)}) == "ok"
    running = take(measured, "running", Lane.EMERGENCY)[:100]
    assert len(running) == 100
    measured.most.clear()
    if how == "cancelled":
        assert measured.run(script_calls.cancel(job_id)) == CancelRequested()
    else:
        assert finished(measured, parent)
    heard = set()
    for start in range(0, 100, 50):
        pairs = [(claim.job_id, claim.token) for claim in running[start : start + 50]]
        heard |= set(measured.renew(pairs, lease_ms=60_000).values())
    assert heard <= {"cancel", "lost"}
    begun_later = claimed(measured, f"{job_id}:299", "later:a") if measured.get(f"{job_id}:299").state == "queued" else None
    assert begun_later is None or begun_later.fields["cancel"] == "1"


#: What a purchase may have at most.
MOST_BOUGHT = 1_000


@pytest.mark.parametrize("how", ["kept", "tainted", "freed", "held to the end"])
def test_the_largest_purchase(measured: Measured, how: str) -> None:
    job_id = submitted(measured).id
    claim = claimed(measured, job_id)
    context, ours = context_of(measured, claim), numbers(MOST_BOUGHT, "bound")
    context.save(Write("bind", numbers=ours, reserve=list(ours), detail=" ".join(ours)))
    reserved = measured.keys.reserved("default")
    assert set(measured.client.hgetall(reserved).items()) == dict.fromkeys(ours, held_by(job_id)).items()
    happened = {number: Happened(what=Happening.BOUGHT, record_id=1) for number in ours}
    match how:
        case "kept":
            context.save(Write("settled", numbers=ours, keep=list(ours), history=happened))
        case "tainted":
            context.save(Write("burned", numbers=ours, taint=list(ours)))
            assert measured.perform(strays(measured.keys, "default")) == frozenset(ours)
        case "freed":
            context.save(Write("abandon", numbers=ours, free=list(ours)))
    other = context_of(measured, claimed(measured, submitted(measured).id, "second:a"))
    if how == "freed":
        other.save(Write("bind", numbers=ours, reserve=list(ours)))
    else:
        with pytest.raises(NumbersTaken) as taken:
            other.save(Write("bind", numbers=ours, reserve=list(ours)))
        assert set(taken.value.numbers) == set(ours)
    assert finished(measured, claim)
    left = measured.client.hlen(reserved)
    assert left == (0 if how == "held to the end" else MOST_BOUGHT), "what is kept or tainted outlives the job; so does another job's"
    assert max(measured.most[name] for name in ("save", "finish")) < 100, dict(measured.most)


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_end_of_a_large_release(measured: Measured, dry_run: bool) -> None:
    """The event and the stored result have a summary; a reader of the job sees every number."""
    job_id = submitted(measured).id
    claim = claimed(measured, job_id)
    lost = JobError(code="release_unclear", message="no clear answer")
    outcomes = {number: None if dry_run else Outcome.RELEASED if place else Outcome.UNCLEAR for place, number in enumerate(numbers(3_050))}
    every = tuple(
        NumberResult(number=number, record_id=place + 1, outcome=outcome, error=lost if outcome is Outcome.UNCLEAR else None)
        for place, (number, outcome) in enumerate(outcomes.items())
    )
    totals = Totals(requested=len(every), done=0)
    result = Result(quote=Quote(numbers=every), totals=totals) if dry_run else Result(numbers=every, totals=totals)
    end(measured, claim, Ended(JobState.SUCCEEDED, result))
    client: Any = measured.client
    ((_, entry),) = client.xrevrange(measured.keys.results, count=1)
    assert len(entry["data"]) < 10_000
    summary = json.loads(entry["data"])["summary"]
    assert json.loads(measured.client.hget(measured.keys.job(job_id), "result") or "")["summary"] == summary
    counts = {"would_be_done": 3_050} if dry_run else {"unclear": 1, "released": 3_049}
    assert (summary["pages"], summary["outcomes"]) == (31, counts)
    assert measured.get(job_id).result == result
    assert [view.result for view in measured.perform(measured.commands.find(limit=5))] == [result]
    history = measured.run(script_calls.history(every[0].number))
    assert [one.happened.what for one in history.entries] == ([] if dry_run else [Happening.UNCLEAR])
    assert max(measured.most.values()) < 200, dict(measured.most)


def test_a_large_release_that_a_person_resolves_has_a_summary_in_its_event(measured: Measured) -> None:
    job_id = submitted(measured).id
    claim = claimed(measured, job_id)
    every = tuple(NumberResult(number=number, outcome=Outcome.UNCLEAR) for number in numbers(1_050))
    end(measured, claim, Ended(JobState.NEEDS_REVIEW, Result(numbers=every, totals=Totals(requested=1_050, done=0))))
    gone = tuple(number.model_copy(update={"outcome": Outcome.RELEASED}) for number in every)
    found = Result(numbers=gone, totals=Totals(requested=1_050, done=1_050))
    spent = Spend(numbers=0, usd=Decimal(0))
    assert measured.run(script_calls.resolve(job_id, int(claim.token), JobState.SUCCEEDED, found, spent, "gone", {})) == Resolved()
    client: Any = measured.client
    ((_, entry),) = client.xrevrange(measured.keys.results, count=1)
    assert json.loads(entry["data"])["summary"]["outcomes"] == {"released": 1_050}
    assert measured.get(job_id).result == found


def test_a_sweep_of_many_numbers(measured: Measured) -> None:
    sweeps = InventorySweeps(measured)
    turn = sweeps.begin("default", "sweep-1")
    assert isinstance(turn, SweepTurn)
    rows = [Row(OwnedNumber(record_id=place + 1, number=f"+1213{place:07}", status="active"), turn.began_ms) for place in range(1000)]
    happened = Happened(what=Happening.APPEARED)
    news = (NumberNews("didflow.number.appeared.v1", "{}", happened),)
    for start in range(0, 1000, 100):
        assert (
            sweeps.write(
                turn, (), [Changed(Kept("", None), row, news) for row in rows[start : start + 100]], read_ms=turn.began_ms, settle_ms=0
            )
            == []
        )
    kept = sweeps.kept("default", [row.owned.number for row in rows[:100]])
    seen = [one.row for one in kept.values() if one.row is not None]
    others = [Changed(kept[row.owned.number], row.with_owned(row.owned.model_copy(update={"label": "new"})), news) for row in seen]
    assert sweeps.write(turn, seen, others, read_ms=turn.began_ms + 1, settle_ms=0) == []
    assert 0 < measured.most["inventory_page"] <= MOST_OF_A_SWEEP
    lines = measured.perform(read_lines(measured.keys, "default"))
    assert len(lines) == 1000
    sweeps.missed(turn, lines)
    assert all(missed_ms_in(line) == turn.began_ms for line in measured.perform(read_lines(measured.keys, "default")))


def test_many_events_for_many_endpoints_of_webhooks(measured: Measured) -> None:
    """As much as a webhook process gives one script, and as much as it takes with one."""
    names = [f"shop-{place}" for place in range(PLACES_MOST // 10)]
    ids = []
    for name in names:
        made = Endpoint(id=endpoints.new_endpoint_id(), name=name, url="https://shop.example.net/hook")
        measured.perform(endpoints.create(measured.commands, made, "whsec_"))
        ids.append(made.id)
    known = measured.perform(targets(measured.keys))
    events = [(messages.Message(f"job-{place}:1", "t", f"job-{place}", "", "", "x" * 20_000), ids) for place in range(10)]
    rest = [(messages.Message(f"other-{place}:1", "t", f"other-{place}", "", "", ""), ()) for place in range(ENTRIES_MOST - 10)]
    call = queues.fan_out_call(known, ("1-1", "1-1"), (0, ENTRIES_MOST), [*events, *rest])
    assert measured._script(call.script, *call.args) == "ok"
    taken = measured._script("webhook_take", "claim-1", 60_000, 8, queues.TAKEN_MOST, *(part for one in ids for part in (one, 8)))
    assert len(taken) - 3 == queues.TAKEN_MOST
    measured._script("webhook_queue", ids[0], "", "", *(entry for entry, _ in entries_of([[None, some_messages(measured)]])))
    measured._script("webhook_trim", 0, 0)
    measured._script("webhook_delete", ids[0], "ann")


def some_messages(ledger: Ledger) -> Any:
    return ledger.client.xrange(ledger.keys.webhook_messages, count=messages.TOGETHER)
