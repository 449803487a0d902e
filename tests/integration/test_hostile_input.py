"""Whatever comes in, as a request, as a message, as a stored record: a clear error, or a job that ends or is parked and says why.

What else shows it: tests/unit/test_requests.py (each fault of a request by its name), tests/integration/test_queue.py (messages that
aren't ours, by example), tests/ledger/test_damaged_jobs.py (each field of a record, under the scripts), tests/jobs/test_stored_jobs.py
(requests and memos that can't be read).
"""

import copy
import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from didflow import Didflow
from didflow.contract.destinations import Destination
from didflow.contract.errors import InvalidRequest, UnreadableRecord
from didflow.contract.job_kinds import parse_request
from didflow.contract.jobs import Job
from didflow.contract.requests import Release, Request, Reroute, SearchAndBuy
from didflow.contract.states import REPORTED, JobState, Lane
from didflow.ledger import script_calls
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_calls import MAX_REQUEST_BYTES, Submission
from producers.cli.app import app
from tests.support.inline_worker import InlineWorker
from tests.support.queue_workers import Seen, alive, consuming, until
from worker.local.embedded_valkey import EmbeddedValkey

FUZZ = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
VALID: list[dict[str, Any]] = [
    {"kind": "search_and_buy", "country": "US", "city": ["LOS ANGELES, CA"], "quantity": 2, "max_total_usd": "9.50", "policy": "at_least"}
    | {"at_least": 1, "destinations": [{"transport": 5, "destination": "144", "trunk_id": 144}], "sms_relay_url": "https://example.net/x"},
    {"kind": "reroute", "numbers": ["+12135550100"], "destinations": [{"transport": 1, "destination": "a@example.net", "priority": 2}]}
    | {"canary": 1, "max_fraction": 0.5, "deadline": "2030-01-01T00:00:00Z"},
    {"kind": "release", "selector": {"label": "old", "trunk_id": 7}, "expected_count": 3, "protected_labels": ["vip"]},
    {"kind": "failback", "job_id": "01a2111074907e940948ef9147"},
]
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["\x1b[2J\x1b]0;x\x07", "\x9b31m", "\ud800", "\x00", "\u202e", "\ufffd", "x" * 100_000, "1e999999999", "NaN", "-0", " "]
    ),
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([10**4000, -(10**400), 2**63, 2**31, 0, float("nan"), float("inf"), -float("inf")]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def deep(levels: int) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for _ in range(levels):
        nested = {"selector": nested}
    return nested


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a nested value, as the keys that lead there."""
    if above:
        yield above
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*above, key))


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A valid request in which a few things were replaced, removed or added."""
    fields: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(list(places(fields))))
        around = fields
        for key in above:
            around = around[key]
        match draw(st.sampled_from(["replace", "replace", "remove", "add"])):
            case "replace":
                around[last] = draw(VALUES)
            case "remove" if len(fields) > 1:
                del around[last]
            case _ if isinstance(around, dict):
                around[draw(TEXTS)] = draw(VALUES)
    return fields


def accepted(given: Any, **labels: Any) -> Request | None:
    """The request if it was accepted, and then it can be stored and read back as it is; None if it was refused with its faults."""
    try:
        request = parse_request(given)
        call = script_calls.submit(Submission(request, **labels))
    except InvalidRequest as error:
        refused = error
    else:
        stored = call.args[3]
        assert isinstance(stored, str)
        assert parse_request(stored) == request
        "".join(map(str, call.args)).encode()
        return request
    assert refused.faults
    assert str(refused)
    return None


@FUZZ
@given(mutated())
def test_a_mutated_request_is_refused_by_name_or_stored_as_it_is(fields: dict[str, Any]) -> None:
    accepted(fields)


@FUZZ
@given(mutated(), st.data())
def test_the_text_of_a_mutated_request_is_refused_or_read(fields: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(data.draw(st.sampled_from(VALID)) if _has_huge(fields) else fields)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 8)))
    accepted(text[:start] + data.draw(TEXTS) + text[end:])
    accepted(text[:start])


def _has_huge(value: Any) -> bool:
    """A number with more digits than Python writes out."""
    if isinstance(value, dict | list):
        return any(_has_huge(one) for one in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and abs(value) > 10**4000


@FUZZ
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("idempotency_key", "reference", "account", "priority", "not_before"), VALUES)))
def test_fuzzed_labels_are_refused_by_name_or_printable(labels: dict[str, Any]) -> None:
    if accepted({"kind": "search_and_buy", "country": "US"}, **labels):
        texts = [text for text in labels.values() if isinstance(text, str)]
        assert all(text.isprintable() and len(text) <= 200 for text in texts)


