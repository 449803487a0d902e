"""Customers who leave and return: by reference, by file, and with numbers that aren't theirs."""

import re
from datetime import timedelta

import pytest

from didflow import AlreadyLeaving, Destination, Didflow, IdempotencyConflict, InvalidRequest, Release, SearchAndBuy
from didflow.contract.jobs import Job
from producers.churn import Churn, Returned
from tests.support.inline_worker import InlineWorker, numbers, outcomes
from tests.support.moved_clock import MovedLedger, inline, ledger, settle

__all__ = ["inline", "ledger"]

WEEK = timedelta(days=7)
PARKING = (Destination.sip("goodbye@example.net"),)


@pytest.fixture
def churn(inline: InlineWorker, ledger: MovedLedger) -> Churn:
    didflow = Didflow(ledger.client, inline.settings.namespace)
    didflow._ledger = ledger  # The same clock for all.
    return Churn(didflow)


def bought(inline: InlineWorker, ledger: MovedLedger, reference: str, count: int = 1) -> list[str]:
    request = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=count, destinations=(Destination.sip("pbx@example.net"),))
    return [number.number for number in numbers(settle(inline, ledger, inline.submit(request, reference=reference)))]


def test_a_customer_who_left_loses_only_their_own_numbers_after_the_grace_period(
    inline: InlineWorker, ledger: MovedLedger, churn: Churn
) -> None:
    theirs, others = bought(inline, ledger, "acme", 2) + bought(inline, ledger, "acme"), bought(inline, ledger, "umbrella")
    job = churn.churned("acme", parking=PARKING, idempotency_key="event-1")
    assert churn.churned("acme", parking=PARKING, idempotency_key="event-1").id == job.id
    assert churn.churned("acme", parking=PARKING).id == job.id, "an open release on the same terms"
    with pytest.raises(IdempotencyConflict, match=r"grace: 1d asked, 7d there"):
        churn.churned("acme", grace="1d", parking=PARKING, idempotency_key="event-1")
    assert settle(inline, ledger, job).reason == "grace"
    ledger.pass_time(WEEK)
    assert outcomes(settle(inline, ledger, job)) == dict.fromkeys(sorted(theirs), "released")
    assert inline.owned() == set(others)
    assert churn.churned("acme", parking=PARKING, idempotency_key="event-1").id == job.id, "the event comes once more, late"
    with pytest.raises(InvalidRequest, match="no number of ours"):
        churn.churned("acme")


@pytest.mark.parametrize("key", [None, "later"])
def test_a_customer_whose_release_is_open_gets_new_terms_only_after_a_cancel(
    inline: InlineWorker, ledger: MovedLedger, churn: Churn, key: str | None
) -> None:
    theirs = bought(inline, ledger, "omega", 3)
    part = churn.churned("omega", numbers=theirs[:1], grace="7d", idempotency_key="part")
    for some in ((), theirs, theirs[:1]):
        with pytest.raises(AlreadyLeaving, match=rf"{part.id} \(grace: 1d asked, 7d there\)") as refused:
            churn.churned("omega", numbers=some, grace="1d", idempotency_key=key)
        assert refused.value.job_id == part.id
    with pytest.raises(AlreadyLeaving, match=r"parking: sip:goodbye@example\.net asked, none there; stop_on_traffic: no asked, yes there"):
        churn.churned("omega", parking=PARKING, stop_on_traffic=False, idempotency_key=key)
    other = churn.churned("omega", numbers=theirs[1:], grace="1d", idempotency_key=key)
    assert other.is_new, "these aren't leaving yet"
    assert leaving(ledger, other) == set(theirs[1:])


def test_on_the_same_terms_only_the_numbers_that_stay_get_a_new_release(inline: InlineWorker, ledger: MovedLedger, churn: Churn) -> None:
    theirs = bought(inline, ledger, "omega", 3)
    part = churn.churned("omega", numbers=theirs[:1], grace="7d", idempotency_key="part")
    rest = churn.churned("omega", idempotency_key="all")
    assert (rest.is_new, leaving(ledger, rest)) == (True, set(theirs[1:]))
    again = churn.churned("omega", idempotency_key="all")
    assert (again.is_new, again.id) == (False, rest.id), "of the three, one is in the release of before"
    assert churn.churned("omega", numbers=theirs[:1]).id == part.id
    (later,) = bought(inline, ledger, "omega")
    assert churn.churned("omega", idempotency_key="all").id == rest.id, "that key meant those of then"
    assert leaving(ledger, churn.churned("omega")) == {later}


