"""A producer asks for a sweep that begins after the question, and gets it, or a reason why there is none."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from didflow.client.aio.client import AsyncDidflow
from didflow.contract.errors import InvalidRequest, InventoryTimeout, SweepFailed, UnknownAccount
from didflow.ledger.worker_settings import note_running, running_with
from tests.support.cluster import until
from tests.support.inline_shell import shell_of
from tests.support.inline_worker import InlineWorker
from tests.support.sweeping import inventory_of, keeper_of, mirrored, sweep
from worker.inventory.keeper import InventoryKeeper
from worker.local.embedded_valkey import EmbeddedValkey

pytestmark = pytest.mark.provider()


@contextmanager
def keeping(inline: InlineWorker) -> Iterator[InventoryKeeper]:
    """A worker's keeper that runs."""
    inline.ledger.worker_alive("worker-1")
    keeper = keeper_of(inline)
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.stop()
        keeper.join(20)


def in_vain(inline: InlineWorker) -> InventoryTimeout:
    with pytest.raises(InventoryTimeout) as caught:
        inventory_of(inline).refresh(timeout_s=0.0)
    return caught.value


def test_a_sweep_that_begins_after_the_question_is_waited_for(inline: InlineWorker) -> None:
    inline.own(2)
    sweep(inline)
    late = inline.own(1)
    with keeping(inline):
        state = inventory_of(inline).refresh(timeout_s=30)
    assert (state.complete, state.numbers) == (True, 3)
    assert late[0] in mirrored(inline)


def is_wanted_since(inline: InlineWorker, moment_ms: int) -> bool:
    """Whether the newest question came at that moment or later, and before this millisecond, so that the next one shows."""
    wanted = inline.ledger.client.hget(inline.ledger.keys.inventory_state("default"), "wanted_ms")
    return moment_ms <= int(wanted or 0) < inline.ledger.now_ms()


def test_one_that_is_under_way_does_not_do(inline: InlineWorker) -> None:
    """It may have read the page before. The next one follows it at once, and both callers share it."""
    inline.own(2)
    sweep(inline)
    began_ms = inline.ledger.now_ms()
    asked = [threading.Thread(target=inventory_of(inline).refresh, kwargs={"timeout_s": 30}) for _ in range(2)]
    state_key = inline.ledger.keys.inventory_state("default")
    inline.ledger.client.hset(state_key, mapping={"by": "another", "lease_ms": str(began_ms + 60_000), "sweep_ms": str(began_ms)})
    for one in asked:  # One at a time: a question that came after the sweep began would wait for another sweep.
        before_ms = inline.ledger.now_ms()
        one.start()
        until(partial(is_wanted_since, inline, before_ms))
    assert keeper_of(inline).look() > 0
    assert all(one.is_alive() for one in asked)
    inline.ledger._script("inventory_end", "default", "another", 1, 900_000, "", 0, "{}")
    late = inline.own(1)
    keeper_of(inline).look()
    for one in asked:
        one.join(20)
    assert late[0] in mirrored(inline)
    assert not inline.ledger.client.hexists(state_key, "wanted_ms")


def test_a_young_mirror_needs_no_sweep(inline: InlineWorker) -> None:
    inline.own(2)
    sweep(inline)
    assert inventory_of(inline).refresh(max_age_s=60.0, timeout_s=0.0).numbers == 2
    assert not inline.ledger.client.hexists(inline.ledger.keys.inventory_state("default"), "wanted_ms")
    assert in_vain(inline).reason == "no_worker"


def test_each_reason_is_named(inline: InlineWorker) -> None:
    error = in_vain(inline)
    assert (error.code, error.reason, error.retryable) == ("inventory_timeout", "no_worker", InventoryTimeout.retryable)
    assert "start `didflow worker`" in str(error)
    inline.ledger.worker_alive("worker-1")
    assert in_vain(inline).reason == "busy"
    inline.ledger.client.hset(inline.ledger.keys.rate("default"), "emergency_us", str(inline.ledger.now_ms() * 1000))
    assert in_vain(inline).reason == "emergency"
    inline.ledger.pause_account("default", 401, "wrong key")
    assert (in_vain(inline).reason, "401 wrong key" in str(in_vain(inline))) == ("account_paused", True)


def test_a_sweep_that_is_not_complete_is_an_error_that_says_why(inline: InlineWorker) -> None:
    inline.own(130)
    sweep(inline)
    inline.sandbox.order("reconfigure", owned_pages="repeated")
    with keeping(inline), pytest.raises(SweepFailed, match="the list can't be read"):
        inventory_of(inline).refresh(timeout_s=30)


def test_an_account_that_no_worker_has_and_wrong_limits_are_refused(inline: InlineWorker) -> None:
    inline.ledger.worker_alive("worker-1")
    inline.ledger.perform(note_running(inline.ledger.keys, "worker-1", running_with(inline.settings)))
    with pytest.raises(UnknownAccount):
        inventory_of(inline, "othr").refresh()
    with pytest.raises(InvalidRequest) as caught:
        inventory_of(inline).refresh(max_age_s=float("nan"), timeout_s=-1)
    assert [where for where, _ in caught.value.faults] == ["max_age_s", "timeout_s"]


def test_the_async_client_and_the_command_wait_the_same(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> None:
    inline.own(2)

    async def fresh() -> int:
        didflow = AsyncDidflow.from_url(valkey.url, inline.settings.namespace)
        try:
            return (await didflow.inventory.refresh(timeout_s=30)).numbers
        finally:
            await didflow.aclose()

    shell = shell_of(inline, valkey.url, tmp_path)
    began_s = time.monotonic()
    alone = shell("numbers", "--fresh", "--timeout", "0", "--json")
    assert (alone.code, alone.json["error"]["code"]) == (3, "inventory_timeout")
    assert time.monotonic() - began_s < 30
    with keeping(inline):
        assert asyncio.run(fresh()) == 2
        inline.own(1)
        assert len(shell("numbers", "--fresh", "--json").json["numbers"]) == 3
        assert shell("numbers", "totals", "--fresh", "--json").json["numbers"] == 3
