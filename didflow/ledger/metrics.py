"""What there is to measure, read from the ledger alone: whichever process asks gets the figures of all hosts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from didflow.contract.inventory import MirrorState
from didflow.contract.metric_counts import EndedJobs, ProviderCalls, read_calls, read_ended
from didflow.contract.spending import ScopeSpending, SpendLimit
from didflow.contract.states import JobState, Lane
from didflow.contract.webhooks import EndpointView
from didflow.ledger import script_calls
from didflow.ledger.client import WORKER_ALIVE_MS
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.group_progress import StreamGroups, all_groups
from didflow.ledger.inventory import look
from didflow.ledger.rate_limit import RateState, read_rate_state
from didflow.ledger.views import moment
from didflow.ledger.webhooks.endpoints import every
from didflow.ledger.worker_settings import RunningWith, read_running, strictest

#: Messages at a queue's head that are looked at for the oldest: those with priority stand before older ones.
HEADS = 20


@dataclass(frozen=True)
class LaneBacklog:
    """Jobs that are due and that no worker has taken. `oldest_s`: for how long the oldest has been due; 0 if there is none."""

    waiting: int
    oldest_s: float


@dataclass(frozen=True)
class AccountMeasures:
    """One provider account.

    rate_per_s   requests a second that are allowed now; None where no worker says what is configured
    breaker_open the provider fails, and only an occasional probe is sent
    frozen       a freeze, of this account or of all, stops purchases and releases
    gate_closed  after a restart of Redis, until what may be lost is accounted for: no money moves
    spending     what is spent and held; held is in doubt until its checkout is settled. None: nothing yet
    in_doubt_s   for how long the oldest open checkout has been held; 0: there is none
    limits       its spend limits
    inventory    how old and how large the mirror of its numbers is
    """

    paused: bool
    gate_closed: bool
    frozen: bool
    rate: RateState
    rate_per_s: float | None
    spending: ScopeSpending | None
    limits: tuple[SpendLimit, ...]
    inventory: MirrorState
    in_doubt_s: float = 0.0

    @property
    def breaker_open(self) -> bool:
        return self.rate.open_since is not None

    @property
    def in_doubt_usd(self) -> Decimal:
        return self.spending.held.usd if self.spending else Decimal(0)


@dataclass(frozen=True)
class Measures:
    """Everything at one moment, on the server's clock.

    jobs          how many are in each state; batches of a large job aren't counted
    oldest        when the oldest job in each of the states was submitted that wait for a worker or a person
    frozen_jobs   how many jobs wait until a freeze is lifted
    dead_letters  entries by where they lie: ``results``, ``requests``, ``messages``
    settings      of one of the workers, by variable, without keys
    webhooks      the endpoints, by name
    """

    at: datetime
    workers: int
    jobs: Mapping[JobState, int]
    oldest: Mapping[JobState, datetime]
    lanes: Mapping[Lane, LaneBacklog]
    frozen_jobs: int
    ended: EndedJobs
    calls: ProviderCalls
    dead_letters: Mapping[str, int]
    groups: tuple[StreamGroups, ...]
    accounts: Mapping[str, AccountMeasures] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    webhooks: tuple[EndpointView, ...] = ()

    def oldest_s(self, state: JobState) -> float:
        """How long ago the oldest job in this state was submitted, seconds; 0 if there is none."""
        return max(0.0, (self.at - self.oldest[state]).total_seconds()) if state in self.oldest else 0.0


def measures(commands: Commands) -> Command[Measures]:
    """Some forty commands in five steps, and five for each account; none of them reads a list as long as there are jobs."""
    keys, now_ms = commands.keys, (yield from _now_ms())
    states, lanes = tuple(JobState), tuple(Lane)
    counts = yield tuple(RedisCommand("zcard", (keys.state(state),)) for state in states)
    firsts = yield tuple(RedisCommand("zrange", (keys.state(state), 0, 0), {"withscores": True}) for state in states)
    heads = yield tuple(RedisCommand("lrange", (f"{keys.broker}:{lane}", 0, HEADS - 1)) for lane in lanes)
    backlogs = {}
    for lane, head in zip(lanes, heads, strict=True):
        backlogs[lane] = yield from _backlog(f"{keys.broker}:{lane}", head, now_ms)
    ended, calls, poison, dead, undecodable, alive, paused, held, frozen = yield (
        RedisCommand("hgetall", (keys.metrics_ended,)),
        RedisCommand("hgetall", (keys.metrics_calls,)),
        RedisCommand("xlen", (keys.poison,)),
        RedisCommand("xlen", (keys.dead_requests,)),
        RedisCommand("llen", (keys.undecodable,)),
        RedisCommand("zrangebyscore", (keys.workers, now_ms - WORKER_ALIVE_MS, "+inf")),
        RedisCommand("smembers", (keys.paused,)),
        RedisCommand("zcard", (keys.frozen_held,)),
        RedisCommand("hkeys", (keys.frozen,)),
    )
    running = yield from _running(commands, alive)
    return Measures(
        at=_moment(now_ms),
        workers=len(alive),
        jobs={state: int(count) for state, count in zip(states, counts, strict=True)},
        oldest={state: _moment(int(first[0][1])) for state, first in zip(states, firsts, strict=True) if first},
        lanes=backlogs,
        frozen_jobs=int(held),
        ended=read_ended(ended),
        calls=read_calls(calls),
        dead_letters={"results": int(poison), "requests": int(dead), "messages": int(undecodable)},
        groups=(yield from all_groups(keys)),
        settings=running[0].settings if running else {},
        accounts=(yield from _accounts(commands, running, set(paused), set(frozen), now_ms)),
        webhooks=(yield from every(commands)),
    )


def _now_ms() -> Command[int]:
    seconds, microseconds = yield RedisCommand("time")
    return int(seconds) * 1000 + int(microseconds) // 1000


def _moment(ms: int) -> datetime:
    found = moment(str(ms))
    if found is None:
        raise ValueError(f"not a moment: {ms} ms")
    return found


def _backlog(queue: str, head: Sequence[str], now_ms: int) -> Command[LaneBacklog]:
    if not head:
        return LaneBacklog(0, 0.0)
    count, bodies = yield (RedisCommand("llen", (queue,)), RedisCommand("hmget", (f"{queue}.msgs", list(head))))
    sent = [sent_ms for body in bodies if (sent_ms := _integer(body, "message_timestamp")) is not None]
    return LaneBacklog(int(count), max(0.0, (now_ms - min(sent, default=now_ms)) / 1000))


def _oldest_s(held: Sequence[str], now_ms: int) -> float:
    since = [since_ms for text in held if (since_ms := _integer(text, "since_ms")) is not None]
    return max(0.0, (now_ms - min(since, default=now_ms)) / 1000)


def _integer(text: str | None, name: str) -> int | None:
    """A field of a JSON object; None where there is none: of a message that was just taken, of a record that isn't ours."""
    try:
        found = json.loads(text or "{}")[name]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, int) else None


