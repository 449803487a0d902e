"""Queues of webhooks: each job's events in their order, none lost, and no job held up by another one or by another endpoint."""

import itertools
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from didflow.checks.streams import check_streams
from didflow.checks.webhooks import check_webhooks
from didflow.contract.errors import InvalidRequest, WebhookNotFound
from didflow.contract.webhooks import DeliveryOutcome, DisabledReason, Endpoint, EndpointChange, EndpointState, EndpointView
from didflow.ledger import consumer_groups
from didflow.ledger.ledger import Ledger
from didflow.ledger.webhooks import delivery_log, endpoints, queues
from didflow.ledger.webhooks.messages import Message
from didflow.ledger.webhooks.queues import Take, Taken
from didflow.ledger.webhooks.targets import targets
from tests.support.ledger_roles import stream, submitted, wait_until_ms

SECRET = "whsec_" + "A" * 43 + "="
MOST = 8


def endpoint(ledger: Ledger, name: str, **filters: Any) -> str:
    """The id of a new endpoint."""
    made = Endpoint(id=endpoints.new_endpoint_id(), name=name, url="https://shop.example.net/hook", **filters)
    ledger.perform(endpoints.create(ledger.commands, made, SECRET))
    return made.id


def event(ledger: Ledger, job: str, count: int) -> None:
    """An entry of the events stream."""
    ledger.client.xadd(ledger.keys.events, {"id": f"{job}:{count}", "type": "didflow.job.queued.v1", "subject": job, "data": "{}"})


def fan_out(ledger: Ledger, *endpoints: str, queued_most: int = queues.QUEUED_MOST) -> bool:
    """Queue what is new on the events stream for these endpoints."""
    known = ledger.perform(targets(ledger.keys))
    entries: Any = ledger.client.xrange(ledger.keys.events, f"({known.events}", "+")
    if not entries:
        return True
    messages = [(Message(f["id"], f["type"], f["subject"], "default", "", json.dumps(f)), endpoints) for _, f in entries]
    call = queues.fan_out_call(known, (known.results or "", entries[-1][0]), (0, len(entries)), messages, queued_most=queued_most)
    return ledger.run(call) == "ok"


def take(ledger: Ledger, *endpoints: str, room: int = MOST, lease_s: float = 60.0) -> Take:
    return ledger.perform(queues.take(ledger.commands, uuid.uuid4().hex, dict.fromkeys(endpoints, room), lease_s=lease_s, most=MOST))


def settle(ledger: Ledger, taken: Taken, outcome: str, **more: Any) -> bool:
    said = {"event_id": taken.fields["id"], "type": "t", "key": taken.key, "attempt": taken.attempt, "outcome": outcome}
    return ledger.run(queues.settle_call(taken, outcome, json.dumps(said), **more))


def view(ledger: Ledger, name: str) -> EndpointView:
    return ledger.perform(endpoints.view(ledger.commands, name))


def ids(found: Take) -> list[str]:
    return sorted(one.fields["id"] for one in found.taken)


def test_a_failed_event_holds_back_its_job_and_no_other(ledger: Ledger) -> None:
    shop = endpoint(ledger, "shop")
    for job, count in (("a", 1), ("b", 1), ("a", 2), ("b", 2)):
        event(ledger, job, count)
    assert fan_out(ledger, shop)
    first = take(ledger, shop)
    assert ids(first) == ["a:1", "b:1"]
    a, b = sorted(first.taken, key=lambda one: one.key)
    assert settle(ledger, a, "retried", again_s=3600.0)
    assert settle(ledger, b, "delivered")
    second = take(ledger, shop)
    assert ids(second) == ["b:2"]
    assert settle(ledger, second.taken[0], "delivered")
    last = take(ledger, shop)
    assert last.taken == ()
    assert 3500 < (last.next_s or 0) <= 3600
    assert view(ledger, "shop").queued == 2


