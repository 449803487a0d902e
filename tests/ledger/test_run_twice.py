"""Every script may run twice in a row, as it does when its reply is lost: the second run changes nothing that anybody relies on."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from didflow.contract.api_keys import digest
from didflow.contract.attempt_write import Write
from didflow.contract.catalogue import Look
from didflow.contract.destinations import Destination
from didflow.contract.history import Happened, Happening
from didflow.contract.job_kinds import names_behind_the_gate, names_that_buy, names_that_give_back
from didflow.contract.number_holders import Loan
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import CatalogueLook, SearchAndBuy
from didflow.contract.spending import Spend, SpendLimit
from didflow.contract.states import JobState, WaitReason
from didflow.contract.webhooks import DisabledReason, Endpoint
from didflow.ledger import rate_limit, script_calls
from didflow.ledger.catalogue import ask, look_text
from didflow.ledger.commands import entries_of
from didflow.ledger.dialects import note_dialect
from didflow.ledger.event_body import event_members
from didflow.ledger.gate import Gift
from didflow.ledger.inventory import read_lines
from didflow.ledger.inventory_columns import PLACES, line_of
from didflow.ledger.inventory_rows import Row
from didflow.ledger.inventory_sweeps import Changed, InventorySweeps, Kept, SweepTurn
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.number_pool import hand_out, loans_text
from didflow.ledger.parked_numbers import route_text
from didflow.ledger.provider_identity import claim_ledger
from didflow.ledger.rate_limit import Breaker, Pace
from didflow.ledger.replies import Applied, ClaimRefused, Saved
from didflow.ledger.route_claims import claim_routes
from didflow.ledger.script_loader import script_paths
from didflow.ledger.serialization import PART_NUMBERS, in_parts, write_text
from didflow.ledger.spending import spend_fields
from didflow.ledger.stored_history import fields_of_one, happened_text, one_happened_text
from didflow.ledger.webhooks import messages, queues
from didflow.ledger.webhooks.targets import targets
from tests.support.ledger_roles import DONE, claimed, reserve_for, submitted, wait_until_ms

Args = tuple[str | int, ...]
TWO_USD = Spend(numbers=1, usd=Decimal(2))
#: More than one script writes.
LARGE = Write("selected", numbers={f"+1213555{place:04}": "kept" for place in range(PART_NUMBERS + 1)}, replace=True, checkpoint="{}")


def account(ledger: Ledger) -> Args:
    return ("default", "pause", 401, "wrong key", 60_000, "", "")


def incident_list(ledger: Ledger) -> Args:
    return ("INC-1", submitted(ledger).id)


ONE_FAILURE = Breaker(failures=1, first_s=0.0, last_s=0.0)


def admit(ledger: Ledger) -> Args:
    """The one that probes: its reply must reach it. (Any other loses a moment: see test_admission.)"""
    ledger.run(rate_limit.report("default", 1, "down", "HTTP 502", ONE_FAILURE, pause_s=0.0, jitter=0.0))
    pace = Pace.of(10, 0.5)
    return rate_limit.admit("default", "ask-1", pace, emergency=False, patience_s=5.0, probe_s=30.0).args


def alive(ledger: Ledger) -> Args:
    submitted(ledger)
    return ("worker-1", 35_000, 60_000, 0, 0, "")


API_KEY = {"id": "0123456789ab", "name": "shop", "scopes": ["read", "buy"]}


def api_key_create(ledger: Ledger) -> Args:
    return (digest("dfk_1"), json.dumps(API_KEY), 60_000, "ann", "first")


def api_key(ledger: Ledger) -> Args:
    ledger._script("api_key_create", *api_key_create(ledger))
    return (digest("dfk_1"),)


def api_key_request(ledger: Ledger) -> Args:
    return (*api_key(ledger), 60_000)


def note_upload(_: Ledger) -> Args:
    return ("token-1", "ann", "default", "id for +12135550100")


def api_key_count(_: Ledger) -> Args:
    return ("key-1", "5")


def api_key_rotate(ledger: Ledger) -> Args:
    api_key(ledger)
    return ("shop", digest("dfk_2"), 60_000, 0, "ann")


def api_key_revoke(ledger: Ledger) -> Args:
    api_key(ledger)
    return ("shop", "ann")


def console_session_create(ledger: Ledger) -> Args:
    api_key(ledger)
    record = {"id": "5e5510", "name": "ann", "via": "key", "key_id": API_KEY["id"], "secret": digest("dfk_1")}
    return (digest("token"), json.dumps(record), 60_000, 60_000)


def console_session(ledger: Ledger) -> Args:
    ledger._script("console_session_create", *console_session_create(ledger))
    return (digest("token"), 60_000)


def console_session_end(ledger: Ledger) -> Args:
    console_session(ledger)
    return ("id", "5e5510")


def audited(ledger: Ledger, count: int = 2) -> None:
    for _ in range(count):
        ledger.run(script_calls.submit(script_calls.Submission(SearchAndBuy(country="US"), actor="ann")))


def audit_page(ledger: Ledger) -> Args:
    audited(ledger)
    return ("-", 10, "forward")


def audit_forget(ledger: Ledger) -> Args:
    audited(ledger)
    return (10, 60_000, 1)


def letter_drop(ledger: Ledger) -> Args:
    aside = str(ledger.client.xadd(ledger.keys.poison, {"poison_entry": "1-1", "poison_group": "billing"}))
    return ("results", "poison", aside, aside)


def group_delete(ledger: Ledger) -> Args:
    ledger.client.xgroup_create(ledger.keys.results, "billing", id="0", mkstream=True)
    ledger.commands.actor = "ann"
    return ("results", "billing")


def cancel(ledger: Ledger) -> Args:
    return (submitted(ledger).id, 60_000, "", names_that_give_back())


def chunk(ledger: Ledger) -> Args:
    """Three numbers, of which one was moved by another job since it was read."""
    other, running = (claimed(ledger, submitted(ledger).id) for _ in range(2))
    claim_routes(ledger, other, ["+12135550102"])
    ledger.save(running, 1, Write("snapshot_begun", clear=True))
    batch = ("move_batch", 1, '{"page":0}', 60_000)
    seen = ((f"+1213555010{place}", ledger.now_ms(), '{"outcome":null}') for place in range(1, 4))
    return (running.job_id, running.token, 0, 1_000, *batch, *(part for one in seen for part in one))


def claim(ledger: Ledger) -> Args:
    return (submitted(ledger).id, "worker-1:once", 60_000, 1000, 1, names_behind_the_gate())


def dialect(ledger: Ledger) -> Args:
    return note_dialect("default", "https://api.example.net", "numbers", "bearer").args


def provider(ledger: Ledger) -> Args:
    return claim_ledger("default", "https://api.example.net", ((1, "+12135550100"),)).args


def count_calls(_: Ledger) -> Args:
    return "worker-1", 1, "GET /v1/numbers:2xx:50", 3


def count_releases(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    return (running.job_id, running.token, 2, 11, 12, 13)


def fan_out(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    return (running.job_id, running.token, 1, "move_batch", 60_000, "0", '{"page":0}', "1", '{"page":1}')


def finish(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    reported = happened_text({"+12135550100": Happened(what=Happening.UNCLEAR)})
    return (running.job_id, running.token, "succeeded", DONE.model_dump_json(), event_members(DONE), 60_000, "", "", reported)


def fits(ledger: Ledger) -> Args:
    limit = SpendLimit(scope="account", unit="numbers", window="hour", most=Decimal(1))
    return (submitted(ledger).id, json.dumps(spend_fields(Spend(numbers=2), [limit])))


def follow_up(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger, reference="customer-9").id)
    return (running.job_id, running.token, "documents", 1, "follow_documents", '{"job_id":"x"}', "print", "bulk", 60_000)


def give(ledger: Ledger) -> Args:
    job_id = submitted(ledger).id
    happened = Happened(what=Happening.BOUGHT_INACTIVE, record_id=47000001, by="person")
    return (
        job_id,
        "+12135550100",
        47000001,
        1,
        '{"status":"kept"}',
        one_happened_text(happened),
        "ann",
        60_000,
        *script_calls.follower_args(job_id, "default"),
    )


def moved(ledger: Ledger) -> str:
    """As after a restart with a purchase that was queued: the epoch that has begun."""
    submitted(ledger)
    ledger.client.hset(ledger.keys.epoch, "server", "another")
    ledger.sweep(max_crashes=5)
    return str(ledger.client.hget(ledger.keys.epoch, "number"))


def gate_accept(ledger: Ledger) -> Args:
    accepted = (one_happened_text(Happened(what=what, by="person")) for what in (Happening.ACCEPTED, Happening.ACCEPTED_IN_CART))
    return ("default", "47000001", "+12135550100", next(accepted), "+12135550101", "+12135550101", next(accepted))


GIFT = Gift(number="+12135550100", record_id=47000001, job="job-1", actor="ann")


def gate_gift(ledger: Ledger) -> Args:
    ledger.client.hset(ledger.keys.gate("default"), "findings", '{"owned":{"+12135550100":47000001}}')
    return ("default", GIFT.model_dump_json())


def gate_gift_end(ledger: Ledger) -> Args:
    ledger._script("gate_gift", *gate_gift(ledger))
    return ("default", GIFT.number, GIFT.model_dump_json(), "it is cancelled")


def gate_check(ledger: Ledger) -> Args:
    return ("default", "worker-1", 60_000, moved(ledger))


def gate_findings(ledger: Ledger) -> Args:
    return ("default", moved(ledger), '{"account":"default"}')


def gate_open(ledger: Ledger) -> Args:
    epoch, held = moved(ledger), submitted(ledger)
    ledger._script("gate_check", "default", "worker-1", 60_000)
    assert ledger.claim(held.id, "worker-1", lease_ms=1000) == ClaimRefused(held.id, "reconciling")
    return ("default", epoch)


def freeze(ledger: Ledger) -> Args:
    return ("", "a wrong list", "ann")


def unfreeze(ledger: Ledger) -> Args:
    ledger._script("freeze", *freeze(ledger))
    running = claimed(ledger, submitted(ledger).id)
    assert ledger.suspend(running, JobState.WAITING, WaitReason.FROZEN, delay_ms=60_000, refund=True)
    return ("", "", "ann")


def sending(ledger: Ledger) -> Args:
    assert ledger.save(claimed(ledger, submitted(ledger).id), 1, Write("fence", money=True)) == Saved()
    return ("",)


def sign_off(ledger: Ledger) -> Args:
    submitted(ledger)
    ledger.worker_alive("worker-1")
    return ("worker-1",)


def happened(ledger: Ledger, what: str = "released") -> None:
    reported = Write("released", history={"+12135550100": Happened(what=Happening(what))})
    assert ledger.save(claimed(ledger, submitted(ledger).id), 1, reported) == Saved()


def history(ledger: Ledger) -> Args:
    happened(ledger)
    return ("+12135550100",)


def history_forget(ledger: Ledger) -> Args:
    happened(ledger)
    return (100, 0)


SWEEP = ("default", "sweep-1", 60_000)


def shown(number: str) -> Row:
    return Row(OwnedNumber(record_id=47000001, number=number, status="active"), first_seen_ms=1)


def swept(ledger: Ledger) -> int:
    """A sweep has begun, and found a number. Returns when, ms."""
    began_ms = int(ledger._script("inventory_begin", *SWEEP, "", 15_000)[1])
    changed = Changed(Kept("", None), shown("+12135550100"))
    turn = SweepTurn("default", "sweep-1", began_ms, None)
    assert InventorySweeps(ledger).write(turn, (), [changed], read_ms=began_ms, settle_ms=0) == []
    return began_ms


def inventory_begin(ledger: Ledger) -> Args:
    return (*SWEEP, "worker-1", 15_000)


def inventory_page(ledger: Ledger) -> Args:
    began_ms = swept(ledger)
    row, happened = shown("+12135550101"), fields_of_one(Happened(what=Happening.APPEARED))
    rows = [["+12135550101", "47000001", "", row.text(), line_of(row, began_ms), [["didflow.number.appeared.v1", "{}"]], [happened]]]
    return (*SWEEP, began_ms, 0, json.dumps({"seen": [["+12135550100", 0]], "rows": rows}))


def inventory_ask(ledger: Ledger) -> Args:
    return ("default", ledger.now_ms())


def inventory_read(ledger: Ledger) -> Args:
    account, _, _, read_ms, _, page = inventory_page(ledger)
    return (account, read_ms, 0, page)


def inventory_absent(ledger: Ledger) -> Args:
    swept(ledger)
    (line,) = ledger.perform(read_lines(ledger.keys, "default"))
    row = ledger.client.hget(ledger.keys.inventory_rows("default"), "+12135550100")
    happened = fields_of_one(Happened(what=Happening.DISAPPEARED))
    gone = ["+12135550100", row, line[PLACES["seen"]], [["didflow.number.disappeared.v1", "{}"]], [happened]]
    return (*SWEEP, json.dumps({"missed": [["+12135550100", 0, line[PLACES["seen"]]]], "gone": [gone]}))


def inventory_end(ledger: Ledger) -> Args:
    swept(ledger)
    return ("default", "sweep-1", 1, 60_000, "", 0, "{}")


def catalogue_ask(ledger: Ledger) -> Args:
    return ask("default", CatalogueLook(what="countries"), max_age_ms=1000, submit=True, actor="ann").args


def catalogue_keep(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    look = Look(account="default", question="countries", job_id=running.job_id, began_ms=ledger.now_ms())
    return (running.job_id, running.token, look.question, look.began_ms, look_text(look), 60_000, 10, 1_000_000)


def catalogue_feed(ledger: Ledger) -> Args:
    look = Look(account="default", question="countries", job_id="", began_ms=ledger.now_ms())
    return (look.account, look.question, look.began_ms, look_text(look), 60_000, 10, 1_000_000, 60_000)


def learn(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    return (running.job_id, running.token, "ids_form", "single")


def limits(ledger: Ledger) -> Args:
    ledger._script("limits", "ann@host", "default", "5 per hour")
    return ("ann@host", "default", "9 per hour", "", "none")


def note_stock(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    return (running.job_id, running.token, "8652:200:all:1", '{"at_ms":1}', 60_000)


def rows(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    happened = happened_text({"+12135550100": Happened(what=Happening.UNCLEAR)})
    return (running.job_id, running.token, 0, '[{"number":"+12135550100"}]', happened)


def put_back(ledger: Ledger) -> Args:
    assert ledger.finish(claimed(ledger, submitted(ledger).id), JobState.SUCCEEDED, DONE)
    ledger.client.xgroup_create(ledger.keys.results, "billing", id="0")
    ((entry, _),) = entries_of(ledger.client.xreadgroup("billing", "a", {ledger.keys.results: ">"}))
    ledger.client.xack(ledger.keys.results, "billing", entry)
    aside = str(ledger.client.xadd(ledger.keys.poison, {"poison_entry": entry, "poison_group": "billing"}))
    return (aside, "results", "poison", "poison", aside)


def planned(ledger: Ledger) -> tuple[str, str]:
    ledger._script("plan_save", "evening", "v1", "{}", "ops", 60_000, 60_000)
    return ("evening", "v1")


def nudge(ledger: Ledger) -> Args:
    job = submitted(ledger)
    ledger.client.delete(f"{ledger.keys.broker}:money", f"{ledger.keys.broker}:money.msgs")
    return (job.id,)


def plan_delete(ledger: Ledger) -> Args:
    return (planned(ledger)[0], 60_000, "ann")


def plan_refreshing(ledger: Ledger) -> Args:
    return (*planned(ledger), "", submitted(ledger).id, 60_000)


def plan_resolved(ledger: Ledger) -> Args:
    job = submitted(ledger).id
    ledger._script("plan_refreshing", *planned(ledger), "", job, 60_000)
    return ("evening", "v1", job, ledger.now_ms(), 1, '{"+12135550100":47000001}', "", 60_000, "1")


def plan_save(ledger: Ledger) -> Args:
    return ("evening", "v1", "{}", "ops", 60_000, 60_000)


def quarantine(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    return (running.job_id, running.token, 60_000, "+12135550100", "+12135550101")


def renew(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    return (60_000, running.job_id, running.token, "nobody", "1")


def report(ledger: Ledger) -> Args:
    return rate_limit.report("default", 1, "down", "HTTP 502", ONE_FAILURE, pause_s=0.0, jitter=0.0).args


def parked(ledger: Ledger) -> str:
    running = claimed(ledger, submitted(ledger).id)
    ledger.save(running, 1, Write("bind", reserve=("+12135550100",)))
    ledger.save(running, 2, Write("fence", hold=TWO_USD))
    assert ledger.finish(running, JobState.NEEDS_REVIEW, DONE)
    return running.job_id


def resolve(ledger: Ledger) -> Args:
    job_id = parked(ledger)
    return (
        job_id,
        ledger.get(job_id).token,
        "succeeded",
        DONE.model_dump_json(),
        event_members(DONE),
        60_000,
        60_000,
        "bought",
        json.dumps(spend_fields(TWO_USD)),
        happened_text({"+12135550100": Happened(what=Happening.BOUGHT, by="person")}),
        "ann",
        *script_calls.follower_args(job_id, "default"),
    )


def keep_finding(ledger: Ledger) -> Args:
    job_id = parked(ledger)
    return (job_id, ledger.get(job_id).token, '{"actor":"ann"}', 60_000, "ann", "bought: none")


def retry(ledger: Ledger) -> Args:
    return (parked(ledger), 60_000)


HANDED_OUT = ("+12135550100", 47000001, '{"status":"kept"}')


def lending(ledger: Ledger) -> dict[str, Loan]:
    """A release that waits in its grace period, and has a number parked."""
    release = claimed(ledger, submitted(ledger).id)
    ledger.save(release, 1, Write("parked", numbers={"+12135550102": "kept"}, offer={"+12135550102": 47000003}))
    assert ledger.suspend(release, JobState.WAITING, WaitReason.GRACE, delay_ms=60_000, refund=True)
    return {"+12135550102": Loan(release.job_id, "kept", "lent")}


def reuse_hand_out(ledger: Ledger) -> Args:
    running, other = claimed(ledger, submitted(ledger).id), claimed(ledger, submitted(ledger).id)
    hand_out(ledger, other, [("+12135550101", 47000002, "{}")])
    loans = loans_text(lending(ledger))
    return (running.job_id, running.token, loans, *HANDED_OUT, "+12135550101", 47000002, "{}", "+12135550102", 47000003, "{}")


def reuse_take_back(ledger: Ledger) -> Args:
    running, loans = claimed(ledger, submitted(ledger).id), lending(ledger)
    hand_out(ledger, running, [HANDED_OUT, ("+12135550102", 47000003, "{}")], loans)
    free = '{"status":"free"}'
    return (running.job_id, running.token, loans_text(loans), "+12135550100", free, "+12135550102", free)


def reuse_return(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    hand_out(ledger, running, [HANDED_OUT])
    assert ledger.finish(running, JobState.SUCCEEDED, DONE)
    return ("default", "ann", "+12135550100", "+12135550101")


def routes(ledger: Ledger) -> Args:
    oldest, older, newer = (claimed(ledger, submitted(ledger).id) for _ in range(3))
    claim_routes(ledger, newer, ["+12135550101"])
    claim_routes(ledger, oldest, ["+12135550102"])
    take_to_park(ledger, newer, "+12135550103")
    wanted = route_text((Destination.sip("backup@example.net"),))
    return (
        older.job_id,
        older.token,
        1,
        0,
        wanted,
        names_that_buy(),
        names_that_give_back(),
        "+12135550100",
        "+12135550101",
        "+12135550102",
        "+12135550103",
    )


def take_to_park(ledger: Ledger, release: Claim, *numbers: str) -> None:
    claim_routes(ledger, release, list(numbers), calling=False, parking=True)


def want(ledger: Ledger) -> Args:
    release, job = (claimed(ledger, submitted(ledger).id) for _ in range(2))
    take_to_park(ledger, release, "+12135550100", "+12135550101")
    wanted = route_text((Destination.sip("backup@example.net"),))
    return (job.job_id, job.token, "+12135550100", wanted, "+12135550102", wanted)


def stage(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    return (running.job_id, running.token, 0, in_parts(LARGE)[0][0])


def apply(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    parts, rest = in_parts(LARGE)
    assert len(parts) == 2
    for index, part in enumerate(parts):
        assert ledger.stage(running, index, part)
    assert ledger.save(running, 1, rest, staged=2) == Saved()
    assert ledger.apply(running) is Applied.MORE
    return (running.job_id, running.token)


def save(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    assert ledger.save(running, 1, Write("fence", hold=TWO_USD)) == Saved()
    numbers = {"numbers": {"+12135550100": "{}"}, "reserve": ("+12135550100",), "taint": ("+12135550101",)}
    numbers |= {"history": {"+12135550100": Happened(what=Happening.BOUGHT)}}
    take_to_park(ledger, running, "+12135550100", "+12135550101")
    numbers |= {"parks": {"+12135550100": "{}"}, "unpark": {"+12135550101": 0}}
    page = Write("settled", progress="1 of 2", checkpoint="{}", settle=TWO_USD, **numbers)  # type: ignore[arg-type]
    return (running.job_id, running.token, 2, 60_000, write_text(page, ()))


def dry_runs(ledger: Ledger) -> Args:
    return (ledger.submit(script_calls.Submission(SearchAndBuy(country="US", dry_run=True))).id, "gone")


def spending(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger, reference="customer-9").id)
    assert ledger.save(running, 1, Write("fence", hold=TWO_USD)) == Saved()
    return (10, "account:default")


def quote_secret(ledger: Ledger) -> Args:
    return ("a secret",)


def submit(ledger: Ledger) -> Args:
    return script_calls.submit(script_calls.Submission(SearchAndBuy(country="US"), idempotency_key="order-1", reference="customer-9")).args


def suspend(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    return (running.job_id, running.token, "waiting", "settling", 60_000, "1", "why", 60_000)


def take(ledger: Ledger) -> Args:
    """Two of three, and one of two that aren't ours."""
    queue = f"{ledger.keys.broker}:money"
    for place in (1, 2):
        submitted(ledger)
        ledger.client.hset(f"{queue}.msgs", f"foreign-{place}", "{")
        ledger.client.rpush(queue, f"foreign-{place}")
    submitted(ledger)
    return ("money", 3, "worker-1", "money", "worker-1:once", 60_000, 1000, 1, names_behind_the_gate())


