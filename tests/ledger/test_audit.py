"""The audit: every change of a person or a key is in it, once, and what was changed by hand is found."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from didflow import Didflow, InvalidRequest, Submission
from didflow.contract.api_keys import ApiKey, ApiScope, digest, new_key_id
from didflow.contract.audit import AuditEntry
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import JobState
from didflow.ledger import api_keys, audit
from didflow.ledger.gate import Gate
from didflow.ledger.ledger import Ledger
from tests.support.ledger_roles import DONE, claimed, submitted

NUMBER = "+12135550100"


@pytest.fixture
def ann(real_ledger: Ledger) -> Didflow:
    return Didflow(real_ledger.client, real_ledger.keys.namespace, actor="ann")


@pytest.fixture
def small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain is read in several steps."""
    monkeypatch.setattr(audit, "READ_TOGETHER", 3)


def entries(didflow: Didflow) -> tuple[AuditEntry, ...]:
    return didflow.audit().entries


def parked(ledger: Ledger) -> str:
    claim = claimed(ledger, submitted(ledger).id)
    assert ledger.finish(claim, JobState.NEEDS_REVIEW, DONE)
    return claim.job_id


def orders(didflow: Didflow, count: int) -> list[str]:
    return [didflow.submit(SearchAndBuy(country="US"), reference=f"order-{place}").id for place in range(count)]


def test_a_submit_is_in_it_with_who_what_why_and_by_which_request(ann: Didflow) -> None:
    asked = ann.acting(reason="a new customer", request_id="req-1")
    job = asked.submit(SearchAndBuy(country="US"), idempotency_key="order-1", reference="customer-9")
    assert not asked.submit(SearchAndBuy(country="US"), idempotency_key="order-1", reference="customer-9").is_new
    (entry,) = entries(ann)
    assert (entry.n, entry.actor, entry.what, entry.reason, entry.request_id) == (1, "ann", "submit", "a new customer", "req-1")
    assert entry.on == {"job": job.id, "kind": "search_and_buy", "account": "default", "reference": "customer-9"}
    assert abs((entry.at - datetime.now(UTC)).total_seconds()) < 60
    assert ann.verify_audit().faults == ()


def test_many_submits_at_once_are_a_chain(ann: Didflow) -> None:
    ann.submit_many([Submission(SearchAndBuy(country="US"), actor="bob"), Submission(SearchAndBuy(country="DE"))])
    assert [(entry.n, entry.actor) for entry in entries(ann)] == [(2, "ann"), (1, "bob")]
    check = ann.verify_audit()
    assert (check.entries, check.dropped, check.faults, check.anchor) == (2, 0, (), f"2:{entries(ann)[0].hash}")


def test_what_a_worker_does_is_not_in_it(real_ledger: Ledger, ann: Didflow) -> None:
    parked(real_ledger)
    real_ledger.pause_account("default", 401, "wrong key")
    real_ledger.resume_account("default")
    assert (entries(ann), ann.verify_audit().anchor) == ((), "")


def cancel(ledger: Ledger, didflow: Didflow) -> None:
    didflow.cancel(submitted(ledger).id)


def cancel_running(ledger: Ledger, didflow: Didflow) -> None:
    job_id = submitted(ledger).id
    claimed(ledger, job_id)
    for _ in range(2):
        didflow.cancel(job_id)


def retry(ledger: Ledger, didflow: Didflow) -> None:
    didflow.retry(parked(ledger))


def key(didflow: Didflow, name: str = "shop") -> str:
    new = ApiKey(id=new_key_id(), name=name, scopes=frozenset({ApiScope.READ, ApiScope.BUY}))
    return didflow.ledger.perform(api_keys.create(didflow.ledger.commands, new))


def keys(_ledger: Ledger, didflow: Didflow) -> None:
    key(didflow)
    didflow.ledger.perform(api_keys.rotate(didflow.ledger.commands, "shop", overlap=timedelta(0)))
    didflow.ledger.perform(api_keys.revoke(didflow.ledger.commands, "shop"))


def letters(ledger: Ledger, didflow: Didflow) -> None:
    dead = [str(ledger.client.xadd(stream, {"poison_entry": "1-1"})) for stream in (ledger.keys.poison, ledger.keys.dead_requests)]
    ledger.client.rpush(ledger.keys.undecodable, "{")
    didflow.drop(dead[0])
    didflow.drop(f"request-{dead[1]}")
    didflow.drop(didflow.dead_letters().undecodable[0].name)


def put_back(ledger: Ledger, didflow: Didflow) -> None:
    entry = str(ledger.client.xadd(ledger.keys.results, {"a": "b"}))
    ledger.client.xgroup_create(ledger.keys.results, "billing", id="0")
    didflow.replay(str(ledger.client.xadd(ledger.keys.poison, {"poison_entry": entry, "poison_group": "billing"})))


def group(ledger: Ledger, didflow: Didflow) -> None:
    ledger.client.xgroup_create(ledger.keys.results, "billing", id="0", mkstream=True)
    didflow.delete_group("billing")


