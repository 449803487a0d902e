"""Failover plans: whichever worker refreshes them, however many do, the newest good numbers of the newest version are the plan's."""

import pytest

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import Destination
from didflow.contract.errors import PlanNotFound
from didflow.contract.jobs import Job
from didflow.contract.requests import Reroute, Selector
from didflow.contract.results import NumberResult, Quote, Result, Summary, Totals
from didflow.contract.states import JobState, Lane
from didflow.ledger.failover_plans import FailoverPlans
from didflow.ledger.ledger import Ledger
from didflow.ledger.replies import Saved
from tests.support.ledger_roles import claimed
from worker.jobs.reroute.route_change import RouteChange
from worker.process.plan_refresh import PlanRefresher

MOVE = Reroute(selector=Selector(trunk_id=144), destinations=(Destination.sip("backup@example.net"),), canary=5, max_fraction=0.5)


@pytest.fixture
def plans(ledger: Ledger) -> FailoverPlans:
    return FailoverPlans(ledger)


def saved(plans: FailoverPlans, name: str = "evening") -> None:
    plans.save(name, "default", MOVE, "ops@noc", first_s=0)


def look(ledger: Ledger, every_s: float = 600.0) -> None:
    """As a worker process of its own."""
    PlanRefresher(ledger, every_s=every_s).look()


def jobs(ledger: Ledger) -> list[str]:
    return [view.id for view in ledger.perform(ledger.commands.find(state=JobState.QUEUED))]


def ended(ledger: Ledger, job_id: str, *numbers: str) -> None:
    """The dry run found these numbers; none: it failed."""
    claim = claimed(ledger, job_id, claimant=f"worker-{job_id}")
    quote = Quote(numbers=tuple(NumberResult(number=number, record_id=47_000_000 + place) for place, number in enumerate(numbers)))
    state, result = JobState.SUCCEEDED, Result(totals=Totals(requested=len(numbers), done=0), quote=quote)
    if not numbers:
        state, result = JobState.FAILED, Result(totals=Totals(requested=0, done=0))
    assert ledger.finish(claim, state, result)


def test_a_due_plan_is_read_by_one_job_however_many_workers_look(ledger: Ledger, plans: FailoverPlans) -> None:
    saved(plans)
    for _ in range(3):
        look(ledger)
    (job_id,) = jobs(ledger)
    view = ledger.get(job_id)
    assert isinstance(view.request, Reroute)
    assert (view.lane, view.request.dry_run, view.request.canary) == (Lane.BULK, True, None)
    assert view.request.max_fraction == 0.5, "the plan's guards hold for it"
    assert plans.get("evening").job == job_id


def test_its_numbers_are_taken_in_and_the_job_goes_soon(ledger: Ledger, plans: FailoverPlans) -> None:
    saved(plans)
    look(ledger)
    (job_id,) = jobs(ledger)
    ended(ledger, job_id, "+12135550100", "+12135550101")
    look(ledger)
    plan = plans.get("evening")
    assert (plan.numbers, plan.count) == ({"+12135550100": 47000000, "+12135550101": 47000001}, 2)
    assert (plan.job, plan.trouble, plan.request, plan.saved_by) == (None, None, MOVE, "ops@noc")
    until_ms = ledger.client.zscore(ledger.keys.namespace + ":retention", job_id)
    assert until_ms is not None
    assert until_ms < ledger.now_ms() + 3_600_000
    assert plans.all()[0].numbers == {}, "a list of plans doesn't read them"


def test_a_refresh_that_fails_leaves_the_last_good_numbers_and_says_why(ledger: Ledger, plans: FailoverPlans) -> None:
    saved(plans)
    look(ledger, every_s=0.0)
    ended(ledger, jobs(ledger)[0], "+12135550100")
    look(ledger, every_s=0.0)
    good = plans.get("evening")
    ended(ledger, jobs(ledger)[0])
    look(ledger)
    plan = plans.get("evening")
    assert (plan.numbers, plan.resolved_at) == (good.numbers, good.resolved_at)
    assert plan.trouble is not None
    assert plan.trouble_at is not None


def test_a_job_from_before_a_new_save_reports_nothing_to_the_new_plan(ledger: Ledger, plans: FailoverPlans) -> None:
    saved(plans)
    look(ledger)
    (old,) = jobs(ledger)
    saved(plans)
    ended(ledger, old, "+12135550100")
    look(ledger)
    assert plans.get("evening").numbers == {}
    assert old not in plans.open_jobs()


