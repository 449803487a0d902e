"""An event on a stream arrives at each endpoint that wants it: signed, at least once, in order per job.

The tests share a ledger, so each has an endpoint of its own and looks only at events of its own jobs.
"""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError
from structlog.testing import capture_logs

from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import JobState
from didflow.contract.webhooks import Attempt, DeliveryOutcome, DisabledReason, EndpointChange, EndpointState
from didflow.ledger.ledger import Ledger
from didflow.ledger.webhooks import delivery_log, endpoints, messages
from tests.support.cluster import until
from tests.support.foreign_entries import FOREIGN
from tests.support.ledger_roles import claimed, finished, submitted
from tests.support.redis_relay import RedisRelay
from tests.support.webhook_process import delivering, endpoint, rotated, shown
from tests.support.webhook_receiver import Received, Reply, receiving
from worker.local.embedded_valkey import EmbeddedValkey

DONE_TYPE = "didflow.job.succeeded.v1"


def ended(ledger: Ledger, reference: str = "customer-9") -> str:
    """A job that was submitted, ran and succeeded."""
    job = submitted(ledger, reference=reference)
    assert finished(ledger, claimed(ledger, job.id), JobState.SUCCEEDED)
    return job.id


def of(got: list[Received], job: str) -> list[Received]:
    return [one for one in got if one.event["subject"] == job]


def has_ended(got: list[Received], job: str) -> bool:
    return any(one.event["type"] == DONE_TYPE for one in of(got, job))


def in_order(got: list[Received], job: str) -> bool:
    """Whether the first arrivals of the job's events are in their order, and none is missing up to the last."""
    firsts = list(dict.fromkeys(int(one.id.rpartition(":")[2]) for one in of(got, job)))
    return firsts == sorted(firsts)


def verified(received: Received, secret: str) -> bool:
    """By the official package."""
    try:
        Webhook(secret).verify(received.body, dict(received.headers))
    except WebhookVerificationError:
        return False
    return True


@pytest.fixture(autouse=True)
def removed(delivered: Ledger) -> Iterator[None]:
    """Each test leaves without its endpoints: their receivers are gone."""
    yield
    for one in delivered.perform(endpoints.every(delivered.commands)):
        delivered.perform(endpoints.delete(delivered.commands, one.id))


def test_a_job_that_ends_arrives_as_signed_events_in_their_order(delivered: Ledger) -> None:
    with receiving() as receiver:
        secret = endpoint(delivered, "shop", receiver.url)
        job = ended(delivered)
        got = of(receiver.wait_for(lambda got: has_ended(got, job)), job)
        assert [one.event["type"] for one in got] == ["didflow.job.queued.v1", "didflow.job.running.v1", DONE_TYPE]
        assert in_order(got, job)
        assert all(verified(one, secret) for one in got)
        assert got[-1].event["data"]["reference"] == "customer-9"
        assert got[-1].headers["content-type"] == "application/json"
        fields = next(fields for _, fields in entries(delivered, "results") if fields["subject"] == job)
        assert got[-1].event == {**fields, "data": json.loads(fields["data"])}, "as the stream has it"
        assert got[-1].id == fields["id"]
        until(lambda: shown(delivered, "shop").queued == 0, what="an empty queue")


def entries(ledger: Ledger, name: str) -> list[tuple[str, dict[str, str]]]:
    return list(ledger.client.xrange(f"{ledger.keys.namespace}:{name}"))  # type: ignore[arg-type]


def test_a_dead_or_slow_endpoint_delays_no_other(delivered: Ledger) -> None:
    never = threading.Event()
    with receiving(lambda _, __: Reply(hold=never)) as slow, receiving() as quick:
        endpoint(delivered, "slow", slow.url)
        endpoint(delivered, "quick", quick.url)
        endpoint(delivered, "dead", "http://127.0.0.1:1/hook")
        jobs = [ended(delivered) for _ in range(12)]
        got = quick.wait_for(lambda got: all(has_ended(got, job) for job in jobs))
        assert all(in_order(got, job) for job in jobs)
        assert len(slow.got) <= 8, "and no more at once than one may have"
        never.set()


