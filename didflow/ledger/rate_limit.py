"""The rate limiter and circuit breaker of an account: shared by all workers, in Redis, on its clock.

Requests are spaced, never bunched: a burst that is let through after a pause and one that is let through before the next would meet at
a provider that counts a second of its own. The breaker opens after failures in a row, and then one request probes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal, cast

from didflow.delays import jittered_s
from didflow.ledger.client import LedgerClient
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.connection import translated
from didflow.ledger.keys import Keys
from didflow.ledger.script_calls import Call

#: A request that has its moment may be late by this much on our side: the thread that wakes up, the reply that was under way.
LATE_S = 0.04
#: And one may be longer on the wire by this much than another: a new connection, a detour.
WIRE_S = 0.05
#: What a second regains of the configured rate after a 429, and the part of it that is never taken away.
CREEP_PER_S = 0.01
FLOOR = 0.1
#: So long after its last request there is an emergency: as in admit.lua.
EMERGENCY_S = 5.0
#: A place in the line that is further ahead was written by a clock that has been set back since.
LONGEST_LINE_S = 60.0
#: Everybody's pause after a 429, where the provider asks for none or for less.
PAUSE_S = 1.0


@dataclass(frozen=True)
class Pace:
    """`interval_us` apart are two requests of an account; emergencies keep `emergency_share` of them while there are any."""

    interval_us: int
    emergency_share: float

    @classmethod
    def of(cls, rate_per_s: float, emergency_share: float) -> "Pace":
        """So far apart that the provider never counts more than the rate within a second, though one is late and the next is not.

        A fractional rate is rounded down; a rate below one is one request every several seconds.
        """
        slack_s = LATE_S + WIRE_S
        interval_s = (1 + slack_s) / math.floor(rate_per_s) if rate_per_s >= 1 else 1 / rate_per_s + slack_s
        return cls(math.ceil(interval_s * 1_000_000), emergency_share)

    @property
    def spare_s(self) -> float:
        """A request may be late by this much more where they are far apart: no second then holds two."""
        return max(0.0, self.interval_us / 1_000_000 - 1 - LATE_S - WIRE_S) / 2


@dataclass(frozen=True)
class Breaker:
    """Opens after `failures` in a row, in any worker, within `window_s`; then only an occasional probe request is sent.

    The first waits `first_s`, the next ones twice as long each up to `last_s`, a quarter more or less at random. A probe that says
    nothing for `probe_s` has died, and another one goes.
    """

    failures: int = 5
    window_s: float = 120.0
    first_s: float = 5.0
    last_s: float = 30.0
    probe_s: float = 40.0


@dataclass(frozen=True)
class Verdict:
    """The rate limiter's reply; the script's header explains each word."""

    word: Literal["go", "back", "limited", "down"]
    wait_s: float
    moment_us: int = 0
    note: str = ""


class RateChange(StrEnum):
    """What a recorded request changed for the ones after it."""

    SAME = "same"
    SLOWED = "slowed"  #: the rate was cut, and all of the account's requests pause
    OPENED = "opened"  #: the breaker: only an occasional probe goes
    CLOSED = "closed"  #: the breaker: all go again


def admit(
    account: str, ask: str, pace: Pace, *, emergency: bool, waited_s: float = 0.0, patience_s: float, probe_s: float | None
) -> Call[Verdict]:
    """May a request go? `ask` is unique to it, `waited_s` is how long it has been in the line, `patience_s` how long it still would be.

    `probe_s` None: whatever the breaker says.
    """
    args = (
        account,
        ask,
        "emergency" if emergency else "other",
        int(waited_s * 1_000_000),
        pace.interval_us,
        f"{pace.emergency_share:f}",
        f"{CREEP_PER_S:f}",
        int(patience_s * 1_000_000),
        int((probe_s or 0) * 1_000_000),
    )
    return Call("admit", args, _verdict)


def _verdict(reply: Sequence[str]) -> Verdict:
    word, wait_us, *moment = reply
    return Verdict(cast("Literal['go', 'back', 'limited', 'down']", word), int(wait_us) / 1_000_000, *_moment(moment))


def _moment(rest: Sequence[str]) -> tuple[int, str]:
    return (int(rest[0]), str(rest[1])) if rest else (0, "")


def report(
    account: str, moment_us: int, heard: Literal["fine", "limited", "down"], words: str, breaker: Breaker, *, pause_s: float, jitter: float
) -> Call[RateChange]:
    """Record how the request of that moment went. `jitter` is 0 to 1."""
    spans_us = (int(span_s * 1_000_000) for span_s in (breaker.window_s, breaker.first_s, breaker.last_s))
    rates = (int(max(PAUSE_S, pause_s) * 1_000_000), f"{CREEP_PER_S:f}", f"{FLOOR:f}")
    return Call(
        "report", (account, moment_us, heard, words, *rates, breaker.failures, *spans_us, f"{jittered_s(1.0, jitter):f}"), RateChange
    )


@dataclass(frozen=True)
class RateState:
    """How an account is asked now. `pace` is the part of the configured rate that is in force."""

    pace: float = 1.0
    paused_until: datetime | None = None
    limit_words: str = ""
    failures: int = 0
    open_since: datetime | None = None
    probe_at: datetime | None = None
    words: str = ""


def rate_state(ledger: LedgerClient, account: str) -> RateState:
    """Look, and change nothing."""
    now_us = ledger.now_ms() * 1000
    with translated():
        return read_rate_state(cast("dict[str, str]", ledger.client.hgetall(ledger.keys.rate(account))), now_us)


def read_rate_state(fields: Mapping[str, str], now_us: int) -> RateState:
    """The state in an account's hash."""
    cut_us, until_us = int(fields.get("cut_us") or 0), int(fields.get("until_us") or 0)
    is_open = fields.get("open") == "1"
    return RateState(
        pace=min(1.0, float(fields.get("pace") or 1) + max(0, now_us - cut_us) / 1_000_000 * CREEP_PER_S),
        paused_until=_time(until_us) if until_us > now_us else None,
        limit_words=fields.get("limit_words", ""),
        failures=int(fields.get("fails") or 0),
        open_since=_time(int(fields.get("since_us") or 0)) if is_open else None,
        probe_at=_time(int(fields.get("again_us") or 0)) if is_open else None,
        words=fields.get("words", ""),
    )


def _time(moment_us: int) -> datetime:
    return datetime.fromtimestamp(moment_us / 1_000_000, UTC)


def emergency_under_way(keys: Keys, account: str) -> Command[bool]:
    """Whether a request of an emergency was asked for in the last seconds."""
    clock, text = yield (RedisCommand("time"), RedisCommand("hget", (keys.rate(account), "emergency_us")))
    age_s: float = clock[0] + clock[1] / 1_000_000 - int(text or 0) / 1_000_000
    return 0 <= age_s < EMERGENCY_S


def others_wait(keys: Keys, account: str) -> Command[bool]:
    """Whether requests that aren't an emergency's stand in line for the account's rate: see admit.lua."""
    clock, text = yield (RedisCommand("time"), RedisCommand("hget", (keys.rate(account), "line_other_us")))
    ahead_s: float = int(text or 0) / 1_000_000 - clock[0] - clock[1] / 1_000_000
    return 0 < ahead_s < LONGEST_LINE_S