def test_another_endpoint_gets_what_one_refuses(ledger: Ledger) -> None:
    dead, shop = endpoint(ledger, "dead"), endpoint(ledger, "shop")
    for count in range(1, 4):
        event(ledger, "a", count)
    fan_out(ledger, dead, shop)
    for count in range(1, 4):
        found = take(ledger, dead, shop)
        for one in found.taken:
            settle(ledger, one, "delivered" if one.endpoint_id == shop else "retried", again_s=3600.0)
        assert [one.fields["id"] for one in found.taken if one.endpoint_id == shop] == [f"a:{count}"]
    assert (view(ledger, "dead").queued, view(ledger, "shop").queued) == (3, 0)


def test_only_one_process_reads_an_entry_and_changed_endpoints_are_read_again(ledger: Ledger) -> None:
    shop = endpoint(ledger, "shop")
    event(ledger, "a", 1)
    known = ledger.perform(targets(ledger.keys))
    ((entry_id, _),) = stream_entries(ledger)
    call = queues.fan_out_call(known, (known.results or "", entry_id), (0, 1), [(Message("a:1", "t", "a", "", "", "{}"), [shop])])
    assert (ledger.run(call), ledger.run(call)) == ("ok", "moved")
    assert view(ledger, "shop").queued == 1
    event(ledger, "a", 2)
    stale = ledger.perform(targets(ledger.keys))
    endpoint(ledger, "later")
    *_, (entry_id, _) = stream_entries(ledger)
    call = queues.fan_out_call(stale, (known.results or "", entry_id), (0, 1), [(Message("a:2", "t", "a", "", "", "{}"), [shop])])
    assert ledger.run(call) == "moved"


def stream_entries(ledger: Ledger) -> list[tuple[str, Any]]:
    entries: Any = ledger.client.xrange(ledger.keys.events)
    return list(entries)


def test_no_more_deliveries_at_once_than_an_endpoint_may_have_over_all_processes(ledger: Ledger) -> None:
    shop = endpoint(ledger, "shop")
    for job in range(MOST + 3):
        event(ledger, f"job-{job}", 1)
    fan_out(ledger, shop)
    assert len(take(ledger, shop, room=5).taken) == 5
    assert len(take(ledger, shop).taken) == MOST - 5
    assert take(ledger, shop).taken == ()


def test_what_a_dead_process_held_is_taken_again_and_its_late_word_counts_for_nothing(ledger: Ledger) -> None:
    shop = endpoint(ledger, "shop")
    event(ledger, "a", 1)
    event(ledger, "a", 2)
    fan_out(ledger, shop)
    dead = take(ledger, shop, lease_s=0.0).taken[0]
    wait_until_ms(ledger, ledger.now_ms())
    (living,) = take(ledger, shop).taken
    assert (living.fields["id"], living.attempt, living.first_ms) == ("a:1", 2, dead.first_ms)
    assert not settle(ledger, dead, "delivered")
    assert settle(ledger, living, "delivered")
    assert ids(take(ledger, shop)) == ["a:2"]


def test_an_event_that_was_not_sent_is_due_at_once_and_was_no_attempt(ledger: Ledger) -> None:
    shop = endpoint(ledger, "shop")
    event(ledger, "a", 1)
    fan_out(ledger, shop)
    (taken,) = take(ledger, shop).taken
    assert settle(ledger, taken, "returned")
    (again,) = take(ledger, shop).taken
    assert again.attempt == 1
    assert ledger.perform(delivery_log.attempts(ledger.commands, "shop", 10)) == ()
    assert ledger.perform(delivery_log.attempts(ledger.commands, "shop", 10, "0-0")) == ()
    for place in ("x", "1", "-1-0", "99999999999999999999-0"):
        with pytest.raises(InvalidRequest, match="before: is the `place`"):
            ledger.perform(delivery_log.attempts(ledger.commands, "shop", 10, place))


def test_an_event_that_was_given_up_lets_the_next_one_follow(ledger: Ledger) -> None:
    shop = endpoint(ledger, "shop")
    event(ledger, "a", 1)
    event(ledger, "a", 2)
    fan_out(ledger, shop)
    settle(ledger, take(ledger, shop).taken[0], "given_up")
    assert deliver_next(ledger, shop) == "a:2"
    counted = {outcome.value: count for outcome, count in view(ledger, "shop").attempts.items() if count}
    assert counted == {"given_up": 1, "delivered": 1}


