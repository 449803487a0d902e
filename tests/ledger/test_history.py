"""A number's history: written with what it tells of, said once, chained, cut at the old end, forgotten when the number is long gone."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from didflow import AsyncDidflow, Didflow
from didflow.contract.attempt_write import Write
from didflow.contract.errors import InvalidRequest
from didflow.contract.history import Happened, Happening, History
from didflow.contract.spending import Spend
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from didflow.ledger.connection import connect_async
from didflow.ledger.gate import Gate
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.release_guards import quarantine
from didflow.ledger.replies import LeaseLost, NumbersReserved, Resolved, Saved
from tests.support.ledger_roles import DONE, claimed, submitted
from worker.local.embedded_valkey import EmbeddedValkey

NUMBER = "+12135550100"
MOST = 100
AWAY = Happened(what=Happening.ROUTED, record_id=47000001, route_before=("trunk:144",), route_after=("sip:backup@example.net",))
BY_A_PERSON = Happened(what=Happening.BOUGHT, by="person")


def recorded(ledger: Ledger, number: str = NUMBER) -> History:
    return ledger.run(script_calls.history(number))


def words(ledger: Ledger) -> list[str]:
    return [str(entry.happened.what) for entry in recorded(ledger).entries]


def begun(ledger: Ledger) -> Claim:
    return claimed(ledger, submitted(ledger, reference="Zoë's 9").id)


def tell(ledger: Ledger, *happenings: Happening | Happened, claim: Claim | None = None) -> None:
    """Each by a job of its own, if there is none."""
    for count, one in enumerate(happenings, 1):
        happened = one if isinstance(one, Happened) else Happened(what=one)
        assert ledger.save(claim or begun(ledger), count, Write("told", history={NUMBER: happened})) == Saved()


def test_a_number_without_a_history_has_none(ledger: Ledger) -> None:
    assert recorded(ledger) == History(NUMBER, (), 0, "", ())


def test_an_entry_has_its_time_job_reference_and_change(real_ledger: Ledger) -> None:
    claim = begun(real_ledger)
    tell(real_ledger, AWAY, claim=claim)
    history = recorded(real_ledger)
    (entry,) = history.entries
    assert (entry.n, entry.job, entry.kind, entry.account, entry.reference) == (
        1,
        claim.job_id,
        "search_and_buy",
        "default",
        "Zoë's 9",
    )
    assert entry.happened == AWAY
    assert abs(entry.at.timestamp() * 1000 - real_ledger.now_ms()) < 10_000
    assert (history.faults, history.anchor) == ((), f"1:{entry.hash}")


def test_a_write_that_fails_adds_no_entry(ledger: Ledger) -> None:
    old = claimed(ledger, submitted(ledger).id, "worker-1", lease_ms=1)
    holder, asker = begun(ledger), begun(ledger)
    ledger.client.hincrby(ledger.keys.job(old.job_id), "token", 1)
    assert ledger.save(old, 1, Write("late", history={NUMBER: AWAY})) == LeaseLost()
    assert not ledger.finish(old, JobState.FAILED, DONE, history={NUMBER: AWAY})
    assert quarantine(ledger, old, [NUMBER]) is None
    ledger.save(holder, 1, Write("bind", reserve=[NUMBER]))
    assert ledger.save(asker, 1, Write("bind", reserve=[NUMBER], history={NUMBER: AWAY})) == NumbersReserved((NUMBER,))
    assert recorded(ledger).entries == ()


def test_a_job_says_the_same_of_a_number_once_and_another_job_says_it_again(ledger: Ledger) -> None:
    one, other = begun(ledger), begun(ledger)
    tell(ledger, AWAY, AWAY, claim=one)
    tell(ledger, AWAY, Happening.NOT_CONFIRMED, AWAY, claim=other)
    assert words(ledger) == ["routed", "routed", "not_confirmed", "routed"]


def test_a_release_is_recorded_from_its_quarantine_on(ledger: Ledger) -> None:
    claim = begun(ledger)
    for _ in range(2):
        assert quarantine(ledger, claim, [NUMBER, "+12135550101"]) == frozenset()
    tell(ledger, Happening.RELEASED, claim=claim)
    assert words(ledger) == ["quarantined", "released"]
    assert len(recorded(ledger, "+12135550101").entries) == 1


def test_what_a_person_found_out_is_recorded_as_a_person_s(ledger: Ledger) -> None:
    claim = begun(ledger)
    assert ledger.finish(claim, JobState.NEEDS_REVIEW, DONE, history={NUMBER: Happened(what=Happening.UNCLEAR)})
    found = script_calls.resolve(
        claim.job_id,
        int(claim.token),
        JobState.SUCCEEDED,
        DONE,
        bought=Spend(),
        detail="",
        happened={NUMBER: BY_A_PERSON},
    )
    assert [ledger.run(found), ledger.run(found)] == [Resolved(), Resolved()]
    given = submitted(ledger)
    ledger.run(script_calls.give(given.id, "+12135550101", 47000002, 1, '{"status":"kept"}', BY_A_PERSON, "ann"))
    assert [(entry.happened.what, entry.happened.by) for entry in recorded(ledger).entries] == [("unclear", None), ("bought", "person")]
    assert recorded(ledger, "+12135550101").entries[0].happened == BY_A_PERSON


def test_what_a_person_accepted_is_recorded_once_for_each_purchase_of_the_number(real_ledger: Ledger) -> None:
    gate = Gate(real_ledger)
    accepted = [gate.accept("default", {NUMBER: record}, ["+12135550101"]) for record in (47000001, 47000001, 47000002)]
    assert accepted == [2, 0, 1]
    entries = recorded(real_ledger).entries
    assert [(entry.job, entry.kind, entry.account, entry.reference) for entry in entries] == [(None, "reconcile", "default", None)] * 2
    assert [entry.happened for entry in entries] == [
        Happened(what=Happening.ACCEPTED, record_id=record, by="person") for record in (47000001, 47000002)
    ]
    (in_cart,) = recorded(real_ledger, "+12135550101").entries
    assert in_cart.happened == Happened(what=Happening.ACCEPTED_IN_CART, by="person")
    assert recorded(real_ledger).faults == recorded(real_ledger, "+12135550101").faults == ()


def test_the_history_of_what_was_accepted_is_kept_as_long_as_the_number_is_ours(ledger: Ledger) -> None:
    short = Ledger(ledger.client, ledger.keys.namespace, shebang=ledger.commands.shebang, history_ms=0)
    Gate(ledger).accept("default", {NUMBER: 47000001}, ["+12135550101"])
    assert short.forget_histories() == 1
    assert (words(ledger), recorded(ledger, "+12135550101").entries) == (["accepted"], ())


def test_a_number_that_is_given_to_a_job_is_recorded_for_that_job_only(ledger: Ledger) -> None:
    given = submitted(ledger)
    ledger.run(script_calls.give(given.id, NUMBER, 47000001, 1, '{"status":"kept"}', BY_A_PERSON, "ann"))
    assert [(entry.job, entry.happened.what) for entry in recorded(ledger).entries] == [(given.id, "bought")]
    assert Gate(ledger).accepted("default") == {"47000001"}


Edit = Callable[[Ledger, list[str]], object]


def changed(ledger: Ledger, entries: list[str]) -> None:
    ledger.client.lset(ledger.keys.history_of(NUMBER), 1, entries[1].replace("backup@", "fraud@"))


def hashed_again(ledger: Ledger, entries: list[str]) -> None:
    """An edit that fixes the hash in the next entry still breaks that of the one behind it, or the head's."""
    before = recorded(ledger).entries[1].hash
    changed(ledger, entries)
    after = recorded(ledger).entries[1].hash
    assert before != after
    ledger.client.lset(ledger.keys.history_of(NUMBER), 2, entries[2].replace(before, after))


