"""Documents as who hands them in meets them: the command on its own process, real ledger, real jobs, a sandbox that reviews."""

import asyncio
import json
from pathlib import Path

import pytest

from didflow import AsyncDidflow, AsyncDocuments, AsyncPool, Didflow, Documents, InvalidRequest, Job, JobState, SearchAndBuy, WrongJob
from didflow.contract.actors import os_user
from didflow.contract.events import event_adapter
from didflow.contract.job_kinds import request_adapter
from didflow.contract.requests import FollowDocuments, Release
from didflow.contract.results import Result, Totals
from didflow.ledger.ledger import Claim
from didflow.ledger.number_pool import hand_out
from tests.support.inline_shell import shell_of
from tests.support.inline_worker import InlineWorker, numbers
from tests.support.shell import Shell
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey

PASSPORT = b"%PDF-1.4\nErika Mustermann, born 1964-08-12\ntrailer << /Root 1 0 R >>"
BERLIN = SearchAndBuy(country="DE", city=("Berlin",), quantity=2, documents="allow_inactive")


@pytest.fixture
def didflow(inline: InlineWorker) -> Didflow:
    return Didflow(inline.ledger.client, inline.settings.namespace)


@pytest.fixture
def shell(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> Shell:
    return shell_of(inline, valkey.url, tmp_path)


def papers(inline: InlineWorker, number: str) -> list[tuple[int, str, str]]:
    return [(one["kind"], one["status"], one["file_name"]) for one in inline.sandbox.owned()[number.removeprefix("+")]["documents"]]


def everything_in(inline: InlineWorker) -> bytes:
    """All that Redis holds of this namespace."""
    client = inline.ledger.client
    return b"".join(client.dump(name) or b"" for name in client.scan_iter(match=f"{inline.ledger.keys.namespace}:*"))


def test_a_passport_goes_to_the_provider_and_nowhere_else(inline: InlineWorker, didflow: Didflow, shell: Shell, tmp_path: Path) -> None:
    purchase = inline.run(BERLIN)
    first, second = (one.number for one in numbers(purchase))
    (tmp_path / "Mustermann.pdf").write_bytes(PASSPORT)
    handed_in = shell(
        "documents", "upload", "--number", first, "--type", "id", "--file", "Mustermann.pdf", "--reason", "the customer sent it", "--json"
    )
    assert handed_in.code == 0, handed_in.err
    assert [(one["number"], one["fate"]) for one in handed_in.json] == [(first, "handed_in")]
    (entry,) = didflow.audit(what="documents upload").entries
    assert (entry.actor, entry.reason, entry.on) == (os_user(), "the customer sent it", {"subject": "default"})
    assert entry.detail == f"id for {first}"
    again = shell("documents", "upload", "--job", purchase.id, "--type", "id", "--file", "Mustermann.pdf")
    assert again.code == 0
    assert "there already" in again.out
    assert papers(inline, first) == papers(inline, second) == [(1, "pending", "id.pdf")]
    for said in (handed_in, again):
        assert "Mustermann" not in said.out + said.err
    assert b"Mustermann" not in everything_in(inline)
    with working(inline):
        shown = shell("documents", "missing", "--job", purchase.id, "--json").json
    assert [(one["number"], one["documents_needed"]) for one in shown["result"]["numbers"]] == [
        (first, ["localaddress"]),
        (second, ["localaddress"]),
    ]


def test_what_can_not_be_handed_in_says_why_and_is_not_sent(inline: InlineWorker, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "cat.pdf").write_bytes(b"GIF89a")
    refused = shell("documents", "upload", "--number", "12", "--type", "passport", "--file", "cat.pdf", "--json")
    assert refused.code == 2
    assert [where for where, _ in refused.json["error"]["faults"]] == ["number", "type", "file"]
    assert "papers" not in inline.sandbox.state()["calls"]


def test_a_purchase_is_followed_and_anybody_may_follow(inline: InlineWorker, didflow: Didflow) -> None:
    documents = Documents(didflow)
    purchase = inline.run(BERLIN)
    named = [one.number for one in numbers(purchase)]
    follower = documents.follower(purchase.id)
    assert follower is not None
    assert (follower.kind, follower.state) == ("follow_documents", JobState.SCHEDULED)
    assert documents.follower(inline.run(SearchAndBuy(country="US")).id) is None
    job = documents.follow(named, idempotency_key="papers-1", reference="customer-9")
    assert documents.follow(named, idempotency_key="papers-1", reference="customer-9").id == job.id
    assert inline.attempt(job).reason == "documents"
    for number in named:
        inline.sandbox.order("approve_documents", number=number.removeprefix("+"))
    with working(inline):
        assert [one.outcome for one in documents.missing(named)] == ["activated"] * 2
    inline.make_due(job)
    assert inline.attempt(job).state is JobState.SUCCEEDED


def test_documents_and_the_pool_have_the_same_verbs_for_asyncio(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    purchase = inline.run(BERLIN)
    named = [one.number for one in numbers(purchase)]

    async def asked() -> list[object]:
        client = AsyncDidflow.from_url(valkey.url, inline.settings.namespace)
        documents, pool = AsyncDocuments(client), AsyncPool(client)
        follower = await documents.follower(purchase.id)
        jobs = [await documents.follow(named, idempotency_key="papers-1", reference="customer-9") for _ in range(2)]
        missing = await documents.missing(named)
        for refused in (documents.follow([]), pool.take_back(["12"])):
            with pytest.raises(InvalidRequest):
                await refused
        shown: list[object] = [follower and follower.id, await documents.follower("nobody"), [one.documents_needed for one in missing]]
        shown += [[(one.number, one.job_id) for one in await pool.handed_out()], await pool.take_back([ours]), await pool.handed_out()]
        assert [jobs[0].id, jobs[1].id] == [view.id for view in await client.find(reference="customer-9")] * 2
        await client.aclose()
        return shown

    (ours,) = inline.own(1)
    ended = given(inline, ours)
    with working(inline):
        shown = asyncio.run(asked())
    assert shown == [f"{purchase.id}-documents", None, [("id", "localaddress")] * 2, [(ours, ended.id)], (ours,), ()]


def given(inline: InlineWorker, number: str) -> Job:
    """A purchase that was handed this number of the pool, and has ended."""
    job = inline.submit(BERLIN)
    claim = inline.ledger.claim(job.id, "worker-1", lease_ms=60_000)
    assert isinstance(claim, Claim)
    assert hand_out(inline.ledger, claim, [(number, 47000001, "{}")]) == frozenset({number})
    assert inline.ledger.finish(claim, JobState.SUCCEEDED, Result(totals=Totals(requested=1, done=1)))
    return job


def test_the_schemas_know_the_request_and_the_events() -> None:
    assert '"follow_documents"' in json.dumps(request_adapter().json_schema())
    assert "didflow.number.documents_rejected.v1" in json.dumps(event_adapter().json_schema())


def test_a_follower_of_no_purchase_is_refused_at_once(inline: InlineWorker, didflow: Didflow) -> None:
    other = inline.submit(Release(numbers=("+12135550100",)))
    with pytest.raises(WrongJob):
        didflow.submit(FollowDocuments(job_id=other.id))
    with pytest.raises(InvalidRequest):
        Documents(didflow).follow([])


def test_the_pool_is_listed_and_a_number_put_back(inline: InlineWorker, shell: Shell) -> None:
    ours = inline.own(1)
    job = inline.submit(BERLIN)
    claim = inline.ledger.claim(job.id, "worker-1", lease_ms=60_000)
    assert isinstance(claim, Claim)
    assert hand_out(inline.ledger, claim, [(ours[0], 47000001, "{}")]) == frozenset(ours)
    assert shell("pool", "return", "--number", ours[0], "--json").json == {"returned": []}, "its purchase is running"
    inline.ledger.client.hdel(inline.ledger.keys.reserved("default"), ours[0])  # As at its end.
    assert [(one["number"], one["job_id"]) for one in shell("pool", "list", "--json").json] == [(ours[0], job.id)]
    assert f"1 of 1 numbers are back: {ours[0]}" in shell("pool", "return", "--number", ours[0]).out
