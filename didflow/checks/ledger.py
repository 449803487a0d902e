"""What the ledger itself shows: whether workers run, what waits, what needs a person, and how near the limits are.

The provider isn't asked.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from didflow.checks.catalogue import check_catalogue
from didflow.checks.check import Check
from didflow.checks.inventory import check_foreign_inventory, check_inventory
from didflow.checks.streams import check_streams
from didflow.checks.webhooks import check_webhooks
from didflow.checks.workers import check_workers
from didflow.contract.ids_form import EXAMPLES
from didflow.contract.spending import amount_text
from didflow.contract.states import JobState
from didflow.ledger.client import LedgerClient
from didflow.ledger.connection import translated
from didflow.ledger.freezes import freezes
from didflow.ledger.gate import Gate
from didflow.ledger.observed_behaviour import IDS_FORM, ids_form_of, learned
from didflow.ledger.rate_limit import RateState, rate_state
from didflow.ledger.worker_settings import RunningWith, running_with, running_workers, strictest
from didflow.settings import Settings, unknown_variables

#: Two clocks further apart than this make log lines lie and deadlines wrong.
CLOCK_SKEW_S = 1.0
#: A job that has been queued for longer than this waits for workers, not for its turn.
QUEUED_S = 60.0
#: A provider call this much older than its time-out hangs where no time-out reaches: in the look-up of a name.
CALL_SLACK_S = 5.0


def check_ledger(ledger: LedgerClient, settings: Settings) -> Iterator[Check]:
    """All of them, in order. `settings`: of the process that looks. Raises ServiceUnavailable."""
    skew_s = abs(ledger.now_ms() / 1000 - time.time())
    yield Check(
        "clock",
        "ok" if skew_s < CLOCK_SKEW_S else "warn",
        f"this clock and Redis's are {skew_s:.1f} s apart" + _fix(skew_s > CLOCK_SKEW_S, "run NTP on both"),
    )
    workers = ledger.workers()
    yield Check(
        "workers",
        "ok" if workers else "fail",
        f"{len(workers)} worker processes alive" + _fix(not workers, "start some with `didflow worker`"),
    )
    shell, running = running_with(settings, unknown_variables()), running_workers(ledger)
    yield from check_workers(running, shell)
    held = strictest(running.values()) or shell
    yield check_calls(ledger, held)
    yield _queue(ledger)
    yield _parked(ledger)
    yield from (Check("freeze", "warn", f"{one.sentence}: `didflow unfreeze`") for one in ledger.perform(freezes(ledger.keys)))
    with translated():
        foreign = ledger.client.llen(ledger.keys.undecodable)
        poison = ledger.client.xlen(ledger.keys.poison)
        refused = ledger.client.xlen(ledger.keys.dead_requests)
    yield Check(
        "foreign_messages",
        "warn" if foreign else "ok",
        f"{foreign} messages on the queues were not ours" + _fix(foreign > 0, "`didflow dead-letters`"),
    )
    yield Check(
        "poison",
        "warn" if poison else "ok",
        f"{poison} results that no consumer could process" + _fix(poison > 0, "`didflow dead-letters`"),
    )
    yield Check(
        "refused_events",
        "warn" if refused else "ok",
        f"{refused} business events could not be acted on" + _fix(refused > 0, "`didflow dead-letters`"),
    )
    yield from check_streams(ledger)
    yield from check_webhooks(ledger)
    yield from check_catalogue(ledger, {*settings.all_accounts(), *held.spend_limits})
    for account in dict.fromkeys([*settings.all_accounts(), *held.spend_limits]):
        yield from _gate(Gate(ledger), account)
        yield _spending(ledger, held, account)
        yield from _rate(account, rate_state(ledger, account), held)
        yield _ids_form(ledger, held, account)
        yield from check_inventory(ledger, account, every_s=settings.inventory_seconds)
    yield from check_foreign_inventory(ledger, [*settings.all_accounts(), *held.spend_limits])


def _gate(gate: Gate, account: str) -> Iterator[Check]:
    if not gate.closed(account):
        return
    if not (found := gate.findings(account)):
        yield Check(f"gate {account}", "warn", "closed since Redis restarted: no money moves; it opens by itself if nothing was lost")
        return
    shown = ", ".join([*found.owned, *found.in_cart][:10])
    jobs = ", ".join(found.candidates[:5]) or "none that is known"
    message = f"closed, no money moves: {shown} are no job's (jobs that may have bought them: {jobs}): `didflow reconcile`"
    yield Check(f"gate {account}", "fail", message)


def _rate(account: str, state: RateState, running: RunningWith) -> Iterator[Check]:
    full = f"{running.rate_limit:g} requests a second, of which emergencies keep {running.emergency_share:.0%}"
    if state.paused_until:
        until = f"nothing is sent until {state.paused_until:%H:%M:%S} UTC, and then {state.pace:.0%} of {full}"
        yield Check(f"rate {account}", "warn", f"{until}: the provider said {state.limit_words}")
    elif state.pace < 1:
        slowed = f"{state.pace:.0%} of {full}: the provider said {state.limit_words}; if it is often so, lower DIDFLOW_RATE_LIMIT"
        yield Check(f"rate {account}", "warn", slowed)
    else:
        yield Check(f"rate {account}", "ok", full)
    if state.open_since:
        since = f"open since {state.open_since:%Y-%m-%d %H:%M:%S} UTC, next probe after {state.probe_at:%H:%M:%S}"
        yield Check(f"breaker {account}", "fail", f"{since}: {state.words}: jobs wait and go on by themselves when the provider answers")
    else:
        yield Check(
            f"breaker {account}", "ok", "closed" + (f", {state.failures} failures in a row: {state.words}" if state.failures else "")
        )


def check_calls(ledger: LedgerClient, running: RunningWith) -> Check:
    """The age of the oldest provider call, as the workers' heartbeats say."""
    ages = ledger.oldest_calls_ms()
    if not ages:
        return Check("provider_calls", "ok", "none is under way")
    worker, age_ms = max(ages.items(), key=lambda one: one[1])
    late = age_ms / 1000 > running.http_timeout_s + CALL_SLACK_S
    words = (
        f"the oldest under way is {age_ms / 1000:.1f} s old, in the worker process {worker}; each ends after {running.http_timeout_s:g} s"
    )
    return Check(
        "provider_calls", "warn" if late else "ok", words + _fix(late, "look for that host's name service; `didflow worker` ends it")
    )


