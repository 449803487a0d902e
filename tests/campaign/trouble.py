"""What goes wrong in a campaign: with workers, with Valkey, with connections, with the queue, with the provider. All chosen by one seed."""

import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import redis

from didflow.contract.states import Lane
from didflow.ledger.keys import Keys
from didflow.ledger.script_loader import load_script
from tests.campaign.fleet import Fleet
from tests.campaign.proxy import Proxy
from tests.campaign.server import Server
from worker.wavix.sandbox import SandboxAdmin

#: Scripts that workers and sweepers run; a lost reply of each must change nothing.
SCRIPTS = (
    *("submit", "take", "save", "renew", "suspend", "finish", "sweep", "routes", "quarantine", "account"),
    *("webhook_fan_out", "webhook_take", "webhook_settle"),
)
MUTATING = ("cart_put", "cart_delete", "checkout", "destinations", "release")
READS = ("owned", "owned_one", "cart", "dids", "cities", "regions", "countries", "trunks")
ON_ANY_CALL = ("drop", "hang", "html_error", "status_500_before", "rate_limit", "cut_json", "slow")
ON_MUTATION = ("act_and_drop", "act_then_refuse", "act_and_hang", "act_late", "act_then_html", "status_500_after")
#: Longer than the HTTP time-out of a campaign's workers, and than their settle time.
LATE_S = (0.3, 1.2, 2.5, 4.0)


#: How a call that did what was asked is refused all the same: by the API, by what stands before it, or by a request sent twice.
REFUSALS: tuple[dict[str, Any], ...] = (
    {"status": 404},
    {"status": 403, "html": True},
    {"status": 400},
    {"status": 422, "body": {"error": "refused by a scripted fault"}},
    {"status": 429},
    {"status": 503},
    {"status": 503, "headers": {"Retry-After": "1"}},
)


@dataclass(frozen=True)
class Struck:
    """One trouble: when it was over (wall clock), which, and what of it was chosen."""

    at_s: float
    name: str
    detail: str


