"""What is kept of a parked number has fields with names; one that is damaged counts as none."""

import json

import pytest

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import Destination, same_route
from didflow.ledger.ledger import Ledger
from didflow.ledger.parked_numbers import all_parked
from didflow.ledger.route_claims import claim_routes, want_routes
from tests.support.ledger_roles import claimed, submitted

NUMBER = "+12135550100"
THERE = (Destination.sip("there@example.net"),)


def entry(ledger: Ledger) -> dict[str, object]:
    found: dict[str, object] = json.loads(str(ledger.client.hget(ledger.keys.parked("default"), NUMBER)))
    return found


def test_a_release_that_parks_a_number_and_what_is_wanted_for_it_are_read_as_they_were_written(ledger: Ledger) -> None:
    release, older = (claimed(ledger, submitted(ledger).id) for _ in range(2))
    claim_routes(ledger, release, [NUMBER], calling=False, parking=True)
    assert entry(ledger) == {"release_job": release.job_id, "was": 0, "ways": "", "wanted": "", "wanted_order": 0, "wanted_by": ""}
    assert want_routes(ledger, older, {NUMBER: THERE}) == frozenset({NUMBER})
    (parked,) = ledger.perform(all_parked(ledger.keys, "default")).values()
    assert (parked.release, parked.wanted_by, parked.wanted_order) == (release.job_id, older.job_id, 2)
    assert parked.wanted is not None
    assert same_route(parked.wanted, THERE)
    ledger.save(release, 1, Write("gone", unpark={NUMBER: 2}))
    assert ledger.perform(all_parked(ledger.keys, "default")) == {}


@pytest.mark.parametrize("text", ["", "garbage", "[]", "null", '{"release_job":"job"}', '{"release_job":1,"was":"0"}'])
def test_a_damaged_entry_is_none_and_is_written_again_by_the_next_release(ledger: Ledger, text: str) -> None:
    release = claimed(ledger, submitted(ledger).id)
    ledger.client.hset(ledger.keys.parked("default"), NUMBER, text)
    assert ledger.perform(all_parked(ledger.keys, "default")) == {}
    claim_routes(ledger, release, [NUMBER], calling=False, parking=True)
    assert entry(ledger)["release_job"] == release.job_id