def accept(ledger: Ledger, didflow: Didflow) -> None:
    gate = Gate(Ledger(ledger.client, ledger.keys.namespace, actor=didflow.actor))
    for _ in range(2):
        gate.accept("default", {NUMBER: 1}, ["+12135550101"])


def freeze(_ledger: Ledger, didflow: Didflow) -> None:
    for _ in range(2):
        didflow.freeze("a wrong list", account="shop")
    for _ in range(2):
        didflow.unfreeze(account="shop")


#: What is done, and the entries of it: verb, an id, detail.
DONE_BY_A_PERSON: dict[Callable[[Ledger, Didflow], None], list[tuple[str, str | None, str | None]]] = {
    cancel: [("cancel", None, None)],
    cancel_running: [("cancel", None, None)],
    retry: [("retry", None, None)],
    keys: [("keys create", "shop", "buy read"), ("keys rotate", "shop", None), ("keys revoke", "shop", None)],
    letters: [("dead-letters drop", None, None)] * 3,
    put_back: [("dead-letters replay", None, None)],
    group: [("results delete-group", "billing", "of results")],
    accept: [("gate accept", "default", f"{NUMBER} +12135550101")],
    freeze: [("freeze", "shop", "a wrong list"), ("unfreeze", "shop", None)],
}


@pytest.mark.parametrize("do", DONE_BY_A_PERSON, ids=lambda do: do.__name__)
def test_each_change_is_in_it_once_with_its_reason(real_ledger: Ledger, ann: Didflow, do: Callable[[Ledger, Didflow], None]) -> None:
    do(real_ledger, ann.acting(reason="because"))
    found = entries(ann)[::-1]
    assert [entry.what for entry in found] == [what for what, _, _ in DONE_BY_A_PERSON[do]]
    for entry, (_, on, detail) in zip(found, DONE_BY_A_PERSON[do], strict=True):
        assert entry.actor == "ann"
        assert on in (None, entry.on.get("subject"), entry.on.get("account"))
        assert detail is None or " ".join(sorted((entry.detail or "").split())) == " ".join(sorted(detail.split()))
    assert {entry.reason for entry in found} == ({None} if do is accept else {"because"})
    assert ann.verify_audit().faults == ()


def test_no_secret_of_a_key_and_no_digest_of_it_is_in_it(real_ledger: Ledger, ann: Didflow) -> None:
    secret = key(ann)
    rotated, other = ann.ledger.perform(api_keys.rotate(ann.ledger.commands, "shop", overlap=timedelta(0)))
    kept = str(real_ledger.client.xrange(f"{real_ledger.keys.namespace}:audit"))
    assert rotated.name in kept
    assert not any(text in kept for one in (secret, other) for text in (one, digest(one)))


def stream(ledger: Ledger) -> str:
    return f"{ledger.keys.namespace}:audit"


def edit(ledger: Ledger) -> None:
    """The third one says another name. A stream's entries can't be changed: all of them are written again."""
    client: Any = ledger.client
    written = [(entry_id, fields["entry"].replace("order-2", "order-9")) for entry_id, fields in client.xrange(stream(ledger))]
    client.delete(stream(ledger))
    for entry_id, text in written:
        client.xadd(stream(ledger), {"entry": text}, id=entry_id)


def delete(ledger: Ledger, place: int) -> None:
    client: Any = ledger.client
    client.xdel(stream(ledger), client.xrange(stream(ledger))[place][0])


def insert(ledger: Ledger) -> None:
    client: Any = ledger.client
    _, fields = client.xrange(stream(ledger))[-1]
    client.xadd(stream(ledger), fields)


def garble(ledger: Ledger) -> None:
    client: Any = ledger.client
    client.xadd(stream(ledger), {"entry": "nothing"})


def forget(ledger: Ledger, part: str) -> None:
    ledger.client.delete(stream(ledger) + part)


TAMPERED: dict[str, tuple[Callable[[Ledger], None], str]] = {
    "edited": (edit, r"entry 4 \(.*\): the hash in it is not that of the entry before"),
    "deleted in the middle": (lambda ledger: delete(ledger, 3), r"entry 4 \(.*\): entry 5 is in its place"),
    "deleted at the beginning": (lambda ledger: delete(ledger, 0), r"entry 1 \(.*\): entry 2 is in its place"),
    "cut off at the end": (lambda ledger: delete(ledger, 7), r"the chain ends in entry 8 .*, but what is kept ends in entry 7"),
    "inserted": (insert, r"entry 9 \(.*\): entry 8 is in its place"),
    "unreadable": (garble, r"entry 9 \(.*\) can't be read"),
    "without its head": (
        lambda ledger: forget(ledger, ":head"),
        r"the chain ends in entry 0 with hash none",
    ),
    "all deleted": (lambda ledger: forget(ledger, ""), r"what is kept ends in entry 0"),
}


@pytest.mark.usefixtures("small_reads")
@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_changed_by_hand_is_found(real_ledger: Ledger, ann: Didflow, how: str) -> None:
    orders(ann, 8)
    assert ann.verify_audit().faults == ()
    tamper, fault = TAMPERED[how]
    tamper(real_ledger)
    faults = "\n".join(ann.verify_audit().faults)
    assert re.search(fault, faults), faults
    orders(ann, 1)
    assert ann.verify_audit().faults, "what is written behind it doesn't mend it"