def _running(commands: Commands, workers: Sequence[str]) -> Command[tuple[RunningWith, ...]]:
    if not workers:
        return ()
    texts = yield RedisCommand("mget", ([commands.keys.running(worker) for worker in workers],))
    return tuple(found for text in texts if (found := read_running(text)) is not None)


def _accounts(
    commands: Commands, running: Sequence[RunningWith], paused: set[str], frozen: set[str], now_ms: int
) -> Command[dict[str, AccountMeasures]]:
    """The accounts that workers serve, and those that are paused or frozen."""
    names = sorted({name for one in running for name in one.accounts} | paused | (frozen - {""}))
    if not names:
        return {}
    keys = commands.keys
    number, *replies = yield (
        RedisCommand("hget", (keys.epoch, "number")),
        *(RedisCommand("hgetall", (keys.rate(name),)) for name in names),
        *(RedisCommand("hget", (keys.gate(name), "epoch")) for name in names),
        *(RedisCommand("hvals", (keys.held(f"account:{name}"),)) for name in names),
    )
    rates, passed, held = replies[: len(names)], replies[len(names) : 2 * len(names)], replies[2 * len(names) :]
    spent = yield from commands.run(script_calls.spending([("account", name) for name in names], 0))
    by_name = {one.name: one for one in spent}
    mirrors = {}
    for name in names:
        mirrors[name] = (yield from look(keys, name)).state
    strict = strictest(running)
    return {
        name: AccountMeasures(
            paused=name in paused,
            frozen="" in frozen or name in frozen,
            gate_closed=number not in (None, "1") and passed[at] != number,
            rate=(rate := read_rate_state(rates[at], now_ms * 1000)),
            rate_per_s=strict.rate_limit * rate.pace if strict else None,
            spending=by_name.get(name),
            limits=strict.spend_limits.get(name, ()) if strict else (),
            inventory=mirrors[name],
            in_doubt_s=_oldest_s(held[at], now_ms),
        )
        for at, name in enumerate(names)
    }
