"""The orders of events by which the model's weaker protocols buy too many, replayed on the real code with the sandbox's faults.

`tests/model/purchase_protocol.py` finds them: without the token check, looking before removing from the cart, using a number again
whose cart add was unclear. (The fourth, a checkout that needs no cart, is assumption A2: no protocol survives that.)
"""

import threading
from collections.abc import Iterator

import pytest

from didflow.contract.jobs import Job
from didflow.contract.requests import SearchAndBuy
from didflow.fault_orders import Reached
from didflow.ledger.ledger import Ledger
from tests.support.cluster import until
from tests.support.inline_worker import SETTLE_S, InlineWorker, charged, outcomes
from worker.attempt.fault_points import watched_ledger
from worker.jobs.purchase.state import Checkout, PurchaseCheckpoint
from worker.wavix.sandbox import Sandbox

ONE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=1)
LEASE_S = 1.0


@pytest.fixture
def slow_stage(real_ledger: Ledger, sandbox: Sandbox) -> Iterator[InlineWorker]:
    """Its calls may take longer than its lease, and nobody renews that: a worker that was stopped and continues."""
    inline = InlineWorker(real_ledger, sandbox, lease_seconds=LEASE_S, http_timeout=10.0)
    yield inline
    inline.close()


def start_zombie(inline: InlineWorker, job: Job, call: str) -> threading.Thread:
    """Run an attempt that gets stuck in a call; return when the call has arrived, its lease has run out, and the sweeper has seen it."""
    inline.sandbox.add_fault(call, "slow", seconds=2.5)
    zombie = threading.Thread(target=inline.attempt, args=(job,))
    zombie.start()
    until(lambda: inline.sandbox.state()["faults"].get(f"{call}:slow"), what="the call")
    until(lambda: inline.ledger.sweep(max_crashes=5).recovered, what="the end of its lease")
    return zombie


@pytest.mark.parametrize("call", ["cart_put", "checkout", "owned", "dids"])
def test_a_worker_that_wakes_after_losing_its_lease_buys_nothing(
    slow_stage: InlineWorker, real_ledger: Ledger, sandbox: Sandbox, call: str
) -> None:
    job = slow_stage.submit(ONE)
    zombie = start_zombie(slow_stage, job, call)
    other = InlineWorker(real_ledger, sandbox)
    view = other.finish(job)
    zombie.join()
    other.close()
    assert view.state == "succeeded"
    assert set(outcomes(view)) == other.owned()
    assert len(sandbox.ledger()) == 1
    assert charged(view) == sandbox.charged_usd()
    assert real_ledger.get(job.id) == view, "what the zombie did later changed nothing"


def test_a_checkout_in_flight_while_recovery_looks_can_buy_nothing(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("checkout", "act_late", seconds=0.2)
    inline.sandbox.add_fault("cart_delete", "act_and_drop", times=2)
    view = inline.run(ONE)
    assert view.state == "succeeded"
    assert set(outcomes(view)) == inline.owned()
    assert len(inline.sandbox.ledger()) == 1


def test_a_cart_list_from_before_the_adding_proves_nothing(inline: InlineWorker) -> None:
    """Lists lag by a little less than the settle time, the removal is lost, and the checkout acts when recovery has begun."""
    inline.sandbox.add_fault("cart", "lag", seconds=0.93 * SETTLE_S)
    inline.sandbox.add_fault("owned", "lag", times=None, seconds=0.93 * SETTLE_S)
    inline.sandbox.add_fault("cart_delete", "drop")
    inline.sandbox.add_fault("checkout", "act_late", seconds=0.4)
    view = inline.run(ONE)
    assert view.state == "succeeded"
    assert set(outcomes(view)) == inline.owned()
    assert len(inline.sandbox.ledger()) == 1


def test_a_number_whose_add_was_unclear_is_used_by_no_job_for_a_day(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("cart_put", "act_late", seconds=0.3)
    first = inline.run(ONE)
    tainted = next(step.detail.split()[0] for step in inline.story(first) if step.name == "bind")
    second = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=28))
    assert (first.state, second.state) == ("succeeded", "succeeded")
    assert tainted not in inline.owned()
    third = inline.run(ONE)
    assert third.state == "failed", "30 numbers: 29 are bought, and the one that is left is tainted"
    assert third.error is not None
    assert "1 reserved" in third.error.message


class Died(BaseException):
    """The worker is gone, in the middle of its attempt."""


def dies_before(point: str) -> Reached:
    def reached(name: str) -> None:
        if name == f"before:{point}":
            raise Died

    return reached


def test_a_refusal_from_before_a_restart_says_nothing_of_a_later_checkout_of_the_same_number(real_ledger: Ledger, sandbox: Sandbox) -> None:
    """The ledger remembers the refused checkout of a round, and forgot that the numbers were freed, bound again and bought."""
    settle_s = 2.0
    sandbox.add_fault("checkout", "act_and_drop")
    sandbox.add_fault("owned", "lag", times=None, seconds=0.9 * settle_s)
    dying = InlineWorker(watched_ledger(real_ledger, dies_before("save.checkout_unclear")), sandbox)
    job = dying.submit(ONE)
    with pytest.raises(Died):
        dying.attempt(job)
    dying.close()
    key = real_ledger.keys.job(job.id)
    checkpoint = PurchaseCheckpoint.model_validate_json(str(real_ledger.client.hget(key, "memo")))
    assert checkpoint.phase == "carted"
    real_ledger.client.hset(key, "memo", checkpoint.model_copy(update={"checkout": Checkout.NOT_SENT}).model_dump_json())
    real_ledger.client.hset(real_ledger.keys.epoch, "server", "another")
    real_ledger.sweep(max_crashes=5)
    inline = InlineWorker(real_ledger, sandbox, settle_seconds=settle_s)
    view = inline.finish(job)
    inline.close()
    assert view.state == "succeeded"
    assert set(outcomes(view)) == inline.owned()
    assert len(sandbox.ledger()) == 1