def test_a_key_is_the_same_job_only_for_the_same_numbers_and_reference(inline: InlineWorker, ledger: MovedLedger, churn: Churn) -> None:
    theirs, others = bought(inline, ledger, "omega", 3), bought(inline, ledger, "acme")
    part = churn.churned("omega", numbers=theirs[:1], idempotency_key="part")
    with pytest.raises(IdempotencyConflict, match=re.escape(f"numbers: {theirs[1]} asked and not there")):
        churn.churned("omega", numbers=theirs[:2], idempotency_key="part")
    with pytest.raises(IdempotencyConflict, match="asked and not there"):
        churn.churned("omega", idempotency_key="part")
    with pytest.raises(IdempotencyConflict, match="reference: acme asked, omega there"):
        churn.churned("acme", numbers=others, idempotency_key="part")
    settle(inline, ledger, part)
    ledger.pass_time(WEEK)
    settle(inline, ledger, part)
    assert churn.churned("omega", numbers=theirs[:1], idempotency_key="part").id == part.id, "repeated when the number is gone"


def test_a_release_that_is_being_called_off_is_not_the_same_job(inline: InlineWorker, ledger: MovedLedger, churn: Churn) -> None:
    bought(inline, ledger, "omega")
    job = churn.churned("omega", parking=PARKING)
    settle(inline, ledger, job)
    churn.returned("omega")
    with pytest.raises(AlreadyLeaving, match="being cancelled"):
        churn.churned("omega", parking=PARKING)
    assert settle(inline, ledger, job).state == "cancelled"
    assert churn.churned("omega", parking=PARKING).is_new


def leaving(ledger: MovedLedger, job: Job) -> set[str]:
    """The numbers that this release names."""
    request = ledger.get(job.id).request
    assert isinstance(request, Release)
    return set(request.numbers)


def test_a_customer_who_returns_in_time_finds_everything_as_it_was(inline: InlineWorker, ledger: MovedLedger, churn: Churn) -> None:
    theirs = bought(inline, ledger, "acme", 2)
    before = inline.routes()
    job = churn.churned("acme", parking=PARKING)
    settle(inline, ledger, job)
    assert inline.routes() != before
    assert churn.returned("acme") == Returned("acme", "kept", (job.id,), tuple(sorted(theirs)), (), ())
    assert settle(inline, ledger, job).state == "cancelled"
    assert inline.routes() == before
    again = churn.churned("acme")
    assert again.is_new, "they leave once more"
    assert settle(inline, ledger, again).reason == "grace"


def test_a_customer_whose_number_is_gone_is_offered_a_similar_one(inline: InlineWorker, ledger: MovedLedger, churn: Churn) -> None:
    theirs = bought(inline, ledger, "acme", 2)
    job = churn.churned("acme", numbers=theirs[:1], grace="0s")
    assert settle(inline, ledger, job).state == "succeeded"
    found = churn.returned("acme")
    assert (found.outcome, found.kept, found.gone, found.called_off) == ("partly_gone", (theirs[1],), (theirs[0],), ())
    (request,) = found.similar
    assert request == SearchAndBuy(country="US", city=("LOS ANGELES, CA",), destinations=(Destination.sip("pbx@example.net"),))
    assert settle(inline, ledger, inline.submit(request, reference="acme")).state == "succeeded"
    assert churn.returned("nobody").outcome == "nothing"


def test_what_is_like_a_number_is_known_when_its_purchase_is_forgotten(inline: InlineWorker, ledger: MovedLedger, churn: Churn) -> None:
    (number,) = bought(inline, ledger, "acme")
    settle(inline, ledger, churn.churned("acme", grace="0s"))
    (purchase,) = (view for view in ledger.perform(ledger.commands.find(reference="acme")) if view.kind == "search_and_buy")
    ledger.client.delete(ledger.keys.job(purchase.id))
    (request,) = churn.returned("acme").similar
    assert (request.country, request.area_code, request.quantity) == ("US", number[2:5], 1)


