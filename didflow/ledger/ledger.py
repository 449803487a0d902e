"""What a worker does with jobs. Every write is one script; every script but `claim` of a new attempt names a lease token or needs none."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from didflow.contract.attempt_write import Write
from didflow.contract.history import Happened
from didflow.contract.job_kinds import kept_after_end_ms, names_behind_the_gate
from didflow.contract.jobs import ProviderCall
from didflow.contract.requests import REQUEST_VERSION, Request
from didflow.contract.results import Result
from didflow.contract.spending import LimitReached, Spend, SpendLimit
from didflow.contract.states import JobState, Lane, WaitReason
from didflow.ledger.client import WORKER_ALIVE_MS, LedgerClient
from didflow.ledger.connection import translated
from didflow.ledger.event_body import members_of
from didflow.ledger.freezes import read_freeze
from didflow.ledger.replies import (
    Applied,
    BatchesSubmitted,
    ClaimRefused,
    Frozen,
    GateClosed,
    JobCancelled,
    LeaseLost,
    LeaseState,
    NumbersReserved,
    RoutesWanted,
    Saved,
    SaveReply,
)
from didflow.ledger.result_parts import parts_of, summed_up, text_of
from didflow.ledger.script_calls import AUDIT_MOST, RENUDGE_MS, TAINT_MS, Call, follow_up_args
from didflow.ledger.serialization import calls_text, write_text
from didflow.ledger.spending import limit_reached, spend_fields
from didflow.ledger.stored_history import happened_text
from didflow.ledger.witness import Witness

T = TypeVar("T")

#: A lease is taken for over only so long after its end.
#: Longer than the pause between two heartbeats.
OLDEST_CALL_KEPT_MS = 6_000
VOUCH_SLACK_MS = 5_000


@dataclass(frozen=True)
class Claim:
    """A lease on a job: every write of this attempt names `token`. `probe`: the account is paused, this job tries it.

    epoch        changes when the server does, and may then have lost what was written last
    gate_closed  until the lost writes are accounted for, no money may move
    """

    job_id: str
    token: str
    probe: bool
    fields: Mapping[str, str]
    epoch: int = 1
    gate_closed: bool = False

    @property
    def account(self) -> str:
        return self.fields.get("account", "")

    @property
    def whole_id(self) -> str:
        """The job with which the numbers are kept: for a batch its parent."""
        return self.fields.get("parent") or self.job_id


@dataclass(frozen=True)
class Taken:
    """What came off a lane's queue. `refused`: jobs that weren't claimed; `foreign`: how long each message was that isn't ours.

    `emptied`: none was left.
    """

    claims: tuple[Claim, ...]
    refused: tuple[ClaimRefused, ...]
    foreign: tuple[int, ...]
    emptied: bool


@dataclass(frozen=True)
class Swept:
    """What one pass of the sweeper did. `set_back`: jobs for which it could do nothing; it tries again in ten minutes. `more`: of some kind
    there is more to be done now than one pass does."""

    nudged: int
    recovered: int
    parked: int
    deleted: int
    set_back: int
    more: bool = False


class Ledger(LedgerClient):
    """The worker's side of one namespace. `witness`, if there is one, remembers what was written for it."""

    witness: Witness | None = None
    #: Of what is stored of a job. A test may be a worker of another version.
    version: int = REQUEST_VERSION

    def claim(self, job_id: str, claimant: str, *, lease_ms: int, probe_ms: int = 30_000) -> Claim | ClaimRefused:
        """Take the job for one attempt, or say why not. `claimant` is unique to this call."""
        return _claim(job_id, self._script("claim", job_id, claimant, lease_ms, probe_ms, self.version, names_behind_the_gate()))

    def take(
        self,
        lane: Lane,
        most: int,
        *,
        worker: str,
        consumer: str,
        claimant: str,
        lease_ms: int,
        probe_ms: int = 30_000,
        wait_s: float = 0.0,
    ) -> Taken:
        """Take at most `most` messages off the lane's queue, and claim their jobs.

        `consumer`: one of the worker's that has one such call under way at a time; `claimant` is unique to this call. `wait_s`: do so as
        soon as one is put there, or after this time; less than the connection's time-out.
        """
        args = (lane.value, most, worker, consumer, claimant, lease_ms, probe_ms, self.version, names_behind_the_gate())
        call = Call("take", args, _taken)
        if wait_s:
            return self.perform(self.commands.run_when_woken(call, self.keys.wake(lane.value), wait_s))
        return self.run(call)

    def nudge(self, job_id: str) -> bool:
        """Put a message for the job on its lane's queue, if none waits there. False if there is no such job, or if it has ended."""
        return bool(self._script("nudge", job_id))

    def renew(self, leases: Iterable[tuple[str, str]], *, lease_ms: int) -> dict[tuple[str, str], LeaseState]:
        """Heartbeat for (job id, token) pairs, each with its own reply: a process that slept may hold an old lease of a job, which is
        lost, beside its new one."""
        pairs = list(leases)
        if not pairs:
            return {}
        reply = self._script("renew", lease_ms, *(text for pair in pairs for text in pair))
        return dict(zip(pairs, map(LeaseState, reply), strict=True))

    def finish(
        self,
        claim: Claim,
        state: JobState,
        result: Result,
        detail: str = "",
        calls: Sequence[ProviderCall] = (),
        history: Mapping[str, Happened] | None = None,
    ) -> bool:
        """End or park the job: state, result and event in one step. False if a newer attempt has it."""
        return self.run(self.ending(claim, state, result, detail, calls, history))

    def ending(
        self,
        claim: Claim,
        state: JobState,
        result: Result,
        detail: str = "",
        calls: Sequence[ProviderCall] = (),
        history: Mapping[str, Happened] | None = None,
    ) -> Call[bool]:
        """The write that ends or parks the job.

        Very many numbers are written already, in parts; the result has a summary of them then.
        """
        parts = tuple(parts_of(result))
        for index, part in enumerate(parts):
            happened = {one.number: history[one.number] for one in part if one.number in history} if history else {}
            # Lost: the lease, or this is done again because its answer was. The script below knows.
            self._script("rows", claim.job_id, claim.token, index, text_of(part), happened_text(happened))
        if parts:
            result, history = summed_up(result), None
        text = result.model_dump_json(exclude_none=True)
        args = (
            claim.job_id,
            claim.token,
            state.value,
            text,
            members_of(text),
            kept_after_end_ms(claim.fields.get("kind", ""), self._retention_ms),
            detail,
            calls_text(calls),
            happened_text(history or {}),
            len(parts),
        )
        return Call("finish", args, _is_ok)

    def suspend(
        self,
        claim: Claim,
        state: JobState,
        reason: WaitReason | None,
        *,
        delay_ms: int,
        refund: bool,
        detail: str = "",
        calls: Sequence[ProviderCall] = (),
    ) -> bool:
        """End the attempt, not the job: it goes on after `delay_ms`. `refund`: this attempt doesn't count. False if a newer one has it."""
        return self.run(self.suspending(claim, state, reason, delay_ms=delay_ms, refund=refund, detail=detail, calls=calls))

    def suspending(
        self,
        claim: Claim,
        state: JobState,
        reason: WaitReason | None,
        *,
        delay_ms: int,
        refund: bool,
        detail: str = "",
        calls: Sequence[ProviderCall] = (),
    ) -> Call[bool]:
        """The write that ends the attempt and not the job."""
        told = (detail, RENUDGE_MS, calls_text(calls))
        args = (claim.job_id, claim.token, state.value, reason.value if reason else "", delay_ms, int(refund), *told)
        return Call("suspend", args, _is_ok)

    def end_together(self, ends: Sequence[Call[bool]]) -> list[bool | Exception]:
        """Write the ends of several attempts, with one pipeline. Each has its own outcome: False if a newer attempt has the job."""
        return self.perform(self.commands.end_together(ends))

    def sweep(self, *, max_crashes: int, retry_ms: int = 2000, batch: int = 50) -> Swept:
        """One pass of healing; any number of processes may do it at once."""
        nudged, recovered, parked, deleted, set_back, more = map(
            int, self._script("sweep", batch, RENUDGE_MS, max_crashes, retry_ms, self._retention_ms)
        )
        return Swept(nudged, recovered, parked, deleted, set_back, more == 1)

    def forget_histories(self, batch: int = 100) -> int:
        """Forget what happened to numbers that haven't been ours for the time that histories are kept. Returns how many."""
        return int(self._script("history_forget", batch, self._history_ms))

    def forget_audit(self, batch: int = 1000, most: int = AUDIT_MOST) -> int:
        """Forget the oldest entries of the audit: those that are old enough, and those above `most`. Returns how many."""
        return int(self._script("audit_forget", batch, self._audit_ms, most))

    def pause_account(self, account: str, status: int, message: str, *, probe_ms: int = 30_000, claim: Claim | None = None) -> bool:
        """Let the account's jobs wait; one of them tries again every `probe_ms`. True if it wasn't paused before.

        `claim`: the attempt that found it out; one that lost its lease changes nothing.
        """
        return bool(self._script("account", account, "pause", status, message, probe_ms, *_by(claim)) == "changed")

    def resume_account(self, account: str, *, claim: Claim | None = None) -> bool:
        """Let the account's jobs go on, now. True if it was paused and `claim`, if given, still holds."""
        return bool(self._script("account", account, "resume", "", "", 0, *_by(claim)) == "changed")

    def probe_again(self, account: str, after_ms: int, *, claim: Claim | None = None) -> None:
        """A paused account's probe had no answer: the next one may go after this time. Changes nothing if the account isn't paused."""
        self._script("account", account, "probe", "", "", after_ms, *_by(claim))

    def worker_alive(self, worker: str, *, lease_ms: int = 30_000) -> None:
        """Note that this worker process lives; forget those that don't. `lease_ms`: its leases end so long after its last sign of life."""
        vouch_ms = lease_ms + VOUCH_SLACK_MS
        times = (vouch_ms, max(WORKER_ALIVE_MS, vouch_ms))
        if self.witness is None:
            self._script("alive", worker, *times, 0, 0, "")
            return
        known = self.witness.life
        with self.witness.call(sign_of_life=True) as answered:
            told = (*self.witness.told, known.name if known else "")
            count, epoch, life, others = self._script("alive", worker, *times, *told)
            answered(int(count), int(epoch))
        self.witness.began(str(life), others)

    def is_seen(self) -> bool:
        """Ask what the others know of by now: whether they have seen this process's life, in which it may bind numbers from then on."""
        if self.witness is None or self.witness.seen:
            return True
        if (life := self.witness.life) is None:
            return False
        names = list(life.others)
        with translated():
            counts = cast("list[str | None]", self.client.hmget(self.keys.vouch_acked, names)) if names else []
            here = self.client.zmscore(self.keys.workers, names) if names else []
        known = {name: int(count or 0) if seen is not None else None for name, count, seen in zip(names, counts, here, strict=True)}
        self.witness.seen_by(life, known)
        return bool(self.witness.seen)

    def call_under_way(self, worker: str, age_ms: int) -> None:
        """Note how old this process's oldest call to the provider is. Forgotten by itself unless it is said again."""
        with translated():
            self.client.set(self.keys.oldest_call(worker), age_ms, px=OLDEST_CALL_KEPT_MS)

    def count_calls(self, worker: str, batch: int, counts: Mapping[str, int]) -> None:
        """Add to the counts of requests to the provider. A batch (they count from 1 in each process) is added once."""
        self._script("count_calls", worker, batch, *(part for name, count in counts.items() for part in (name, count)))

    def worker_gone(self, worker: str) -> None:
        self._script("sign_off", worker)

    def stage(self, claim: Claim, index: int, part: str) -> bool:
        """Put down a part of a large write (see `in_parts`). It means nothing before the save. False if the lease is lost."""
        return bool(self._script("stage", claim.job_id, claim.token, index, part) == "ok")

    def apply(self, claim: Claim) -> Applied:
        """Apply the next part of a staged write that was saved."""
        return Applied(self._script("apply", claim.job_id, claim.token))

    def save(self, claim: Claim, count: int, write: Write, calls: Sequence[ProviderCall] = (), *, staged: int = 0) -> SaveReply:
        """Write all or nothing. `count` numbers the writes; `staged` parts of it were put down before."""
        args = (claim.job_id, claim.token, count, TAINT_MS, write_text(write, calls, staged))
        if self.witness is None:
            reply = tuple(map(str, self._script("save", *args)))
        else:
            with self.witness.call() as answered:
                reply = tuple(map(str, self._script("save", *args, self.witness.worker, self.witness.seen)))
                if reply[0] == "ok" and len(reply) > 1:
                    answered(int(reply[1]), int(reply[2]))
        return _saved(reply, write)

    def limit_against(self, claim: Claim, spend: Spend, limits: Sequence[SpendLimit]) -> LimitReached | None:
        """The limit that keeps this job from spending so much now; None if all allow it. Holds nothing."""
        reply = self._script("fits", claim.job_id, json.dumps(spend_fields(spend, limits)))
        return None if reply[0] == "ok" else limit_reached(tuple(map(str, reply)), spend, limits)

    def fan_out(self, claim: Claim, kind: str, batches: Mapping[str, str]) -> BatchesSubmitted:
        """Submit batches of this job: their requests (JSON) by index."""
        pairs = (text for pair in batches.items() for text in pair)
        return BatchesSubmitted(self._script("fan_out", claim.job_id, claim.token, self.version, kind, RENUDGE_MS, *pairs))

    def write_chunk(
        self, claim: Claim, index: int, seen: Iterable[tuple[str, int, str]], *, settle_ms: int, kind: str = "", request: str = ""
    ) -> frozenset[str] | BatchesSubmitted:
        """Write a chunk of this job, or add to it, and submit its batch, of that `kind` with that request (JSON): the script `chunk`.

        `seen`: number, when its route was read (the ledger's clock, ms), and what the job keeps of it (JSON). Returns the numbers that
        were left out, or why nothing was written.
        """
        head = (index, settle_ms, kind, self.version, request, RENUDGE_MS)
        verdict, *left_out = self._script("chunk", claim.job_id, claim.token, *head, *(part for one in seen for part in one))
        return frozenset(map(str, left_out)) if verdict == "ok" else BatchesSubmitted(verdict)

    def follow_up(self, claim: Claim, name: str, request: Request, *, delay_ms: int) -> bool:
        """Submit the job ``{id}-{name}``, once; it begins after the delay. False if the lease is lost."""
        args = follow_up_args(name, request, claim.account, delay_ms=delay_ms, version=self.version)
        return bool(self._script("follow_up", claim.job_id, claim.token, *args) == "ok")

    def emit(self, claim: Claim, numbers: Sequence[tuple[str, str, str, str]]) -> bool:
        """Save what is new and emit its events: number, text, event type, event data. False if the lease is lost."""
        return bool(self._script("emit", claim.job_id, claim.token, *(text for one in numbers for text in one)) != "lost")