def test_a_failed_event_holds_back_the_later_ones_of_its_job_only(delivered: Ledger) -> None:
    refused: set[str] = set()

    def answers(received: Received, _: int) -> Reply:
        return Reply(500, body=b"not now") if received.event["subject"] in refused and received.id not in taken else Reply()

    taken: set[str] = set()
    with receiving(answers) as receiver:
        endpoint(delivered, "shop", receiver.url)
        held = submitted(delivered).id
        refused.add(held)
        other = ended(delivered)
        assert finished(delivered, claimed(delivered, held))
        got = receiver.wait_for(lambda got: has_ended(got, other) and bool(of(got, held)))
        assert {one.event["type"] for one in of(got, held)} == {"didflow.job.queued.v1"}
        until(lambda: bool(failures(delivered, "shop")), what="a line in the log")
        refused.clear()
        hasten(delivered, "shop")
        got = receiver.wait_for(lambda got: has_ended(got, held))
        assert in_order(got, held)
        (failed,) = failures(delivered, "shop")
        assert (failed.status, failed.beginning, failed.attempt, failed.next_at is not None) == (500, "not now", 1, True)


def failures(ledger: Ledger, name: str) -> list[Attempt]:
    found = ledger.perform(delivery_log.attempts(ledger.commands, name, 1000))
    return [one for one in found if one.outcome is DeliveryOutcome.RETRIED]


def hasten(ledger: Ledger, name: str) -> None:
    ledger.perform(endpoints.hasten(ledger.commands, shown(ledger, name).id))


def test_410_disables_an_endpoint_and_the_queue_arrives_when_it_is_enabled(delivered: Ledger) -> None:
    with receiving(lambda _, count: Reply(410 if count == 1 else 204)) as receiver, receiving() as witness:
        endpoint(delivered, "shop", receiver.url)
        endpoint(delivered, "witness", witness.url)
        job = ended(delivered)
        got = witness.wait_for(lambda got: any(one.event["type"] == "didflow.webhook.disabled.v1" for one in got))
        (said,) = [one.event for one in got if one.event["type"] == "didflow.webhook.disabled.v1"]
        assert said["data"] == {"endpoint": "shop", "reason": "gone"}
        found = shown(delivered, "shop")
        assert (found.state, found.reason) == (EndpointState.DISABLED, DisabledReason.GONE)
        assert len(receiver.got) == 1
        delivered.perform(endpoints.switch(delivered.commands, "shop", EndpointState.ENABLED))
        assert in_order(receiver.wait_for(lambda got: has_ended(got, job)), job)


def test_an_endpoint_gets_only_what_its_filters_let_through_and_what_came_after_it(delivered: Ledger) -> None:
    with receiving() as receiver:
        before = ended(delivered, "shop-1")
        endpoint(delivered, "shop", receiver.url, types=(DONE_TYPE,), reference_prefix="shop-")
        ended(delivered, "other-2")
        wanted = ended(delivered, "shop-3")
        got = receiver.wait_for(lambda got: has_ended(got, wanted))
        assert [(one.event["subject"], one.event["type"]) for one in got] == [(wanted, DONE_TYPE)]
        assert before != wanted


def test_an_event_above_20_kb_has_a_link_instead_of_its_data(delivered: Ledger) -> None:
    with receiving() as receiver:
        secret = endpoint(delivered, "shop", receiver.url, types=(DONE_TYPE,))
        job = submitted(delivered).id
        numbers = tuple(NumberResult(number=f"+1213555{place:04}") for place in range(400))
        large = Result(totals=Totals(requested=400, done=400), numbers=numbers)
        assert delivered.finish(claimed(delivered, job), JobState.SUCCEEDED, large)
        small = ended(delivered)
        got = receiver.wait_for(lambda got: has_ended(got, job) and has_ended(got, small))
        (thin,), (whole,) = of(got, job), of(got, small)
        assert thin.event["dataref"] == f"/v1/jobs/{job}"
        assert "data" not in thin.event
        assert len(thin.body) < 1000
        assert (thin.event["id"], thin.event["subject"]) == (thin.id, job)
        assert verified(thin, secret)
        assert "dataref" not in whole.event


