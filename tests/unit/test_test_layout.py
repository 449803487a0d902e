"""What several test files use lies in `tests/support`: a test file can be moved, split or deleted without a look at the others."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
PROJECT = TESTS.parent


def imported_modules(file: Path) -> Iterator[str]:
    """Every module that a file of the tests names in an import, absolute."""
    package = file.relative_to(PROJECT).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join((*package[: len(package) - node.level + 1], node.module or "") if node.level else (node.module or "",))
            yield from (f"{base}.{one.name}" for one in node.names)


def test_no_file_imports_a_test_file() -> None:
    test_modules = {".".join(file.relative_to(PROJECT).with_suffix("").parts) for file in TESTS.rglob("test_*.py")}
    assert len(test_modules) > 100
    wrong = {
        f"{file.relative_to(PROJECT)} imports {module}"
        for file in TESTS.rglob("*.py")
        for module in imported_modules(file)
        if module in test_modules or module.rpartition(".")[0] in test_modules
    }
    assert wrong == set()
