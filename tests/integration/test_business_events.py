"""Requests by an event: each is a job once, a bad one is answered with every fault and holds up nobody, and none is ever lost."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator

from didflow import DeadLetterNotFound, Destination, Didflow, InvalidRequest, JobState, SearchAndBuy, ServiceUnavailable
from didflow.contract.business_events import APPROVED, CALLED_OFF, CHURNED, ORDER, REQUEST, RETURNED, business_event_schema
from didflow.ledger.commands import Entries
from didflow.ledger.connection import connect
from didflow.ledger.consumer_groups import trim
from didflow.ledger.dead_letters import DeadRequest
from didflow.ledger.ledger import Ledger
from producers import business_events
from producers.business_events import KEPT_CHARACTERS, MAX_DELIVERIES, BusinessEvents, TakenIn
from producers.churn import Churn
from producers.onboarding import Onboarding
from tests.support.cluster import until
from tests.support.inline_worker import InlineWorker
from tests.support.shell import Shell
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey

IN_US: dict[str, Any] = {"kind": "search_and_buy", "country": "US", "quantity": 2}
GOOD = {"request": IN_US, "reference": "customer-9"}


@pytest.fixture
def didflow(real_ledger: Ledger) -> Didflow:
    return Didflow(real_ledger.client, real_ledger.keys.namespace)


def taken_in(didflow: Didflow, consumer: str = "a", take_over_s: float = 60.0) -> list[TakenIn]:
    """What a consumer makes of all that lies there."""
    return list(BusinessEvents(didflow, consumer=consumer, take_over_s=take_over_s).take_in(block_s=0.01, give_up_idle=True))


def send(didflow: Didflow, event_id: str, data: object = None, event_type: str = REQUEST) -> None:
    BusinessEvents(didflow).send(event_type, cast("dict[str, Any]", data or GOOD), event_id=event_id)


def raw(didflow: Didflow, **fields: str | bytes) -> None:
    """An entry as someone writes it who doesn't know better."""
    didflow.ledger.client.xadd(didflow.ledger.keys.requests, cast("Any", fields))


def refused(didflow: Didflow) -> DeadRequest:
    """The only one that was refused; nothing is left pending."""
    (one,) = didflow.dead_letters().requests
    assert pending(didflow) == 0
    return one


def pending(didflow: Didflow) -> int:
    return sum(int(group["pending"]) for group in didflow.ledger.client.xinfo_groups(didflow.ledger.keys.requests))


def test_a_request_of_any_kind_is_submitted_with_the_event_s_id_as_its_key(didflow: Didflow) -> None:
    data = {"request": IN_US, "reference": "customer-9", "account": "reseller", "priority": 2, "not_before": "2100-01-01T00:00:00+01:00"}
    send(didflow, "evt-1", data)
    send(didflow, "evt-2", {"request": {"kind": "release", "numbers": ["+12135550100"]}})
    one, other = taken_in(didflow)
    assert one.job is not None
    view = didflow.get(one.job.id)
    assert (view.idempotency_key, view.reference, view.account, view.priority) == ("evt-1", "customer-9", "reseller", 2)
    assert (view.request, view.state) == (SearchAndBuy(country="US", quantity=2), JobState.SCHEDULED)
    assert other.job is not None
    assert didflow.get(other.job.id).kind == "release"
    assert (pending(didflow), taken_in(didflow)) == (0, [])


def test_an_event_that_is_seen_twice_is_one_job(didflow: Didflow) -> None:
    for _ in range(2):
        send(didflow, "evt-1")
    one, again = taken_in(didflow)
    assert one.job is not None
    assert again.job is not None
    assert (one.job.is_new, again.job.is_new, again.job.id) == (True, False, one.job.id)
    assert len(didflow.find()) == 1


def test_an_order_is_one_purchase_whichever_way_it_is_placed_and_its_fulfilment_comes(inline: InlineWorker, didflow: Didflow) -> None:
    us = {"country": "US", "quantity": 2}
    send(didflow, "evt-1", {"request": us, "order": "4711", "customer": "acme"}, ORDER)
    send(didflow, "4712", {"request": us}, ORDER)
    send(didflow, "evt-3", {"request": us, "order": "4711", "customer": "acme"}, ORDER)
    jobs = [taken.job.id for taken in taken_in(didflow) if taken.job]
    onboarding = Onboarding(didflow)
    assert jobs == [onboarding.order(order, SearchAndBuy(country="US", quantity=2)).id for order in ("4711", "4712", "4711")]
    with working(inline):
        for job in set(jobs):
            didflow.wait(job, 20)
    fulfilled = {one.order: (one.customer, len(one.active)) for one in onboarding.fulfilments("crm", block_s=0.01, give_up_idle=True)}
    assert fulfilled == {"4711": ("acme", 2), "4712": (None, 2)}
    assert len(inline.sandbox.ledger()) == 4


