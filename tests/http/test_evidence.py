"""The evidence about a parked job over HTTP, by the client and by the command: the same as the console's screen shows."""

import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from typer.testing import CliRunner

from didflow import Didflow
from didflow.contract.api_keys import ApiScope
from didflow.contract.errors import SecondPersonNeeded
from didflow.contract.states import JobState
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from producers.cli.app import app
from producers.http.services import ReviewRules
from tests.support.http_server import Api, api_of
from tests.support.ledger_roles import submitted
from tests.support.parked_purchase import park_again, park_purchase
from worker.local.embedded_valkey import EmbeddedValkey

NUMBER, OTHER = "+12135550100", "+12135550101"


@pytest.fixture(scope="module")
def strict(valkey: EmbeddedValkey) -> Iterator[Api]:
    """A server where more than 5 USD need a second person."""
    client = connect(valkey.url)
    with api_of(Ledger(client, f"evidence-{uuid.uuid4().hex[:8]}"), valkey.url, review=ReviewRules(Decimal(5))) as api:
        yield api
    client.close()


def shell(api: Api, valkey: EmbeddedValkey, *words: str, actor: str = "ann", **more: str) -> Any:
    environment = {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": api.ledger.keys.namespace, "DIDFLOW_ACTOR": actor, **more}
    return CliRunner().invoke(app, list(words), env=environment, input="")


def client_of(api: Api, actor: str = "ann") -> Didflow:
    return Didflow(api.ledger.client, api.ledger.keys.namespace, actor=actor)


def test_each_open_number_has_its_witnesses_and_what_they_prove(strict: Api) -> None:
    job_id = park_purchase(strict.ledger, NUMBER, OTHER, reference="acme-1")
    found = strict.http.get(f"/v1/jobs/{job_id}/evidence").json()
    assert (found["job_id"], found["open_count"], found["at_stake_usd"]) == (job_id, 2, "8.50")
    assert (found["needs_second_person"], found["first_finding"], found["next_cursor"]) == (True, None, None)
    first, second = found["numbers"]
    assert (first["number"], second["number"], first["record_id"]) == (NUMBER, OTHER, None)
    says = {one["source"]: (one["says"], one["sign"], one["at"] is None) for one in first["readings"]}
    assert says == {
        "checkout": ("No clear answer. timeout", "doubtful", False),
        "owned_list": ("Wasn't read yet.", "none", True),
        "cart": ("Wasn't read since the checkout.", "none", True),
        "transactions": ("Weren't read.", "none", True),
    }
    missing = "the cart wasn't seen without it, so a checkout still under way could buy it: look again"
    assert first["proposal"] == {"verdict": "unknown", "because": missing}


def test_the_client_and_the_command_show_the_same_as_the_api(strict: Api, valkey: EmbeddedValkey) -> None:
    job_id = park_purchase(strict.ledger, NUMBER)
    by_http = strict.http.get(f"/v1/jobs/{job_id}/evidence").json()
    by_client = client_of(strict).evidence(job_id)
    assert [one.proposal.because for one in by_client.numbers] == [one["proposal"]["because"] for one in by_http["numbers"]]
    shown = json.loads(shell(strict, valkey, "evidence", job_id, "--json").stdout)
    assert [one["proposal"] for one in shown["numbers"]] == [one["proposal"] for one in by_http["numbers"]]
    assert (shown["at_stake_usd"], shown["open_count"]) == ("4.25", 1)
    table = shell(strict, valkey, "evidence", job_id)
    assert table.exit_code == 0
    for words in (NUMBER, "No clear answer. timeout", "not known yet, because the cart wasn't seen without it"):
        assert words in table.stdout


def test_a_job_with_many_open_numbers_is_read_in_pages(strict: Api) -> None:
    numbers = [f"+1213556{place:04}" for place in range(5)]
    job_id = park_purchase(strict.ledger, *numbers)
    seen, cursor = list[str](), None
    while True:
        page = strict.http.get(f"/v1/jobs/{job_id}/evidence", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [one["number"] for one in page["numbers"]]
        assert page["open_count"] == 5
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == numbers
    assert strict.http.get(f"/v1/jobs/{job_id}/evidence", params={"cursor": "!"}).status_code == 422
    elsewhere = client_of(strict).evidence(job_id, limit=1).next_after
    other = park_purchase(strict.ledger, OTHER)
    with pytest.raises(ValueError, match="after: is no open number of the job"):
        client_of(strict).evidence(other, after=elsewhere)


def test_a_job_that_is_not_parked_has_no_evidence_and_one_of_others_is_not_there(strict: Api, valkey: EmbeddedValkey) -> None:
    running = submitted(strict.ledger).id
    answered = strict.http.get(f"/v1/jobs/{running}/evidence")
    assert (answered.status_code, answered.json()["code"]) == (409, "wrong_job")
    assert shell(strict, valkey, "evidence", running).exit_code == 2
    parked = park_purchase(strict.ledger, NUMBER, reference="acme-1")
    with strict.client(strict.key("other", ApiScope.READ, reference_prefix="shop-")) as other:
        assert other.get(f"/v1/jobs/{parked}/evidence").status_code == 404
    with strict.client(strict.key("buyer", ApiScope.BUY)) as buyer:
        assert buyer.get(f"/v1/jobs/{parked}/evidence").status_code == 403


def test_the_first_finding_is_in_the_evidence_and_a_second_person_confirms_it(strict: Api) -> None:
    job_id = park_purchase(strict.ledger, NUMBER, usd="6")
    keys = {name: strict.key(name, ApiScope.READ, ApiScope.RESOLVE) for name in ("first", "second")}
    with strict.client(keys["first"]) as first, strict.client(keys["second"]) as second:
        tag = first.get(f"/v1/jobs/{job_id}/evidence").json()["if_match"]
        body = {"took_effect": [NUMBER]}
        kept = first.post(f"/v1/jobs/{job_id}/resolve", json=body, headers={"If-Match": tag, "Didflow-Reason": "the portal shows it"})
        assert (kept.status_code, kept.json()["code"]) == (409, "second_person_needed")
        shown = second.get(f"/v1/jobs/{job_id}/evidence").json()
        finding = shown["first_finding"]
        assert (finding["actor"], finding["took_effect"], finding["reason"]) == ("first", [NUMBER], "the portal shows it")
        ended = second.post(f"/v1/jobs/{job_id}/resolve", json=body, headers={"If-Match": shown["if_match"]})
        assert (ended.status_code, ended.json()["state"]) == (200, "succeeded")


def test_the_etag_of_the_evidence_refuses_a_finding_after_the_job_looked_again(strict: Api) -> None:
    job_id = park_purchase(strict.ledger, NUMBER)
    tag = strict.http.get(f"/v1/jobs/{job_id}/evidence").json()["if_match"]
    client_of(strict).retry(job_id)
    park_again(strict.ledger, job_id, NUMBER)
    answered = strict.http.post(f"/v1/jobs/{job_id}/resolve", json={"took_effect": []}, headers={"If-Match": tag})
    assert (answered.status_code, answered.json()["code"]) == (412, "job_changed")


def test_by_client_and_by_command_too_two_people_decide_above_the_amount(strict: Api, valkey: EmbeddedValkey) -> None:
    job_id = park_purchase(strict.ledger, NUMBER, usd="6")
    limit = {"DIDFLOW_SECOND_PERSON_USD": "5"}
    words = ("resolve", job_id, "--bought", NUMBER, "--yes")
    for _ in range(2):
        kept = shell(strict, valkey, *words, **limit)
        assert (kept.exit_code, "second_person_needed" in kept.output) == (1, True)
    assert strict.ledger.get(job_id).state is JobState.NEEDS_REVIEW
    assert "ann found at" in shell(strict, valkey, "evidence", job_id, **limit).output
    with pytest.raises(SecondPersonNeeded):
        client_of(strict, "bob").resolve(job_id, [], second_person_usd=Decimal(5))
    assert shell(strict, valkey, *words, actor="carl", **limit).exit_code == 1, "bob's finding has taken the place of ann's"
    assert client_of(strict, "dora").resolve(job_id, [NUMBER], second_person_usd=Decimal(5)).state is JobState.SUCCEEDED
