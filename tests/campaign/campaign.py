"""A fault campaign: real workers, a real Valkey, the sandbox, mixed jobs, and everything goes wrong; then calm, and the oracle."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from didflow import Didflow
from didflow.contract.errors import JobNotFound, ServiceUnavailable, WaitTimeout
from didflow.contract.events import EventBody
from didflow.contract.requests import REQUEST_VERSION, Release, Request, SearchAndBuy
from didflow.contract.states import REPORTED, JobState
from didflow.contract.states import Outcome as NumberOutcome
from didflow.fault_orders import VARIABLE
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from didflow.ledger.reservations import Reservation
from didflow.settings import variable
from tests.campaign.around import Around, standing
from tests.campaign.countdown_oracle import Happened, countdown_violations
from tests.campaign.evidence import Evidence, Witnesses
from tests.campaign.fleet import Fleet
from tests.campaign.footprint import Footprint, footprint, grown
from tests.campaign.inventory_oracle import inventory_violations
from tests.campaign.listening import Listener
from tests.campaign.oracle import ProviderState, violations
from tests.campaign.proxy import Proxy
from tests.campaign.recovery import Recoveries
from tests.campaign.server import Server
from tests.campaign.trouble import Trouble
from tests.campaign.work import CITIES, GROUP, Work
from worker.local.stack import LocalStack
from worker.wavix.sandbox import SandboxAdmin
from worker.wavix.sandbox.options import SANDBOX_KEY
from worker.wavix.sandbox.profiles import PROFILES, draw, settings_of

NAMESPACE = "campaign"
LEASE_S = 2.0
SETTLE_S = 1.5
#: A killed worker's job runs again within its lease and this.
RECOVER_WITHIN_S = LEASE_S + 5.0
#: After a restart of Valkey something moves again within this.
GO_ON_WITHIN_S = 10.0
#: When all is well a purchase ends within this.
LAST_PURCHASE_WITHIN_S = 60.0
ENVIRONMENT = {
    "DIDFLOW_NAMESPACE": NAMESPACE,
    "DIDFLOW_LEASE_SECONDS": str(LEASE_S),
    "DIDFLOW_SETTLE_SECONDS": str(SETTLE_S),
    "DIDFLOW_SETTLE_LIMIT_SECONDS": "60",
    "DIDFLOW_HTTP_TIMEOUT": "1",
    "DIDFLOW_PROBE_SECONDS": "0.5",
    "DIDFLOW_RATE_LIMIT": "300",
    "DIDFLOW_BREAKER_SECONDS": "0.2",
    "DIDFLOW_THREADS": "4",
    "DIDFLOW_INVENTORY_SECONDS": "2",
    "DIDFLOW_INVENTORY_SHARE": "1",
    # Nothing has the label: what is assigned is what releases have parked.
    "DIDFLOW_REUSE_LABEL": "spare",
    "DIDFLOW_LOG_FORMAT": "json",
    "DIDFLOW_LOG_LEVEL": "warning",
    "WAVIX_API_KEY": SANDBOX_KEY,
}
WORKERS_LOG = "workers.log"
#: A sweep of the inventory takes seconds when all is quiet.
SWEPT_WITHIN_S = 60.0
#: So many violations are looked into.
EVIDENCE_AT_MOST = 50
#: The least and the most profiles of the provider that are drawn.
PROFILES_DRAWN = (2, 5)
#: Under these the list of a campaign's account can't be read as a whole. `pages-repeat`: after a restart of Redis the gate stays closed, as
#: it must, and no job ends. `pages-first-only`: no sweep of the inventory is complete, and the inventory says so.
UNREADABLE = frozenset({"pages-repeat", "pages-first-only"})
#: What goes wrong, and how often compared with the others.
EVERYTHING = {
    "kill": 8,
    "kill_at_point": 20,
    "freeze": 4,
    "freeze_at_point": 6,
    "terminate": 4,
    "terminate_twice": 2,
    "replace_all": 1,
    "valkey_restart": 2,
    "valkey_outage": 1,
    "valkey_stall": 1,
    "valkey_full": 2,
    "valkey_readonly": 1,
    "scripts_forgotten": 2,
    "connections_cut": 4,
    "reply_lost": 14,
    "messages_lost": 3,
    "messages_doubled": 3,
    "messages_foreign": 4,
    "provider_faults": 14,
    "provider_gone": 2,
    "provider_well": 3,
    "provider_lags": 3,
    "provider_limits": 2,
    "key_refused": 2,
    "funds_drained": 1,
    "role_killed": 4,
    "role_frozen": 3,
    "role_terminated": 1,
}


@dataclass(frozen=True)
class Plan:
    """How a campaign goes. The same plan chooses the same jobs and troubles; how threads interleave is up to the machine.

    seconds     how long things go wrong; the end takes longer, until all is quiet
    in_flight   jobs under way at a time
    pause_s     between two troubles
    mutant      a wrong protocol, to see that it is detected
    only        jobs of these kinds alone, by their names in `Work.submit_one`, with commas
    profiles    variations of the provider; None: drawn from the seed
    """

    seconds: float = 60.0
    seed: int = 1
    workers: int = 3
    in_flight: int = 24
    pause_s: tuple[float, float] = (0.1, 0.8)
    weights: dict[str, int] = field(default_factory=lambda: dict(EVERYTHING))
    only: str | None = None
    cities: tuple[tuple[str, str], ...] = CITIES
    first_orders: Callable[[SandboxAdmin], None] = lambda _: None
    mutant: str | None = None
    quiet_within_s: float = 180.0
    #: What a machine that has other things to do may add to the times that are promised.
    slack_s: float = 0.0
    #: Whether a part of the jobs comes over HTTP, and every event is delivered by webhook, too.
    with_roles: bool = True
    profiles: tuple[str, ...] | None = None

    def provider(self) -> tuple[str, ...]:
        """The profiles of the provider that this campaign runs on."""
        if self.profiles is not None:
            return self.profiles
        rng = random.Random(f"profiles {self.seed}")
        return draw(rng, rng.randint(*PROFILES_DRAWN), [name for name in PROFILES if name not in UNREADABLE])

    def again(self) -> str:
        """The command that runs it again, with the same profiles even where others have been added since."""
        only = f" --only {self.only}" if self.only else ""
        sizes = f"--workers {self.workers} --in-flight {self.in_flight}"
        return (
            f"python -m tests.campaign --seed {self.seed} --seconds {self.seconds:g} {sizes}{only} --profiles '{','.join(self.provider())}'"
        )


@dataclass
class Outcome:
    """What a campaign came to."""

    plan: Plan
    jobs: dict[str, int]
    states: dict[str, int]
    parked_for: dict[str, int]
    waits: dict[str, int]
    troubles: dict[str, int]
    provider_faults: dict[str, int]
    replies_lost: dict[str, int]
    points: tuple[int, int]
    worker_starts: int
    numbers_bought: int
    countdowns: dict[str, int]
    recovery_s: list[float]
    restart_s: list[float]
    violations: list[str]
    took_s: float
    http: dict[str, int]
    webhooks: dict[str, int]
    profiles: tuple[str, ...] = ()
    evidence: list[Evidence] = field(default_factory=list)


def run(plan: Plan, folder: Path, progress: Callable[[str], None] = lambda _: None) -> Outcome:
    """Carry the plan out."""
    began_s = time.monotonic()
    rng = random.Random(plan.seed)
    progress(f"profiles of the provider: {', '.join(plan.provider()) or 'none'}")
    with _site(plan, folder, rng) as site:
        _make_trouble(plan, site, progress)
        progress("calm: waiting until all is quiet")
        site.work.meddling.finish()
        late = _until_quiet(plan, site, [one.job_id for one in site.work.asked])
        parked = {job.id for job in site.work.didflow.find(state=JobState.NEEDS_REVIEW, limit=10_000)}
        late += _last_purchase(site)
        late += _until_quiet(plan, site, _followers_called_off(site))
        site.listener.catch_up()
        provider = _provider_state(site.sandbox)
        if "cart-removal-ignored" in plan.provider():  # Then no number leaves the cart, but each must be kept from other jobs.
            provider = replace(provider, cart=[number for number in provider.cart if f"+{number}" not in _reserved(site)])
        heard, meddling = site.listener.heard, site.work.meddling
        happened = Happened(meddling.called_off, meddling.called, heard.counting_down_since(), heard.calls_came)
        found = violations(site.work.asked, heard, provider, site.began_with)
        found += countdown_violations(site.work.countdowns, heard.last(), provider.owned, provider.given_back, happened)
        found += inventory_violations(site.ledger, site.work.didflow, provider.owned, within_s=SWEPT_WITHIN_S)
        found += late + site.recoveries.late(RECOVER_WITHIN_S + plan.slack_s, GO_ON_WITHIN_S + plan.slack_s) + _leftovers(site, parked)
        if site.around:
            found += site.around.violations(heard)
        witnesses = Witnesses(site.ledger, heard, site.sandbox, site.trouble.struck, folder / WORKERS_LOG)
        evidence = [witnesses.of(violation) for violation in found[:EVIDENCE_AT_MOST]]
        # Last: it lets every job's time be over, and the ledger forgets them.
        left = list(grown(site.ledger.client, site.ledger.keys, parked, site.footprint))
        evidence += [Evidence(violation) for violation in left]
        outcome = _outcome(plan, site, provider, found + left, time.monotonic() - began_s)
        return replace(outcome, profiles=plan.provider(), evidence=evidence)


@dataclass
class _Site:
    """Everything of one campaign."""

    server: Server
    proxy: Proxy
    sandbox: SandboxAdmin
    fleet: Fleet
    trouble: Trouble
    work: Work
    listener: Listener
    recoveries: Recoveries
    ledger: Ledger
    began_with: dict[str, list[str]]
    footprint: Footprint
    around: Around | None


@contextmanager
def _site(plan: Plan, folder: Path, rng: random.Random) -> Iterator[_Site]:
    with ExitStack() as stack:
        server = stack.enter_context(Server(folder / "valkey"))
        proxy = stack.enter_context(Proxy(server.socket))
        arguments: tuple[str, ...] = (
            "--port",
            "0",
            "--latency-ms",
            "3",
            "--numbers-per-city",
            "3000",
            "--balance",
            "1000000",
            "--seed",
            str(plan.seed),
        )
        arguments += tuple(word for name in plan.provider() for word in ("--profile", name))
        local = stack.enter_context(LocalStack(processes=0, redis_url=server.url, sandbox=arguments, log=folder / "sandbox.log"))
        sandbox = SandboxAdmin(local.sandbox_url or "")
        plan.first_orders(sandbox)
        groups = _seed(sandbox, 0 if plan.only == "buy" else 40)
        began_with = {number: ["first@example.net"] for group in groups for number in group}
        ledger = Ledger(connect(server.url), NAMESPACE)
        listener = stack.enter_context(Listener(server.url, NAMESPACE))
        recoveries = stack.enter_context(Recoveries(server.url, NAMESPACE, LEASE_S))
        server.restarted = recoveries.server_is_back
        orders = folder / "orders"
        (orders / "reached").mkdir(parents=True)
        needed = {variable(name): str(value) for name, value in settings_of(plan.provider()).items()}
        environment = ENVIRONMENT | needed | {"WAVIX_BASE_URL": sandbox.url, VARIABLE: str(orders)}
        fleet = Fleet(plan.workers, (server.url, proxy.url), environment, folder / WORKERS_LOG, rng, mutant=plan.mutant)
        fleet.died, fleet.stopped = recoveries.worker_died, recoveries.worker_stopped
        stack.enter_context(fleet)
        didflow, jobs = Didflow(connect(server.url), NAMESPACE), random.Random(plan.seed + 1)
        work = Work(didflow, jobs, [list(group) for group in groups], sandbox, plan.only, plan.cities)
        trouble = Trouble(random.Random(plan.seed + 2), fleet, server, proxy, sandbox, ledger.keys, orders)
        around = None
        if plan.with_roles:
            log = folder / "roles.log"
            around = stack.enter_context(standing(ledger, (server.url, proxy.url), environment, log, random.Random(plan.seed + 3)))
            work.http, trouble.roles = around.http, around.roles
        began = footprint(ledger.client, ledger.keys)
        yield _Site(server, proxy, sandbox, fleet, trouble, work, listener, recoveries, ledger, began_with, began, around)


def _seed(sandbox: SandboxAdmin, groups: int) -> list[list[str]]:
    if not groups:
        return []
    route = [{"transport": 1, "destination": "first@example.net", "priority": 1}]
    numbers = [f"+{number}" for number in sandbox.order("seed_owned", count=groups * GROUP, destinations=route)]
    return [numbers[start : start + GROUP] for start in range(0, len(numbers), GROUP)]


def _make_trouble(plan: Plan, site: _Site, progress: Callable[[str], None]) -> None:
    """Jobs from one thread, troubles from this one, until the time is up."""
    over = threading.Event()
    failed: list[BaseException] = []

    def submitting() -> None:
        try:
            while not over.is_set():
                if site.listener.reported() + plan.in_flight > len(site.work.asked):
                    site.work.submit_one()
                else:
                    over.wait(0.02)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for this one
            failed.append(error)

    submitter = threading.Thread(target=submitting, name="submitter")
    submitter.start()
    ends_s = time.monotonic() + plan.seconds
    upgrade_s = ends_s - plan.seconds / 2
    reported_s = time.monotonic()
    try:
        while time.monotonic() < ends_s and not failed:
            if plan.weights:
                site.trouble.strike(plan.weights)
            if site.fleet.version == REQUEST_VERSION and time.monotonic() > upgrade_s:
                site.trouble.upgrade()
            time.sleep(site.trouble.rng.uniform(*plan.pause_s))
            if time.monotonic() - reported_s > 10:
                reported_s = time.monotonic()
                progressed = f"{len(site.work.asked)} jobs asked, {site.listener.reported()} reported"
                progress(f"{progressed}, {sum(site.trouble.counts.values())} troubles; open: {_open_jobs(site)}")
    finally:
        site.trouble.calm()
        if site.around:
            site.around.receiver.calm()
        over.set()
        submitter.join()
    if failed:
        raise failed[0]


def _open_jobs(site: _Site) -> str:
    """What keeps those that are under way, for the progress line."""
    try:
        views = [view for state in (JobState.QUEUED, JobState.RUNNING, JobState.WAITING) for view in site.work.didflow.find(state=state)]
    except ServiceUnavailable:
        return "can't be asked"
    return ", ".join(f"{what} {count}" for what, count in Counter(view.reason or view.state.value for view in views).most_common())


def _until_quiet(plan: Plan, site: _Site, open_jobs: list[str]) -> list[str]:
    """Wait for these jobs; parked ones are retried, once. Returns the jobs that never came to an end."""
    deadline_s = time.monotonic() + plan.quiet_within_s
    retried: set[str] = set()
    while open_jobs and time.monotonic() < deadline_s:
        time.sleep(0.2)
        with suppress(ServiceUnavailable):
            still: list[str] = []
            for job_id in open_jobs:
                try:
                    state = site.ledger.get(job_id).state
                except JobNotFound:
                    continue  # It ended, and its time is over; whether it said so is the oracle's to determine.
                if state is JobState.NEEDS_REVIEW and job_id not in retried:
                    retried.add(job_id)
                    site.work.didflow.retry(job_id)
                    still.append(job_id)
                elif state not in REPORTED:
                    still.append(job_id)
            open_jobs = still
    return [f"job {job_id} never ended: {_where(site, job_id)}" for job_id in open_jobs]


def _followers_called_off(site: _Site) -> list[str]:
    """The numbers of Berlin wait for documents, and would for weeks."""
    states = (JobState.SCHEDULED, JobState.QUEUED, JobState.RUNNING, JobState.WAITING)
    found = [view.id for state in states for view in site.work.didflow.find(state=state, limit=10_000) if view.kind == "follow_documents"]
    for job_id in found:
        site.work.didflow.cancel(job_id)
    return found


def _where(site: _Site, job_id: str) -> str:
    view = site.ledger.get(job_id)
    return f"{view.state.value}, {view.reason}, phase {view.phase}, attempt {view.attempt}"


def _last_purchase(site: _Site) -> list[str]:
    """One more purchase when all is well: it also takes out of the cart what a late add brought there. Returns what is wrong with it."""
    job = site.work.didflow.submit(SearchAndBuy(country="CA", city=("OTTAWA, ON",)), idempotency_key="last")
    try:
        view = site.work.didflow.wait(job.id, LAST_PURCHASE_WITHIN_S)
    except WaitTimeout:
        gate = site.ledger.client.hgetall(site.ledger.keys.gate("default"))
        return [f"job {job.id}, the last purchase, didn't end when all was well: {_where(site, job.id)}; gate {gate}"]
    assert view.request is not None
    site.work.remember(job.id, view.request, "last")
    return []


def _provider_state(sandbox: SandboxAdmin) -> ProviderState:
    account = sandbox.state()["accounts"]["default"]
    return ProviderState(sandbox.ledger(), account["owned"], account["cart"], account["given_back"])


def _reserved(site: _Site) -> dict[str, str]:
    """The reservations of the account, by number."""
    return cast("dict[str, str]", site.ledger.client.hgetall(site.ledger.keys.reserved("default")))


def _leftovers(site: _Site, parked: set[str]) -> list[str]:
    """What the ledger itself may not hold when nothing runs."""
    client = site.ledger.client
    found = [f"{key} still holds {client.zcard(key)}" for key in (f"{NAMESPACE}:leases", f"{NAMESPACE}:due") if client.zcard(key)]
    for number, text in _reserved(site).items():
        one = Reservation.model_validate_json(text)
        if one.until_ms == 0 and one.holder not in parked:
            found.append(f"{number} is still reserved by job {one.holder}, which has ended")
    return found


def _kind(request: Request) -> str:
    return "countdown" if isinstance(request, Release) and request.counts_down else request.kind


def _countdowns(site: _Site, ended: list[EventBody]) -> dict[str, int]:
    """What happened to releases that counted down, and to their numbers."""
    outcomes = Counter(number.outcome for body in ended for number in body.numbers)
    meddling = site.work.meddling
    return {
        "called off": len(meddling.called_off),
        "numbers called": len(meddling.called),
        "in use": outcomes[NumberOutcome.IN_USE],
        "handed out": outcomes[NumberOutcome.REUSED],
    }


def _outcome(plan: Plan, site: _Site, provider: ProviderState, found: list[str], took_s: float) -> Outcome:
    last = site.listener.heard.last()
    ended = [last[one.job_id] for one in site.work.asked if one.job_id in last]
    parked = [body.error.code if body.error else "" for body in ended if body.state is JobState.NEEDS_REVIEW]
    reached = {path.name for path in (site.trouble.orders / "reached").iterdir()}
    return Outcome(
        plan,
        dict(Counter(_kind(one.request) for one in site.work.asked)),
        dict(Counter(body.state.value for body in ended)),
        dict(Counter(parked)),
        dict(Counter(event.data.reason for event in site.listener.heard.events.values() if event.data.reason)),
        dict(site.trouble.counts),
        dict(site.sandbox.state()["faults"]),
        dict(site.proxy.cuts),
        (len(site.trouble.fault_points_hit & reached), len(reached)),
        site.fleet.starts,
        len(provider.ledger),
        _countdowns(site, ended),
        site.recoveries.recovered_s(),
        site.recoveries.restarted_s(),
        found,
        took_s,
        site.around.over_http() if site.around else {},
        dict(site.around.receiver.answers) if site.around else {},
    )
