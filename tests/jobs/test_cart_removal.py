"""A removal from the cart is believed only when the cart has shown it: before numbers are replaced, and before others may have them."""

from decimal import Decimal
from typing import cast

import pytest

from didflow.contract.jobs import Job
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import JobState, WaitReason
from tests.support.inline_worker import InlineWorker, outcomes
from tests.support.simulation.oracle import Oracle
from tests.support.simulation.simulation import SETTLE_S, Attempt, Simulation
from worker.reconcile.diff import strangers
from worker.reconcile.ledger_view import read_books
from worker.wavix.sandbox import shapes

ONE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",))
TWO = ONE.model_copy(update={"quantity": 2})


def due_at_once(simulation: Simulation, job: Job) -> None:
    """The job's time comes, and no time passes."""
    simulation.ledger.client.hset(simulation.ledger.keys.job(job.id), "due_ms", "")


@pytest.mark.provider("charges-unlisted")  # Where they are listed, they are a second defence.
def test_a_checkout_that_lands_between_a_removal_and_its_effect_is_found_in_a_list_that_lags(simulation: Simulation) -> None:
    """The cart is empty at last because the number was bought. An owned list from before that proves nothing."""
    job = simulation.submit(ONE)
    simulation.sandbox.order("reconfigure", cart_removal="ignored")
    simulation.sandbox.fly("checkout")
    simulation.run(job)
    simulation.clock.pass_ms(int(SETTLE_S * 500))
    simulation.sandbox.land(0)
    simulation.clock.pass_ms(int(SETTLE_S * 500))
    due_at_once(simulation, job)
    second = Attempt(simulation, job)
    second.to("before:owned")
    simulation.sandbox.lag_ms = int(SETTLE_S * 1000) - 1
    second.end()
    simulation.finish()
    Oracle(simulation).at_end()
    assert len(simulation.sandbox.ledger()) == 1


def test_numbers_that_a_server_only_says_it_removed_park_the_purchase_and_stay_its_own(simulation: Simulation) -> None:
    job = simulation.submit(ONE)
    simulation.sandbox.order("reconfigure", cart_removal="ignored")
    simulation.sandbox.fly("checkout")
    simulation.run(job)
    simulation.clock.pass_ms(600_000)
    due_at_once(simulation, job)
    view = simulation.run(job)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert "can't be taken out of the cart" in view.error.message
    simulation.sandbox.land(0)
    Oracle(simulation).at_end()
    assert len(simulation.sandbox.ledger()) == 1


def test_a_removal_that_is_done_and_refused_is_a_removal(simulation: Simulation) -> None:
    job = simulation.submit(ONE)
    simulation.sandbox.order("reconfigure", cart_removal="refused")
    simulation.sandbox.fly("checkout")
    simulation.finish()
    simulation.sandbox.land(0)
    Oracle(simulation).at_end()
    assert simulation.view(job).state is JobState.SUCCEEDED
    assert len(simulation.sandbox.ledger()) == 1


def test_the_settle_time_begins_when_the_cart_has_stopped_showing_the_numbers(simulation: Simulation) -> None:
    """The first removal is answered with yes and not done, the second is done."""
    job = simulation.submit(ONE)
    simulation.sandbox.order("reconfigure", cart_removal="ignored")
    simulation.sandbox.fly("checkout")
    simulation.run(job)
    simulation.sandbox.order("reconfigure", cart_removal="works")
    steps = []
    for _ in range(3):
        simulation.make_due(job)
        before = len(simulation.story(job))
        simulation.run(job)
        steps.append({step.split()[1].rstrip(":") for step in simulation.story(job)[before:]} & {"revoke", "revoke_again", "settled"})
    assert steps == [{"revoke_again"}, {"revoke"}, {"settled"}]
    simulation.sandbox.land(0)
    Oracle(simulation).at_end()
    assert len(simulation.sandbox.ledger()) == 1


def reserved(inline: InlineWorker) -> set[str]:
    return set(cast("list[str]", inline.ledger.client.hkeys(inline.ledger.keys.reserved("default"))))


def in_cart(inline: InlineWorker) -> set[str]:
    return {f"+{number}" for number in inline.sandbox.state()["accounts"]["default"]["cart"]}


def wait_for_funds_with_two_in_the_cart(inline: InlineWorker) -> Job:
    inline.sandbox.order("set_balance", usd="0.10")
    job = inline.submit(TWO)
    assert inline.attempt(job).reason == WaitReason.FUNDS
    return job