def put_in(ledger: Ledger, entries: list[str]) -> None:
    ledger.client.linsert(ledger.keys.history_of(NUMBER), "AFTER", entries[0], entries[0])


def taken_out(ledger: Ledger, entries: list[str]) -> None:
    ledger.client.lrem(ledger.keys.history_of(NUMBER), 1, entries[1])


def cut_off(ledger: Ledger, entries: list[str]) -> None:
    ledger.client.rpop(ledger.keys.history_of(NUMBER))


def cut_off_at_the_old_end(ledger: Ledger, entries: list[str]) -> None:
    ledger.client.lpop(ledger.keys.history_of(NUMBER))


def swapped(ledger: Ledger, entries: list[str]) -> None:
    for place, text in ((0, entries[1]), (1, entries[0])):
        ledger.client.lset(ledger.keys.history_of(NUMBER), place, text)


def deleted(ledger: Ledger, entries: list[str]) -> None:
    ledger.client.delete(ledger.keys.history_of(NUMBER))


def headless(ledger: Ledger, entries: list[str]) -> None:
    ledger.client.hdel(ledger.keys.history, NUMBER)


def of_another_number(ledger: Ledger, entries: list[str]) -> None:
    ledger.client.rename(ledger.keys.history_of(NUMBER), ledger.keys.history_of("+12135550101"))
    ledger.client.hset(ledger.keys.history, "+12135550101", str(ledger.client.hget(ledger.keys.history, NUMBER)))
    assert len(recorded(ledger, "+12135550101").faults) == 3, "each hash is of its number too"


def no_entry(ledger: Ledger, entries: list[str]) -> None:
    ledger.client.lset(ledger.keys.history_of(NUMBER), 0, "\x00nothing")


