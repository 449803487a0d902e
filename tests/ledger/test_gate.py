"""The ledger on another server: what ran can't write, and no money moves until the account was let through."""

import json

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import Destination
from didflow.contract.requests import Release, Reroute
from didflow.contract.states import JobState
from didflow.ledger.gate import Findings, Gate, Turn
from didflow.ledger.ledger import Ledger
from didflow.ledger.replies import ClaimRefused, GateClosed, LeaseLost, LeaseState, Saved
from didflow.ledger.script_calls import Submission
from tests.support.gate import gate_events, restart
from tests.support.ledger_roles import LEASE_MS, claimed, finished, states, stream, submitted, wait_until_ms

OPEN = Write("bind", phase="bound", checkpoint="{}", reserve=["+1"], unsettled=True)


def turn(ledger: Ledger, account: str = "default", checker: str = "worker-1") -> Turn:
    taken = Gate(ledger).take_turn(account, checker, turn_ms=60_000)
    assert taken is not None
    return taken


def test_a_fresh_ledger_is_open_whichever_client_comes_first(ledger: Ledger) -> None:
    assert Gate(ledger).take_turn("default", "worker-1", turn_ms=1000) is None
    assert not Gate(ledger).closed("default")
    claim = claimed(ledger, submitted(ledger).id)
    assert not claim.gate_closed
    assert ledger.save(claim, 1, Write("fence", money=True)) == Saved()