@pytest.mark.parametrize(
    ("terms", "where"),
    [
        ({"at": "2020-01-01"}, "at"),
        ({"at": "2020-01-01T00:00:00"}, "at"),
        ({"grace": "-1d"}, "grace"),
        ({"before_renewal": "40d"}, "before"),
    ],
)
def test_bad_times_are_refused_at_once(inline: InlineWorker, ledger: MovedLedger, churn: Churn, terms: dict[str, str], where: str) -> None:
    bought(inline, ledger, "acme")
    with pytest.raises(InvalidRequest) as refused:
        churn.churned("acme", **terms)  # type: ignore[arg-type]
    assert [place for place, _ in refused.value.faults if place.startswith(where)]


def test_numbers_of_another_reference_are_refused_at_once_and_again_when_they_would_go(
    inline: InlineWorker, ledger: MovedLedger, churn: Churn
) -> None:
    mine, theirs = bought(inline, ledger, "acme"), bought(inline, ledger, "umbrella")
    with pytest.raises(InvalidRequest, match=r"bought for .umbrella."):
        churn.churned("acme", numbers=mine + theirs)
    with pytest.raises(InvalidRequest, match="nothing shows"):
        churn.churned("acme", numbers=inline.own(1))
    job = churn.churned("acme", numbers=mine)
    settle(inline, ledger, job)
    settle(inline, ledger, inline.submit(Release(numbers=tuple(mine))))
    ledger.client.hdel(ledger.keys.reserved("default"), *mine)
    assert bought(inline, ledger, "umbrella", 26)
    ledger.pass_time(WEEK)
    assert set(outcomes(settle(inline, ledger, job)).values()) == {"already_released"}


def test_a_broken_line_of_a_file_stops_no_other_and_the_report_names_it(inline: InlineWorker, ledger: MovedLedger, churn: Churn) -> None:
    (one,), (two,), (three,) = (bought(inline, ledger, reference) for reference in ("one", "two", "three"))
    settle(inline, ledger, churn.churned("three"))
    lines = [
        b"\xef\xbb\xbfreference,event,numbers,at,grace,parking\r\n",
        f"one,churned,{one},,7d,sip:goodbye@example.net\r\n".encode(),
        b'two,churned,"+1213\r\n',
        b"two,churned,,,-1d,\n",
        b"\n",
        b"two,churned,,yesterday,,\n",
        b"t\xffo,churned,,,,\n",
        b"two,left,,,,\n",
        b"two,churned,,\n",
        f"two,churned,{one},,,\n".encode(),
        b"two,churned,,,,sip:\n",
        b"two,churned,,,,\n",
        b"three,returned,,,,",
    ]
    report = list(churn.from_csv(lines))
    assert [(line.line, line.outcome) for line in report] == [
        (2, "submitted"),
        *((line, "refused") for line in (3, 4, 6, 7, 8, 9, 10, 11)),
        (12, "submitted"),
        (13, "kept"),
    ]
    faults = {line.line: line.fault or "" for line in report}
    for place, words in {
        3: "CSV",
        4: "grace",
        6: "at",
        7: "UTF-8",
        8: "neither",
        9: "4 fields",
        10: "bought for 'one'",
        11: "parking",
    }.items():
        assert words in faults[place], faults[place]
    again = list(churn.from_csv(lines))
    assert [line.outcome for line in again if line.outcome != "refused"] == ["same", "same", "kept"]
    for line in report:
        if line.job:
            settle(inline, ledger, Job(line.job, False, ledger.get(line.job).state))
    ledger.pass_time(WEEK)
    for line in report:
        if line.job:
            settle(inline, ledger, Job(line.job, False, ledger.get(line.job).state))
    assert inline.owned() == {three}
    assert two not in inline.owned()


@pytest.mark.parametrize("lines", [[], [b"\n"], [b"reference,what\n"], [b"event\n"], [b"reference,event,event\n"], [b"\xff\n"]])
def test_a_file_without_a_header_is_refused_whole(churn: Churn, lines: list[bytes]) -> None:
    with pytest.raises(InvalidRequest, match="line 1"):
        list(churn.from_csv(lines))