@pytest.mark.parametrize(
    ("options", "left_in_cart"),
    [
        pytest.param({"cart_removal": "ignored"}, 2, id="says yes and does nothing"),
        pytest.param({"cart_removal_late_s": 60.0}, 2, id="does it late"),
        pytest.param({"cart_lag_s": 60.0}, 0, id="shows it late"),
    ],
)
def test_numbers_that_were_given_up_stay_reserved_until_the_cart_has_stopped_showing_them(
    inline: InlineWorker, options: dict[str, object], left_in_cart: int
) -> None:
    inline.sandbox.order("reconfigure", **options)
    job = wait_for_funds_with_two_in_the_cart(inline)
    held = reserved(inline)
    assert (len(held), len(in_cart(inline))) == (2, left_in_cart)
    assert strangers(read_books(inline.ledger, "default"), tuple(in_cart(inline)), inline.ledger.now_ms()) == ()
    inline.sandbox.order("reconfigure", cart_removal="works", cart_removal_late_s=0.0, cart_lag_s=0.0)
    inline.sandbox.order("set_balance", usd="100")
    view = inline.finish(job)
    assert not set(outcomes(view)) & held, "they are for others in a day"
    assert set(outcomes(view)) == inline.owned()
    assert not in_cart(inline), "what is reserved is looked for in the cart after each purchase"


def test_numbers_that_were_given_up_are_free_when_the_cart_has_stopped_showing_them_whatever_was_answered(inline: InlineWorker) -> None:
    inline.sandbox.order("reconfigure", cart_removal="refused")
    wait_for_funds_with_two_in_the_cart(inline)
    assert (reserved(inline), in_cart(inline)) == (set(), set())


def test_what_the_budget_leaves_out_and_the_cart_still_has_is_bought_by_no_job(inline: InlineWorker) -> None:
    inline.sandbox.order("reconfigure", cart_removal="ignored")
    view = inline.run(ONE.model_copy(update={"quantity": 3, "policy": "best_effort", "max_total_usd": Decimal("3.00")}))
    left_out = in_cart(inline)
    assert left_out
    other = inline.run(ONE.model_copy(update={"quantity": 30, "policy": "best_effort"}))
    assert not left_out & inline.owned()
    assert set(outcomes(view)) | set(outcomes(other)) == inline.owned()


@pytest.mark.parametrize(("removal", "held"), [("works", 0), ("refused", 0), ("ignored", 1)])
def test_a_checkout_that_was_not_sent_frees_its_numbers_once_they_are_out_of_the_cart(
    simulation: Simulation, removal: str, held: int
) -> None:
    job = simulation.submit(ONE)
    simulation.sandbox.order("reconfigure", cart_removal=removal)
    simulation.sandbox.disconnect("checkout")
    attempt = Attempt(simulation, job)
    attempt.to("after:save.settled")
    assert len(simulation.cart()) == held
    assert simulation.tainted() == simulation.cart()
    attempt.end()
    simulation.finish()
    Oracle(simulation).at_end()


def test_an_add_that_was_not_sent_keeps_no_number_from_others(simulation: Simulation) -> None:
    job = simulation.submit(ONE)
    simulation.sandbox.disconnect("cart_put")
    simulation.sandbox.disconnect("cart", times=20)
    assert simulation.run(job).reason == WaitReason.PROVIDER_DOWN
    assert simulation.ledger.client.hlen(simulation.ledger.keys.reserved("default")) == 0


def test_an_add_that_is_only_said_to_be_done_is_found_out_by_its_checkout(simulation: Simulation) -> None:
    stock = simulation.sandbox.service.world.stock_of(200)
    simulation.sandbox.add_fault("cart_put", "refuse", status=200, body=[shapes.offer(one, by_name=False) for one in stock])
    job = simulation.submit(ONE)
    simulation.finish()
    Oracle(simulation).at_end()
    assert simulation.view(job).state is JobState.SUCCEEDED
    assert len(simulation.sandbox.ledger()) == 1
    assert any("checkout_refused" in step for step in simulation.story(job))


def test_a_checkout_that_is_only_said_to_be_done_is_parked_with_its_numbers(simulation: Simulation) -> None:
    job = simulation.submit(ONE)
    simulation.sandbox.add_fault("checkout", "refuse", status=201, body={"success": True})
    simulation.run(job)
    simulation.clock.pass_ms(600_000)
    due_at_once(simulation, job)
    view = simulation.run(job)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert "accepted the checkout" in view.error.message
    Oracle(simulation).at_end()
    assert simulation.sandbox.ledger() == []
