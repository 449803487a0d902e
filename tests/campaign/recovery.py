"""How long it takes until a dead worker's jobs run again, and until anything moves after Valkey comes back."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, cast

import redis

from didflow.contract.states import JobState
from didflow.ledger.connection import connect
from didflow.ledger.keys import Keys

LOOK_EVERY_S = 0.1
UNFINISHED = (JobState.QUEUED, JobState.RUNNING, JobState.WAITING)


@dataclass
class _Watched:
    """Something that shall continue. `seen`: what was seen of it since, and after how many seconds."""

    seen: list[tuple[float, str]] = field(default_factory=list, kw_only=True)

    def see(self, after_s: float, what: str) -> None:
        if not self.seen or self.seen[-1][1] != what:
            self.seen.append((after_s, what))

    def story(self) -> str:
        return "; ".join(f"{after_s:.1f} s: {what}" for after_s, what in self.seen)


@dataclass
class _Orphan(_Watched):
    """A job whose worker died at `died_s`. `excused`: something else went wrong meanwhile, so its time says nothing."""

    job_id: str
    token: str
    died_s: float
    back_s: float | None = None
    excused: bool = False


@dataclass
class _Restart(_Watched):
    """Valkey came back at `back_s`, which was `at` by the clock; the first event after it came at `moved_s`.

    `excused`: before that it was away once more, so the wait began again.
    """

    back_s: float
    at: datetime
    moved_s: float | None = None
    excused: bool = False


class Recoveries:
    """Watches owners and tokens from outside, a few times a second."""

    def __init__(self, url: str, namespace: str, lease_s: float) -> None:
        self._lease_s = lease_s
        self._url, self._keys = url, Keys(namespace)
        self._owners: dict[str, tuple[int, str]] = {}
        self._orphans: list[_Orphan] = []
        self._restarts: list[_Restart] = []
        self._activity = ""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="recoveries", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def worker_died(self, pid: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._handed_on(now)
            self._orphans += [_Orphan(job_id, token, now) for job_id, (owner, token) in self._owners.items() if owner == pid]

    def worker_stopped(self) -> None:
        """Another one was frozen, or asked to stop, or has woken."""
        with self._lock:
            self._handed_on(time.monotonic())

    def _handed_on(self, now_s: float) -> None:
        """A job whose lease had run out may just have been handed to the worker that is gone by now: its time begins again."""
        for orphan in self._orphans:
            if orphan.back_s is None and now_s - orphan.died_s > self._lease_s - 0.5:
                orphan.died_s = now_s

    def server_is_back(self) -> None:
        with self._lock:
            self._excuse()
            self._restarts.append(_Restart(time.monotonic(), datetime.now(UTC)))

    def _excuse(self) -> None:
        for orphan in self._orphans:
            orphan.excused = orphan.excused or orphan.back_s is None
        for restart in self._restarts:
            restart.excused = restart.excused or restart.moved_s is None

    def recovered_s(self) -> list[float]:
        return sorted(took_s for took_s, _ in self._recovered())

    def _recovered(self) -> list[tuple[float, _Orphan]]:
        with self._lock:
            return [(orphan.back_s - orphan.died_s, orphan) for orphan in self._orphans if orphan.back_s is not None and not orphan.excused]

    def restarted_s(self) -> list[float]:
        return sorted(took_s for took_s, _ in self._restarted())

    def _restarted(self) -> list[tuple[float, _Restart]]:
        with self._lock:
            return [(one.moved_s - one.back_s, one) for one in self._restarts if one.moved_s is not None and not one.excused]

    def late(self, job_within_s: float, server_within_s: float) -> list[str]:
        """What took longer than promised."""
        found = [
            f"a killed worker's job ran again after {took_s:.1f} s: {orphan.job_id}, {orphan.story()}"
            for took_s, orphan in self._recovered()
            if took_s > job_within_s
        ]
        return found + [
            f"nothing moved for {took_s:.1f} s after Valkey was back at {restart.at:%H:%M:%S}: {restart.story()}"
            for took_s, restart in self._restarted()
            if took_s > server_within_s
        ]

    def _watch(self) -> None:
        client = connect(self._url, timeout_s=2.0)
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self._look(client)
            except (redis.RedisError, OSError):
                with self._lock:
                    self._excuse()

    def _look(self, client: redis.Redis) -> None:
        running = cast("list[str]", client.zrange(f"{self._keys.namespace}:leases", 0, -1))
        with self._lock:
            asked = sorted({*running, *(orphan.job_id for orphan in self._orphans if orphan.back_s is None)})
        pipe = client.pipeline(transaction=False)
        for job_id in asked:
            pipe.hmget(self._keys.job(job_id), "owner", "token", "state", "crashes", "unanswered", "due_ms")
        pipe.xrevrange(self._keys.events, count=1)
        *rows, newest = pipe.execute()
        now = time.monotonic()
        standing = self._standing(client)
        with self._lock:
            found = dict(zip(asked, rows, strict=True))
            self._owners = {job_id: (int(owner.split(":")[1]), token) for job_id, (owner, token, *_) in found.items() if owner}
            for orphan in self._orphans:
                if orphan.back_s is None and orphan.job_id in found:
                    owner, token, state, crashes, unanswered, due_ms = found[orphan.job_id]
                    orphan.see(
                        now - orphan.died_s,
                        f"{state}, token {token}, {crashes} crashes, {unanswered} nudges unanswered, due {due_ms}, owner {owner}",
                    )
                    # The sweeper raises the token when it takes the job away, the next worker raises it again.
                    if state not in ("running", "queued") or (owner and token != orphan.token):
                        orphan.back_s = now
            activity = newest[0][0] if newest else ""
            if activity != self._activity:
                self._activity = activity
                for restart in self._restarts:
                    restart.moved_s = restart.moved_s or now
            for restart in self._restarts:
                if restart.moved_s is None:
                    restart.see(now - restart.back_s, standing)

    def _standing(self, client: redis.Redis) -> str:
        """How many jobs stand where, and how the gate does, while a restart waits for its first event; empty otherwise."""
        with self._lock:
            if all(restart.moved_s is not None for restart in self._restarts):
                return ""
        gate = cast("dict[str, str]", client.hgetall(self._keys.gate("default")))
        gate.pop("check_ms", None)
        open_jobs = [job for state in UNFINISHED for job in cast("list[str]", client.zrange(self._keys.state(state), 0, -1))]
        pipe = client.pipeline(transaction=False)
        for job_id in open_jobs:
            pipe.hmget(self._keys.job(job_id), "state", "reason")
        jobs = Counter(" ".join(filter(None, row)) for row in pipe.execute())
        return f"jobs {dict(jobs)}, gate {gate}"