def test_the_doctor_warns_of_an_endpoint_that_gets_nothing(real_ledger: Ledger) -> None:
    shop = endpoint(real_ledger, "shop")
    event(real_ledger, "a", 1)

    def said() -> tuple[str, str]:
        (check,) = check_webhooks(real_ledger)
        return check.verdict, check.message

    assert said() == ("ok", "0 events wait")
    groups = {check.name: check.message for check in check_streams(real_ledger)}
    assert "start `didflow webhooks run`" in groups["group events/webhooks"]
    fan_out(real_ledger, shop)
    (taken,) = take(real_ledger, shop).taken
    settle(real_ledger, taken, "retried", again_s=60.0)
    assert said()[0] == "warn"
    assert "failing since" in said()[1]
    real_ledger.perform(endpoints.switch(real_ledger.commands, "shop", EndpointState.DISABLED))
    assert said() == ("warn", "1 events wait; disabled (person): `didflow webhooks enable shop`")


def test_an_endpoint_that_asks_for_a_pause_is_left_alone(ledger: Ledger) -> None:
    shop = endpoint(ledger, "shop")
    for job in ("a", "b"):
        event(ledger, job, 1)
    fan_out(ledger, shop)
    (taken,) = take(ledger, shop, room=1).taken
    settle(ledger, taken, "retried", again_s=30.0, pause_s=30.0)
    found = take(ledger, shop)
    assert found.taken == ()
    assert 29 < (found.next_s or 0) <= 30
    assert view(ledger, "shop").paused_until is not None


def test_a_disabled_endpoint_says_so_in_an_event_and_gets_its_queue_when_it_is_enabled(ledger: Ledger) -> None:
    shop = endpoint(ledger, "shop")
    event(ledger, "a", 1)
    fan_out(ledger, shop)
    (taken,) = take(ledger, shop).taken
    settle(ledger, taken, "retried", again_s=3600.0, disable=DisabledReason.GONE)
    shown = view(ledger, "shop")
    assert (shown.state, shown.reason, shown.queued) == (EndpointState.DISABLED, DisabledReason.GONE, 1)
    (said,) = [one for one in stream(ledger, "events") if one["type"] == "didflow.webhook.disabled.v1"]
    assert (said["subject"], json.loads(said["data"])) == ("shop", {"endpoint": "shop", "reason": "gone"})
    event(ledger, "a", 2)
    fan_out(ledger, shop)
    assert take(ledger, shop).taken == ()
    ledger.perform(endpoints.switch(ledger.commands, "shop", EndpointState.ENABLED))
    (again,) = [one for one in take(ledger, shop).taken if one.key == "a"]
    assert (again.fields["id"], again.attempt) == ("a:1", 1), "the days of trying begin again"
    assert view(ledger, "shop").reason is None


def test_an_answer_from_before_it_was_enabled_does_not_disable_it_again(ledger: Ledger) -> None:
    """Several deliveries are under way when the first one is answered 410. A person mends the receiver before the others are answered."""
    shop = endpoint(ledger, "shop")
    for job in "abc":
        event(ledger, job, 1)
    fan_out(ledger, shop)
    first, second, third = take(ledger, shop).taken
    wait_until_ms(ledger, first.taken_ms + 2)
    assert settle(ledger, first, "retried", disable=DisabledReason.GONE)
    assert ledger.perform(endpoints.switch(ledger.commands, "shop", EndpointState.ENABLED)).state is EndpointState.ENABLED
    assert settle(ledger, second, "retried", again_s=3600.0, pause_s=3600.0, disable=DisabledReason.GONE)
    assert settle(ledger, third, "given_up")
    now = view(ledger, "shop")
    assert (now.state, now.reason, now.paused_until, now.failing_since) == (EndpointState.ENABLED, None, None, None)
    again = take(ledger, shop)
    assert ids(again) == ["a:1", "b:1", "c:1"], "each is tried at once"
    assert settle(ledger, again.taken[0], "retried", disable=DisabledReason.GONE)
    assert view(ledger, "shop").state is EndpointState.DISABLED