def emit(ledger: Ledger) -> Args:
    running = claimed(ledger, submitted(ledger).id)
    return (
        running.job_id,
        running.token,
        "+4930123",
        '{"stage":"activated"}',
        "didflow.number.activated.v1",
        "{}",
        "+4930124",
        "{}",
        "",
        "",
    )


def undecodable(ledger: Ledger) -> Args:
    ledger.client.rpush(ledger.keys.undecodable, "{", "another")
    return (10, b"{".hex(), "message-1")


def undo(ledger: Ledger) -> Args:
    return (submitted(ledger).id, "failback-1", "failback:INC-31", 60_000)


def unreserve(ledger: Ledger) -> Args:
    reserve_for(ledger, "gone", "+12135550100")
    return ("default", "+12135550100", "gone", "ann")


def sweep(ledger: Ledger) -> Args:
    dead = claimed(ledger, submitted(ledger).id, lease_ms=1)
    wait_until_ms(ledger, ledger.now_ms() + 2)
    assert ledger.get(dead.job_id).state == "running"
    return (100, 60_000, 5, 60_000, 60_000)


def same_server(ledger: Ledger) -> Args:
    submitted(ledger)
    ledger.client.hset(ledger.keys.epoch, "server", "the one before")
    return ("the one before",)


def vouch(ledger: Ledger) -> Args:
    submitted(ledger)
    ledger.worker_alive("worker-1")
    before = str(ledger.client.hget(ledger.keys.epoch, "number"))
    return ("default", "worker-1", before, 1, moved(ledger))


