"""Parked jobs are decided with evidence: by the job as it was seen, with a reason, and of much money by two people."""

import html
import json
import re
import uuid
from collections.abc import Iterator
from decimal import Decimal

import pytest

from didflow.contract.api_keys import ApiScope
from didflow.contract.audit import AuditFilter
from didflow.contract.states import JobState
from didflow.ledger.audit import audit_page
from didflow.ledger.connection import connect
from didflow.ledger.gate import Findings, Gate
from didflow.ledger.ledger import Ledger
from producers.http.services import ReviewRules
from tests.console.conftest import As
from tests.support.console_visitor import Visitor, text_of, visiting
from tests.support.http_server import Api, api_of
from tests.support.ledger_roles import submitted
from tests.support.parked_purchase import park_again, park_purchase
from worker.local.embedded_valkey import EmbeddedValkey

HOSTILE = "<img src=x onerror=alert(1)>"


def number_of(api: Api) -> str:
    """One that no other test of this module has."""
    return f"+1213555{api.ledger.client.incr(api.ledger.keys.namespace + ':test-numbers'):04}"


def parked(api: Api, usd: str = "4.25", reference: str = HOSTILE) -> tuple[str, str]:
    """A purchase whose checkout had no clear answer: the job and its open number."""
    number = number_of(api)
    return park_purchase(api.ledger, number, usd=usd, reference=reference, answer=HOSTILE), number


def tag_on(visitor: Visitor, job_id: str) -> str:
    """The job's ETag, as the form has it."""
    found = re.search(r'name="tag" value="([^"]+)"', visitor.get(f"/review/{job_id}").text)
    assert found is not None, "the page has no form to decide"
    return html.unescape(found[1])


def test_the_evidence_stands_side_by_side_with_its_age_and_what_it_proves(as_: As, api: Api) -> None:
    job, number = parked(api)
    viewer = as_("viewer")
    assert job in text_of(viewer.get("/review"))
    assert re.search(r"\d parked jobs? \s*for \d", text_of(viewer.get("/")))
    page = viewer.get(f"/review/{job}")
    text = text_of(page)
    for words in (
        number,
        "Checkout",
        "No clear answer.",
        "Owned list",
        "Wasn't read yet.",
        "Cart",
        "Transactions",
        "Weren't read.",
        "not read",
    ):
        assert words in text
    assert "Not known yet, because the cart wasn't seen without it, so a checkout still under way could buy it: look again." in text
    assert "1 open number, 4.25 USD" in text
    assert HOSTILE not in page.text
    assert text.count(HOSTILE) >= 3, "the reference, the provider's answer, and the error, as text"


def test_a_finding_ends_the_job_with_its_reason_in_the_audit(as_: As, api: Api) -> None:
    job, number = parked(api)
    resolver = as_("resolver")
    form = {"tag": tag_on(resolver, job), number: "yes", "reason": "the portal shows it"}
    assert resolver.post(f"/review/{job}/resolve", form | {"reason": " "}).status_code == 422
    assert resolver.post(f"/review/{job}/resolve", {"tag": form["tag"], "reason": "x"}).status_code == 422, "not decided"
    assert api.ledger.get(job).state is JobState.NEEDS_REVIEW
    assert "The job has ended with your finding." in text_of(resolver.post(f"/review/{job}/resolve", form))
    view = api.ledger.get(job)
    assert (view.state, view.decided_by) == (JobState.SUCCEEDED, "resolver")
    assert view.result is not None
    assert view.result.totals.charged_usd == Decimal("4.25")
    (entry,) = api.ledger.perform(audit_page(api.ledger.commands, AuditFilter(what="resolve", job=job), limit=5)).entries
    assert (entry.actor, entry.reason) == ("resolver", "the portal shows it")
    assert "This is how it stands" not in text_of(resolver.get(f"/review/{job}"))
    assert str(resolver.get(f"/review/{job}").url.path) == f"/console/jobs/{job}"


def test_a_finding_about_a_job_that_looked_again_meanwhile_is_refused(as_: As, api: Api) -> None:
    job, number = parked(api)
    resolver, operator = as_("resolver"), as_("operator")
    tag = tag_on(resolver, job)
    assert "The job continues" in text_of(operator.post(f"/review/{job}/retry"))
    park_again(api.ledger, job, number)
    refused = resolver.post(f"/review/{job}/resolve", {"tag": tag, number: "no", "reason": "not in the portal"})
    assert (refused.status_code, "job_changed" in refused.text) == (412, True)
    assert api.ledger.get(job).state is JobState.NEEDS_REVIEW