NO_REQUESTS: dict[str, Any] = {
    "nothing": None,
    "a number": 7,
    "bytes": b"\xff",
    "a list": [],
    "no text": "",
    "null": "null",
    "brackets": "[" * 100_000,
    "deep JSON": '{"kind":' * 10_000,
    "deep fields": deep(3000),
    "deep kind": {"kind": deep(200)},
    "deep release": {"kind": "release"} | deep(900),
}


@pytest.mark.parametrize("what", NO_REQUESTS)
def test_what_is_no_request_at_all_is_refused(what: str) -> None:
    assert accepted(NO_REQUESTS[what]) is None


def test_a_payload_too_large_is_refused_before_anything_is_stored(real_ledger: Ledger) -> None:
    numbers = tuple(f"+1213{place:07d}" for place in range(2_000_000, 2_100_000))
    kept = Release.model_construct(numbers=numbers * (MAX_REQUEST_BYTES // 1_500_000 + 1))
    with pytest.raises(InvalidRequest, match="split it into several jobs"):
        real_ledger.submit(Submission(kept))
    assert real_ledger.client.keys(f"{real_ledger.keys.namespace}:*") == []


def test_any_bytes_on_the_queues_cost_no_other_job_its_message(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    """Mutated good messages and random bytes, among good ones: every good one runs, every thread lives, nothing stays."""
    seen, lane = Seen(), Lane.MONEY.value
    queue = f"{real_ledger.keys.broker}:{lane}"
    client = real_ledger.client
    probe = real_ledger.submit(Submission(SearchAndBuy(country="US"))).id
    good = cast("list[str]", client.hvals(f"{queue}.msgs"))[0]
    client.delete(queue, f"{queue}.msgs")

    bodies: list[bytes] = []

    @settings(max_examples=40, database=None)
    @given(st.binary(max_size=300), st.integers(0, len(good)), st.integers(0, 6))
    def collect(noise: bytes, start: int, cut: int) -> None:
        bodies.extend([noise, good[:start].encode(), good[:start].encode() + noise[:4] + good[start + cut :].encode()])

    collect()
    bodies += [good.encode() + b" " * 500_000, b"[" * 200_000, b"9" * 100_000, good.replace(probe, "p" * 100_000).encode()]
    expected = []
    for place, body in enumerate(bodies):
        client.hset(f"{queue}.msgs", f"m{place}", body)
        client.rpush(queue, f"m{place}")
        if place % 20 == 0:
            expected.append(real_ledger.submit(Submission(SearchAndBuy(country="US"))).id)
    with consuming(valkey, real_ledger, seen, Lane.MONEY) as worker:
        until(lambda: set(expected) <= set(seen.jobs), within_s=20)
        until(lambda: client.llen(queue) == 0)
        assert alive(worker)


BUY = SearchAndBuy(country="US")
MOVE = Reroute(numbers=("+12135550100",), destinations=(Destination.sip("pbx@example.net"),))
GIVE_BACK = Release(numbers=("+12135550100",))
FIELDS = (
    *("state", "v", "kind", "request", "fp", "key", "reference", "account", "lane", "priority", "order", "attempt", "crashes", "token"),
    *(
        "seq",
        "created_ms",
        "due_ms",
        "reason",
        "nudges",
        "unanswered",
        "memo",
        "progress",
        "phase",
        "cancel",
        "result",
        "owner",
        "lease_ms",
    ),
    *("started_ms", "finished_ms", "wrote", "undone_ms", "emitted_state", "emitted_reason"),
)
GARBAGE: list[str | bytes | None] = [None, "abc", "9" * 30, "\x1b[2J", b"\xff\xfe"]


def damaged(inline: InlineWorker, request: Request, field: str, value: str | bytes | None) -> Job:
    job = inline.submit(request, reference="ref")
    key = inline.ledger.keys.job(job.id)
    if value is None:
        inline.ledger.client.hdel(key, field)
    else:
        inline.ledger.client.hset(key, field, value)
    inline.ledger.client.zadd(f"{inline.ledger.keys.namespace}:due", {job.id: 0})
    return job


def play(inline: InlineWorker, job: Job) -> None:
    """Attempts, each at once, as many as there may be at most."""
    for _ in range(inline.settings.max_attempts + 1):
        if inline.ledger.get(job.id).state in REPORTED:
            return
        if inline.ledger.get(job.id).due_at:
            inline.make_due(job)
        inline.runner.run(job.id)


@pytest.mark.parametrize("value", GARBAGE, ids=lambda value: repr(value)[:12])
def test_every_field_of_a_stored_job_may_be_garbage(
    inline: InlineWorker, value: str | bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = {field: damaged(inline, MOVE, field, value) for field in FIELDS}
    good = inline.submit(BUY)
    assert inline.ledger.sweep(max_crashes=5).set_back == 0
    didflow = Didflow(inline.ledger.client, inline.ledger.keys.namespace)
    assert len(didflow.find()) == len(jobs) + 1
    with structlog.testing.capture_logs() as lines:
        for job in (*jobs.values(), good):
            play(inline, job)
    assert inline.ledger.get(good.id).state is JobState.SUCCEEDED
    for field, job in jobs.items():
        view = didflow.get(job.id)
        assert view.state in REPORTED, (field, view)
        assert view.error is not None, field
        assert didflow.explain(job.id)
    assert not [line for line in lines if line["event"] == "job.bug"]
    entries = list(didflow.results("test", "test", block_s=0.01, give_up_idle=True))
    assert {entry.event.subject for entry in entries} >= {job.id for job in jobs.values()}, "a consumer can read every result"
    assert len(entries) == len(jobs) + 1
    assert_shown(inline, jobs, monkeypatch)


def assert_shown(inline: InlineWorker, jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """`status`, `jobs` and `explain` show them, with no escape from a record reaching the terminal."""
    monkeypatch.setattr(Didflow, "from_env", lambda: Didflow(inline.ledger.client, inline.ledger.keys.namespace))
    shown = ("state", "created_ms", "kind", "result", "attempt", "lane", "progress", "reference", "due_ms")
    commands = [("jobs", "--limit", "1000"), ("jobs", "--json")]
    commands += [(*verb, jobs[field].id) for verb in (("status",), ("explain",), ("explain", "--json")) for field in shown]
    for command in commands:
        ended = CliRunner().invoke(app, command)
        assert ended.exit_code in (0, 1), (command, ended.output, ended.exception)
        assert "\x1b" not in ended.stdout
        assert "--json" not in command or json.loads(ended.stdout)


@pytest.mark.parametrize("request_", [BUY, MOVE, GIVE_BACK], ids=["buy", "reroute", "release"])
@pytest.mark.parametrize("text", ["", "null", "[]", '"x"', '{"v":1', '{"status":"kept"}', "[" * 5000, "\x1b[2J", '{"v":1e999}'])
def test_what_a_job_saved_of_a_number_may_be_garbage(inline: InlineWorker, request_: Request, text: str) -> None:
    job = inline.submit(request_)
    checkpoint = {"search_and_buy": '{"phase":"carted"}', "reroute": '{"selected":true}', "release": '{"selected":true}'}[request_.kind]
    inline.ledger.client.hset(inline.ledger.keys.numbers(job.id), "+12135550100", text)
    inline.ledger.client.hset(inline.ledger.keys.job(job.id), "memo", checkpoint)
    play(inline, job)
    view = inline.ledger.get(job.id)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert view.error.code == "unreadable_progress"
    assert set(inline.sandbox.state()["calls"]) <= {"owned", "owned_one"}, "nothing was changed"


@pytest.mark.parametrize("part", ["numbers", "steps", "reserved"])
def test_a_key_of_another_type_is_reported_and_blocks_no_other_job(inline: InlineWorker, part: str) -> None:
    job, good = inline.submit(BUY), inline.submit(BUY)
    key = f"{inline.ledger.keys.job(job.id)}:{part}"
    inline.ledger.client.delete(key)
    inline.ledger.client.set(key, "overwritten")
    play(inline, job)
    play(inline, good)
    inline.ledger.sweep(max_crashes=5)
    assert inline.ledger.get(good.id).state is JobState.SUCCEEDED
    assert len(inline.sandbox.ledger()) == 1, "for the other one no money moved"


def test_a_job_that_was_overwritten_is_reported_by_name(inline: InlineWorker) -> None:
    job, good = inline.submit(BUY), inline.submit(BUY)
    inline.ledger.client.delete(inline.ledger.keys.job(job.id))
    inline.ledger.client.set(inline.ledger.keys.job(job.id), "overwritten")
    inline.runner.run(job.id)
    with pytest.raises(UnreadableRecord, match="another type"):
        inline.ledger.get(job.id)
    assert [view.id for view in inline.ledger.perform(inline.ledger.commands.find())] == [good.id]
    play(inline, good)
    assert inline.ledger.get(good.id).state is JobState.SUCCEEDED
