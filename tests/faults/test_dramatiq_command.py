"""Dramatiq's own command runs workers. It stops all of them when one dies, which is why `didflow worker` is the one for production."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.exit_codes import ExitCode
from didflow.contract.requests import Release, Reroute, SearchAndBuy
from didflow.contract.states import JobState, Lane
from tests.support.cluster import GIVEN_UP_AFTER_S, Cluster, cluster, lives, until
from tests.support.shell import Shell


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Valkey and a sandbox, without workers."""
    with cluster(tmp_path_factory.mktemp("plant"), processes=0) as running:
        yield running


@contextmanager
def command(plant: Cluster, log: Path, processes: int = 2) -> Iterator[subprocess.Popen[bytes]]:
    """`dramatiq worker.app` with all of its processes at work."""
    with log.open("wb") as lines:
        running = subprocess.Popen(
            [sys.executable, "-m", "dramatiq", "worker.app", "--processes", str(processes), "--threads", "4"],
            env=plant.stack.worker_environment(),
            stderr=lines,
            start_new_session=True,
        )
        try:
            until(lambda: len(plant.workers()) == processes and b"booting up" in log.read_bytes(), what="its start")
            yield running
        finally:
            pids = list(plant.workers())
            running.terminate()
            with suppress(subprocess.TimeoutExpired):
                running.wait(GIVEN_UP_AFTER_S)
            for pid in (running.pid, *pids):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            running.wait()


def events(log: Path) -> list[str]:
    return [json.loads(line)["event"] for line in log.read_text().splitlines() if line.startswith("{")]


def test_it_serves_every_lane_and_signs_off_at_its_end(plant: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with command(plant, log) as running:
        moved, released = plant.sandbox.order("seed_owned", count=2)
        jobs = [
            plant.submit(SearchAndBuy(country="US")),
            plant.submit(Reroute(numbers=(f"+{moved}",), destinations=(Destination.sip("pbx@example.net"),))),
            plant.submit(Release(numbers=(f"+{released}",))),
        ]
        assert {plant.ledger.get(job.id).lane for job in jobs} == set(Lane)
        assert {plant.wait(job).state for job in jobs} == {JobState.SUCCEEDED}
        running.terminate()
        assert running.wait(GIVEN_UP_AFTER_S) == 0
        assert not plant.ledger.workers(), "they signed off"
    assert events(log).count("process.started") == 2
    assert events(log).count("process.stopped") == 2, "also the last lines are written"


def test_it_stops_all_processes_when_one_dies(plant: Cluster, tmp_path: Path) -> None:
    """`didflow worker` replaces the dead one: test_processes, a_killed_child_is_replaced."""
    with command(plant, tmp_path / "log") as running:
        killed, other = plant.workers()
        os.kill(killed, signal.SIGKILL)
        assert running.wait(GIVEN_UP_AFTER_S) != 0
        assert not lives(other)
        assert other not in plant.workers()


def test_its_processes_end_when_it_is_killed(plant: Cluster, tmp_path: Path) -> None:
    with command(plant, tmp_path / "log", processes=1) as running:
        [pid] = plant.workers()
        running.kill()
        until(lambda: not lives(pid), what="its end")


WRONG = [
    ({"DIDFLOW_MIDDLEWARE": "dramatiq.middleware:Retries"}, "the ledger counts attempts"),
    ({"DIDFLOW_MIDDLEWARE": "no.such.module:Thing"}, "DIDFLOW_MIDDLEWARE"),
    ({"WAVIX_API_KEY": ""}, "WAVIX_API_KEY"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG, ids=["refused middleware", "unknown middleware", "no key"])
def test_wrong_settings_are_refused_with_the_reason_as_by_didflow_worker(plant: Cluster, wrong: dict[str, str], said: str) -> None:
    settings = plant.stack.worker_environment() | wrong
    ended = dramatiq_ended(settings)
    assert ended.returncode == ExitCode.MISCONFIGURED
    assert said in ended.stderr
    also = Shell(plant.log.parent, settings)(module="worker.process.worker_process")
    assert also.code == ExitCode.MISCONFIGURED
    assert said in also.err


def test_one_thread_is_refused(plant: Cluster) -> None:
    ended = dramatiq_ended(plant.stack.worker_environment(), "--threads", "1")
    assert ended.returncode not in (0, None)
    assert "2 threads or more" in ended.stderr


def dramatiq_ended(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dramatiq", "worker.app", "--processes", "1", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=GIVEN_UP_AFTER_S)