def test_a_late_yes_of_the_old_url_says_nothing_of_the_new_one(ledger: Ledger) -> None:
    shop = endpoint(ledger, "shop")
    event(ledger, "a", 1)
    fan_out(ledger, shop)
    (old,) = take(ledger, shop).taken
    changed = ledger.perform(endpoints.change(ledger.commands, "shop", EndpointChange(url="https://other.example.net/hook")))
    wait_until_ms(ledger, ledger.now_ms())
    event(ledger, "b", 1)
    fan_out(ledger, shop)
    (new,) = take(ledger, shop).taken
    assert settle(ledger, new, "retried", pause_s=3600.0)
    before = view(ledger, "shop")
    assert before.paused_until is not None
    assert settle(ledger, old, "delivered")
    after = view(ledger, "shop")
    assert (after.paused_until, after.failing_since) == (before.paused_until, before.failing_since)
    assert (after.delivered_at, after.queued) == (changed.delivered_at, 1)


def test_a_full_queue_takes_no_more_says_so_once_and_redelivery_sends_the_rest(ledger: Ledger) -> None:
    shop, other = endpoint(ledger, "shop"), endpoint(ledger, "other")
    for count in range(1, 5):
        event(ledger, "a", count)
    since = datetime.now(UTC) - timedelta(minutes=1)
    fan_out(ledger, shop, queued_most=2)
    shown = view(ledger, "shop")
    assert (shown.queued, shown.missed, shown.missed_since is not None) == (2, 2, True)
    assert [one["subject"] for one in stream(ledger, "events") if one["type"] == "didflow.webhook.queue_full.v1"] == ["shop"]
    assert ledger.perform(delivery_log.redeliver_since(ledger.commands, "shop", since)) == 4
    assert [deliver_next(ledger, shop) for _ in range(4)] == ["a:1", "a:2", "a:3", "a:4"]
    assert view(ledger, other).queued == 0


def deliver_next(ledger: Ledger, endpoint_id: str) -> str:
    (taken,) = take(ledger, endpoint_id, room=1).taken
    settle(ledger, taken, "delivered")
    return taken.fields["id"]


def test_redelivery_keeps_the_order_of_a_job_and_what_the_endpoint_wants(ledger: Ledger) -> None:
    shop, picky = endpoint(ledger, "shop"), endpoint(ledger, "picky", types=("didflow.number.*",))
    for job, count in (("a", 1), ("b", 1), ("a", 2)):
        event(ledger, job, count)
    since = datetime.now(UTC) - timedelta(minutes=1)
    fan_out(ledger, shop)
    for _ in range(3):
        deliver_next(ledger, shop)
    assert ledger.perform(delivery_log.redeliver(ledger.commands, "shop", "a:2")) == 1
    assert ledger.perform(delivery_log.redeliver(ledger.commands, "shop", "a:1")) == 1
    assert [deliver_next(ledger, shop) for _ in range(2)] == ["a:1", "a:2"]
    assert ledger.perform(delivery_log.redeliver(ledger.commands, "shop", "nothing:1")) == 0
    assert ledger.perform(delivery_log.redeliver_since(ledger.commands, "shop", since)) == 3
    assert ledger.perform(delivery_log.redeliver_since(ledger.commands, picky, since)) == 0
    assert ledger.perform(delivery_log.redeliver(ledger.commands, picky, "a:1")) == 0, "it may be another customer's"
    assert ledger.perform(delivery_log.redeliver_since(ledger.commands, "shop", datetime.now(UTC) + timedelta(minutes=1))) == 0


def test_an_event_that_waits_for_another_attempt_is_redelivered_at_once(ledger: Ledger) -> None:
    shop = endpoint(ledger, "shop")
    event(ledger, "a", 1)
    fan_out(ledger, shop)
    settle(ledger, take(ledger, shop).taken[0], "retried", again_s=3600.0)
    assert ledger.perform(delivery_log.redeliver(ledger.commands, "shop", "a:1")) == 1
    assert ids(take(ledger, shop)) == ["a:1"]


