"""What an application gets that installs didflow: one name to import, which collides with no package of its own, and real types."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.packaging.conftest import PROJECT, Installed
from worker.local.embedded_valkey import EmbeddedValkey

#: An application that calls its own packages what didflow calls two of its own.
APPLICATION = {
    "worker/__init__.py": "OURS = 'the application'\n",
    "producers/__init__.py": "OURS = 'the application'\n",
    "application.py": """
import json
import sys

import producers
import worker
from didflow import Destination, Didflow, IdempotencyConflict, SearchAndBuy

loaded = sorted(name for name in ("dramatiq", "httpx") if name in sys.modules)
didflow = Didflow.from_env()
order = SearchAndBuy(country="US", city="LOS ANGELES, CA", quantity=2, destinations=(Destination.sip("pbx@example.net"),))
jobs = [didflow.submit(order, idempotency_key="order-1", reference="acme") for _ in range(2)]
view = didflow.get(jobs[0].id)
print(json.dumps({
    "library": sys.modules["didflow"].__file__,
    "packages": [worker.OURS, producers.OURS],
    "loaded": loaded,
    "new": [job.is_new for job in jobs],
    "state": view.state,
    "request": view.request.model_dump(mode="json", include={"quantity", "destinations"}),
}))
""",
}

CONSUMER = """
from didflow import Didflow, Job, JobView, SearchAndBuy

didflow = Didflow.from_env()
job: Job = didflow.submit(SearchAndBuy(country="US", quantity=2), idempotency_key="order-1")
view: JobView = didflow.wait(job.id, timeout_s=60)
numbers: list[str] = [number.number for number in view.result.numbers] if view.result else []
for delivery in didflow.results(group="billing", consumer="billing-1"):
    body = delivery.event.data
    reveal_type(body.state)
    delivery.ack()
didflow.submit(4711)
didflow.wait(job.id, timeout_s="60")
"""


def python(installed: Installed, *arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the interpreter that has the wheel, in `folder` and without the tests' paths."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [installed.python, *arguments], cwd=folder, env=inherited | environment, capture_output=True, text=True, check=False, timeout=120
    )


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_an_application_with_packages_of_the_same_names_submits_jobs(
    installed: Installed, valkey: EmbeddedValkey, namespace: str, tmp_path: Path
) -> None:
    folder = written(tmp_path, APPLICATION)
    ran = python(installed, "application.py", folder=folder, DIDFLOW_REDIS_URL=valkey.url, DIDFLOW_NAMESPACE=namespace)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert Path(said.pop("library")).is_relative_to(installed.site_packages)
    (route,) = said["request"].pop("destinations")
    assert route["destination"] == "pbx@example.net"
    assert said == {
        "packages": ["the application", "the application"],
        "loaded": [],
        "new": [True, False],
        "state": "queued",
        "request": {"quantity": 2},
    }


def test_the_command_and_the_workers_run_from_the_wheel(installed: Installed, tmp_path: Path) -> None:
    ran = python(installed, "-c", "import producers.cli.app, worker.process.worker_process as w; print(w.__file__)", folder=tmp_path)
    assert Path(ran.stdout.strip()).is_relative_to(installed.site_packages), ran.stderr
    assert (installed.python.parent / "didflow").exists()


def test_the_wheel_has_every_file_of_the_packages_and_nothing_else(installed: Installed) -> None:
    packages = ("didflow", "producers", "worker")
    ours = {path.relative_to(PROJECT).as_posix() for name in packages for path in (PROJECT / name).rglob("*") if path.is_file()}
    wanted = {name for name in ours if "__pycache__" not in name}
    assert {"didflow/py.typed", "didflow/ledger/scripts/jobs/submit.lua", "didflow/ledger/scripts/include/clock.lua"} <= wanted
    assert {name for name in installed.files if ".dist-info/" not in name} == wanted


@pytest.mark.long
def test_mypy_sees_the_types_of_the_installed_library(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "consumer.py").write_text(CONSUMER)
    options = ("--strict", "--config-file=", "--no-error-summary", "--hide-error-context", f"--cache-dir={tmp_path / 'cache'}")
    ran = python(installed, "-m", "mypy", *options, "consumer.py", folder=tmp_path)
    reported = [line.partition(": ")[2] for line in ran.stdout.splitlines()]
    assert reported[0] == 'note: Revealed type is "didflow.contract.states.JobState"'
    assert ["[call-overload]" in line or "[arg-type]" in line for line in reported[1:] if line.startswith("error")] == [True, True]
    assert not any("import-untyped" in line or "py.typed" in line for line in reported)