ENDPOINT = Endpoint(id="0123456789ab", name="shop", url="https://shop.example.net/hook")
SECRET = "whsec_" + "A" * 43 + "="


def webhook_create(_: Ledger) -> Args:
    return (ENDPOINT.id, ENDPOINT.name, ENDPOINT.model_dump_json(), SECRET, "ann")


def webhook(ledger: Ledger) -> str:
    ledger._script("webhook_create", *webhook_create(ledger))
    return ENDPOINT.name


def webhook_fan_out(ledger: Ledger) -> Args:
    webhook(ledger)
    job_id = submitted(ledger).id
    ((entry_id, _),) = entries_of([[None, ledger.client.xrange(ledger.keys.events)]])
    known = ledger.perform(targets(ledger.keys))
    message = messages.Message(f"{job_id}:1", "didflow.job.queued.v1", job_id, "default", "", "{}")
    call = queues.fan_out_call(known, (known.results or "", entry_id), (0, 1), [(message, [ENDPOINT.id])])
    return call.args


def queued_message(ledger: Ledger) -> str:
    """A message that waits for the endpoint."""
    ledger._script("webhook_fan_out", *webhook_fan_out(ledger))
    return str(entries_of([[None, ledger.client.xrange(ledger.keys.webhook_messages)]])[0][0])


