"""The port of a job is small protocols, and a job asks for those of its kind: it can't call what another kind needs."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import worker
from worker.attempt.fault_points import watched_provider
from worker.jobs.ports import context, provider
from worker.jobs.ports.provider import Provider
from worker.wavix.client import WavixClient

JOBS = Path(worker.__file__).parent / "jobs"
#: More would be two ports.
MOST_METHODS = 10
#: What has every port of every kind, and who may ask for it: the table of all kinds.
EVERYTHING = {"JobContext", "Provider"}
OF_ALL_KINDS = {"handlers.py"}


def protocols() -> Iterator[ast.ClassDef]:
    for path in sorted(JOBS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases):
                yield node


def test_no_protocol_of_the_jobs_is_large() -> None:
    counts = {one.name: sum(isinstance(part, ast.FunctionDef) for part in one.body) for one in protocols()}
    assert counts["OtherJobs"] == 3, "they are found"
    assert {name: count for name, count in counts.items() if count > MOST_METHODS} == {}


@pytest.mark.parametrize("kind", ["purchase", "reroute", "release", "documents"])
def test_a_job_asks_for_the_ports_of_its_kind(kind: str) -> None:
    asking = {}
    for path in sorted((JOBS / kind).glob("*.py")):
        names = {alias.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom) for alias in node.names}
        asking[path.name] = names & EVERYTHING
    assert len(asking) > 2, "its modules are found"
    assert {name: names for name, names in asking.items() if names} == {}


def test_only_the_table_of_kinds_asks_for_all_ports() -> None:
    shared = [path for path in JOBS.glob("*.py") if any(name in path.read_text() for name in ("import JobContext", "import Provider"))]
    assert {path.name for path in shared} == OF_ALL_KINDS


def test_the_client_has_every_method_of_every_port() -> None:
    ports = [one for one in vars(provider).values() if isinstance(one, type) and one.__module__ == provider.__name__]
    methods = {name for port in ports for name in dir(port) if not name.startswith("_")}
    assert {"check_out", "set_route", "release", "upload_paper"} <= methods == {name for name in dir(Provider) if not name.startswith("_")}
    assert methods <= set(dir(WavixClient))


def test_every_kind_of_context_is_part_of_the_whole() -> None:
    kinds = {context.PurchaseContext, context.RerouteContext, context.ReleaseContext, context.DocumentsContext}
    assert kinds < set(context.JobContext.__mro__)


def test_a_fault_point_is_around_every_call_to_the_provider() -> None:
    reached: list[str] = []

    class Stub:
        def check_out(self) -> str:
            return "yes"

    watched = watched_provider(Stub(), reached.append)  # type: ignore[arg-type]
    assert watched.check_out() == "yes"  # type: ignore[call-arg, comparison-overlap]
    assert reached == ["before:check_out", "after:check_out"]