def test_a_churn_case_is_released_and_called_off_by_events(inline: InlineWorker, didflow: Didflow) -> None:
    ours = inline.own(2)
    churn = Churn(didflow)
    with working(inline):
        check = churn.check("contract-88", ours)
    for event_id in ("evt-1", "evt-1", "evt-2"):
        send(didflow, event_id, {"case": "contract-88", "check": check.id}, APPROVED)
    jobs = {taken.job.id for taken in taken_in(didflow) if taken.job}
    assert jobs == {churn.approve("contract-88", check.id).id}
    send(didflow, "evt-3", {"case": "contract-88"}, CALLED_OFF)
    (off,) = taken_in(didflow)
    assert off.job is not None
    assert ({off.job.id}, off.job.state, inline.owned()) == (jobs, JobState.CANCELLED, set(ours))
    send(didflow, "evt-4", {"case": "contract-89"}, CALLED_OFF)
    taken_in(didflow)
    assert refused(didflow).code == "wrong_job"


def test_a_customer_leaves_and_comes_back_by_events(inline: InlineWorker, didflow: Didflow) -> None:
    order = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2, destinations=(Destination.sip("pbx@example.net"),))
    with working(inline):
        didflow.wait(didflow.submit(order, reference="acme").id, 20)
        for event_id in ("evt-1", "evt-1"):
            send(didflow, event_id, {"reference": "acme", "parking": [{"transport": 1, "destination": "goodbye@example.net"}]}, CHURNED)
        (release,) = {taken.job.id for taken in taken_in(didflow) if taken.job}
        until(lambda: didflow.get(release).reason == "grace", what="the grace period")
        assert set(map(tuple, inline.routes().values())) == {("goodbye@example.net",)}
        for event_id in ("evt-2", "evt-3"):
            send(didflow, event_id, {"reference": "acme"}, RETURNED)
        assert {taken.job.id for taken in taken_in(didflow) if taken.job} == {release}
        assert didflow.wait(release, 20).state is JobState.CANCELLED
    assert set(map(tuple, inline.routes().values())) == {("pbx@example.net",)}
    assert len(inline.owned()) == 2


def test_a_customer_who_returns_too_late_gets_an_offer_to_order_and_an_unknown_one_gets_none(
    inline: InlineWorker, didflow: Didflow
) -> None:
    with working(inline):
        didflow.wait(didflow.submit(SearchAndBuy(country="CA", city=("TORONTO, ON",)), reference="acme").id, 20)
        send(didflow, "evt-1", {"reference": "acme", "grace": "0s"}, CHURNED)
        (gone,) = taken_in(didflow)
        assert gone.job is not None
        assert didflow.wait(gone.job.id, 20).state is JobState.SUCCEEDED
    send(didflow, "evt-2", {"reference": "acme"}, RETURNED)
    taken_in(didflow)
    late = refused(didflow)
    assert late.code == "numbers_gone"
    assert '"city":["TORONTO, ON"]' in late.reason
    didflow.drop(late.name)
    send(didflow, "evt-3", {"reference": "nobody"}, RETURNED)
    send(didflow, "evt-4", {"reference": "nobody", "grace": "-1d"}, CHURNED)
    taken_in(didflow)
    assert {one.code for one in didflow.dead_letters().requests} == {"wrong_job", "invalid_request"}