@pytest.mark.usefixtures("small_reads")
def test_a_recomputed_chain_is_found_by_an_anchor(real_ledger: Ledger, ann: Didflow) -> None:
    orders(ann, 4)
    anchor = ann.verify_audit().anchor
    orders(ann, 2)
    assert ann.verify_audit(anchor).faults == ()
    client: Any = real_ledger.client
    client.delete(stream(real_ledger), f"{stream(real_ledger)}:head")
    orders(ann, 6)
    assert ann.verify_audit().faults == ()
    assert ann.verify_audit(anchor).faults == (
        f"the anchor's entry 4 with hash {anchor[2:]} isn't in the chain: it was rewritten, or cut off",
    )


@pytest.mark.parametrize("anchor", ["", "7", "x:" + "0" * 40, "7:short", "9" * 16 + ":" + "0" * 40])
def test_what_is_no_anchor_is_refused(ann: Didflow, anchor: str) -> None:
    with pytest.raises(InvalidRequest, match=r"anchor: .* is not one"):
        ann.verify_audit(anchor)


@pytest.mark.usefixtures("small_reads")
def test_old_entries_go_and_the_chain_stays_whole(real_ledger: Ledger, ann: Didflow) -> None:
    orders(ann, 5)
    first = ann.verify_audit().anchor
    orders(ann, 3)
    assert real_ledger.forget_audit() == 0
    assert [real_ledger.forget_audit(batch=2, most=4) for _ in range(3)] == [2, 2, 0]
    check = ann.verify_audit(first)
    assert (check.entries, check.dropped, check.faults) == (4, 4, ())
    young = Ledger(real_ledger.client, real_ledger.keys.namespace, audit_ms=-1)
    assert young.forget_audit() == 4
    orders(ann, 1)
    check = ann.verify_audit(first)
    assert (check.entries, check.dropped) == (1, 8)
    assert check.faults == (f"the anchor's entry 5 with hash {first[2:]} is no longer kept",)
    delete(real_ledger, 0)
    orders(ann, 1)
    assert ann.verify_audit().faults, "deleted by hand"


@pytest.mark.usefixtures("small_reads")
def test_entries_are_filtered_and_come_page_by_page(ann: Didflow, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = orders(ann, 4)
    ann.acting(actor="bob").cancel(jobs[1])
    ann.cancel(jobs[2])
    assert [entry.on["job"] for entry in ann.audit(what="submit", limit=2).entries] == [jobs[3], jobs[2]]
    assert [(entry.what, entry.actor) for entry in ann.audit(job=jobs[1]).entries] == [("cancel", "bob"), ("submit", "ann")]
    assert [entry.what for entry in ann.audit(who="bob").entries] == ["cancel"]
    assert ann.audit(who="bo").entries == ()
    monkeypatch.setattr(audit, "LOOKED_AT", 3)
    found, cursor, pages = list[AuditEntry](), None, 0
    while True:
        page = ann.audit(who="ann", cursor=cursor)
        found, pages = [*found, *page.entries], pages + 1
        if (cursor := page.next_cursor) is None:
            break
    assert ([entry.n for entry in found], pages) == ([6, 4, 3, 2, 1], 3)


def test_entries_of_a_span_of_time(real_ledger: Ledger, ann: Didflow) -> None:
    orders(ann, 3)
    middle = entries(ann)[1].at
    assert [entry.n for entry in ann.audit(since=middle, until=middle + timedelta(days=1)).entries][-1] >= 1
    assert all(entry.at >= middle for entry in ann.audit(since=middle).entries)
    assert all(entry.at < middle for entry in ann.audit(until=middle).entries)
    assert ann.audit(until=middle - timedelta(days=1)).entries == ann.audit(since=datetime(9000, 1, 1, tzinfo=UTC)).entries == ()
    assert ann.audit(until=datetime(1970, 1, 1, tzinfo=UTC)).entries == ann.audit(cursor="0-0").entries == ()
    with pytest.raises(InvalidRequest, match="since: needs a time zone"):
        ann.audit(since=datetime(2026, 1, 1))
    with pytest.raises(InvalidRequest, match="cursor"):
        ann.audit(cursor="x")


@pytest.mark.usefixtures("small_reads")
def test_the_texts_can_be_checked_elsewhere(ann: Didflow) -> None:
    orders(ann, 7)
    before = ""
    for text in ann.audit_texts():
        assert json.loads(text)["after"] == before
        before = audit.digest(text)
    assert ann.verify_audit().anchor == f"7:{before}"


@pytest.mark.parametrize("reason", ["", " ", "a\nb", "x" * 501])
def test_a_reason_that_cannot_be_shown_is_refused(ann: Didflow, reason: str) -> None:
    with pytest.raises(InvalidRequest, match="reason: is 1 to 500 printable characters"):
        ann.acting(reason=reason)