def test_old_and_new_secret_sign_until_the_overlap_ends(delivered: Ledger) -> None:
    with receiving() as receiver:
        old = endpoint(delivered, "shop", receiver.url, types=(DONE_TYPE,))
        new = rotated(delivered, "shop", timedelta(hours=1))
        first = ended(delivered)
        (one,) = receiver.wait_for(lambda got: has_ended(got, first))
        assert (verified(one, old), verified(one, new)) == (True, True)
        last = rotated(delivered, "shop", timedelta(0))
        second = ended(delivered)
        one = receiver.wait_for(lambda got: has_ended(got, second))[-1]
        assert (verified(one, old), verified(one, new), verified(one, last)) == (False, False, True)


def test_one_event_or_all_since_a_time_are_delivered_again_with_the_same_ids(delivered: Ledger) -> None:
    with receiving() as receiver:
        endpoint(delivered, "shop", receiver.url)
        since = datetime.now(UTC) - timedelta(milliseconds=1)
        job = ended(delivered)
        ids = [one.id for one in receiver.wait_for(lambda got: len(of(got, job)) == 3)]
        until(lambda: shown(delivered, "shop").queued == 0, what="an empty queue")
        assert delivered.perform(delivery_log.redeliver(delivered.commands, "shop", ids[1])) == 1
        got = receiver.wait_for(lambda got: len(got) == 4)
        assert (got[-1].id, got[-1].body) == (ids[1], got[1].body)
        until(lambda: shown(delivered, "shop").queued == 0, what="an empty queue")
        assert delivered.perform(delivery_log.redeliver_since(delivered.commands, "shop", since)) == 3
        assert [one.id for one in receiver.wait_for(lambda got: len(got) == 7)[4:]] == ids


def test_a_test_reaches_one_endpoint_and_is_in_its_log(delivered: Ledger) -> None:
    with receiving(lambda _, __: Reply(202, body=b"taken \x1b[2J")) as receiver, receiving() as other:
        secret = endpoint(delivered, "shop", receiver.url, types=("didflow.job.*",))
        endpoint(delivered, "other", other.url)
        event_id = delivered.perform(delivery_log.test(delivered.commands, "shop"))
        (got,) = receiver.wait_for(lambda got: len(got) == 1)
        assert (got.id, got.event["type"], verified(got, secret)) == (event_id, messages.TEST_TYPE, True)
        until(lambda: bool(delivered.perform(delivery_log.attempts(delivered.commands, "shop", 10))), what="a line in the log")
        (logged,) = delivered.perform(delivery_log.attempts(delivered.commands, "shop", 10))
        assert (logged.event_id, logged.outcome, logged.status, logged.attempt) == (event_id, DeliveryOutcome.DELIVERED, 202, 1)
        assert "taken" in logged.beginning
        assert "\x1b" not in logged.beginning
        assert other.got == []


def test_several_processes_share_the_work_and_keep_the_order(delivered: Ledger, valkey: EmbeddedValkey) -> None:
    with receiving() as receiver, delivering(delivered, valkey.url):
        endpoint(delivered, "shop", receiver.url)
        jobs = [ended(delivered) for _ in range(30)]
        got = receiver.wait_for(lambda got: all(has_ended(got, job) for job in jobs))
        for job in jobs:
            assert in_order(got, job)
            assert len(of(got, job)) == 3, "and nothing twice while no process dies"


def test_busy_receivers_are_left_alone_as_long_as_they_ask(delivered: Ledger) -> None:
    def answers(_: Received, count: int) -> Reply:
        return Reply(429, {"retry-after": "3600"}) if count == 1 else Reply()

    with receiving(answers) as receiver, receiving() as other:
        endpoint(delivered, "shop", receiver.url)
        endpoint(delivered, "other", other.url)
        job = ended(delivered)
        until(lambda: shown(delivered, "shop").paused_until is not None, what="the pause")
        other.wait_for(lambda got: has_ended(got, job))
        paused = shown(delivered, "shop").paused_until
        assert paused is not None
        assert timedelta(minutes=59) < paused - datetime.now(UTC) < timedelta(minutes=61)
        assert len(receiver.got) == 1


