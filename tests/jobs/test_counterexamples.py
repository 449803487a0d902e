"""The orders of events by which the model's weaker protocols buy too many, replayed on the real code with the sandbox's faults.

`tests/model/purchase_protocol.py` finds them: without the token check, looking before removing from the cart, using a number again
whose cart add was unclear. (The fourth, a checkout that needs no cart, is assumption A2: no protocol survives that.)
"""

import threading
import time
from collections.abc import Iterator
from typing import cast

import pytest

from tests.stage import SETTLE_S, Stage, charged, outcomes
from worker.contract.jobs import Job
from worker.contract.requests import SearchAndBuy
from worker.jobs.ports import Provider
from worker.jobs.purchase_state import Checkout, Memo
from worker.ledger.gate import Gate
from worker.ledger.ledger import Ledger
from worker.runtime.gatekeeper import Gatekeeper
from worker.wavix.sandbox import Sandbox

ONE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=1)
LEASE_S = 1.0


@pytest.fixture
def slow_stage(real_ledger: Ledger, sandbox: Sandbox) -> Iterator[Stage]:
    """Its calls may take longer than its lease, and nobody renews that: a worker that was stopped and goes on."""
    stage = Stage(real_ledger, sandbox, lease_seconds=LEASE_S, http_timeout=10.0)
    yield stage
    stage.close()


def start_zombie(stage: Stage, job: Job, call: str) -> threading.Thread:
    """Run an attempt that gets stuck in a call; return when the call has arrived, its lease has run out, and the sweeper has seen it."""
    stage.sandbox.add_fault(call, "slow", seconds=2.5)
    zombie = threading.Thread(target=stage.attempt, args=(job,))
    zombie.start()
    while not stage.sandbox.state()["faults"].get(f"{call}:slow"):
        time.sleep(0.01)
    while not stage.ledger.sweep(max_crashes=5).recovered:
        time.sleep(0.05)
    return zombie


@pytest.mark.parametrize("call", ["cart_put", "checkout", "owned", "dids"])
def test_a_worker_that_wakes_after_losing_its_lease_buys_nothing(
    slow_stage: Stage, real_ledger: Ledger, sandbox: Sandbox, call: str
) -> None:
    job = slow_stage.submit(ONE)
    zombie = start_zombie(slow_stage, job, call)
    other = Stage(real_ledger, sandbox)
    view = other.finish(job)
    zombie.join()
    other.close()
    assert view.state == "succeeded"
    assert set(outcomes(view)) == other.owned()
    assert len(sandbox.ledger()) == 1
    assert charged(view) == sandbox.charged_usd()
    assert real_ledger.get(job.id) == view, "what the zombie did later changed nothing"


def test_a_checkout_in_flight_while_recovery_looks_can_buy_nothing(stage: Stage) -> None:
    stage.sandbox.add_fault("checkout", "act_late", seconds=0.2)
    stage.sandbox.add_fault("cart_delete", "act_and_drop", times=2)
    view = stage.run(ONE)
    assert view.state == "succeeded"
    assert set(outcomes(view)) == stage.owned()
    assert len(stage.sandbox.ledger()) == 1


def test_a_cart_list_from_before_the_adding_proves_nothing(stage: Stage) -> None:
    """Lists lag by a little less than the settle time, the removal is lost, and the checkout acts when recovery has begun."""
    stage.sandbox.add_fault("cart", "lag", seconds=0.93 * SETTLE_S)
    stage.sandbox.add_fault("owned", "lag", times=None, seconds=0.93 * SETTLE_S)
    stage.sandbox.add_fault("cart_delete", "drop")
    stage.sandbox.add_fault("checkout", "act_late", seconds=0.4)
    view = stage.run(ONE)
    assert view.state == "succeeded"
    assert set(outcomes(view)) == stage.owned()
    assert len(stage.sandbox.ledger()) == 1


def test_a_number_whose_add_was_unclear_is_used_by_nobody_for_a_day(stage: Stage) -> None:
    stage.sandbox.add_fault("cart_put", "act_late", seconds=0.3)
    first = stage.run(ONE)
    tainted = next(step.detail.split()[0] for step in stage.story(first) if step.name == "bind")
    second = stage.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=28))
    assert (first.state, second.state) == ("succeeded", "succeeded")
    assert tainted not in stage.owned()
    third = stage.run(ONE)
    assert third.state == "failed", "30 numbers: 29 are bought, and the one that is left is tainted"
    assert third.error is not None
    assert "1 reserved" in third.error.message


def test_a_refusal_from_before_a_restart_says_nothing_of_a_later_checkout_of_the_same_number(stage: Stage) -> None:
    """The ledger remembers the refused checkout of a round, and forgot that the numbers were freed, bound anew and checked out."""
    stage.sandbox.add_fault("checkout", "act_late", seconds=SETTLE_S / 2)
    job = stage.submit(ONE)
    view = stage.attempt(job)
    assert view.phase == "carted"
    memo = Memo.model_validate_json(str(stage.ledger.client.hget(stage.ledger.keys.job(job.id), "memo")))
    stage.ledger.client.hset(
        stage.ledger.keys.job(job.id), "memo", memo.model_copy(update={"checkout": Checkout.NO, "revoked_ms": 1}).model_dump_json()
    )
    stage.ledger.client.hset(stage.ledger.keys.epoch, "server", "another")
    stage.ledger.sweep(max_crashes=5)
    keeper = Gatekeeper(stage.ledger, "default", cast("Provider", stage.client), settle_s=SETTLE_S, worker="stage")
    while Gate(stage.ledger).closed("default"):
        keeper.look()
        stage.attempt(job)
    view = stage.finish(job)
    assert view.state == "succeeded"
    assert set(outcomes(view)) == stage.owned()
    assert len(stage.sandbox.ledger()) == 1
