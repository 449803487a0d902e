"""Tests of the tests: four weaker protocols, each caught by the schedule that its weakness needs, one also at random.

The real code passes the same schedules. What is patched here is what makes it weaker.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.scheduled.clock import Clock
from tests.scheduled.machine import Schedules
from tests.scheduled.oracle import Oracle
from tests.scheduled.scene import SETTLE_S, Attempt, Scene, TimedLedger
from worker.contract.provider import Answer, Unclear
from worker.contract.requests import SearchAndBuy
from worker.jobs.purchase import Purchase
from worker.ledger.plans import Plans
from worker.ledger.script_loader import Script
from worker.wavix.client import WavixClient
from worker.wavix.sandbox import SandboxOptions

ONE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",))
TOKEN_CHECK = "return f[1] == token and f[2] == 'running'"


class PlansWithoutToken(Plans):
    """Every script takes any token."""

    def script(self, name: str) -> Script:
        whole = super().script(name)
        assert (TOKEN_CHECK in whole.source) == ("local function holds(" in whole.source)
        source = whole.source.replace(TOKEN_CHECK, "return true")
        return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


class LedgerWithoutToken(TimedLedger):
    def __init__(self, client: redis.Redis, namespace: str, clock: Clock) -> None:
        super().__init__(client, namespace, clock)
        self.plans = PlansWithoutToken(namespace)


class InsistentClient(WavixClient):
    """Sends an unclear checkout once more."""

    def check_out(self, numbers: Sequence[str]) -> Answer[None]:
        answer = super().check_out(numbers)
        return super().check_out(numbers) if isinstance(answer, Unclear) else answer


def look_without_removing(purchase: Purchase) -> None:
    """In the place of `revoke`: the numbers stay in the cart."""
    if purchase.memo.revoked_ms is None:
        purchase._write("revoke", revoked_ms=purchase._page.now_ms())


def use_again(purchase: Purchase, step: str, detail: str) -> None:
    """In the place of `_spend_bound`: numbers whose add was unclear are free at once."""
    purchase.abandon()


def wakes_after_another_has_bought(scene: Scene) -> None:
    job = scene.submit(ONE)
    sleeper = Attempt(scene, job)
    sleeper.to("before:put_in_cart")
    scene.expire(job)
    scene.finish()
    sleeper.end()


def checkout_lands_after_it_was_given_up(scene: Scene) -> None:
    job = scene.submit(ONE)
    scene.sandbox.fly("checkout")
    scene.run(job)
    scene.make_due(job)
    other = Attempt(scene, job)
    other.to("after:save.settled")
    scene.sandbox.land(0)
    other.end()
    scene.finish()


def add_and_checkout_land_after_they_were_given_up(scene: Scene) -> None:
    scene.submit(ONE)
    scene.sandbox.fly("cart_put")
    scene.sandbox.fly("checkout")
    scene.finish()
    scene.sandbox.land(0)
    scene.sandbox.land(0)


def answer_is_lost_and_lists_lag(scene: Scene) -> None:
    scene.submit(ONE)
    scene.sandbox.lag_ms = int(SETTLE_S * 1000) - 1
    scene.sandbox.add_fault("checkout", "act_and_drop")
    scene.finish()


@dataclass(frozen=True)
class Weakness:
    """What is weaker, and the schedule that shows it."""

    schedule: Callable[[Scene], None]
    ledger: type[TimedLedger] = TimedLedger
    provider: type[WavixClient] = WavixClient
    patch: tuple[str, Callable[..., None]] | None = None

    def put_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if self.patch is not None:
            monkeypatch.setattr(Purchase, *self.patch)

    def scene(self, client: redis.Redis, options: SandboxOptions | None = None) -> Scene:
        return Scene(client, sandbox=options, ledger=self.ledger, provider=self.provider)


WEAKER = {
    "without the token check": Weakness(wakes_after_another_has_bought, ledger=LedgerWithoutToken),
    "look without removing from the cart": Weakness(checkout_lands_after_it_was_given_up, patch=("revoke", look_without_removing)),
    "reuse of a spent number": Weakness(add_and_checkout_land_after_they_were_given_up, patch=("_spend_bound", use_again)),
    "a checkout sent twice": Weakness(answer_is_lost_and_lists_lag, provider=InsistentClient),
}


@pytest.fixture(params=list(WEAKER.values()), ids=list(WEAKER))
def weakness(request: pytest.FixtureRequest) -> Weakness:
    found: Weakness = request.param
    return found


def test_the_real_protocol_passes_the_schedule(quick_valkey: redis.Redis, weakness: Weakness) -> None:
    scene = Scene(quick_valkey)
    weakness.schedule(scene)
    Oracle(scene).at_end()
    assert len(scene.sandbox.ledger()) == 1


def test_a_weaker_protocol_is_caught_by_its_schedule(
    quick_valkey: redis.Redis, weakness: Weakness, monkeypatch: pytest.MonkeyPatch
) -> None:
    weakness.put_in(monkeypatch)
    scene = weakness.scene(quick_valkey)
    weakness.schedule(scene)
    assert len(scene.sandbox.ledger()) == 2, "it bought one too many"
    with pytest.raises(AssertionError, match=r"wants 1 and bought|was paid 1 times, and these jobs know of it: "):
        Oracle(scene).always()


def test_a_missing_token_check_is_caught_at_random(quick_valkey: redis.Redis) -> None:
    """The other three need several faults in one order, which chance finds in minutes, not in seconds."""
    weakness = WEAKER["without the token check"]

    class Weaker(Schedules):
        client = quick_valkey

        def scene_with(self, options: SandboxOptions) -> Scene:
            return weakness.scene(quick_valkey, options)

    profile = settings(
        max_examples=500,
        stateful_step_count=40,
        derandomize=True,
        deadline=None,
        phases=(Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Weaker, settings=profile)