def _taken(reply: Sequence[Any]) -> Taken:
    replies, foreign, emptied = reply
    found = [_claim(str(job_id), one) for job_id, one in replies]
    claims = tuple(one for one in found if isinstance(one, Claim))
    refused = tuple(one for one in found if isinstance(one, ClaimRefused))
    return Taken(claims, refused, tuple(map(int, foreign)), emptied == 1)


def _claim(job_id: str, reply: Sequence[Any]) -> Claim | ClaimRefused:
    if reply[0] == "no":
        return ClaimRefused(job_id, str(reply[1]))
    flat = reply[3]
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return Claim(job_id, str(reply[1]), reply[2] == "probe", fields, int(reply[4]), reply[5] == "closed")


def _saved(reply: Sequence[str], write: Write) -> SaveReply:
    match reply[0]:
        case "ok":
            return Saved()
        case "lost":
            return LeaseLost()
        case "closed":
            return GateClosed()
        case "frozen":
            return Frozen(read_freeze(reply[2], reply[1]))
        case "cancelled":
            return JobCancelled()
        case "taken":
            return NumbersReserved(tuple(reply[1:]))
        case "wanted":
            return RoutesWanted(tuple(reply[1:]))
        case "limit" if write.hold:
            return limit_reached(reply, write.hold, write.limits)
    raise AssertionError(f"save answers {reply[0]!r}, which is no reply of it")


def _is_ok(reply: str) -> bool:
    return reply == "ok"


def _by(claim: Claim | None) -> tuple[str, str]:
    return (claim.job_id, claim.token) if claim else ("", "")