def test_no_address_that_is_not_public_is_posted_to_unless_its_network_is_named(delivered: Ledger) -> None:
    endpoint(delivered, "shop", "http://10.255.255.1/hook")
    delivered.perform(delivery_log.test(delivered.commands, "shop"))
    until(lambda: bool(failures(delivered, "shop")), what="a line in the log")
    (failed,) = failures(delivered, "shop")
    assert failed.status is None
    assert failed.failure in ("invalid_url", "address_not_public")


def test_nothing_is_sent_under_a_lease_that_could_end_before_the_answer(real_ledger: Ledger, valkey: EmbeddedValkey) -> None:
    """As after a long pause of the process. The event is left to a process that has the time."""
    with receiving() as receiver:
        endpoint(real_ledger, "shop", receiver.url)
        with delivering(real_ledger, valkey.url, lease_s=1.0, limit_s=5.0):
            job = ended(real_ledger)
            until(lambda: shown(real_ledger, "shop").queued == 3, what="the queue")
        assert receiver.got == []
        with delivering(real_ledger, valkey.url):
            assert in_order(receiver.wait_for(lambda got: has_ended(got, job)), job)


def test_what_is_under_way_is_finished_when_a_process_stops(real_ledger: Ledger, valkey: EmbeddedValkey) -> None:
    answered = threading.Event()
    with receiving(lambda _, __: Reply(hold=answered)) as receiver:
        endpoint(real_ledger, "shop", receiver.url, types=(DONE_TYPE,))
        with delivering(real_ledger, valkey.url):
            job = ended(real_ledger)
            receiver.wait_for(lambda got: has_ended(got, job))
            threading.Timer(0.2, answered.set).start()
        assert shown(real_ledger, "shop").queued == 0


def test_a_process_goes_on_when_redis_is_back(real_ledger: Ledger, valkey: EmbeddedValkey) -> None:
    with RedisRelay(valkey.url) as relay, receiving() as receiver:
        secret = endpoint(real_ledger, "shop", receiver.url)
        with delivering(real_ledger, relay.url):
            first = ended(real_ledger)
            receiver.wait_for(lambda got: has_ended(got, first))
            relay.close()
            second = ended(real_ledger)
            relay.open()
            got = receiver.wait_for(lambda got: has_ended(got, second))
            assert in_order(got, second)
            assert all(verified(one, secret) for one in got)


def changed(ledger: Ledger, **fields: Any) -> None:
    ledger.perform(endpoints.change(ledger.commands, "shop", EndpointChange(**fields)))


def test_what_waits_goes_to_the_new_url_in_its_order_and_at_once(delivered: Ledger) -> None:
    with receiving(lambda _, __: Reply(503, headers={"Retry-After": "3600"})) as old, receiving() as new:
        endpoint(delivered, "shop", old.url)
        job = ended(delivered)
        old.wait_for(lambda got: bool(of(got, job)))
        until(lambda: shown(delivered, "shop").paused_until is not None, what="the pause that the old receiver asked for")
        changed(delivered, url=new.url)
        got = of(new.wait_for(lambda got: has_ended(got, job)), job)
        assert in_order(got, job)
        assert len(got) == 3
        view = shown(delivered, "shop")
        assert (view.failing_since, view.paused_until) == (None, None)


def test_an_answer_of_the_old_url_that_comes_after_the_change_says_nothing_of_the_new_one(delivered: Ledger) -> None:
    asked, changed_now = threading.Event(), threading.Event()

    def answer(_: Received, __: int) -> Reply:
        asked.set()
        changed_now.wait(30)
        return Reply(410)

    with receiving(answer) as old, receiving() as new:
        endpoint(delivered, "shop", old.url)
        job = ended(delivered)
        assert asked.wait(30)
        changed(delivered, url=new.url)
        changed_now.set()
        got = of(new.wait_for(lambda got: has_ended(got, job)), job)
        assert in_order(got, job)
        assert len(got) == 3
        view = shown(delivered, "shop")
        assert (view.state, view.failing_since) == (EndpointState.ENABLED, None)


