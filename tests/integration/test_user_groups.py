"""Onboarding, failover and churn in their own words: real ledger, real jobs, a sandbox."""

from decimal import Decimal

import pytest

from didflow import Destination, Didflow, IdempotencyConflict, InvalidRequest, JobNotFound, JobState, Release, SearchAndBuy, WrongJob
from didflow.contract.requests import Selector
from producers.churn import Churn
from producers.failover import Failover
from producers.onboarding import Fulfilment, Onboarding
from tests.support.inline_worker import InlineWorker, outcomes
from tests.support.working_thread import working

TORONTO = SearchAndBuy(country="CA", city=("TORONTO, ON",), quantity=2)
PBX = (Destination.sip("pbx@example.net"),)


@pytest.fixture
def didflow(inline: InlineWorker) -> Didflow:
    return Didflow(inline.ledger.client, inline.settings.namespace)


def fulfilled(onboarding: Onboarding, consumer: str = "crm-1") -> list[Fulfilment]:
    return list(onboarding.fulfilments(consumer, block_s=0.05, give_up_idle=True))


def test_an_order_is_one_purchase_and_its_fulfilment_comes_until_acknowledged(inline: InlineWorker, didflow: Didflow) -> None:
    onboarding = Onboarding(didflow)
    job = onboarding.order("4711", TORONTO, customer="acme")
    assert onboarding.order("4711", TORONTO, customer="acme").id == job.id
    with pytest.raises(IdempotencyConflict):
        onboarding.order("4711", SearchAndBuy(country="US"))
    found = onboarding.find("4711")
    assert found is not None
    assert (found.id, onboarding.find("4712"), Onboarding(didflow, account="reseller").find("4711")) == (job.id, None, None)
    inline.finish(job)
    (first,) = fulfilled(onboarding)
    (again,) = fulfilled(onboarding)
    assert again.order == first.order == "4711"
    assert (again.customer, again.state, len(again.active), again.inactive) == ("acme", JobState.SUCCEEDED, 2, ())
    assert again.charged_usd == inline.sandbox.charged_usd() > 0
    again.ack()
    assert fulfilled(onboarding) == []


def test_numbers_that_wait_for_documents_and_numbers_not_bought_are_distinguished(inline: InlineWorker, didflow: Didflow) -> None:
    onboarding = Onboarding(didflow)
    inline.finish(onboarding.order("de", SearchAndBuy(country="DE", documents="allow_inactive")))
    inline.finish(onboarding.order("never", SearchAndBuy(country="US", max_monthly_usd=Decimal("0.01"))))
    inactive, nothing = fulfilled(onboarding)
    assert (len(inactive.active), len(inactive.inactive)) == (0, 1)
    assert inactive.inactive[0].documents_needed
    assert (nothing.state, nothing.active, nothing.charged_usd) == (JobState.FAILED, (), Decimal(0))
    assert nothing.error is not None


def test_results_of_other_jobs_are_passed_over_and_not_left_pending(inline: InlineWorker, didflow: Didflow) -> None:
    inline.finish(inline.submit(TORONTO, "not-an-order"))
    assert fulfilled(Onboarding(didflow)) == []
    groups = inline.ledger.client.xinfo_groups(inline.ledger.keys.results)
    assert [group["pending"] for group in groups] == [0]


def test_an_incident_reroutes_and_fails_back_by_its_name(inline: InlineWorker, didflow: Didflow) -> None:
    ours, failover = inline.own(4), Failover(didflow)
    before = inline.sandbox.owned()
    looked = inline.finish(failover.away("INC-31", ours[:3], PBX, dry_run=True))
    assert looked.result is not None
    assert looked.result.quote is not None
    moved = failover.away("INC-31", ours[:3], PBX)
    assert failover.away("INC-31", ours[:3], PBX).id == moved.id
    assert set(outcomes(inline.finish(moved)).values()) == {"confirmed"}
    assert failover.moved("INC-31").id == moved.id
    back = failover.back("INC-31")
    assert failover.back("INC-31").id == back.id
    assert set(outcomes(inline.finish(back)).values()) == {"confirmed"}
    assert inline.sandbox.owned() == before


def test_an_incident_without_a_reroute_has_nothing_to_fail_back(didflow: Didflow) -> None:
    with pytest.raises(JobNotFound):
        Failover(didflow).back("INC-99")


def test_a_reroute_by_selector_keeps_its_guards(inline: InlineWorker, didflow: Didflow) -> None:
    inline.own(4)
    view = inline.finish(Failover(didflow).away("INC-32", Selector(all=True), PBX, max_fraction=0.5))
    assert (view.state, view.error.code if view.error else None) == ("failed", "too_large_fraction")


def test_only_what_the_check_showed_is_released(inline: InlineWorker, didflow: Didflow) -> None:
    ours, churn = inline.own(3), Churn(didflow)
    with working(inline):
        check = churn.check("contract-88", [*ours[:2], "+12135550999"])
    assert inline.owned() == set(ours)
    assert check.result is not None
    assert check.result.quote is not None
    job = churn.approve("contract-88", check.id)
    assert churn.approve("contract-88", check.id).id == job.id
    assert set(outcomes(inline.finish(job)).values()) == {"released"}
    assert inline.owned() == {ours[2]}


def test_a_check_of_another_case_or_of_nothing_approves_nothing(inline: InlineWorker, didflow: Didflow) -> None:
    ours, churn = inline.own(1), Churn(didflow)
    with working(inline):
        check = churn.check("contract-88", ours)
        nothing = churn.check("contract-88", ["+12135550999"])
    with pytest.raises(WrongJob):
        churn.approve("contract-89", check.id)
    with pytest.raises(InvalidRequest):
        churn.approve("contract-88", nothing.id)
    with pytest.raises(WrongJob):
        churn.approve("contract-88", didflow.submit(Release(numbers=tuple(ours)), reference="contract-88").id)


def test_a_release_that_has_not_begun_can_be_called_off(inline: InlineWorker, didflow: Didflow) -> None:
    ours, churn = inline.own(1), Churn(didflow)
    assert churn.call_off("contract-88") is None
    check = didflow.submit(Release(numbers=tuple(ours), dry_run=True), reference="contract-88")
    inline.finish(check)
    churn.approve("contract-88", check.id)
    view = churn.call_off("contract-88")
    assert view is not None
    assert view.state == "cancelled"
    assert inline.owned() == set(ours)
