"""A ledger whose server's clock the test moves: every script and every reader reads Redis's time plus what the test has passed.

The scripts are the real ones but for the one line that asks for the time.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
import redis

from didflow.contract.jobs import Job, JobView
from didflow.contract.states import REPORTED, JobState, WaitReason
from didflow.ledger.commands import Commands
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from didflow.ledger.script_loader import Script, load_script
from tests.support.inline_worker import InlineWorker
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox import Sandbox

_ASKS = "tonumber(t[1]) * 1000000 + tonumber(t[2])"
_PASSED = " + tonumber(redis.call('GET', KEYS[1] .. ':test_passed_us') or '0')"


@cache
def _moved_script(name: str, *, shebang: bool) -> Script:
    source = load_script(name, shebang=shebang).source
    assert source.count(_ASKS) == source.count("local function now_us()")
    moved = source.replace(_ASKS, _ASKS + _PASSED)
    return replace(load_script(name, shebang=shebang), source=moved, sha1=hashlib.sha1(moved.encode(), usedforsecurity=False).hexdigest())


class MovedCommands(Commands):
    def script(self, name: str) -> Script:
        return _moved_script(name, shebang=self.shebang)


class MovedLedger(Ledger):
    """A ledger in which time passes when the test says so."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        super().__init__(client, namespace)
        self.commands = MovedCommands(namespace)

    def now_ms(self) -> int:
        return super().now_ms() + int(str(self.client.get(self._passed) or 0)) // 1000

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_ms() / 1000, UTC)

    def pass_time(self, passed: timedelta) -> None:
        self.client.incrby(self._passed, int(passed.total_seconds() * 1_000_000))

    def pass_until(self, moment: datetime) -> None:
        self.pass_time(max(timedelta(0), moment - self.now()) + timedelta(milliseconds=2))

    @property
    def _passed(self) -> str:
        return f"{self.keys.namespace}:test_passed_us"


#: What only passes time in a test.
_PASSING = frozenset({WaitReason.SETTLING, WaitReason.RETRY, WaitReason.RATE_LIMITED, WaitReason.PROVIDER_DOWN})


def settle(inline: InlineWorker, ledger: MovedLedger, job: Job) -> JobView:
    """Attempts, each when it is due, until the job is reported or waits for a time that a test wants to know of."""
    for _ in range(60):
        view = inline.attempt(job)
        if view.state in REPORTED or (view.state is JobState.WAITING and view.reason not in _PASSING):
            return view
        if view.due_at is not None:
            ledger.pass_until(view.due_at)
    raise AssertionError([vars(step) for step in inline.story(job)])


# The fixtures of tests on such a clock.


@pytest.fixture
def ledger(valkey: EmbeddedValkey, namespace: str) -> Iterator[MovedLedger]:
    client = connect(valkey.url)
    yield MovedLedger(client, namespace)
    client.close()


@pytest.fixture
def inline(ledger: MovedLedger, sandbox: Sandbox) -> Iterator[InlineWorker]:
    inline = InlineWorker(ledger, sandbox)
    yield inline
    inline.close()
