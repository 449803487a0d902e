"""What is left in Redis when every job has ended and its time is over: nothing that grows with the number of jobs."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import redis

from didflow.ledger.consumer_groups import KEPT_FOR_A_LOOK
from didflow.ledger.keys import Keys

#: The sweepers of living workers have taken away what is due within this.
SWEPT_WITHIN_S = 30.0
#: A node of a stream goes as a whole, and the sweepers trim once a minute: this many more may be there.
STREAM_SLACK = 1_500
#: What one thing that is meant to stay may take: an entry of a stream, a reserved number, the newest job of a number.
BYTES_EACH = 2_000
#: The ledger's own and Dramatiq's, however many jobs there were.
KEYS_ANYWAY = 60
#: Scripts, connections, and what the allocator holds back.
BYTES_ANYWAY = 6_000_000


@dataclass(frozen=True)
class Footprint:
    """A server's memory. `kept`: how many things are in it that stay by rule, whatever became of their job."""

    keys: int
    memory_bytes: int
    kept: int


def footprint(client: redis.Redis, keys: Keys) -> Footprint:
    """As it is now."""
    stats = client.info("memory")
    streams = sum(client.xlen(stream) for stream in (keys.results, keys.events))
    hashes = (keys.reserved("default"), keys.routes("default"))
    reported = sum(client.llen(keys.history_of(number)) for number in cast("list[str]", client.hkeys(keys.history)))
    held = client.hlen(keys.holders) + client.hlen(keys.inventory_rows("default"))
    kept = streams + sum(client.hlen(name) for name in hashes) + client.zcard(f"{keys.namespace}:spent_until") + reported + held
    return Footprint(client.dbsize(), int(stats["used_memory"]), kept)


def grown(client: redis.Redis, keys: Keys, parked: set[str], began: Footprint) -> Iterable[str]:
    """What is still there, in words, when the retention of every job is over, which is made to be now. `parked` jobs stay, whole."""
    ended = cast("list[str]", client.zrange(f"{keys.namespace}:retention", 0, -1))
    if ended:
        client.zadd(f"{keys.namespace}:retention", dict.fromkeys(ended, 0), xx=True)
    deadline_s = time.monotonic() + SWEPT_WITHIN_S
    while (left := _of_jobs(client, keys, parked)) and time.monotonic() < deadline_s:
        time.sleep(0.2)
    yield from (f"{name} is still there, and its job's time is over" for name in left[:20])
    for stream in (keys.results, keys.events):
        length = client.xlen(stream)
        if length > KEPT_FOR_A_LOOK + STREAM_SLACK:
            yield f"{stream} holds {length} entries, and everybody has read them"
    now = footprint(client, keys)
    # One for each reference that numbers of ours were bought for: it goes with the last of them.
    holdings = sum(1 for _ in client.scan_iter(match=keys.holdings("*"), count=1000))
    if holdings > client.hlen(keys.holders):
        yield f"{holdings} references have numbers, and {client.hlen(keys.holders)} numbers are held"
    # Of each worker process that ran in the last minute: what it ran with, and its call that is under way. They expire by themselves.
    lines = sum(1 for _ in client.scan_iter(match=f"{keys.namespace}:inventory:lines:*", count=1000))
    of_workers = lines + sum(1 for kind in ("running", "call") for _ in client.scan_iter(match=f"{keys.namespace}:{kind}:*", count=1000))
    others = now.keys - client.zcard(f"{keys.namespace}:spent_until") - client.hlen(keys.history) - holdings - of_workers
    if not parked and others > KEYS_ANYWAY:
        yield f"{others} keys are there, and no job is: {sorted(str(name) for name in client.scan_iter(count=1000))[:100]}"
    allowed = began.memory_bytes + BYTES_ANYWAY + now.kept * BYTES_EACH
    if now.memory_bytes > allowed:
        yield f"memory grew from {began.memory_bytes} to {now.memory_bytes} bytes, and {now.kept} things are meant to stay"


def _of_jobs(client: redis.Redis, keys: Keys, parked: set[str]) -> list[str]:
    """Keys and members that exist because of a job that has ended."""
    names = sorted(str(name) for name in client.scan_iter(match=keys.job("*"), count=1000))
    found = [name for name in names if not any(job_id in name for job_id in parked)]
    found += [str(name) for name in client.scan_iter(match=f"{keys.namespace}:refs:*", count=1000)][len(parked) :]
    for name in client.scan_iter(match=f"{keys.namespace}:state:*", count=1000):
        members = cast("list[str]", client.zrange(name, 0, -1))
        found += [f"{name} {member}" for member in members if member not in parked]
    if client.hlen(keys.idempotency) > len(parked):
        found.append(keys.idempotency)
    return found
