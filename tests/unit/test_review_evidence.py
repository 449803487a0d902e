"""What the evidence about an open number proves: a yes, a no, or nothing yet."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from didflow.client.evidence import OwnedList, PurchaseStory, purchase_evidence, release_evidence
from didflow.contract.evidence import NumberEvidence
from didflow.contract.inventory import InventoryNumber, MirrorState
from didflow.contract.jobs import Step

NUMBER = "+12135550100"
BEGAN = datetime(2026, 11, 30, 12, tzinfo=UTC)
SETTLE_S = 10.0


def at(second: float) -> datetime:
    return BEGAN + timedelta(seconds=second)


def step(second: float, name: str, detail: str = "") -> Step:
    return Step(at(second), 1, name, detail)


BOUND, FENCE, UNCLEAR = step(0, "bind", NUMBER), step(1, "fence", NUMBER), step(2, "checkout_unclear", "timeout")
REVOKED, SILENT, NO_CHARGE = (
    step(12, "revoke", NUMBER),
    step(23, "look_again", "0 of 1 shown"),
    step(24, "transactions", "no charge names the numbers"),
)
WHOLE = (BOUND, FENCE, UNCLEAR, REVOKED, SILENT, NO_CHARGE)


def owned(
    swept: float | None = 30, *, shown: float | None = None, first: float | None = None, record: int = 7, trouble: str = ""
) -> OwnedList:
    """The mirror: swept whole then; shows the number as read then, which it had first then."""
    state = MirrorState("default", 1, None if swept is None else at(swept), trouble=trouble)
    if shown is None:
        return OwnedList(state, None)
    number = InventoryNumber(
        number=NUMBER, record_id=record, status="active", monthly_usd=Decimal(1), first_seen_at=at(first or shown), seen_at=at(shown)
    )
    return OwnedList(state, number)


def of(steps: tuple[Step, ...], found: OwnedList) -> NumberEvidence:
    return purchase_evidence(NUMBER, PurchaseStory(steps), found, SETTLE_S)


def test_a_number_that_the_owned_list_shows_since_the_checkout_is_bought() -> None:
    assert of(WHOLE, owned(shown=30)).proposal.verdict == "yes"
    assert of((BOUND, FENCE), owned(shown=3)).proposal.verdict == "yes", "owned is believed at once"
    assert of(WHOLE, owned(shown=30)).record_id == 7


def test_two_different_reads_after_the_cart_was_empty_say_that_it_is_not_bought() -> None:
    proposal = of(WHOLE, owned(22)).proposal
    assert proposal.verdict == "no"
    assert "two different reads" in proposal.because


@pytest.mark.parametrize(
    ("steps", "found", "missing"),
    [
        ((), owned(), "no step says that a checkout was sent"),
        ((*WHOLE[:2], step(2, "checkout_yes"), *WHOLE[3:]), owned(), "the provider accepted the checkout"),
        ((*WHOLE[:2], step(2, "checkout_yes"), step(3, "doubt", NUMBER), *WHOLE[3:]), owned(), "the provider accepted the checkout"),
        ((*WHOLE, step(25, "charged_not_shown", NUMBER)), owned(), "a charge names this number"),
        ((*WHOLE, step(25, "charged_not_shown", "+12135550199 and 3 more")), owned(), "a charge names this number"),
        ((*WHOLE[:5], step(24, "transactions", "2026-11-30 12:00 UTC 1 USD DID 12135550100")), owned(), "a charge names this number"),
        ((BOUND, FENCE, UNCLEAR, SILENT), owned(), "the cart wasn't seen without it"),
        ((*WHOLE, step(25, "revoke_again", NUMBER)), owned(), "the cart wasn't seen without it"),
        ((BOUND, FENCE, UNCLEAR, step(5, "look_again", "0 of 1 shown"), REVOKED), owned(), "no search of the owned list is newer"),
        ((*WHOLE[:4], step(23, "look_again", "1 of 2 shown")), owned(), "no search of the owned list is newer"),
        (WHOLE, owned(21), "the whole owned list wasn't read since"),
        (WHOLE, owned(None), "the whole owned list wasn't read since"),
        (WHOLE, owned(trouble="page 2 of 3 failed"), "the whole owned list wasn't read since"),
        ((*WHOLE, step(40, "fence", NUMBER)), owned(50), "the cart wasn't seen without it"),
        (WHOLE, owned(shown=30, first=-100), "the account had this number before the checkout"),
    ],
)
def test_nothing_is_proposed_without_a_whole_proof(steps: tuple[Step, ...], found: OwnedList, missing: str) -> None:
    proposal = of(steps, found).proposal
    assert (proposal.verdict, missing in proposal.because) == ("unknown", True), proposal


def test_a_look_from_before_the_call_is_no_evidence_that_the_number_is_gone_or_not_bought() -> None:
    def says(evidence: NumberEvidence) -> tuple[str, datetime | None, str]:
        return next((one.says, one.at, one.sign) for one in evidence.readings if one.source == "owned_list")

    assert says(of(WHOLE, owned(-400))) == ("Wasn't read since the checkout.", None, "none")
    assert says(of((BOUND, FENCE), owned(0.5))) == ("Wasn't read since the checkout.", None, "none"), "no answer is known"
    assert says(of(WHOLE, owned(3))) == ("Doesn't show it.", at(3), "not_owned")
    sent = (step(1, "releasing", NUMBER),)
    assert says(release_evidence(NUMBER, 7, sent, owned(-400))) == ("Wasn't read since the release.", None, "none")
    assert says(release_evidence(NUMBER, 7, sent, owned(3)))[0] == "Doesn't show it."


def test_each_witness_says_what_it_showed_and_when() -> None:
    readings = {reading.source: reading for reading in of(WHOLE, owned(30)).readings}
    assert {source: reading.at for source, reading in readings.items()} == {
        "checkout": at(2),
        "owned_list": at(30),
        "cart": at(12),
        "transactions": at(24),
    }
    assert readings["checkout"].says == "No clear answer. timeout"
    assert [reading.at for reading in of((), owned(None)).readings] == [None] * 4, "what wasn't read has no age"


def test_a_release_is_not_released_while_the_same_record_is_shown_after_it_was_parked() -> None:
    steps = (step(0, "releasing", NUMBER), step(600, "still_open", "1 numbers"))
    assert release_evidence(NUMBER, 7, steps, owned(700, shown=700)).proposal.verdict == "no"
    for found in (owned(500, shown=500), owned(700), owned(700, shown=700, record=8)):
        assert release_evidence(NUMBER, 7, steps, found).proposal.verdict == "unknown"