def test_who_may_only_look_has_no_button_and_can_decide_nothing(as_: As, api: Api) -> None:
    job, number = parked(api)
    viewer, tag = as_("viewer"), tag_on(as_("resolver"), job)
    page = viewer.get(f"/review/{job}")
    assert 'type="radio"' not in page.text
    assert "Look again" not in text_of(page)
    assert "Deciding needs a key with the scope resolve." in text_of(page)
    for path, form in (("resolve", {"tag": tag, number: "yes", "reason": "x"}), ("retry", {}), ("read", {})):
        assert viewer.post(f"/review/{job}/{path}", form).status_code == 403
    assert viewer.post("/review/give", {"account": "default", "number": number, "job": job, "reason": "it did"}).status_code == 403
    assert api.ledger.get(job).state is JobState.NEEDS_REVIEW


def test_a_finding_of_a_closed_gate_is_given_to_the_purchase_that_bought_it(as_: As, api: Api) -> None:
    job, number = submitted(api.ledger).id, number_of(api)
    findings = Findings("default", {number: 7}, candidates=(job,))
    api.ledger.client.hset(api.ledger.keys.gate("default"), "findings", json.dumps(findings.as_fields()))
    operator = as_("operator")
    assert number in text_of(operator.get("/review"))
    assert "Kept. A worker reads the number" in text_of(
        operator.post("/review/give", {"account": "default", "number": number, "job": job, "reason": "it did"})
    )
    gift = Gate(api.ledger).gifts("default")[number]
    assert (gift.job, gift.actor, gift.record_id) == (job, "operator", 7)
    assert operator.post("/review/give", {"account": "default", "number": number_of(api), "job": job, "reason": "x"}).status_code == 422
    api.ledger.client.hdel(api.ledger.keys.gate("default"), "findings")


@pytest.fixture(scope="module")
def strict(valkey: EmbeddedValkey) -> Iterator[Api]:
    """A server where more than 5 USD need a second person."""
    client = connect(valkey.url)
    with api_of(Ledger(client, f"review-{uuid.uuid4().hex[:8]}"), valkey.url, review=ReviewRules(Decimal(5))) as api:
        yield api
    client.close()


@pytest.fixture(scope="module")
def people(strict: Api) -> dict[str, str]:
    return {name: strict.key(name, ApiScope.READ, ApiScope.RESOLVE, ApiScope.OPERATE) for name in ("ann", "bob")}


def test_the_same_finding_by_another_person_ends_the_job_and_nothing_else_does(strict: Api, people: dict[str, str]) -> None:
    job, number = parked(strict, "5.01")

    def finds(visitor: Visitor, value: str) -> str:
        form = {"tag": tag_on(visitor, job), number: value, "reason": f"looked, {value}"}
        return text_of(visitor.post(f"/review/{job}/resolve", form))

    with visiting(strict.url, people["ann"]) as ann, visiting(strict.url, people["bob"]) as bob:
        assert "The open numbers cost more than 5.00 USD" in text_of(ann.get(f"/review/{job}"))
        for visitor, value in ((ann, "yes"), (ann, "yes"), (bob, "no")):
            assert "A second person has to confirm it" in finds(visitor, value)
            assert strict.ledger.get(job).state is JobState.NEEDS_REVIEW
        assert "bob found" in text_of(ann.get(f"/review/{job}"))
        assert "The job has ended with your finding." in finds(ann, "no")
    view = strict.ledger.get(job)
    assert (view.state, view.decided_by) == (JobState.FAILED, "ann")
    entries = strict.ledger.perform(audit_page(strict.ledger.commands, AuditFilter(job=job), limit=9)).entries
    assert [(one.actor, one.what) for one in entries if one.reason][:2] == [("ann", "resolve"), ("bob", "propose a finding")]


def test_a_finding_that_waits_is_void_when_the_job_has_looked_again(strict: Api, people: dict[str, str]) -> None:
    job, number = parked(strict, "6")
    with visiting(strict.url, people["ann"]) as ann, visiting(strict.url, people["bob"]) as bob:
        ann.post(f"/review/{job}/resolve", {"tag": tag_on(ann, job), number: "yes", "reason": "seen"})
        strict.http.post(f"/v1/jobs/{job}/retry")
        park_again(strict.ledger, job, number, usd="6")
        assert "ann found" not in text_of(bob.get(f"/review/{job}"))
        bob.post(f"/review/{job}/resolve", {"tag": tag_on(bob, job), number: "yes", "reason": "seen"})
    assert strict.ledger.get(job).state is JobState.NEEDS_REVIEW


def test_it_holds_over_the_api_too_and_below_the_amount_one_is_enough(strict: Api, people: dict[str, str]) -> None:
    job, number = parked(strict, "6")
    body = {"took_effect": [number]}
    with strict.client(people["ann"]) as ann, strict.client(people["bob"]) as bob:
        first = ann.post(f"/v1/jobs/{job}/resolve", json=body)
        assert (first.status_code, first.json()["code"]) == (409, "second_person_needed")
        assert bob.post(f"/v1/jobs/{job}/resolve", json=body).json()["state"] == "succeeded"
        cheap, number = parked(strict, "5")
        assert ann.post(f"/v1/jobs/{cheap}/resolve", json={"took_effect": [number]}).status_code == 200