def test_a_reading_that_began_before_another_does_not_take_its_place(ledger: Ledger, plans: FailoverPlans) -> None:
    saved(plans)
    plan = plans.get("evening")
    first, second = (plans.submit_refresh(plan, slot) for slot in (1, 2))
    for job, number in ((first, "+12135550100"), (second, "+12135550101")):
        read(ledger, job, number)
    for job in (second, first):
        plans.resolved("evening", plan.version, job.id, ledger.get(job.id))
    assert set(plans.get("evening").numbers) == {"+12135550101"}


def read(ledger: Ledger, job: Job, number: str) -> None:
    before_ms = ledger.now_ms()
    while ledger.now_ms() <= before_ms:  # The two begin in different milliseconds.
        pass
    ended(ledger, job.id, number)


def test_one_that_waits_for_the_provider_is_not_joined_by_another(ledger: Ledger, plans: FailoverPlans) -> None:
    saved(plans)
    look(ledger, every_s=0.0)
    look(ledger, every_s=0.0)
    assert len(jobs(ledger)) == 1


def test_a_plan_that_this_version_cannot_read_stops_no_other(ledger: Ledger, plans: FailoverPlans) -> None:
    saved(plans, "damaged")
    ledger.client.hset(ledger.keys.plan("damaged"), "spec", '{"account":"default","request":{"v":9}}')
    saved(plans)
    look(ledger)
    assert [ledger.get(job_id).reference for job_id in jobs(ledger)] == ["plan:evening"]
    look(ledger)
    assert "damaged" not in dict(plans.due())


def test_a_deleted_plan_is_gone_for_the_workers_too(ledger: Ledger, plans: FailoverPlans) -> None:
    saved(plans)
    plans.delete("evening")
    ledger.client.zadd(ledger.keys.plans, {"evening": 1})
    look(ledger)
    assert (plans.due(), jobs(ledger)) == ([], [])
    for call in (plans.get, plans.delete):
        with pytest.raises(PlanNotFound):
            call("evening")


def ended_large(ledger: Ledger, job_id: str) -> None:
    """The dry run found more numbers than a result shows: they are on pages."""
    claim = claimed(ledger, job_id, claimant=f"worker-{job_id}")
    move = RouteChange(number="+12135550100", record_id=47_000_000, before=(), target=())
    assert ledger.save(claim, 1, Write("snapshot", numbers={move.number: move.model_dump_json()}, pages={0: (move.number,)})) == Saved()
    result = Result(totals=Totals(requested=1, done=0), quote=Quote(numbers=()), summary=Summary(pages=1, outcomes={"would_be_done": 1}))
    assert ledger.finish(claim, JobState.SUCCEEDED, result)


def goes_soon(ledger: Ledger, job_id: str) -> bool:
    until_ms = ledger.client.zscore(ledger.keys.namespace + ":retention", job_id)
    return until_ms is not None and until_ms < ledger.now_ms() + 3_600_000


def test_a_large_dry_run_is_kept_until_the_next_one_has_come(ledger: Ledger, plans: FailoverPlans) -> None:
    saved(plans)
    read: list[str] = []
    for _ in range(2):
        look(ledger, every_s=0.0)
        read += jobs(ledger)
        ended_large(ledger, read[-1])
        PlanRefresher(ledger, every_s=600.0).look()
        ledger.client.zadd(ledger.keys.plans, {"evening": 0})
    assert plans.get("evening").snapshot == read[1]
    assert plans.get("evening").numbers == {"+12135550100": 47_000_000}
    assert [goes_soon(ledger, job_id) for job_id in read] == [True, False]
    look(ledger)
    ended(ledger, jobs(ledger)[0])
    look(ledger)
    assert plans.get("evening").snapshot == read[1], "one that fails leaves the last good one"
    assert not goes_soon(ledger, read[1])


@pytest.mark.parametrize("how", ["deleted", "saved again"])
def test_the_dry_run_of_a_plan_that_is_no_more_goes_soon(ledger: Ledger, plans: FailoverPlans, how: str) -> None:
    saved(plans)
    look(ledger)
    (job_id,) = jobs(ledger)
    ended_large(ledger, job_id)
    look(ledger)
    assert not goes_soon(ledger, job_id)
    if how == "deleted":
        plans.delete("evening")
    else:
        saved(plans)
        assert plans.get("evening").snapshot is None
    assert goes_soon(ledger, job_id)