@dataclass
class Trouble:
    """`strike` does one of the things that `weights` name. `counts` says how often each was done, `struck` when."""

    rng: random.Random
    fleet: Fleet
    server: Server
    proxy: Proxy
    sandbox: SandboxAdmin
    keys: Keys
    orders: Path
    roles: Fleet | None = None
    provider_share: float = 0.4
    drains: bool = True
    counts: Counter[str] = field(default_factory=Counter)
    struck: list[Struck] = field(default_factory=list)
    fault_points_hit: set[str] = field(default_factory=set)
    _armed: dict[str, float] = field(default_factory=dict)
    _points: list[str] = field(default_factory=list)
    _detail: list[str] = field(default_factory=list)

    def strike(self, weights: dict[str, int]) -> str:
        """One trouble; its name."""
        name = self.rng.choices(list(weights), list(weights.values()))[0]
        verb: Callable[[], None] = getattr(self, name)
        self._detail.clear()
        with suppress(redis.RedisError, OSError):
            verb()
            self.counts[name] += 1
        self.struck.append(Struck(time.time(), name, "; ".join(self._detail)))
        return name

    def calm(self) -> None:
        """Take back whatever lasts."""
        self.sandbox.clear_faults()
        self.sandbox.order("reconfigure", read_lag_s=0.0, rate_limit=None)
        self.sandbox.order("set_balance", usd="1000000")
        self.sandbox.order("set_key_valid", valid=True)
        for order in self.orders.glob("*.*"):
            order.unlink(missing_ok=True)
        self.server.heal()
        self.fleet.thaw_all()
        if self.roles:
            self.roles.thaw_all()

    # The processes that serve HTTP and deliver webhooks

    def role_killed(self) -> None:
        if self.roles and (pids := self.roles.pids()):
            self.roles.kill(self.rng.choice(pids))

    def role_frozen(self) -> None:
        if self.roles and (pids := self.roles.pids()):
            self.roles.freeze(self.rng.choice(pids), self.rng.uniform(1.0, 6.0))

    def role_terminated(self) -> None:
        if self.roles and (pids := self.roles.pids()):
            self.roles.terminate(self.rng.choice(pids), twice=False)

    # Workers

    def kill(self) -> None:
        if pids := self.fleet.pids():
            self.fleet.kill(self.rng.choice(pids))

    def kill_at_point(self) -> None:
        self._order("kill")

    def freeze_at_point(self) -> None:
        self._order("freeze")

    def freeze_before_step(self) -> None:
        """A worker sleeps through its lease just before it fills the cart or writes the end, and continues where it was."""
        (self.orders / f"before:{self.rng.choice(('put_in_cart', 'finish', 'finish'))}.freeze").touch()

    def freeze(self) -> None:
        if pids := self.fleet.pids():
            self.fleet.freeze(self.rng.choice(pids), self.rng.uniform(3.5, 6.0))

    def terminate(self) -> None:
        if pids := self.fleet.pids():
            self.fleet.terminate(self.rng.choice(pids), twice=False)

    def terminate_twice(self) -> None:
        if pids := self.fleet.pids():
            self.fleet.terminate(self.rng.choice(pids), twice=True)

    def replace_all(self) -> None:
        """A rolling restart: each is asked to stop, one after the other, while jobs run."""
        for pid in self.fleet.pids():
            self.fleet.terminate(pid, twice=False)
            time.sleep(0.3)

    def upgrade(self) -> None:
        """From now on workers are of a new version: what they have had in progress no old one may take. The old ones go as they die."""
        self.fleet.version += 1
        self.terminate()
        self.counts["upgrade"] += 1

    def _order(self, action: str) -> None:
        """At each point once, before any point is taken for the second time."""
        known = {path.name for path in (self.orders / "reached").iterdir()}
        if not self._points:
            self._points = sorted(known)
            self.rng.shuffle(self._points)
        if self._points:
            point = self._points.pop()
            self._detail.append(point)
            (self.orders / f"{point}.{action}").touch()
            if action == "kill":
                self.fault_points_hit.add(point)

    # Valkey and the way to it

    def valkey_restart(self) -> None:
        self.server.kill()
        time.sleep(self.rng.uniform(0.05, 1.5))
        self.server.start()

    def valkey_outage(self) -> None:
        """Longer than a lease and its heartbeat."""
        self.server.kill()
        time.sleep(self.rng.uniform(4.0, 6.0))
        self.server.start()

    def valkey_stall(self) -> None:
        """It says nothing for longer than anybody waits for it."""
        self.server.signal(signal.SIGSTOP)
        time.sleep(self.rng.uniform(6.0, 10.0))
        self.server.signal(signal.SIGCONT)

    def valkey_full(self) -> None:
        client = self.server.client()
        client.config_set("maxmemory", "1mb")
        time.sleep(self.rng.uniform(0.5, 2.0))
        client.config_set("maxmemory", "0")

    def valkey_readonly(self) -> None:
        """As after a failover: this server is a replica for a while."""
        client = self.server.client()
        client.slaveof("127.0.0.1", 1)
        time.sleep(self.rng.uniform(0.5, 2.0))
        client.slaveof()

    def scripts_forgotten(self) -> None:
        self.server.client().script_flush()

    def connections_cut(self) -> None:
        self.server.client().client_kill_filter(_type="normal", skipme=True)
        self.proxy.cut_all()

    def reply_lost(self) -> None:
        name = self.rng.choice(SCRIPTS)
        self._detail.append(name)
        self.proxy.cut_after(load_script(name).sha1, name)

    # The queue

    def messages_lost(self) -> None:
        client = self.server.client()
        for lane in Lane:
            client.delete(f"{self.keys.broker}:{lane.value}", f"{self.keys.broker}:{lane.value}.msgs")

    def messages_doubled(self) -> None:
        client = self.server.client()
        for lane in Lane:
            queue = f"{self.keys.broker}:{lane.value}"
            for message_id in cast("list[str]", client.lrange(queue, 0, 20)):
                client.rpush(queue, message_id)

    def messages_foreign(self) -> None:
        """What isn't ours, among what is."""
        client = self.server.client()
        bodies: tuple[Any, ...] = (
            b"\xff\x00 not json",
            "{",
            "[]",
            "null",
            '{"args": [17], "kwargs": {}, "options": {}}',
            json.dumps({"queue_name": "money", "actor_name": "other", "args": ["x" * 300], "kwargs": {}, "options": {}}),
            json.dumps({"args": ["no-such-job"], "kwargs": {}, "options": {"redis_message_id": "foreign"}}),
            "[" * 3000,
        )
        lane = self.rng.choice(list(Lane)).value
        message_id = f"foreign-{self.rng.randrange(10**9)}"
        client.hset(f"{self.keys.broker}:{lane}.msgs", message_id, self.rng.choice(bodies))
        client.lpush(f"{self.keys.broker}:{lane}", message_id)

    # The provider

    def provider_faults(self) -> None:
        """From now on this share of all calls goes wrong, each in one of a few ways."""
        self.sandbox.clear_faults()
        share = self.rng.choice((0.02, 0.1, 0.25, 0.4)) * self.provider_share / 0.4
        for _ in range(self.rng.randint(1, 5)):
            mutation = self.rng.random() < 0.6
            call = self.rng.choice(MUTATING if mutation else READS)
            kind = self.rng.choice(ON_ANY_CALL + (ON_MUTATION if mutation else ("lag",)))
            refusal = self.rng.choice(REFUSALS) if kind == "act_then_refuse" else {}
            self._fault(call, kind, share, seconds=self._seconds(call, kind), **refusal)
        if self.rng.random() < 0.3:
            self._fault("cart_put", self.rng.choice(("partial", "sell_to_other", "price_change")), share)
        if self.rng.random() < 0.3:
            self._fault("checkout", "sell_to_other", share)

    def _fault(self, call: str, kind: str, share: float, **rule: Any) -> None:
        self.sandbox.add_fault(call, kind, times=None, probability=share, **rule)
        self._detail.append(f"{share:.0%} of {call}: {kind} {rule or ''}".strip())

    def _seconds(self, call: str, kind: str) -> float:
        match kind:
            case "lag":
                return 0.9  # With what `provider_lags` adds less than the settle time: that is assumption A3.
            case "rate_limit":
                return self.rng.choice((0.0, 1.0))
            case "slow":
                return 0.5
            case "act_late":
                # Assumption A5: a change of routes comes within the settle time.
                return self.rng.choice(LATE_S[:2] if call == "destinations" else LATE_S)
        return 1.5

    def provider_gone(self) -> None:
        """Not one call comes through for a while."""
        self.sandbox.add_fault("*", self.rng.choice(("drop", "html_error", "status_500_before")), times=None)
        time.sleep(self.rng.uniform(0.5, 4.0))
        self.sandbox.clear_faults()

    def provider_well(self) -> None:
        self.sandbox.clear_faults()

    def provider_lags(self) -> None:
        self.sandbox.order("reconfigure", read_lag_s=self._noted(self.rng.choice((0.0, 0.3, 0.5))))

    def provider_limits(self) -> None:
        self.sandbox.order("reconfigure", rate_limit=self._noted(self.rng.choice((None, 30.0, 80.0))))

    def _noted(self, chosen: float | None) -> float | None:
        self._detail.append(str(chosen))
        return chosen

    def key_refused(self) -> None:
        self.sandbox.order("set_key_valid", valid=False)
        self._later(self.rng.uniform(0.5, 3.0), "set_key_valid", valid=True)

    def funds_drained(self) -> None:
        if self.drains:
            self.sandbox.order("set_balance", usd="0.10")
            self._later(self.rng.uniform(0.5, 2.0), "set_balance", usd="1000000")

    def _later(self, after_s: float, verb: str, **arguments: Any) -> None:
        timer = threading.Timer(after_s, self.sandbox.order, (verb,), arguments)
        timer.daemon = True
        timer.start()
