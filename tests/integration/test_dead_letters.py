"""What needs someone is listed, given back to who it is for, or dropped; never lost by the way."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from didflow import AsyncDidflow, DeadLetterNotFound, DeadLetters, Didflow, InvalidRequest, JobNotFound, JobState, WrongJob
from didflow.client.sync.deliveries import Delivery
from didflow.contract.errors import JobError
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import Outcome
from didflow.ledger.connection import connect_async
from didflow.ledger.consumer_groups import trim
from didflow.ledger.ledger import Ledger
from tests.support.ledger_roles import claimed, finished, submitted
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey

OPEN = Result(
    numbers=(NumberResult(number="+12135550100", outcome=Outcome.UNCLEAR),),
    totals=Totals(requested=1, done=0),
    error=JobError(code="purchase_unsettled", message="never shown"),
)


@pytest.fixture
def didflow(real_ledger: Ledger) -> Didflow:
    return Didflow(real_ledger.client, real_ledger.keys.namespace)


@pytest.fixture
def shell(tmp_path: Path, valkey: EmbeddedValkey, namespace: str) -> Shell:
    return Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": namespace})


def parked(ledger: Ledger) -> str:
    claim = claimed(ledger, submitted(ledger).id)
    assert ledger.finish(claim, JobState.NEEDS_REVIEW, OPEN)
    return claim.job_id


def ended(ledger: Ledger) -> str:
    claim = claimed(ledger, submitted(ledger).id)
    assert finished(ledger, claim)
    return claim.job_id


def read(didflow: Didflow, group: str, consumer: str, **patience: float) -> Iterator[Delivery]:
    return didflow.results(group, consumer, give_up_idle=True, block_s=0.01, **patience)  # type: ignore[arg-type]


def poisoned(ledger: Ledger, didflow: Didflow, group: str = "billing") -> str:
    """A result that this group was handed once too often, and its neighbour that it has acknowledged."""
    bad = ended(ledger)
    ended(ledger)
    for delivery in read(didflow, group, "a"):
        if delivery.event.subject != bad:
            delivery.ack()
    assert [one.event.subject for one in read(didflow, group, "a", max_deliveries=1)] == []
    return bad


def test_everything_that_needs_a_person_is_listed_and_nothing_else(real_ledger: Ledger, didflow: Didflow) -> None:
    assert didflow.dead_letters() == DeadLetters((), (), ())
    job = parked(real_ledger)
    for delivery in read(didflow, "billing", "a"):
        delivery.ack()
    bad = poisoned(real_ledger, didflow)
    real_ledger.client.lpush(real_ledger.keys.undecodable, b"\xff\x00{celery")
    found = didflow.dead_letters()
    assert [view.id for view in found.parked] == [job]
    (entry,) = found.poison
    assert (entry.group, entry.fields["subject"], entry.reason) == ("billing", bad, "delivered 1 times without an acknowledgement")
    assert [(one.length, one.start) for one in found.undecodable] == [(9, "\N{REPLACEMENT CHARACTER}\x00{celery")]


def test_a_poison_entry_comes_again_to_its_group_and_to_no_other(real_ledger: Ledger, didflow: Didflow) -> None:
    bad = poisoned(real_ledger, didflow)
    for delivery in read(didflow, "audit", "x"):
        delivery.ack()
    (entry,) = didflow.dead_letters().poison
    didflow.replay(entry.name)
    assert didflow.dead_letters().poison == ()
    assert list(read(didflow, "audit", "x")) == []
    (again,) = read(didflow, "billing", "b")
    assert (again.event.subject, again.deliveries) == (bad, 1), "with all its patience, and without waiting for the consumer that had it"
    again.ack()
    assert list(read(didflow, "billing", "a", min_idle_s=0.0)) == []
    with pytest.raises(DeadLetterNotFound):
        didflow.replay(entry.name)


def test_an_entry_put_back_and_not_acknowledged_comes_until_it_is_poison_again(real_ledger: Ledger, didflow: Didflow) -> None:
    bad = poisoned(real_ledger, didflow)
    didflow.replay(didflow.dead_letters().poison[0].name)
    handed = [one.event.subject for _ in range(5) for one in itertools.islice(read(didflow, "billing", "b", max_deliveries=3), 1)]
    assert handed == [bad] * 3
    assert [one.fields["subject"] for one in didflow.dead_letters().poison] == [bad]


def test_what_is_poison_is_not_trimmed_and_what_is_settled_is(real_ledger: Ledger, didflow: Didflow) -> None:
    # Redis trims whole nodes of a hundred entries: without the poison all but the last would go.
    poisoned(real_ledger, didflow)
    for _ in range(250):
        ended(real_ledger)
    for delivery in read(didflow, "billing", "a"):
        delivery.ack()
    assert trim(real_ledger, keep=0) == 0
    (entry,) = didflow.dead_letters().poison
    didflow.drop(entry.name)
    assert trim(real_ledger, keep=0) >= 100
    with pytest.raises(DeadLetterNotFound):
        didflow.drop(entry.name)


def test_what_cannot_be_put_back_stays_and_says_why(real_ledger: Ledger, didflow: Didflow) -> None:
    poisoned(real_ledger, didflow, "billing")
    poisoned(real_ledger, didflow, "gone")
    billing, gone = didflow.dead_letters().poison
    real_ledger.client.xgroup_destroy(real_ledger.keys.results, "gone")
    real_ledger.client.xdel(real_ledger.keys.results, billing.entry)
    for entry, why in ((billing, "doesn't keep it any more"), (gone, "its group is gone")):
        with pytest.raises(InvalidRequest, match=why):
            didflow.replay(entry.name)
    assert didflow.dead_letters().poison == (billing, gone)


def test_a_parked_job_is_replayed_and_no_other(real_ledger: Ledger, didflow: Didflow) -> None:
    job, over = parked(real_ledger), ended(real_ledger)
    didflow.replay(job)
    assert didflow.get(job).state is JobState.QUEUED
    with pytest.raises(WrongJob, match="succeeded"):
        didflow.replay(over)
    with pytest.raises(JobNotFound):
        didflow.replay("nobody")
    for one in (job, f"{job}-unpark"):
        with pytest.raises(InvalidRequest, match="didflow resolve"):
            didflow.drop(one)
    with pytest.raises(DeadLetterNotFound):
        didflow.drop("all")


def test_a_foreign_message_is_dropped_by_its_name_and_its_neighbours_stay(real_ledger: Ledger, didflow: Didflow) -> None:
    real_ledger.client.lpush(real_ledger.keys.undecodable, b"\xff\x00{", "another")
    another, binary = didflow.dead_letters().undecodable
    with pytest.raises(InvalidRequest, match="be replayed: drop it"):
        didflow.replay(binary.name)
    didflow.drop(binary.name)
    assert didflow.dead_letters().undecodable == (another,)
    with pytest.raises(DeadLetterNotFound):
        didflow.drop(binary.name)


def test_asyncio_has_the_same_verbs(real_ledger: Ledger, didflow: Didflow, valkey: EmbeddedValkey, namespace: str) -> None:
    job = parked(real_ledger)
    real_ledger.client.lpush(real_ledger.keys.undecodable, "foreign")
    found = didflow.dead_letters()

    async def settle() -> None:
        other = AsyncDidflow(connect_async(valkey.url), namespace)
        assert await other.dead_letters() == found
        await other.replay(job)
        await other.drop(found.undecodable[0].name)
        assert (await other.dead_letters()).undecodable == ()
        await other.aclose()

    asyncio.run(settle())
    assert didflow.get(job).state is JobState.QUEUED


def test_the_command_line_lists_and_settles(real_ledger: Ledger, didflow: Didflow, shell: Shell) -> None:
    assert shell("dead-letters", columns=80).out == "nothing needs attention\n"
    for option, word in (("--replay", "all"), ("--drop", "messages")):
        nothing = shell("dead-letters", option, word)
        assert (nothing.code, nothing.out) == (0, f"nothing to {option[2:]}\n")
    job = parked(real_ledger)
    for delivery in read(didflow, "billing", "a"):
        delivery.ack()
    bad = poisoned(real_ledger, didflow)
    real_ledger.client.lpush(real_ledger.keys.undecodable, "{celery")
    listed = shell("dead-letters")
    assert listed.code == 0
    for word in (job, "purchase_unsettled", "+12135550100", f"didflow resolve {job} --bought NUMBER`", bad, "billing", "{celery"):
        assert word in listed.out
    shown = shell("dead-letters", "--json").json
    assert [one["id"] for one in shown["parked"]] == [job]
    assert "didflow resolve" in shown["parked"][0]["to_settle"]
    (entry,), (message,) = shown["poison"], shown["undecodable"]
    assert entry["fields"]["subject"] == bad
    unasked = shell("dead-letters", "--drop", message["name"])
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    settled = shell("dead-letters", "--replay", "all", "--drop", "messages", "--yes", "--json").json
    assert settled == {"replayed": [job, entry["name"]], "dropped": [message["name"]], "refused": []}
    assert didflow.get(job).state is JobState.QUEUED
    assert [one.event.subject for one in read(didflow, "billing", "b")] == [bad]
    again = shell("dead-letters", "--replay", job, "--replay", entry["name"], "--yes")
    assert again.code == 2
    assert f"{entry['name']}: there is no" in again.out, "one that is gone doesn't keep the other from it"
    assert f"replayed {job}" in again.out
