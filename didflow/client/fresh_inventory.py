"""Waiting for a sweep of the inventory that begins after the question. Commands, which the sync and the async client share."""

import time
from dataclasses import dataclass

from didflow.client.freshness import check_freshness
from didflow.contract.errors import InventoryTimeout, SweepFailed, UnknownAccount
from didflow.contract.inventory import MirrorState
from didflow.contract.time_values import about
from didflow.ledger.catalogue import living_workers
from didflow.ledger.client import AccountState
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.inventory import Looked, look
from didflow.ledger.rate_limit import emergency_under_way
from didflow.ledger.script_calls import Call
from didflow.ledger.worker_settings import running_accounts

#: How long a caller waits for a sweep.
TIMEOUT_S = 30.0
#: How often it is checked whether the sweep has ended.
LOOK_AGAIN_S = 0.2


@dataclass(frozen=True)
class SweepAsked:
    """A question for a sweep. `asked_ms`: on the ledger's clock; `ends_s`: when the caller stops waiting, on `time.monotonic`.

    `young`: the mirror at that time, if it was young enough."""

    account: str
    asked_ms: int
    timeout_s: float
    ends_s: float
    young: MirrorState | None


def ask_for_sweep(commands: Commands, account: str, max_age_s: float, timeout_s: float) -> Command[SweepAsked]:
    """Have a sweep made, unless the mirror is complete and no older. Raises InvalidRequest with every fault, UnknownAccount."""
    check_freshness(account, max_age_s, timeout_s)
    ends_s, looked = time.monotonic() + timeout_s, (yield from look(commands.keys, account))
    now_ms = int(looked.now.timestamp() * 1000)
    state = looked.state
    if max_age_s > 0 and state.complete and state.age_s is not None and state.age_s <= max_age_s:
        return SweepAsked(account, now_ms, timeout_s, ends_s, state)
    workers = yield from living_workers(commands.keys, now_ms)
    known = yield from running_accounts(commands.keys, workers)
    if known is not None and account not in known:
        raise UnknownAccount(account, known)
    yield from commands.run(Call("inventory_ask", (account, now_ms), lambda reply: reply))
    return SweepAsked(account, now_ms, timeout_s, ends_s, None)


def swept_since(commands: Commands, asked: SweepAsked) -> Command[MirrorState | None]:
    """The mirror after the sweep that was asked for; None: it hasn't ended yet.

    Raises InventoryTimeout when the caller's time is over, SweepFailed if the sweep wasn't complete."""
    if asked.young is not None:
        return asked.young
    looked = yield from look(commands.keys, asked.account)
    state = looked.state
    if state.swept_at is not None and state.swept_at.timestamp() * 1000 >= asked.asked_ms:
        return state
    began = looked.began_ms >= asked.asked_ms
    if began and not state.sweeping and state.trouble:
        raise SweepFailed(asked.account, state.trouble)
    if time.monotonic() < asked.ends_s:
        return None
    reason, why = yield from _why_not_yet(commands, asked, looked, began=began)
    raise InventoryTimeout(asked.account, reason, f"no new sweep of the inventory within {asked.timeout_s:g} s: {why}")


def _why_not_yet(commands: Commands, asked: SweepAsked, looked: Looked, *, began: bool) -> Command[tuple[str, str]]:
    workers = yield from living_workers(commands.keys, int(looked.now.timestamp() * 1000))
    if not workers:
        return "no_worker", "no worker is running: start `didflow worker`, or `didflow up`"
    fields = yield RedisCommand("hgetall", (commands.keys.account(asked.account),))
    account = AccountState.of(fields)
    if account.paused:
        said = f"{account.status} {account.message}"
        return "account_paused", f"the account is paused, the provider said {said}: check its key with `didflow doctor`"
    if (yield from emergency_under_way(commands.keys, asked.account)):
        return "emergency", "an emergency job uses the account's rate, and the sweep waits until it is over: ask again later"
    if began and looked.state.sweeping:
        age = about((looked.now.timestamp() * 1000 - looked.began_ms) / 1000)
        return "under_way", f"the sweep began {age} ago and continues: ask again, or wait longer"
    if looked.state.sweeping:
        return "busy", "an earlier sweep is under way, the new one follows it: ask again"
    return "busy", "no worker has begun it yet: ask again"