def webhook_take(ledger: Ledger) -> Args:
    queued_message(ledger)
    return ("claim-1", 60_000, 8, 100, ENDPOINT.id, 8)


def webhook_settle(ledger: Ledger) -> Args:
    found = queues.read_take("claim-1", ledger._script("webhook_take", *webhook_take(ledger)))
    return queues.settle_call(found.taken[0], "retried", "{}", again_s=60.0, pause_s=60.0, disable=DisabledReason.GONE).args


def webhook_switch(ledger: Ledger) -> Args:
    return (webhook(ledger), "disabled", "ann")


def webhook_update(ledger: Ledger) -> Args:
    webhook(ledger)
    other = ENDPOINT.model_copy(update={"url": "https://other.example.net/"})
    return (ENDPOINT.id, ENDPOINT.model_dump_json(), other.model_dump_json(), "url", "disabled", "ann", "url")


def webhook_hasten(ledger: Ledger) -> Args:
    ledger._script("webhook_settle", *webhook_settle(ledger))
    return (ENDPOINT.id, 10)


def webhook_rotate(ledger: Ledger) -> Args:
    return (webhook(ledger), SECRET.replace("A", "B"), 60_000, "ann")


def webhook_delete(ledger: Ledger) -> Args:
    return (webhook(ledger), "ann")


