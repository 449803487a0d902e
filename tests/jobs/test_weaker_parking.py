"""Tests of the tests: weaker rules for what is parked or may be going, each caught by a schedule that the real ones pass."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from didflow.ledger import scripts
from didflow.ledger.commands import Commands
from didflow.ledger.script_loader import Script
from tests.support.simulation import going_number_schedules as going
from tests.support.simulation import parked_and_routed_schedules as routed
from tests.support.simulation.clock import Clock
from tests.support.simulation.lent_numbers import LABEL
from tests.support.simulation.simulation import Simulation, TimedLedger


@dataclass(frozen=True)
class Weakness:
    """What the scripts say instead, and the schedule that needs what they said."""

    said: str
    instead: str
    schedule: Callable[[Simulation], None]

    def ledger(self) -> type[TimedLedger]:
        weakness = self

        class WeakerCommands(Commands):
            def script(self, name: str) -> Script:
                source = super().script(name).source.replace(weakness.said, weakness.instead)
                return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())

        class WeakerLedger(TimedLedger):
            def __init__(self, client: redis.Redis, namespace: str, clock: Clock) -> None:
                super().__init__(client, namespace, clock)
                self.commands = WeakerCommands(namespace)

        return WeakerLedger


def held(simulation: Simulation) -> None:
    routed.failover_waits_while_a_release_is_called_off(simulation, routed.not_begun, "the reroute ends")


def release_first(simulation: Simulation) -> None:
    routed.failover_waits_while_a_release_is_called_off(simulation, routed.not_begun, "the release ends")


def while_it_winds_up(simulation: Simulation) -> None:
    routed.failover_goes_on_while_the_release_is_wound_up(simulation, "before:save.stays", False)


WEAKER = {
    "a quarantine alone keeps a number off": Weakness(
        "not may_be_going(account, number)", "true", going.pool_number_with_an_unanswered_release
    ),
    "a mark is gone when its release is parked": Weakness(
        "if state and not OVER[state] then return true end",
        "if state and not OVER[state] and state ~= 'needs_review' then return true end",
        going.parked_release_keeps_its_number,
    ),
    "nobody notes what an older job wanted": Weakness(
        "parked.wanted_order, parked.wanted_by, parked.wanted = order, by, route", "parked.wanted_order = order", held
    ),
    "a release ends whatever was wanted meanwhile": Weakness("parked.wanted_order ~= known", "false", while_it_winds_up),
    "a release stays the newest when it has ended": Weakness("route.order = math.max(parked.was, parked.wanted_order)", "", release_first),
    "a wish of before is as good as a newer one": Weakness(
        "if order < parked.was or order < parked.wanted_order then return false end",
        "",
        routed.two_failovers_wait,
    ),
}


@pytest.mark.parametrize("weakness", WEAKER.values(), ids=WEAKER)
def test_a_script_says_what_is_replaced(weakness: Weakness) -> None:
    assert any(weakness.said in script.read_text() for script in Path(scripts.__file__ or "").parent.rglob("*.lua"))


@pytest.mark.parametrize("weakness", WEAKER.values(), ids=WEAKER)
def test_the_real_rules_pass_the_schedule(quick_valkey: redis.Redis, weakness: Weakness) -> None:
    simulation = Simulation(quick_valkey, reuse_label=LABEL)
    weakness.schedule(simulation)
    simulation.close()


@pytest.mark.parametrize("weakness", WEAKER.values(), ids=WEAKER)
def test_weaker_rules_are_caught(quick_valkey: redis.Redis, weakness: Weakness) -> None:
    simulation = Simulation(quick_valkey, reuse_label=LABEL, ledger=weakness.ledger())
    with pytest.raises(AssertionError):
        weakness.schedule(simulation)
    simulation.close()
