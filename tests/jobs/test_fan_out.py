"""A large job and its batches: every number once and exactly told, whatever is repeated, lost, killed, or ends in another order."""

import random

import pytest

from tests.jobs.fanning import fanning, play
from tests.stage import Stage, outcomes
from worker.contract.destinations import Destination
from worker.contract.requests import Failback, Reroute, Selector

__all__ = ["fanning"]

BACKUP = Destination.sip("backup@example.net")
AWAY = Reroute(selector=Selector(all=True), destinations=(BACKUP,))


@pytest.mark.parametrize("seed", range(5))
def test_batches_in_any_order_move_every_number_once_and_back(fanning: Stage, seed: int) -> None:
    one, two = fanning.own(53, "sip:one@example.net"), fanning.own(24, "sip:two@example.net")
    job = fanning.submit(AWAY)
    view = play(fanning, job, order=random.Random(seed))
    assert view.state == "succeeded"
    assert outcomes(view) == dict.fromkeys(one + two, "confirmed")
    assert view.progress == "77 of 77 numbers"
    assert fanning.sandbox.state()["calls"]["destinations"] == 8
    back = play(fanning, fanning.submit(Failback(job_id=job.id)), order=random.Random(seed))
    assert back.state == "succeeded"
    assert fanning.routes() == {number: ["one@example.net"] for number in one} | {number: ["two@example.net"] for number in two}
