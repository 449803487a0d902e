"""What is installed with didflow is all that it imports: a package that only the tests' environment has would be missing elsewhere."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Imported only where the extra `otel` is installed.
TRACING = ROOT / "didflow/tracing/otel.py"


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned_in(lock: str) -> set[str]:
    return {plain(name) for name in re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / lock).read_text(), re.MULTILINE)}


def test_everything_that_is_imported_is_pinned_for_production() -> None:
    pinned, with_traces = pinned_in("requirements.lock"), pinned_in("requirements-otel.lock")
    of_module = packages_distributions()
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for folder in ("didflow", "producers", "worker")
        for path in (ROOT / folder).rglob("*.py")
        for name in imported(ast.parse(path.read_text()))
        if name not in sys.stdlib_module_names and name not in ("didflow", "producers", "worker")
        if not {plain(one) for one in of_module.get(name, [])} & (with_traces if path == TRACING else pinned)
    }
    assert missing == set()
    assert pinned < with_traces