def test_what_the_new_filters_leave_out_is_not_sent_though_it_was_queued(delivered: Ledger) -> None:
    with receiving() as receiver:
        endpoint(delivered, "shop", receiver.url)
        delivered.perform(endpoints.switch(delivered.commands, "shop", EndpointState.DISABLED))
        one, other = ended(delivered, "a-1"), ended(delivered, "b-1")
        until(lambda: shown(delivered, "shop").queued >= 6, what="six queued events")
        changed(delivered, reference_prefix="b-", enabled=True)
        receiver.wait_for(lambda got: has_ended(got, other))
        until(lambda: shown(delivered, "shop").queued == 0, what="an empty queue")
        assert of(receiver.got, one) == []
        view = shown(delivered, "shop")
        assert (view.attempts[DeliveryOutcome.SKIPPED] >= 3, view.missed) == (True, 0)


@pytest.mark.parametrize("stream", ["results", "events"])
def test_what_others_write_to_a_stream_is_skipped_with_one_log_line_and_what_follows_arrives(delivered: Ledger, stream: str) -> None:
    with receiving() as receiver, capture_logs() as logged:
        endpoint(delivered, "shop", receiver.url)
        first = ended(delivered)
        with delivered.client.pipeline(transaction=True) as together:
            for fields in FOREIGN:
                together.xadd(getattr(delivered.keys, stream), fields)  # type: ignore[arg-type]
            written = together.execute()
        job = ended(delivered)
        got = receiver.wait_for(lambda got: has_ended(got, job) and has_ended(got, first))
        assert {one.event["subject"] for one in got} == {first, job}
        until(lambda: shown(delivered, "shop").queued == 0, what="an empty queue")
    delivered.client.xdel(getattr(delivered.keys, stream), *written)
    lines = [one for one in logged if one["event"] == "webhooks.foreign_entries"]
    assert sum(one["skipped"] for one in lines) == len(FOREIGN)
    assert {one["stream"] for one in lines} == {stream}
    assert not [one for one in logged if one["event"] == "webhooks.delivery_failed"]


def test_a_queued_message_that_is_none_of_ours_is_dropped_and_its_jobs_next_event_follows(delivered: Ledger) -> None:
    with receiving() as receiver:
        endpoint(delivered, "shop", receiver.url)
        shop = shown(delivered, "shop").id
        queue, messages = delivered.keys.webhook(shop), delivered.keys.webhook_messages
        good = {"id": "job-7:2", "type": DONE_TYPE, "key": "job-7", "account": "", "reference": "", "body": '{"subject":"job-7"}'}
        places = [str(delivered.client.xadd(messages, fields)) for fields in ({"hello": "world"}, good)]  # type: ignore[arg-type]
        for place in places:
            milliseconds, count = place.split("-")
            delivered.client.zadd(f"{queue}:queue", {f"job-7\n{int(milliseconds):015}-{int(count):09}": 0})
            delivered.client.zadd(f"{queue}:ages", {place: int(milliseconds)})
        delivered.client.zadd(f"{queue}:due", {"job-7": 0})
        (got,) = receiver.wait_for(lambda got: len(got) == 1)
        assert got.id == "job-7:2"
        until(lambda: shown(delivered, "shop").queued == 0, what="an empty queue")
        view = shown(delivered, "shop")
        assert (view.missed, view.attempts[DeliveryOutcome.LOST], view.attempts[DeliveryOutcome.DELIVERED]) == (1, 1, 1)
        assert view.failing_since is None, "the endpoint has nothing to do with it"


def test_a_redelivery_since_a_time_passes_over_what_is_no_message(delivered: Ledger) -> None:
    with receiving() as receiver:
        endpoint(delivered, "shop", receiver.url, types=("didflow.release.*",))
        place = delivered.client.xadd(delivered.keys.webhook_messages, {"hello": "world"})
        assert delivered.perform(delivery_log.redeliver_since(delivered.commands, "shop", datetime.now(UTC) - timedelta(days=1))) == 0
        delivered.client.xdel(delivered.keys.webhook_messages, place)
