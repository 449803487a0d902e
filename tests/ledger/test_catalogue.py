"""The catalogue in the ledger is bounded: how old, how many, how long together; and a newer look stays."""

import threading

from didflow.contract.catalogue import Look
from didflow.contract.provider import Country
from didflow.contract.requests import CatalogueLook
from didflow.contract.states import JobState
from didflow.ledger.catalogue import ask, keep, kept_look, look_text
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.script_calls import Call
from tests.support.ledger_roles import DONE, claimed, submitted

KEPT_MS = 60_000


def look(question: str, began_ms: int, name: str = "Germany") -> Look:
    return Look(account="default", question=question, job_id="j", began_ms=began_ms, countries=(Country(id=1, name=name),))


def kept(ledger: Ledger, claim: Claim, one: Look, *, most: int = 10, kept_ms: int = KEPT_MS) -> bool:
    return ledger.run(keep(claim.job_id, claim.token, one, look_text(one), kept_ms=kept_ms, most=most))


def questions(ledger: Ledger) -> set[str]:
    return set(ledger.client.hkeys(ledger.keys.catalogue_looks("default")))  # type: ignore[arg-type]


def check_sums(ledger: Ledger) -> None:
    looks = ledger.client.hgetall(ledger.keys.catalogue_looks("default"))
    assert set(looks) == set(ledger.client.zrange(ledger.keys.catalogue_began("default"), 0, -1))
    assert int(ledger.client.get(ledger.keys.catalogue_bytes("default")) or 0) == sum(map(len, looks.values()))


def test_the_oldest_looks_go_where_there_are_too_many(real_ledger: Ledger) -> None:
    claim, now_ms = claimed(real_ledger, submitted(real_ledger).id), real_ledger.now_ms()
    for place in range(15):
        assert kept(real_ledger, claim, look(f"offers.1.{place}", now_ms - 1000 + place))
    assert questions(real_ledger) == {f"offers.1.{place}" for place in range(5, 15)}
    check_sums(real_ledger)


def test_the_oldest_looks_go_where_they_are_too_long_together(real_ledger: Ledger) -> None:
    claim, now_ms = claimed(real_ledger, submitted(real_ledger).id), real_ledger.now_ms()
    for place in range(5):
        one = look(f"offers.1.{place}", now_ms - 1000 + place, name="x" * 1000)
        args = (claim.job_id, claim.token, one.question, one.began_ms, look_text(one), KEPT_MS, 100, 3 * len(look_text(one)) + 10)
        assert real_ledger.run(Call("catalogue_keep", args, str)) == "ok"
    assert questions(real_ledger) == {f"offers.1.{place}" for place in (2, 3, 4)}
    check_sums(real_ledger)


def test_a_look_is_dropped_when_it_is_too_old(real_ledger: Ledger) -> None:
    claim, now_ms = claimed(real_ledger, submitted(real_ledger).id), real_ledger.now_ms()
    assert kept(real_ledger, claim, look("countries", now_ms - 2 * KEPT_MS))
    assert kept(real_ledger, claim, look("regions.1", now_ms))
    assert questions(real_ledger) == {"regions.1"}
    assert 0 < real_ledger.client.pttl(real_ledger.keys.catalogue_looks("default")) <= KEPT_MS
    check_sums(real_ledger)


def test_an_older_look_that_comes_late_changes_nothing(real_ledger: Ledger) -> None:
    claim, now_ms = claimed(real_ledger, submitted(real_ledger).id), real_ledger.now_ms()
    assert kept(real_ledger, claim, look("countries", now_ms, name="France"))
    assert kept(real_ledger, claim, look("countries", now_ms - 10, name="Germany"))
    found = real_ledger.perform(kept_look(real_ledger.keys, "default", "countries"))
    assert found is not None
    assert found.countries[0].name == "France"
    check_sums(real_ledger)


def test_a_worker_that_lost_its_lease_keeps_nothing(real_ledger: Ledger) -> None:
    claim = claimed(real_ledger, submitted(real_ledger).id)
    real_ledger.finish(claim, JobState.SUCCEEDED, DONE)
    assert not kept(real_ledger, claim, look("countries", real_ledger.now_ms()))
    assert questions(real_ledger) == set()


def test_fifty_askers_at_once_submit_one_job_and_after_its_end_another(real_ledger: Ledger) -> None:
    found: list[str] = []

    def asker() -> None:
        question = ask("default", CatalogueLook(what="countries"), max_age_ms=1000, submit=True, actor="ann")
        found.append(real_ledger.run(question).job_id)

    def ask_at_once() -> set[str]:
        found.clear()
        threads = [threading.Thread(target=asker) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return set(found)

    (first,) = ask_at_once()
    real_ledger.finish(claimed(real_ledger, first), JobState.FAILED, DONE)
    (second,) = ask_at_once()
    assert second != first