EDITS: tuple[Edit, ...] = (
    changed,
    hashed_again,
    put_in,
    taken_out,
    cut_off,
    cut_off_at_the_old_end,
    swapped,
    deleted,
    headless,
    of_another_number,
    no_entry,
)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_by_hand_shows_and_stops_no_job(real_ledger: Ledger, edit: Edit) -> None:
    tell(real_ledger, Happening.BOUGHT, AWAY, Happening.NOT_CONFIRMED)
    assert recorded(real_ledger).faults == ()
    edit(real_ledger, cast("list[str]", real_ledger.client.lrange(real_ledger.keys.history_of(NUMBER), 0, -1)))
    assert recorded(real_ledger).faults
    tell(real_ledger, Happening.RELEASED)
    assert recorded(real_ledger).faults, "what is recorded later doesn't hide it"
    assert words(real_ledger)[-1] == "released"


def test_a_word_of_a_later_version_is_read_and_no_fault(real_ledger: Ledger) -> None:
    tell(real_ledger, Happened(what="handed_out"), AWAY)
    assert (words(real_ledger), recorded(real_ledger).faults) == (["handed_out", "routed"], ())


def test_keys_of_another_type_keep_no_job_from_writing(ledger: Ledger) -> None:
    ledger.client.set(ledger.keys.history_of(NUMBER), "another type")
    tell(ledger, AWAY)
    ledger.client.delete(ledger.keys.history)
    ledger.client.set(ledger.keys.history, "another type")
    tell(ledger, AWAY)


def test_the_chain_holds_across_the_cut_and_so_does_an_anchor(real_ledger: Ledger) -> None:
    claim = begun(real_ledger)
    anchors = []
    for count in range(MOST + 3):
        happened = AWAY if count % 2 else Happened(what=Happening.NOT_CONFIRMED)
        real_ledger.save(claim, count + 1, Write("told", history={NUMBER: happened}))
        anchors.append(recorded(real_ledger).anchor)
    history = recorded(real_ledger)
    assert (len(history.entries), history.dropped, history.faults) == (MOST, 3, ())
    assert [entry.n for entry in history.entries] == list(range(4, MOST + 4))
    assert [history.holds(anchor) for anchor in anchors] == [None, None, *[True] * (MOST + 1)]
    assert not history.holds(f"{MOST}:{'0' * 40}")
    assert not history.holds(f"{MOST + 9}:{'0' * 40}"), "an entry that was there and isn't"
    with pytest.raises(InvalidRequest, match="anchor"):
        history.holds("yesterday")


def test_a_recomputed_chain_is_detected_by_an_anchor(real_ledger: Ledger) -> None:
    tell(real_ledger, Happening.BOUGHT, AWAY)
    anchor = recorded(real_ledger).anchor
    real_ledger.client.delete(real_ledger.keys.history, real_ledger.keys.history_of(NUMBER))
    tell(real_ledger, Happening.BOUGHT, AWAY)
    assert (recorded(real_ledger).faults, recorded(real_ledger).holds(anchor)) == ((), False)


def test_a_history_outlives_its_job_and_the_number_by_the_time_that_is_set(ledger: Ledger) -> None:
    short = Ledger(ledger.client, ledger.keys.namespace, shebang=ledger.commands.shebang, retention_ms=0, history_ms=0)
    claim = begun(short)
    tell(short, Happening.BOUGHT, claim=claim)
    assert short.finish(claim, JobState.SUCCEEDED, DONE)
    assert short.sweep(max_crashes=5).deleted == 1
    assert (short.forget_histories(), words(ledger)) == (0, ["bought"]), "it is ours, however old"
    tell(short, Happening.RELEASED)
    assert (ledger.forget_histories(), words(ledger)) == (0, ["bought", "released"])
    assert (short.forget_histories(), recorded(ledger).entries) == (1, ())


def test_a_number_that_is_bought_again_keeps_its_history(ledger: Ledger) -> None:
    short = Ledger(ledger.client, ledger.keys.namespace, shebang=ledger.commands.shebang, history_ms=0)
    tell(short, Happening.RELEASED, Happening.BOUGHT)
    assert (short.forget_histories(), words(ledger)) == (0, ["released", "bought"])


def test_both_clients_show_it_and_accept_a_number_as_people_write_it(real_ledger: Ledger, valkey: EmbeddedValkey, namespace: str) -> None:
    tell(real_ledger, Happening.BOUGHT, AWAY)
    didflow = Didflow(real_ledger.client, namespace)
    history = didflow.history("+1 (213) 555-0100")
    assert [entry.happened.what for entry in history.entries] == [Happening.BOUGHT, Happening.ROUTED]
    assert list(didflow.histories()) == [history]
    with pytest.raises(InvalidRequest):
        didflow.history("12")

    async def asked() -> list[History]:
        client = AsyncDidflow(connect_async(valkey.url), namespace)
        found = [await client.history(NUMBER), *[one async for one in client.histories()]]
        await client.aclose()
        return found

    assert asyncio.run(asked()) == [history, history]
