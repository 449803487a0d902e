"""The synchronous client is what `make generate` writes from the one for asyncio: same methods, same parameters, same docstrings."""

import ast
import inspect
import re
import textwrap
from pathlib import Path

import pytest

import didflow
from didflow.client.aio.client import AsyncDidflow
from didflow.client.sync.client import Didflow
from producers.async_incidents import AsyncIncidents
from producers.incidents import Incidents
from tools.sync_client import SOURCE, TARGET, generated, outdated, synchronous

PAIRS = [
    (AsyncDidflow, Didflow),
    (didflow.AsyncDocuments, didflow.Documents),
    (didflow.AsyncPool, didflow.Pool),
    (AsyncIncidents, Incidents),
]
METHODS = [
    pytest.param(method, id=f"{kind.__name__}.{name}")
    for kind, _ in PAIRS
    for name, method in inspect.getmembers(kind, inspect.isfunction)
    if not name.startswith("_") and name != "aclose"
]


def public(kind: type) -> set[str]:
    return {name.removeprefix("a") if name == "aclose" else name for name in dir(kind) if not name.startswith("_")}


@pytest.fixture(scope="module")
def files() -> dict[Path, str]:
    return generated()


def test_each_file_is_what_its_source_gives(files: dict[Path, str]) -> None:
    assert len(files) > 8
    assert [str(file) for file in outdated(files)] == [], "run `make generate`"


def test_a_changed_source_and_a_file_without_a_source_are_found(files: dict[Path, str]) -> None:
    jobs, results = TARGET / "jobs.py", TARGET / "results.py"
    changed = {**files, jobs: files[jobs].replace("Submit a job.", "Submit it.")}
    del changed[results]
    assert outdated(changed) == [jobs, results]


def test_code_and_docstrings_lose_what_only_asyncio_has() -> None:
    source = '''
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from didflow.client.aio.base import AsyncClient

class AsyncThings(AsyncClient):
    async def all(self, pause: Callable[[], Awaitable[None]]) -> AsyncIterator[str]:
        """Yield things.

            async for thing in AsyncThings(didflow).all(pause):
                await didflow.drop(thing)

        Async jobs await nobody.
        """
        await asyncio.sleep(1.0)
        async for thing in converse_async(self.ledger):
            yield thing
        await self.aclose()
'''
    assert synchronous(SOURCE / "things.py", TARGET / "things.py", source) == (
        "# Written by `make generate` from didflow/client/aio/things.py: change that file.\n"
        '''
import time
from collections.abc import Callable, Iterator

from didflow.client.sync.base import Client


class Things(Client):
    def all(self, pause: Callable[[], None]) -> Iterator[str]:
        """Yield things.

            for thing in Things(didflow).all(pause):
                didflow.drop(thing)

        Async jobs nobody.
        """
        time.sleep(1.0)
        for thing in converse(self.ledger):
            yield thing
        self.close()
'''
    )


@pytest.mark.parametrize(("aio", "sync"), PAIRS, ids=lambda kind: kind.__name__)
def test_both_have_the_same_methods_and_parameters(aio: type, sync: type) -> None:
    assert public(aio) == public(sync)
    for name in public(aio) - {"close"}:
        one, other = inspect.getattr_static(aio, name), inspect.getattr_static(sync, name)
        if inspect.isfunction(one) and inspect.isfunction(other):
            assert inspect.signature(one).parameters == inspect.signature(other).parameters, name


def test_no_word_of_asyncio_is_left() -> None:
    for file in TARGET.glob("*.py"):
        code = file.read_text().split("\n", 1)[1] if file.name != "__init__.py" else ""
        assert not re.search(r"\b(async|await|asyncio|Awaitable)\b|Async[A-Z]|_async\b", code), file.name


@pytest.mark.parametrize("method", METHODS)
def test_a_docstring_has_an_example_that_calls_the_method(method: object) -> None:
    text = inspect.getdoc(method) or ""
    example = re.search(r"\n\n((?:    .*\n?)+)(?:\n|$)", text)
    assert example, "no indented example"
    code = compile(textwrap.dedent(example[1]), "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
    names = {node.attr for node in ast.walk(code) if isinstance(node, ast.Attribute)}
    assert getattr(method, "__name__", "") in names


def test_a_part_is_a_file_of_its_own_and_stays_small() -> None:
    lines = {file.name: len(file.read_text().splitlines()) for folder in (SOURCE, TARGET) for file in Path(folder).glob("*.py")}
    assert {name: count for name, count in lines.items() if count > 220} == {}