def webhook_queue(ledger: Ledger) -> Args:
    message = queued_message(ledger)
    found = queues.read_take("claim-1", ledger._script("webhook_take", "claim-1", 60_000, 8, 100, ENDPOINT.id, 8))
    ledger.run(queues.settle_call(found.taken[0], "delivered", "{}"))
    return (ENDPOINT.id, "ann", "event 1", message)


def webhook_test(ledger: Ledger) -> Args:
    return (webhook(ledger), "webhook-test:1", "ann")


def webhook_trim(ledger: Ledger) -> Args:
    queued_message(ledger)
    ledger._script("webhook_switch", ENDPOINT.id, "disabled", "ann")
    return (20_000, 0)


#: Script by name: what it needs, its arguments, and the reply of a second run where that isn't the first one's.
SCRIPTS: dict[str, tuple[Callable[[Ledger], Args], Any]] = {
    "account": (account, "same"),
    "admit": (admit, None),
    "alive": (alive, None),
    "api_key": (api_key, None),
    "api_key_count": (api_key_count, None),
    "api_key_create": (api_key_create, None),
    "api_key_request": (api_key_request, None),
    "api_key_revoke": (api_key_revoke, "gone"),
    "api_key_rotate": (api_key_rotate, None),
    "apply": (apply, None),
    "audit_forget": (audit_forget, 0),
    "audit_page": (audit_page, None),
    "cancel": (cancel, None),
    "catalogue_ask": (catalogue_ask, None),
    "catalogue_feed": (catalogue_feed, "older"),
    "catalogue_keep": (catalogue_keep, None),
    "chunk": (chunk, None),
    "claim": (claim, None),
    "console_session": (console_session, None),
    "console_session_create": (console_session_create, None),
    "console_session_end": (console_session_end, 0),
    "count_calls": (count_calls, None),
    "count_releases": (count_releases, None),
    "dialect": (dialect, "same"),
    "emit": (emit, "0"),
    "fan_out": (fan_out, None),
    "finish": (finish, None),
    "fits": (fits, None),
    "freeze": (freeze, None),
    "follow_up": (follow_up, None),
    "gate_accept": (gate_accept, ["accepted", 0]),
    "gate_check": (gate_check, None),
    "gate_findings": (gate_findings, "same"),
    "gate_gift": (gate_gift, None),
    "gate_gift_end": (gate_gift_end, "other"),
    "gate_open": (gate_open, "same"),
    "give": (give, None),
    "group_delete": (group_delete, "gone"),
    "history": (history, None),
    "history_forget": (history_forget, 0),
    "incident_list": (incident_list, 0),
    "inventory_absent": (inventory_absent, "0"),
    "inventory_begin": (inventory_begin, None),
    "inventory_end": (inventory_end, "lost"),
    "inventory_page": (inventory_page, []),
    "inventory_ask": (inventory_ask, None),
    "inventory_read": (inventory_read, []),
    "keep_finding": (keep_finding, None),
    "learn": (learn, None),
    "note_stock": (note_stock, None),
    "note_upload": (note_upload, None),
    "letter_drop": (letter_drop, "gone"),
    "limits": (limits, 0),
    "nudge": (nudge, None),
    "plan_delete": (plan_delete, "gone"),
    "plan_refreshing": (plan_refreshing, None),
    "plan_resolved": (plan_resolved, None),
    "plan_save": (plan_save, None),
    "provider": (provider, None),
    "put_back": (put_back, "gone"),
    "quarantine": (quarantine, None),
    "quote_secret": (quote_secret, None),
    "renew": (renew, None),
    "report": (report, "same"),
    "resolve": (resolve, None),
    "retry": (retry, None),
    "reuse_hand_out": (reuse_hand_out, None),
    "reuse_return": (reuse_return, []),
    "reuse_take_back": (reuse_take_back, None),
    "routes": (routes, None),
    "rows": (rows, None),
    "same_server": (same_server, "same"),
    "save": (save, None),
    "sending": (sending, None),
    "sign_off": (sign_off, 0),
    "spending": (spending, None),
    "dry_runs": (dry_runs, None),
    "stage": (stage, None),
    "submit": (submit, None),
    "suspend": (suspend, None),
    "sweep": (sweep, [0, 0, 0, 0, 0, 0]),
    "take": (take, None),
    "undecodable": (undecodable, None),
    "undo": (undo, None),
    "unreserve": (unreserve, "no"),
    "unfreeze": (unfreeze, ["none"]),
    "vouch": (vouch, "open"),
    "want": (want, None),
    "webhook_create": (webhook_create, None),
    "webhook_delete": (webhook_delete, "gone"),
    "webhook_fan_out": (webhook_fan_out, "moved"),
    "webhook_hasten": (webhook_hasten, 0),
    "webhook_queue": (webhook_queue, None),
    "webhook_rotate": (webhook_rotate, None),
    "webhook_settle": (webhook_settle, "lost"),
    "webhook_switch": (webhook_switch, None),
    "webhook_take": (webhook_take, None),
    "webhook_test": (webhook_test, None),
    "webhook_trim": (webhook_trim, None),
    "webhook_update": (webhook_update, None),
}

