"""Every order in which workers, answers and other people can come: numbers bought are numbers reported, and never one too many.

`DIDFLOW_EXAMPLES=5000` looks at that many schedules, other ones each time; without it a fixed set,
of which `make test` looks at a part and `make long` at all.
"""

import os

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.simulation.machine import Schedules
from tests.support.simulation.parking_machine import Parkings

WANTED = os.environ.get("DIDFLOW_EXAMPLES")
#: The longer set begins with the shorter one.
SETS = [int(WANTED)] if WANTED else [20, pytest.param(400, marks=pytest.mark.long)]
PROFILE = settings(
    stateful_step_count=40,
    derandomize=WANTED is None,
    print_blob=True,
    report_multiple_bugs=False,
    # Making a failing schedule small takes minutes: only where someone went looking for one.
    phases=(Phase.generate, Phase.shrink) if WANTED else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("machine", [Schedules, Parkings])
@pytest.mark.parametrize("examples", SETS)
@pytest.mark.timeout(3600 if WANTED else 600)
def test_any_schedule_buys_once_reports_all_and_loses_nothing(quick_valkey: redis.Redis, machine: type[Schedules], examples: int) -> None:
    class Here(machine):  # type: ignore[misc, valid-type]
        pass

    Here.client = quick_valkey
    run_state_machine_as_test(Here, settings=settings(PROFILE, max_examples=examples))