def _ids_form(ledger: LedgerClient, running: RunningWith, account: str) -> Check:
    """How several record ids are written into one release."""
    name, form = f"ids {account}", running.ids_forms.get(account, "auto")
    if form != "auto":
        return Check(name, "ok", f"a release is sent as {EXAMPLES[form]}: so it is set")
    kept = ledger.perform(learned(ledger.keys, account, IDS_FORM))
    seen = ids_form_of(kept, ledger.now_ms())
    if kept is None or seen is None:
        return Check(name, "ok", f"a release is sent as {EXAMPLES['repeat']} until it is learned what the server takes")
    since = datetime.fromtimestamp(kept.seen_ms / 1000, UTC)
    return Check(name, "ok", f"a release is sent as {EXAMPLES[seen]}: so it was learned on {since:%Y-%m-%d %H:%M} UTC")


def _queue(ledger: LedgerClient) -> Check:
    oldest = ledger.oldest(JobState.QUEUED)
    if oldest is None:
        return Check("queue", "ok", "no job is queued")
    age_s = (datetime.now(UTC) - oldest).total_seconds()
    late = age_s > QUEUED_S
    return Check(
        "queue", "warn" if late else "ok", f"the oldest queued job was submitted {age_s:.0f} s ago" + _fix(late, "add workers or threads")
    )


def _parked(ledger: LedgerClient) -> Check:
    parked = ledger.counts()[JobState.NEEDS_REVIEW]
    return Check(
        "needs_review",
        "warn" if parked else "ok",
        f"{parked} jobs wait for a person" + _fix(parked > 0, "`didflow dead-letters`"),
    )


def _spending(ledger: LedgerClient, running: RunningWith, account: str) -> Check:
    """How near the account is to its limits; where none is set, only what it spent."""
    (spent,) = ledger.spending([("account", account)])
    limits = running.spend_limits.get(account, ())
    uses = [(amount_text(spent.used(limit.window).amount(limit.unit), limit.unit), limit) for limit in limits]
    full = any(spent.used(limit.window).amount(limit.unit) >= limit.most for limit in limits)
    words = ", ".join(f"{used} of {limit}" for used, limit in uses) or f"{amount_text(spent.day.usd, 'usd')} in a day, no limit is set"
    held = f"; open checkouts hold {amount_text(spent.held.usd, 'usd')}" if spent.held.numbers else ""
    return Check(f"spend {account}", "warn" if full else "ok", words + held + _fix(full, "purchases wait: `didflow spend` says for what"))


def _fix(needed: bool, what: str) -> str:
    return f": {what}" if needed else ""