def test_a_message_that_is_no_longer_kept_is_counted_and_the_next_one_follows(ledger: Ledger) -> None:
    shop = endpoint(ledger, "shop")
    event(ledger, "a", 1)
    event(ledger, "a", 2)
    fan_out(ledger, shop)
    first: Any = ledger.client.xrange(ledger.keys.webhook_messages, count=1)
    ledger.client.xdel(ledger.keys.webhook_messages, first[0][0])
    assert take(ledger, shop).taken == ()
    assert ids(take(ledger, shop)) == ["a:2"]
    assert view(ledger, "shop").missed == 1
    assert [one.outcome for one in ledger.perform(delivery_log.attempts(ledger.commands, "shop", 10))] == [DeliveryOutcome.LOST]


def test_messages_are_kept_while_a_queue_needs_them_and_a_queue_for_a_week_of_being_disabled(ledger: Ledger) -> None:
    shop = endpoint(ledger, "shop")
    for count in range(1, 4):
        event(ledger, "a", count)
    fan_out(ledger, shop)

    def trimmed(disabled_ms: int) -> int:
        ledger._script("webhook_trim", 0, disabled_ms)
        return int(ledger.client.xlen(ledger.keys.webhook_messages))

    week_ms = 7 * 86_400_000
    assert trimmed(week_ms) == 3
    ledger.perform(endpoints.switch(ledger.commands, "shop", EndpointState.DISABLED))
    assert trimmed(week_ms) == 3
    assert view(ledger, "shop").queued == 3
    trimmed(0)
    assert (view(ledger, "shop").queued, view(ledger, "shop").missed) == (0, 3)


def test_streams_are_trimmed_only_behind_the_group_and_freely_without_endpoints(real_ledger: Ledger) -> None:
    ledger = real_ledger
    shop = endpoint(ledger, "shop")
    for count in range(300):
        event(ledger, "a", count)
    consumer_groups.trim(ledger, keep=0)
    assert len(stream(ledger, "events")) == 300
    fan_out(ledger, shop)
    groups: Any = ledger.client.xinfo_groups(ledger.keys.events)
    assert [(group["name"], group["lag"]) for group in groups] == [(queues.GROUP, 0)]
    consumer_groups.trim(ledger, keep=0)
    assert len(stream(ledger, "events")) < 300
    ledger.perform(endpoints.delete(ledger.commands, "shop"))
    assert ledger.client.xinfo_groups(ledger.keys.events) == []
    assert not list(ledger.client.scan_iter(f"{ledger.keys.namespace}:webhook:*"))


def test_the_group_shows_how_far_behind_the_deliveries_are(real_ledger: Ledger) -> None:
    shop = endpoint(real_ledger, "shop")
    for count in range(3):
        event(real_ledger, "a", count)
    groups: Any = real_ledger.client.xinfo_groups(real_ledger.keys.events)
    assert [group["lag"] for group in groups] == [3]
    real_ledger.client.xgroup_destroy(real_ledger.keys.events, queues.GROUP)
    fan_out(real_ledger, shop)
    groups = real_ledger.client.xinfo_groups(real_ledger.keys.events)
    assert [group["lag"] for group in groups] == [0], "a group that somebody deleted is made again"


def test_names_are_unique_and_unknown_ones_are_refused(ledger: Ledger) -> None:
    endpoint(ledger, "shop")
    with pytest.raises(InvalidRequest, match="a webhook has this name"):
        endpoint(ledger, "shop")
    for command in (
        endpoints.view(ledger.commands, "none"),
        endpoints.delete(ledger.commands, "none"),
        endpoints.rotate(ledger.commands, "none", SECRET, timedelta(0)),
        endpoints.switch(ledger.commands, "none", EndpointState.ENABLED),
        delivery_log.redeliver(ledger.commands, "none", "a:1"),
        delivery_log.redeliver_since(ledger.commands, "none", datetime.now(UTC)),
        delivery_log.test(ledger.commands, "none"),
        delivery_log.attempts(ledger.commands, "none", 10),
    ):
        with pytest.raises(WebhookNotFound, match="no webhook 'none'"):
            ledger.perform(command)


