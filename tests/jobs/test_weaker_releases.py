"""Tests of the tests: releases that believe every answer, each caught by the schedule that its weakness needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import redis

from didflow.contract.errors import JobError
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import Release
from didflow.contract.states import Outcome
from tests.support.simulation.oracle import Oracle
from tests.support.simulation.simulation import SETTLE_S, Simulation
from worker.jobs.owned_numbers import find_owned
from worker.jobs.ports.rules import Rules
from worker.jobs.release import executor, job
from worker.jobs.release.executor import Next, ReleaseExecutor, what_next
from worker.jobs.release.state import ReleaseItem

answered = ReleaseExecutor._answered


def believe_yes(self: ReleaseExecutor, step: str, batch: Sequence[ReleaseItem], refusal: JobError | None, *, alone: bool = False) -> None:
    """A yes is a release."""
    answered(self, step, batch, refusal, alone=alone)
    if refusal is None:
        self._book.record_gone(self._now(batch))


def believe_no(self: ReleaseExecutor, batch: Sequence[ReleaseItem]) -> None:
    """What was refused is still ours."""
    self._book.write("refused", [one.became(Outcome.REFUSED, one.refusal) for one in batch])


def believe_an_early_read(leaving: ReleaseItem, looked_ms: int, forms_alone: int, rules: Rules, *, guarded: bool = False) -> Next:
    """What a read shows is so, however old the list may be."""
    return what_next(leaving, looked_ms, forms_alone, replace(rules, settle_s=0), guarded=guarded)


def believe_the_list(self: job._Release, batch: Sequence[ReleaseItem]) -> dict[int, OwnedNumber]:
    """A record that the list doesn't show is gone."""
    return {found.record_id: found for found in find_owned(self._provider, [leaving.number for leaving in batch]).values()}


def one_id_a_call(simulation: Simulation) -> None:
    simulation.sandbox.order("reconfigure", release_ids="last")
    simulation.submit(Release(numbers=tuple(simulation.own(3))))
    simulation.finish()


def acts_and_refuses(simulation: Simulation) -> None:
    simulation.sandbox.add_fault("release", "act_then_refuse", status=422)
    simulation.submit(Release(numbers=tuple(simulation.own(1))))
    simulation.finish()


def acts_and_refuses_while_lists_lag(simulation: Simulation) -> None:
    mine = simulation.own(1)
    simulation.clock.pass_ms(int(SETTLE_S * 1000))
    simulation.sandbox.lag_ms = int(SETTLE_S * 1000) - 1
    simulation.sandbox.add_fault("release", "act_then_refuse", status=422)
    simulation.submit(Release(numbers=tuple(mine)))
    simulation.finish()


def search_finds_nothing(simulation: Simulation) -> None:
    mine = simulation.own(2)
    simulation.submit(Release(record_ids=tuple(int(record["record_id"]) for record in simulation.sandbox.owned().values())))
    simulation.requests[simulation.jobs[-1].id] = Release(numbers=tuple(mine))  # By which the oracle knows them.
    simulation.sandbox.order("reconfigure", search="silent")
    simulation.finish()


@dataclass(frozen=True)
class Weakness:
    """What is weaker: an attribute of a class or module, and what stands in its place; and the schedule that shows it."""

    schedule: Callable[[Simulation], None]
    where: object
    name: str
    weaker: Callable[..., object]


WEAKER = {
    "a yes is believed": Weakness(one_id_a_call, ReleaseExecutor, "_answered", believe_yes),
    "a refusal is believed": Weakness(acts_and_refuses, ReleaseExecutor, "_after_refusal", believe_no),
    "an early read is believed": Weakness(acts_and_refuses_while_lists_lag, executor, "what_next", believe_an_early_read),
    "one read is believed": Weakness(search_finds_nothing, job._Release, "records", believe_the_list),
}


@pytest.fixture(params=list(WEAKER.values()), ids=list(WEAKER))
def weakness(request: pytest.FixtureRequest) -> Weakness:
    found: Weakness = request.param
    return found


def test_the_real_protocol_passes_the_schedule(quick_valkey: redis.Redis, weakness: Weakness) -> None:
    simulation = Simulation(quick_valkey)
    weakness.schedule(simulation)
    Oracle(simulation).at_end()
    simulation.close()


def test_a_weaker_protocol_is_caught_by_its_schedule(
    quick_valkey: redis.Redis, weakness: Weakness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weakness.where, weakness.name, weakness.weaker)
    simulation = Simulation(quick_valkey)
    weakness.schedule(simulation)
    with pytest.raises(AssertionError):
        Oracle(simulation).at_end()
    simulation.close()