#: They write nothing, or only move moments.
LOOKING = ("api_key", "audit_page", "console_session", "dry_runs", "fits", "history", "renew", "sending", "spending", "webhook_hasten")


def snapshot(ledger: Ledger) -> dict[str, object]:
    """All that is stored, without the moments, which the second run may move on."""
    client: Any = ledger.client
    found: dict[str, object] = {}
    for key in client.keys(f"{ledger.keys.namespace}:*"):
        match client.type(key):
            case "hash":
                found[key] = {name: timeless(text) for name, text in client.hgetall(key).items() if not name.endswith("_ms")}
            case "zset":
                found[key] = sorted(client.zrange(key, 0, -1))
            case "set":
                found[key] = sorted(client.smembers(key))
            case "list":
                found[key] = client.lrange(key, 0, -1)
            case "stream":
                found[key] = client.xrange(key)
            case _:
                found[key] = client.get(key)
    return {key.removeprefix(ledger.keys.namespace): value for key, value in found.items()}


def timeless(text: str) -> str:
    """A record without its moments, but for those that aren't set."""
    return re.sub(r'("\w+_ms":)[1-9][0-9]*', r"\1later", text)


def test_every_script_is_here() -> None:
    assert sorted(SCRIPTS) == sorted(script_paths())


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_second_run_changes_nothing(ledger: Ledger, name: str) -> None:
    prepare, second_reply = SCRIPTS[name]
    args = prepare(ledger)
    before = snapshot(ledger)
    first = ledger._script(name, *args)
    after = snapshot(ledger)
    second = ledger._script(name, *args)
    if name == "count_releases":  # The next day is nearer; who may go is the same.
        assert second[2:] == first[2:] == ["11", "12"]
    elif name == "webhook_take":  # But for the moment.
        assert second[3:] == first[3:] != []
    elif name == "catalogue_ask":  # But for the moment.
        assert second[:4] == first[:4]
    elif name == "freeze":  # The same one, and no event.
        assert (first[0], second) == ("frozen", ["same", first[1]])
    elif name == "take":  # What wasn't ours, and whether anything is left, isn't replied again.
        assert (first[0], first[1:], second[1:]) == (second[0], [[1], 0], [[], 0])
        assert [reply[0] for _, reply in first[0]] == ["yes", "yes"]
    elif name == "alive":  # One more write that was made; a process that knows of fewer is no less sure of those.
        assert second == [first[0] + 1, *first[1:]]
    else:
        assert second == (first if second_reply is None else second_reply)
    if name == "alive":
        ledger.client.hset(f"{ledger.keys.namespace}:vouch:counts", "worker-1", 1)
    elif name == "api_key_count":  # One more request is counted.
        ledger.client.hset(ledger.keys.api_keys_sent, mapping=after[":api_keys:sent"])  # type: ignore[arg-type]
    assert snapshot(ledger) == after
    if name not in LOOKING:
        assert after != before, "the first run did something"