BAD: dict[str, tuple[dict[str, str | bytes], str, set[str]]] = {
    "no JSON": ({"id": "1", "type": REQUEST, "data": "{country"}, "not_json", {"data"}),
    "no object": ({"id": "1", "type": REQUEST, "data": "[]"}, "not_json", {"data"}),
    "too deep": ({"id": "1", "type": REQUEST, "data": "[" * 50_000}, "not_json", {"data"}),
    "no data": ({"id": "1", "type": REQUEST}, "not_json", {"data"}),
    "unknown type": ({"id": "1", "type": "order.placed", "data": "{}"}, "unknown_event_type", {"type"}),
    "another spec": ({"id": "1", "specversion": "0.3", "type": REQUEST, "data": json.dumps(GOOD)}, "invalid_event", {"specversion"}),
    "no id": ({"type": REQUEST, "data": json.dumps(GOOD)}, "invalid_event", {"id"}),
    "no UTF-8": ({"id": b"\xff1", "type": REQUEST, "data": json.dumps(GOOD)}, "invalid_event", {"event", "id"}),
    "nothing of all": ({"x": "y"}, "unknown_event_type", {"type", "data", "id"}),
    "a bad request": (
        {"id": "1", "type": REQUEST, "data": json.dumps({"request": IN_US | {"quantity": 0, "colour": "red"}, "priority": 10, "extra": 1})},
        "invalid_request",
        {"data.request.search_and_buy.quantity", "data.request.search_and_buy.colour", "data.priority", "data.extra"},
    ),
    "a bad order": (
        {"id": "", "type": ORDER, "data": json.dumps({"request": {"quantity": 3, "at_least": 5}, "customer": "\x1b[2J"})},
        "invalid_event",
        {"id", "data.request.country", "data.request", "data.customer"},
    ),
    "no request": ({"id": "1", "type": REQUEST, "data": "{}"}, "invalid_request", {"data.request"}),
    "a time that cannot be": (
        {"id": "1", "type": REQUEST, "data": json.dumps(GOOD | {"not_before": "1900-01-01T00:00:00Z"})},
        "invalid_request",
        {"data.not_before"},
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_is_answered_with_every_fault_and_blocks_no_other(didflow: Didflow, name: str) -> None:
    fields, code, places = BAD[name]
    raw(didflow, **fields)
    send(didflow, "evt-2")
    bad, good = taken_in(didflow)
    assert bad.refusal is not None
    assert good.job is not None
    dead = refused(didflow)
    assert (dead.code, {where for where, _ in dead.faults}) == (code, places)
    assert all(what in dead.reason for _, what in dead.faults)
    assert (dead.group, dead.entry) == ("didflow", bad.entry_id)
    assert len(didflow.find()) == 1
    assert dead.fields.keys() == fields.keys()


def test_a_key_that_was_used_for_something_else_is_a_conflict_that_names_the_job(didflow: Didflow) -> None:
    first = didflow.submit(SearchAndBuy(country="CA"), idempotency_key="evt-1")
    send(didflow, "evt-1")
    send(didflow, "evt-2", {"request": {"kind": "failback", "job_id": "nobody"}})
    taken_in(didflow)
    conflict, unknown = didflow.dead_letters().requests
    assert (conflict.code, first.id in conflict.reason, unknown.code) == ("idempotency_conflict", True, "job_not_found")
    assert [view.id for view in didflow.find()] == [first.id]


def test_what_a_dead_consumer_held_is_taken_over_whether_its_job_was_submitted_or_not(didflow: Didflow) -> None:
    client, keys = didflow.ledger.client, didflow.ledger.keys
    for event_id in ("evt-1", "evt-2"):
        send(didflow, event_id)
    client.xgroup_create(keys.requests, "didflow", id="0")
    client.xreadgroup("didflow", "dead", {keys.requests: ">"})
    submitted = didflow.submit(SearchAndBuy(country="US", quantity=2), idempotency_key="evt-1", reference="customer-9")
    assert taken_in(didflow, "b") == [], "it may be only slow"
    one, other = taken_in(didflow, "b", take_over_s=0.0)
    assert one.job is not None
    assert other.job is not None
    assert (one.job.id, one.job.is_new, other.job.is_new, pending(didflow)) == (submitted.id, False, True, 0)


def test_an_event_that_kills_its_consumer_is_set_aside(didflow: Didflow) -> None:
    client, keys = didflow.ledger.client, didflow.ledger.keys
    send(didflow, "evt-1")
    client.xgroup_create(keys.requests, "didflow", id="0")
    client.xreadgroup("didflow", "a", {keys.requests: ">"})
    for _ in range(MAX_DELIVERIES - 1):
        client.xreadgroup("didflow", "a", {keys.requests: "0"})
    assert taken_in(didflow) == []
    dead = refused(didflow)
    assert (dead.code, dead.fields["id"]) == ("undeliverable", "evt-1")
    didflow.replay(dead.name)
    (taken,) = taken_in(didflow, "b")
    assert taken.job is not None
    assert didflow.dead_letters().requests == ()


def test_a_refused_event_is_replayed_whole_and_kept_until_then(didflow: Didflow) -> None:
    wide = {"request": IN_US | {"city": [f"{'X' * 190} {place}" for place in range(50)]}}
    for event_id in ("evt-1", "evt-2"):
        send(didflow, event_id, wide | {"colour": "y" * KEPT_CHARACTERS})
    send(didflow, "evt-3", {"request": {"kind": "failback", "job_id": "nobody"}})
    taken_in(didflow)
    one, other, late = didflow.dead_letters().requests
    assert sum(map(len, one.fields.values())) < KEPT_CHARACTERS < len(json.dumps(wide)) + KEPT_CHARACTERS
    didflow.drop(other.name)
    assert trim(didflow.ledger, keep=0) == 0, "what may yet be replayed is kept on the stream"
    didflow.replay(one.name)
    (again,) = taken_in(didflow)
    assert again.refusal is not None
    assert [fault[0] for fault in didflow.dead_letters().requests[-1].faults] == ["data.colour"], "it came back whole"
    for name in (one.name, "request-1-1", "request-nothing"):
        with pytest.raises(DeadLetterNotFound):
            didflow.replay(name)
        with pytest.raises(DeadLetterNotFound):
            didflow.drop(name)
    didflow.ledger.client.xdel(didflow.ledger.keys.requests, late.entry)
    with pytest.raises(InvalidRequest, match="doesn't keep it any more"):
        didflow.replay(late.name)


def test_events_are_taken_in_in_their_order(didflow: Didflow) -> None:
    ids = [f"evt-{place}" for place in range(120)]
    for event_id in ids:
        send(didflow, event_id)
    taken = taken_in(didflow)
    assert [one.event_id for one in taken] == ids
    orders = [didflow.ledger.client.hget(didflow.ledger.keys.job(one.job.id), "order") for one in taken if one.job]
    assert orders == [str(place + 1) for place in range(len(ids))]


def test_what_is_taken_in_is_as_the_schema_says_and_what_is_refused_is_not(didflow: Didflow) -> None:
    schema = Draft202012Validator(business_event_schema())
    send(didflow, "evt-1")
    send(didflow, "evt-2", {"request": {"country": "US"}, "order": "4711"}, ORDER)
    send(didflow, "evt-3", {"case": "1"}, APPROVED)
    raw(didflow, id="evt-4", type="order.placed", data="{}")
    entries = cast("Entries", didflow.ledger.client.xrange(didflow.ledger.keys.requests))
    verdicts = [schema.is_valid({**fields, "data": json.loads(fields["data"])}) for _, fields in entries]
    assert verdicts == [taken.job is not None for taken in taken_in(didflow)] == [True, True, False, False]


class OwnServer:
    """A Valkey that may be killed and filled, and a consumer that runs on it in a thread until it is asked to stop."""

    def __init__(self, folder: Path) -> None:
        self.server = EmbeddedValkey(folder)
        self.server.start()
        self.didflow = Didflow(connect(self.server.url))
        self.stopping, self.taken = threading.Event(), list[TakenIn]()
        self.goes_on = threading.Event()
        self.goes_on.set()

    @contextmanager
    def consuming(self) -> Iterator[None]:
        def consume() -> None:
            consumer = Didflow(connect(self.server.url, timeout_s=1.0))
            for taken in BusinessEvents(consumer, consumer="a").take_in(stopping=self.stopping, block_s=0.05):
                self.taken.append(taken)
                self.goes_on.wait()

        thread = threading.Thread(target=consume)
        thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            self.goes_on.set()
            thread.join(20)
        assert not thread.is_alive()

    def jobs(self) -> set[str | None]:
        return {view.idempotency_key for view in self.didflow.find(limit=1000)}

    @contextmanager
    def consuming_with_full_memory(self) -> Iterator[None]:
        """Two events; the first is processed, and then there is no memory for the second one's job."""
        for event_id in ("evt-1", "evt-2"):
            send(self.didflow, event_id)
        self.goes_on.clear()
        with self.consuming():
            until(lambda: self.taken, what="the first event")
            self.fill()
            self.goes_on.set()
            until(lambda: refusals(self) > MAX_DELIVERIES, what="refused submits")
            yield

    def fill(self, *, yes: bool = True) -> None:
        self.didflow.ledger.client.config_set("maxmemory", "1" if yes else "0")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnServer]:
    monkeypatch.setattr(business_events, "AGAIN_FIRST_S", 0.01)
    monkeypatch.setattr(business_events, "AGAIN_LAST_S", 0.05)
    own = OwnServer(tmp_path)
    yield own
    own.server.stop()


def test_a_redis_that_dies_in_the_middle_loses_no_event_and_doubles_none(own: OwnServer) -> None:
    ids = {f"evt-{place}" for place in range(300)}
    for event_id in sorted(ids):
        send(own.didflow, event_id)
    with own.consuming():
        until(lambda: len(own.taken) > 20, what="the first events")
        assert own.server.pid is not None
        os.kill(own.server.pid, signal.SIGKILL)
        until(lambda: own.server.died, what="the server's death")
        so_far = len(own.taken)
        own.server.start()
        until(lambda: {taken.event_id for taken in own.taken} == ids, what="the others")
    assert so_far < len(ids)
    assert own.jobs() == ids
    assert len(own.didflow.find(limit=1000)) == len(ids)
    assert (pending(own.didflow), own.didflow.dead_letters().requests) == (0, ())


def test_a_full_redis_is_waited_for_and_makes_no_dead_letters(own: OwnServer) -> None:
    with own.consuming_with_full_memory():
        assert [taken.event_id for taken in own.taken] == ["evt-1"]
        own.fill(yes=False)
        until(lambda: len(own.taken) == 2, what="the second job")
    assert own.jobs() == {"evt-1", "evt-2"}
    assert (pending(own.didflow), own.didflow.dead_letters().requests) == (0, ())


def test_one_that_is_stopped_while_redis_refuses_leaves_the_event_for_the_next(own: OwnServer) -> None:
    with own.consuming_with_full_memory():
        pass
    assert own.jobs() == {"evt-1"}
    with pytest.raises(ServiceUnavailable):
        taken_in(own.didflow, "a")
    own.fill(yes=False)
    assert [taken.event_id for taken in taken_in(own.didflow, "a")] == ["evt-2"]
    assert own.didflow.dead_letters().requests == ()


def refusals(own: OwnServer) -> int:
    stats = own.didflow.ledger.client.info("errorstats")
    return int(stats.get("errorstat_OOM", {"count": 0})["count"])


@pytest.mark.faults
def test_a_service_that_is_killed_halfway_is_replaced_and_stops_on_sigterm(own: OwnServer) -> None:
    ids = {f"evt-{place}" for place in range(400)}
    for event_id in sorted(ids):
        send(own.didflow, event_id)
    with service(own) as killed:
        until(own.jobs, what="the first job")
        killed.kill()
    assert own.jobs() < ids
    with service(own) as other:
        until(lambda: own.jobs() == ids, what="the others")
        until(lambda: pending(own.didflow) == 0, what="the last acknowledgement")
        other.terminate()
        assert other.wait(10) == 0
    assert (len(own.didflow.find(limit=1000)), own.didflow.dead_letters().requests) == (len(ids), ())


@contextmanager
def service(own: OwnServer) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "producers.cli", "requests", "consume"]
    running = subprocess.Popen(command, env=os.environ | {"DIDFLOW_REDIS_URL": own.server.url}, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.kill()
        running.wait(10)


def test_the_command_line_takes_in_lists_and_settles(didflow: Didflow, tmp_path: Path, valkey: EmbeddedValkey, namespace: str) -> None:
    shell = Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": namespace})
    order = ("requests", "send", ORDER, "--id", "4711", "--data")
    assert shell(*order, '{"request": {"country": "US"}}', "--json").json["id"] == "4711"
    (tmp_path / "event.json").write_text('{"request": {"country": "US", "quantity": 0}}')
    assert shell("requests", "send", ORDER, "--id", "4712", "--data", "@event.json").code == 0
    assert [shell(*order, wrong).code for wrong in ("{", "@absent.json")] == [2, 2]
    taken = shell("requests", "consume", "--until-idle", "--json")
    good, bad = (json.loads(line) for line in taken.out.splitlines())
    assert (taken.code, good["is_new"], bad["code"]) == (1, True, "invalid_request")
    assert didflow.find(idempotency_key="onboarding:4711")[0].id == good["job"]
    listed = shell("dead-letters")
    (dead,) = shell("dead-letters", "--json").json["requests"]
    for word in (dead["name"], "4712", "invalid_request", "data.request.quantity"):
        assert word in listed.out
    assert shell("dead-letters", "--replay", "all", "--yes", "--json").json["replayed"] == [dead["name"]]
    assert "4712" in shell("requests", "consume", "--until-idle").out
    (dead,) = shell("dead-letters", "--json").json["requests"]
    assert shell("dead-letters", "--drop", dead["name"], "--yes").code == 0
    assert didflow.dead_letters().requests == ()
