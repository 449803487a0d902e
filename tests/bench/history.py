"""What the history costs a reroute: `python -m tests.bench.history`. On a real Valkey that flushes every write, as in service.

Measured is what the ledger does for one call of a hundred numbers: claim the routes, write "accepted", write "confirmed". Pairs of such
rounds, with and without history in turn, on numbers that have one already; reported is the median, and the server's own time.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import Destination
from didflow.contract.history import Happened, Happening
from didflow.contract.requests import Reroute
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.route_claims import claim_routes
from didflow.ledger.script_calls import Submission
from worker.local.embedded_valkey import EmbeddedValkey

NUMBERS = [f"+1213555{place:04d}" for place in range(100)]
ROUNDS = 100
AWAY = (Destination.sip("backup@example.net"),)
ROUTED = Happened(what=Happening.ROUTED, record_id=47000001, route_before=("trunk:144",), route_after=("sip:backup@example.net",))


def main() -> None:
    with TemporaryDirectory() as folder, EmbeddedValkey(Path(folder)) as server:
        ledger = Ledger(connect(server.url), "bench")
        rounds: dict[bool, list[float]] = {False: [], True: []}
        cpu_us: dict[bool, list[int]] = {False: [], True: []}
        for count in range(2 * ROUNDS):
            with_history = bool(count % 2)
            claim = _claimed(ledger)
            before_us, began_s = _server_us(ledger), time.perf_counter()
            _round(ledger, claim, with_history)
            took_s = time.perf_counter() - began_s
            rounds[with_history].append(took_s * 1000)
            cpu_us[with_history].append(_server_us(ledger) - before_us)
        memory = ledger.client.memory_usage(ledger.keys.history_of(NUMBERS[0]), samples=0)
    without, having = (statistics.median(rounds[with_history]) for with_history in (False, True))
    server_without, server_having = (statistics.median(cpu_us[with_history]) for with_history in (False, True))
    found = {
        "ms_without": round(without, 2),
        "ms_with": round(having, 2),
        "ratio": round(having / without, 3),
        "server_us_without": round(server_without),
        "server_us_with": round(server_having),
        "server_ratio": round(server_having / server_without, 3),
        "bytes_of_a_full_history": memory,
    }
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def _claimed(ledger: Ledger) -> Claim:
    job = ledger.submit(Submission(Reroute(numbers=tuple(NUMBERS), destinations=AWAY), reference="customer-9"))
    claim = ledger.claim(job.id, "bench", lease_ms=60_000)
    assert isinstance(claim, Claim)
    return claim


def _round(ledger: Ledger, claim: Claim, with_history: bool) -> None:
    history = dict.fromkeys(NUMBERS, ROUTED) if with_history else {}
    claim_routes(ledger, claim, NUMBERS)
    accepted = Write("accepted", numbers=dict.fromkeys(NUMBERS, _move("accepted")), answered=NUMBERS, history=history)
    ledger.save(claim, 1, accepted)
    ledger.save(claim, 2, Write("confirmed", numbers=dict.fromkeys(NUMBERS, _move("confirmed"))))


def _move(outcome: str) -> str:
    route = [{"transport": 1, "destination": "backup@example.net", "priority": 1}]
    return json.dumps({"number": NUMBERS[0], "record_id": 47000001, "before": route, "target": route, "outcome": outcome, "taken_ms": 1})


def _server_us(ledger: Ledger) -> int:
    stats = ledger.client.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("usec", 0)) + int(stats.get("cmdstat_eval", {}).get("usec", 0))


if __name__ == "__main__":
    main()