def test_an_attempt_of_before_the_restart_can_write_nothing(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    restart(ledger)
    assert ledger.save(claim, 1, Write("fence", money=True)) == LeaseLost()
    ledger.sweep(max_crashes=5)
    assert ledger.save(claim, 1, Write("checkout_yes")) == LeaseLost()
    assert not finished(ledger, claim)
    assert ledger.renew([(claim.job_id, claim.token)], lease_ms=LEASE_MS) == {(claim.job_id, claim.token): LeaseState.LOST}


def test_what_ran_is_due_again_at_once_and_no_attempt_or_crash_is_counted(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    ledger.save(claim, 1, OPEN)
    restart(ledger)
    for _ in range(2):
        ledger.sweep(max_crashes=5)
    assert (ledger.get(claim.job_id).state, ledger.get(claim.job_id).attempt) == (JobState.QUEUED, 0)
    again = claimed(ledger, claim.job_id, "worker-2")
    assert again.fields["crashes"] == "0"
    assert again.epoch != claim.epoch
    assert again.gate_closed


def test_a_token_that_was_lost_is_not_given_to_another(ledger: Ledger) -> None:
    """The claim itself was lost: the server knows the job as it was before, and its counter stands where it stood."""
    job = submitted(ledger)
    zombie = claimed(ledger, job.id)
    ledger.client.hset(ledger.keys.job(job.id), mapping={"token": "0", "state": "queued", "owner": ""})
    restart(ledger)
    assert Gate(ledger).let_through(turn(ledger), "default")
    other = claimed(ledger, job.id, "worker-2")
    assert other.token != zombie.token
    assert ledger.save(zombie, 1, Write("fence", money=True)) == LeaseLost()
    assert ledger.save(other, 1, Write("fence", money=True)) == Saved()


def test_while_the_gate_is_closed_purchases_and_releases_wait_and_all_go_on_when_it_opens(ledger: Ledger) -> None:
    buying = submitted(ledger)
    giving = ledger.submit(Submission(Release(numbers=("+12135550100",))))
    moving = ledger.submit(Submission(Reroute(numbers=("+12135550100",), destinations=(Destination.sip("pbx@example.net"),))))
    restart(ledger)
    turn(ledger)
    claimed(ledger, moving.id)
    for job in (buying, giving):
        assert ledger.claim(job.id, "worker-1", lease_ms=LEASE_MS) == ClaimRefused(job.id, "reconciling")
        assert (ledger.get(job.id).state, ledger.get(job.id).reason) == (JobState.WAITING, "reconciling")
    assert Gate(ledger).let_through(turn(ledger), "default")
    wait_until_ms(ledger, ledger.now_ms())
    assert ledger.sweep(max_crashes=5).nudged == 2
    for job in (buying, giving):
        assert not claimed(ledger, job.id).gate_closed


def test_an_open_purchase_runs_while_it_is_closed_but_writes_no_fence(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    ledger.save(claim, 1, OPEN)
    restart(ledger)
    again = claimed(ledger, claim.job_id, "worker-2")
    assert ledger.save(again, 1, Write("fence", phase="carted", money=True)) == GateClosed()
    assert ledger.get(claim.job_id).phase == "bound", "nothing of it was written"
    assert turn(ledger).open_jobs == 1
    assert not Gate(ledger).let_through(turn(ledger), "default")
    ledger.save(again, 2, Write("settled", phase="new", unsettled=False))
    assert turn(ledger).open_jobs == 0
    assert Gate(ledger).let_through(turn(ledger), "default")
    assert ledger.save(again, 3, Write("fence", money=True)) == Saved()


def test_an_event_of_after_a_restart_has_an_id_that_no_lost_event_had(ledger: Ledger) -> None:
    job = submitted(ledger)
    remembered = ledger.client.hget(ledger.keys.job(job.id), "seq")
    finished(ledger, claimed(ledger, job.id))
    (lost,) = stream(ledger, "results")
    ledger.client.hset(ledger.keys.job(job.id), mapping={"token": "0", "state": "queued", "owner": "", "seq": str(remembered)})
    restart(ledger)
    turn(ledger, "other")
    finished(ledger, claimed(ledger, job.id, "worker-2"), JobState.PARTIAL)
    assert lost["id"] != stream(ledger, "results")[-1]["id"]


def test_a_parked_purchase_keeps_no_gate_closed(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    ledger.save(claim, 1, OPEN)
    finished(ledger, claim, JobState.NEEDS_REVIEW)
    restart(ledger)
    assert turn(ledger).open_jobs == 0


def test_each_account_has_its_own_gate(ledger: Ledger) -> None:
    one, other = submitted(ledger), submitted(ledger, account="other")
    restart(ledger)
    assert Gate(ledger).let_through(turn(ledger), "default")
    assert (Gate(ledger).closed("default"), Gate(ledger).closed("other")) == (False, True)
    claimed(ledger, one.id)
    turn(ledger, "other")
    assert ledger.claim(other.id, "worker-1", lease_ms=LEASE_MS) == ClaimRefused(other.id, "reconciling")


def test_a_job_whose_account_no_worker_serves_is_taken_but_moves_no_money(ledger: Ledger) -> None:
    job = submitted(ledger, account="misspelt")
    restart(ledger)
    turn(ledger)
    claim = claimed(ledger, job.id)
    assert claim.gate_closed
    assert ledger.save(claim, 1, Write("fence", money=True)) == GateClosed()


def test_closing_and_opening_are_emitted_once_each(ledger: Ledger) -> None:
    submitted(ledger)
    restart(ledger)
    for _ in range(3):
        ledger.sweep(max_crashes=5)
    mine = turn(ledger)
    assert [Gate(ledger).let_through(mine, "default") for _ in range(2)] == [True, False]
    assert gate_events(ledger) == ["didflow.ledger.gate_closed.v1", "didflow.ledger.gate_opened.v1"]


def test_one_process_looks_at_a_time_and_another_after_its_turn(ledger: Ledger) -> None:
    submitted(ledger)
    restart(ledger)
    turn_ms = 500  # A busy machine may take longer than 20 ms between two calls.
    first = Gate(ledger).take_turn("default", "worker-1", turn_ms=turn_ms)
    assert first is not None
    assert Gate(ledger).take_turn("default", "worker-2", turn_ms=turn_ms) is None
    wait_until_ms(ledger, ledger.now_ms() + turn_ms)
    assert Gate(ledger).take_turn("default", "worker-2", turn_ms=turn_ms) == first


def test_a_second_restart_makes_what_was_found_out_before_it_stale(ledger: Ledger) -> None:
    submitted(ledger)
    restart(ledger)
    first = turn(ledger)
    restart(ledger)
    assert not Gate(ledger).let_through(first, "default")
    assert not Gate(ledger).record(first, Findings("default", {"+1": 1}))
    second = turn(ledger)
    assert second.epoch > first.epoch
    assert second.after_ms == first.after_ms, "what the first may have lost was never looked for"
    assert Gate(ledger).let_through(second, "default")


def test_what_was_last_known_to_be_kept_is_the_time_of_the_last_sweep_before(ledger: Ledger) -> None:
    submitted(ledger)
    ledger.client.hset(ledger.keys.epoch, "alive_ms", "1000")
    ledger.sweep(max_crashes=5)
    alive_ms = int(str(ledger.client.hget(ledger.keys.epoch, "alive_ms")))
    assert ledger.now_ms() - alive_ms < 5000
    restart(ledger)
    assert turn(ledger).after_ms == alive_ms


def test_jobs_without_an_epoch_are_doubted_from_the_first_of_them_on(ledger: Ledger) -> None:
    job = submitted(ledger)
    ledger.client.delete(ledger.keys.epoch)
    assert turn(ledger).after_ms == int(str(ledger.client.hget(ledger.keys.job(job.id), "created_ms")))


def test_findings_are_emitted_once_and_accepted_by_a_person(ledger: Ledger) -> None:
    submitted(ledger)
    restart(ledger)
    mine, found = turn(ledger), Findings("default", {"+12135550100": 47}, ("+12135550101",), ("job",))
    assert [Gate(ledger).record(mine, found) for _ in range(2)] == [True, False]
    assert Gate(ledger).findings("default") == found
    reported = [json.loads(entry["data"]) for entry in stream(ledger, "events") if entry["type"] == "didflow.ledger.gate_findings.v1"]
    assert [one["owned"] for one in reported] == [{"+12135550100": 47}]
    assert Gate(ledger).accept("default", found.owned, found.in_cart) == 2
    assert Gate(ledger).accepted("default") == {"47", "+12135550101"}


def test_a_job_that_is_called_off_is_wound_up_behind_a_closed_gate(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    ledger.save(claim, 1, Write("settled", phase="new", unsettled=False))
    restart(ledger)
    ledger.client.hset(ledger.keys.job(claim.job_id), "cancel", "1")
    assert claimed(ledger, claim.job_id, "worker-2").gate_closed
    assert states(ledger, "results") == []
