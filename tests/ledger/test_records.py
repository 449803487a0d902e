"""Records in Redis: exact, named, and safe where another program has written."""

from decimal import Decimal

import pytest
import redis

from didflow.contract.attempt_write import Write
from didflow.contract.spending import Spend
from didflow.ledger.ledger import Ledger
from didflow.ledger.number_pool import hand_out, handed_out
from didflow.ledger.replies import NumbersReserved, Saved
from didflow.ledger.reservations import Reservation, reserved
from didflow.ledger.route_claims import claim_routes
from didflow.ledger.script_loader import source_texts
from tests.support.ledger_roles import claimed, held_by, reserve_for, submitted

NUMBER = "+12135550100"
UNREADABLE = ("a job|0", "{}", "[]", '{"holder":1,"until_ms":0}', '{"holder":"job","until_ms":-1}', '{"holder":"job","until_ms":1e999}')


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_reservation_that_can_not_be_read_keeps_the_number_from_every_job(ledger: Ledger, text: str) -> None:
    ledger.client.hset(ledger.keys.reserved("default"), NUMBER, text)
    claim = claimed(ledger, submitted(ledger).id)
    assert ledger.save(claim, 1, Write("bind", reserve=(NUMBER,))) == NumbersReserved((NUMBER,))
    assert hand_out(ledger, claim, [(NUMBER, 47000001, "{}")]) == frozenset()
    assert ledger.client.hget(ledger.keys.reserved("default"), NUMBER) == text


def test_python_reads_what_the_scripts_write(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    assert ledger.save(claim, 1, Write("bind", reserve=(NUMBER,))) == Saved()
    assert ledger.client.hget(ledger.keys.reserved("default"), NUMBER) == held_by(claim.job_id)
    assert hand_out(ledger, claim, [("+12135550101", 47000001, "{}")]) == frozenset({"+12135550101"})
    assert [(one.record_id, one.job_id) for one in ledger.perform(handed_out(ledger.keys, "default"))] == [(47000001, claim.job_id)]


@pytest.mark.parametrize(("until_ms", "free"), [(0, False), (1, True), (2**45, False)])
def test_the_sweeper_frees_a_number_whose_time_is_over_in_an_account_with_a_bar_in_its_name(
    ledger: Ledger, until_ms: int, free: bool
) -> None:
    reservations = ledger.keys.reserved("a|b")
    ledger.client.hset(reservations, NUMBER, Reservation(holder="job", until_ms=until_ms).model_dump_json())
    ledger.client.zadd(f"{ledger.keys.namespace}:reserved_until", {f"a|b|{NUMBER}": 1})
    ledger.sweep(max_crashes=5)
    assert ledger.client.hexists(reservations, NUMBER) != free
    assert ledger.perform(reserved(ledger.keys, "a|b", [NUMBER], besides="", now_ms=ledger.now_ms())) == (
        frozenset() if free else frozenset({NUMBER})
    )


def test_an_amount_is_exact_beyond_what_json_encoders_write(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    large = Spend(numbers=3, usd=Decimal("123456789012.3456"))
    assert ledger.save(claim, 1, Write("fence", hold=large)) == Saved()
    (held,) = ledger.spending([("account", "default")])
    assert held.held == large
    assert ledger.save(claim, 2, Write("look", settle=large)) == Saved()
    (settled,) = ledger.spending([("account", "default")])
    assert (settled.day, settled.held) == (large, Spend())


def test_only_the_outcome_of_the_number_itself_is_counted(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    texts = {
        NUMBER: '{"park":{"outcome":"confirmed"},"outcome":null}',
        "+12135550101": '{"park":{"outcome":"failed"},"outcome":"confirmed"}',
        "+12135550102": "damaged",
    }
    assert ledger.save(claim, 1, Write("read", clear=True, numbers=texts)) == Saved()
    assert ledger.perform(ledger.commands.outcomes(claim.job_id)) == {"open": 2, "confirmed": 1}
    assert ledger.save(claim, 2, Write("told", numbers={NUMBER: texts["+12135550101"]})) == Saved()
    assert ledger.perform(ledger.commands.outcomes(claim.job_id)) == {"open": 1, "confirmed": 2}


def test_a_route_claim_that_can_not_be_read_is_not_overwritten(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    ledger.client.hset(ledger.keys.routes("default"), NUMBER, "7|job||0|0|0")
    with pytest.raises(redis.exceptions.ResponseError, match="can not be read"):
        claim_routes(ledger, claim, [NUMBER])
    assert ledger.client.hget(ledger.keys.routes("default"), NUMBER) == "7|job||0|0|0"


def test_a_reservation_of_another_job_is_not_dropped(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id)
    reserve_for(ledger, "another", NUMBER)
    assert ledger.save(claim, 1, Write("free", free=(NUMBER,))) == Saved()
    assert ledger.client.hget(ledger.keys.reserved("default"), NUMBER) == held_by("another")


@pytest.mark.parametrize("path", sorted(source_texts()))
def test_values_are_joined_by_a_bar_in_one_place_and_json_is_not_read_by_patterns(path: str) -> None:
    code = "\n".join(line.partition(" -- ")[0] for line in source_texts()[path].splitlines() if not line.startswith("--"))
    bars = code.count("'|'") + code.count("|'") + code.count("'|")
    assert not bars or path == "include/members.lua", "a record has named fields, see include/records.lua"
    assert not [line for line in code.splitlines() if "string.match(" in line and '"' in line.partition("string.match(")[2]]
