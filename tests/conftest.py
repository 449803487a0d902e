"""What all tests stand on: one real Valkey for the session, a namespace and a sandbox for each test."""

import gc
import os
import socket
import uuid
from collections.abc import Generator, Iterator

import pytest
import structlog
from hypothesis import settings

from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from tests.support import provider_profiles
from tests.support.inline_worker import InlineWorker
from tests.support.memory_folder import memory_folder
from tests.support.provider_profiles import Drawn, drawn_for, how_to_repeat
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox import Sandbox, SandboxOptions

#: Whatever a test forgets to set, nothing that it starts reaches beyond this machine.
os.environ["WAVIX_BASE_URL"] = "http://127.0.0.1:1"

# A sixth of the processor time went into looking for garbage among the modules and tests that stay until the end.
gc.disable()

# Until something configures it, structlog draws tracebacks in colours, with all local variables: seconds of the processor for each.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.set_exc_info,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

# An example takes as long as the machine's other work makes it take.
settings.register_profile("didflow", deadline=None)
settings.load_profile("didflow")

#: Files whose tests wait for leases, restarts and processes, or take long: a worker that came to one of them last would work alone.
FIRST = (
    "tests/campaign/",
    "tests/faults/",
    "tests/jobs/test_purchase_faults.py",
    "tests/integration/",
    "tests/jobs/test_countdown_killed.py",
    "tests/jobs/test_killed_at_every_point.py",
    "tests/model/",
    "tests/http/test_serve.py",
    "tests/examples/",
    "tests/unit/test_watchdog.py",
    "tests/webhooks/",
    "tests/jobs/",
    "tests/http/",
    "tests/console/",
)


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedValkey]:
    """A real server, AOF on every write, as `didflow up` starts it."""
    with memory_folder() as folder, EmbeddedValkey(folder) as server:
        yield server


@pytest.fixture
def free_port() -> int:
    """A TCP port on loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def namespace() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def real_ledger(valkey: EmbeddedValkey, namespace: str) -> Iterator[Ledger]:
    client = connect(valkey.url)
    yield Ledger(client, namespace)
    client.close()


@pytest.fixture(autouse=True)
def profiles(request: pytest.FixtureRequest) -> Iterator[Drawn]:
    """The variations of the provider that this test runs on."""
    provider_profiles.use(_profiles_of(request.node))
    yield provider_profiles.current
    provider_profiles.use(Drawn())


@pytest.fixture
def sandbox(profiles: Drawn) -> Iterator[Sandbox]:
    with Sandbox(profiles.applied_to(SandboxOptions(numbers_per_city=30))) as sandbox:
        yield sandbox


@pytest.fixture
def inline(real_ledger: Ledger, sandbox: Sandbox, profiles: Drawn) -> Iterator[InlineWorker]:
    """The real jobs on the real ledger, talking HTTP to a sandbox, run by this thread."""
    inline = InlineWorker(real_ledger, sandbox, **profiles.settings)
    yield inline
    inline.close()


def _profiles_of(test: pytest.Item) -> Drawn:
    mark = test.get_closest_marker("provider")
    return drawn_for(test.nodeid, None if mark is None else mark.args)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The others, which are quick, come last: they fill the processors while the first ones wait, and are evenly spread at the end."""
    items.sort(key=lambda item: next((place for place, name in enumerate(FIRST) if item.nodeid.startswith(name)), len(FIRST)))


def pytest_collection_finish() -> None:
    """Collect garbage from here on, less often than by default, and not among what was loaded until now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


def pytest_report_header() -> str:
    forced = "" if provider_profiles.FORCED is None else f"; DIDFLOW_PROFILES={provider_profiles.FORCED}"
    return f"provider profiles of tests/jobs: DIDFLOW_PROFILE_SEED={provider_profiles.SEED}{forced}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails says on which provider, and how to see it again."""
    report = yield
    if report.failed and (names := _profiles_of(item)).names:
        report.sections.append(("provider profiles", how_to_repeat(item.nodeid, names)))
    return report