def test_secrets_are_in_no_view_decision_event_or_text(ledger: Ledger) -> None:
    endpoint(ledger, "shop")
    ledger.perform(endpoints.rotate(ledger.commands, "shop", SECRET.replace("A", "B"), timedelta(hours=1)))
    assert view(ledger, "shop").secrets == 2
    known = ledger.perform(targets(ledger.keys))
    shown = f"{known!r} {ledger.perform(endpoints.every(ledger.commands))!r}"
    client: Any = ledger.client
    shown += str([client.hgetall(key) for key in client.keys(f"{ledger.keys.namespace}:webhook:*") if client.type(key) == "hash"])
    shown += str(client.xrange(ledger.keys.events)) + str(client.xrange(ledger.keys.decisions))
    assert "whsec_" not in shown
    (target,) = known.by_id.values()
    assert target.secrets.valid(known.now_ms) == (SECRET.replace("A", "B"), SECRET)
    assert target.secrets.valid(known.now_ms + 2 * 3_600_000) == (SECRET.replace("A", "B"),)


def test_a_job_that_ran_before_is_none_of_its_business(ledger: Ledger) -> None:
    submitted(ledger)
    endpoint(ledger, "shop")
    known = ledger.perform(targets(ledger.keys))
    (target,) = known.by_id.values()
    assert known.events == target.after_events == stream_entries(ledger)[-1][0]


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["event", "fan_out", "take", "die", "delivered", "retried", "returned", "redeliver"]), st.integers(0, 2)),
    max_size=40,
)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_whatever_happens_each_event_arrives_and_each_job_in_its_order(real_ledger: Ledger, steps: list[Step]) -> None:
    """Events, takes, deaths, failures and redeliveries in any order. Then all that is left is delivered."""
    ledger = Ledger(real_ledger.client, f"{real_ledger.keys.namespace}-{uuid.uuid4().hex[:6]}")
    shop, counts = endpoint(ledger, "shop"), itertools.count(1)
    written: dict[str, list[str]] = {}
    arrived: dict[str, list[str]] = {}
    held: list[Taken] = []

    def arrive(taken: Taken) -> None:
        arrived.setdefault(taken.key, []).append(taken.fields["id"])

    for what, which in steps:
        job = f"job-{which}"
        match what:
            case "event":
                count = next(counts)
                written.setdefault(job, []).append(f"{job}:{count}")
                event(ledger, job, count)
            case "fan_out":
                assert fan_out(ledger, shop)
            case "take":
                held += take(ledger, shop, room=which + 1).taken
            case "die":
                # It died, before or after it had posted what it took: the lease ends.
                for taken in held:
                    if which:
                        arrive(taken)
                    settle(ledger, taken, "retried")
                held.clear()
            case "delivered" | "retried" | "returned" if held:
                taken = held.pop(which % len(held))
                if what == "delivered":
                    arrive(taken)
                settle(ledger, taken, what)
            case "redeliver" if arrived.get(job):
                ledger.perform(delivery_log.redeliver(ledger.commands, "shop", arrived[job][0]))
                written[job].append(arrived[job][0])
    for taken in held:
        settle(ledger, taken, "returned")
    assert fan_out(ledger, shop)
    while found := take(ledger, shop).taken:
        for taken in found:
            arrive(taken)
            settle(ledger, taken, "delivered")
    assert {job: set(events) for job, events in arrived.items()} == {job: set(events) for job, events in written.items()}
    for job, events in arrived.items():
        firsts = list(dict.fromkeys(events))
        assert firsts == sorted(firsts, key=lambda one: int(one.rpartition(":")[2])), job
    ledger.client.delete(*ledger.client.scan_iter(f"{ledger.keys.namespace}:*"))


def test_a_version_of_the_endpoints_that_the_server_lost_does_not_come_again(ledger: Ledger) -> None:
    """A process that knows the lost one would take its endpoints for those of now, and would never deliver to the new one."""
    name = f"{ledger.keys.namespace}:webhooks:version"
    versions = []
    for place in range(2):
        endpoint(ledger, f"shop-{place}")
        versions.append(ledger.client.get(name))
        ledger.client.delete(name)  # Redis forgot its last writes.
    assert len(set(versions)) == 2
