"""Tests of the tests: five weaker protocols, each caught by the schedule that its weakness needs, one also at random.

The real code passes the same schedules. What is patched here is what makes it weaker.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from didflow.contract.provider import Answer, OwnedNumber
from didflow.contract.requests import SearchAndBuy
from didflow.ledger.commands import Commands
from didflow.ledger.script_loader import Script
from tests.support.simulation.clock import Clock
from tests.support.simulation.machine import Schedules
from tests.support.simulation.oracle import Oracle
from tests.support.simulation.simulation import SETTLE_S, Attempt, Simulation, TimedLedger
from worker.jobs.owned_numbers import find_owned
from worker.jobs.ports.provider import Provider
from worker.jobs.purchase import checkout, recovery
from worker.jobs.purchase.cart import Cart
from worker.jobs.purchase.refusal import what_is_known
from worker.jobs.purchase.state import Checkout
from worker.jobs.purchase.written_purchase import WrittenPurchase
from worker.wavix.sandbox import SandboxOptions

ONE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",))
TOKEN_CHECK = "return f[1] == token and f[2] == 'running'"


class CommandsWithoutToken(Commands):
    """Every script takes any token."""

    def script(self, name: str) -> Script:
        whole = super().script(name)
        assert (TOKEN_CHECK in whole.source) == ("local function holds(" in whole.source)
        source = whole.source.replace(TOKEN_CHECK, "return true")
        return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


class LedgerWithoutToken(TimedLedger):
    def __init__(self, client: redis.Redis, namespace: str, clock: Clock) -> None:
        super().__init__(client, namespace, clock)
        self.commands = CommandsWithoutToken(namespace)


def believe_refusals(answer: Answer[None]) -> tuple[Checkout, str]:
    """In the place of `what_is_known`: what was refused was never carried out."""
    known, detail = what_is_known(answer)
    return (Checkout.NOT_SENT if known is Checkout.REFUSED else known), detail


def search_once(provider: Provider, numbers: Collection[str]) -> dict[str, OwnedNumber]:
    """In the place of `find_surely`: what a search doesn't show isn't ours."""
    return find_owned(provider, numbers)


def look_without_removing(purchase: WrittenPurchase) -> None:
    """In the place of `revoke`: the numbers stay in the cart."""
    if purchase.checkpoint.revoked_ms is None:
        purchase.write("revoke", revoked_ms=purchase.context.now_ms())


def use_again(self: Cart, step: str, detail: str) -> None:
    """In the place of `burn_bound`: numbers whose add was unclear are free at once."""
    self.abandon()


def wakes_after_another_has_bought(simulation: Simulation) -> None:
    job = simulation.submit(ONE)
    sleeper = Attempt(simulation, job)
    sleeper.to("before:put_in_cart")
    simulation.expire(job)
    simulation.finish()
    sleeper.end()


def checkout_lands_after_it_was_given_up(simulation: Simulation) -> None:
    job = simulation.submit(ONE)
    simulation.sandbox.fly("checkout")
    simulation.run(job)
    simulation.make_due(job)
    while not (other := Attempt(simulation, job)).until(lambda at: at == "after:save.settled"):
        simulation.make_due(job)
    simulation.sandbox.land(0)
    other.end()
    simulation.finish()


def add_and_checkout_land_after_they_were_given_up(simulation: Simulation) -> None:
    simulation.submit(ONE)
    simulation.sandbox.fly("cart_put")
    simulation.sandbox.fly("checkout")
    simulation.finish()
    simulation.sandbox.land(0)
    simulation.sandbox.land(0)


def checkout_acts_and_is_refused_and_lists_lag(simulation: Simulation) -> None:
    simulation.submit(ONE)
    simulation.sandbox.lag_ms = int(SETTLE_S * 1000) - 1
    simulation.sandbox.add_fault("checkout", "act_then_refuse", status=404)
    simulation.finish()


def answer_is_lost_and_search_shows_nothing(simulation: Simulation) -> None:
    job = simulation.submit(ONE)
    simulation.sandbox.order("reconfigure", search="silent")
    simulation.sandbox.add_fault("checkout", "act_and_drop")
    while not any("settled" in step for step in simulation.story(job)):
        simulation.make_due(job)
        simulation.run(job)
    simulation.sandbox.order("reconfigure", search="works")
    simulation.finish()


@dataclass(frozen=True)
class Weakness:
    """What is weaker, and the schedule that shows it."""

    schedule: Callable[[Simulation], None]
    ledger: type[TimedLedger] = TimedLedger
    patch: tuple[object, str, Callable[..., object]] | None = None

    def put_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if self.patch is not None:
            monkeypatch.setattr(*self.patch)

    def simulation(self, client: redis.Redis, options: SandboxOptions | None = None) -> Simulation:
        return Simulation(client, sandbox=options, ledger=self.ledger)


WEAKER = {
    "without the token check": Weakness(wakes_after_another_has_bought, ledger=LedgerWithoutToken),
    "look without removing from the cart": Weakness(
        checkout_lands_after_it_was_given_up, patch=(recovery, "revoke", look_without_removing)
    ),
    "reuse of a burned number": Weakness(add_and_checkout_land_after_they_were_given_up, patch=(Cart, "burn_bound", use_again)),
    "a refusal is believed": Weakness(checkout_acts_and_is_refused_and_lists_lag, patch=(checkout, "what_is_known", believe_refusals)),
    "absence by one search": Weakness(answer_is_lost_and_search_shows_nothing, patch=(recovery, "find_surely", search_once)),
}


@pytest.fixture(params=list(WEAKER.values()), ids=list(WEAKER))
def weakness(request: pytest.FixtureRequest) -> Weakness:
    found: Weakness = request.param
    return found


def test_the_real_protocol_passes_the_schedule(quick_valkey: redis.Redis, weakness: Weakness) -> None:
    simulation = Simulation(quick_valkey)
    weakness.schedule(simulation)
    Oracle(simulation).at_end()
    assert len(simulation.sandbox.ledger()) == 1


@pytest.mark.provider("charges-unlisted")  # Where they are listed, they are a second defence.
def test_a_weaker_protocol_is_caught_by_its_schedule(
    quick_valkey: redis.Redis, weakness: Weakness, monkeypatch: pytest.MonkeyPatch
) -> None:
    weakness.put_in(monkeypatch)
    simulation = weakness.simulation(quick_valkey)
    weakness.schedule(simulation)
    assert len(simulation.sandbox.ledger()) == 2, "it bought one too many"
    with pytest.raises(AssertionError, match=r"wants 1 and bought|was paid 1 times, and these jobs know of it: "):
        Oracle(simulation).always()


@pytest.mark.long
def test_a_missing_token_check_is_caught_at_random(quick_valkey: redis.Redis) -> None:
    """The others need several faults in one order, which chance finds in minutes, not in seconds."""
    weakness = WEAKER["without the token check"]

    class Weaker(Schedules):
        client = quick_valkey

        def scene_with(self, options: SandboxOptions) -> Simulation:
            return weakness.simulation(quick_valkey, options)

    profile = settings(
        max_examples=500,
        stateful_step_count=40,
        derandomize=True,
        phases=(Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Weaker, settings=profile)
