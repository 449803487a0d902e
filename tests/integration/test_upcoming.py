"""When do a customer's numbers go? In Python, in `status`, and in `churn upcoming`."""

import re
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from didflow import Destination, Didflow, Release, SearchAndBuy
from didflow.contract.departures import Standing, in_words
from producers.churn import Churn
from tests.support.inline_worker import InlineWorker, numbers
from tests.support.moved_clock import MovedLedger, inline, ledger, settle
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey

__all__ = ["inline", "ledger"]
pytestmark = pytest.mark.provider()

PARKING = (Destination.sip("goodbye@example.net"),)
WEEK = timedelta(days=7)


@pytest.fixture
def didflow(inline: InlineWorker, ledger: MovedLedger) -> Didflow:
    didflow = Didflow(ledger.client, inline.settings.namespace)
    didflow._ledger = ledger  # The same clock for all.
    return didflow


@pytest.fixture
def shell(tmp_path: Path, valkey: EmbeddedValkey, namespace: str) -> Shell:
    return Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": namespace})


def bought(inline: InlineWorker, ledger: MovedLedger, reference: str, count: int = 1) -> list[str]:
    request = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=count, destinations=(Destination.sip("pbx@example.net"),))
    return sorted(number.number for number in numbers(settle(inline, ledger, inline.submit(request, reference=reference))))


def test_a_release_says_when_its_numbers_go_and_which_are_parked_or_protected(
    inline: InlineWorker, ledger: MovedLedger, didflow: Didflow, shell: Shell
) -> None:
    theirs = bought(inline, ledger, "acme", 2)
    inline.sandbox.order("set_number", number=theirs[1][1:], label="vip")
    job = Churn(didflow, protected_labels=["vip"]).churned("acme", parking=PARKING)
    before = didflow.departures(job.id)
    assert before is not None
    assert (before.seen, before.goes_at) == (False, didflow.get(job.id).created_at + WEEK)
    assert "it isn't known which are protected" in shell("status", job.id).out
    settle(inline, ledger, job)
    found = didflow.departures(job.id)
    assert found is not None
    assert [(one.number, one.standing) for one in found.numbers] == [(theirs[0], Standing.PARKED), (theirs[1], Standing.PROTECTED)]
    assert found.numbers[1].why == "protected by number or label: not released"
    assert found.goes_at is not None
    assert timedelta(0) <= found.goes_at - (didflow.get(job.id).created_at + WEEK) < timedelta(minutes=5)
    shown = shell("status", job.id).out
    assert re.search(rf"goes {found.goes_at:%Y-%m-%d %H:%M:%S} UTC \(in (6 d 23 h|7 d)[^)]*\): 1 to go, 1 parked, 1 protected", shown)
    assert f"number\t{theirs[1]}\tprotected\t\t\t\t\tprotected by number or label: not released" in shown
    assert f"{theirs[0]}  parked" in shell("status", job.id, columns=120).out
    said = shell("status", job.id, "--json").json["departures"]
    assert (said["numbers"][0]["standing"], datetime.fromisoformat(said["goes_at"])) == ("parked", found.goes_at)
    ledger.pass_time(WEEK)
    settle(inline, ledger, job)
    assert didflow.departures(job.id) is None, "it has ended"


def test_before_renewal_each_number_goes_at_its_own_time(inline: InlineWorker, ledger: MovedLedger, didflow: Didflow) -> None:
    (number,) = inline.own(1)
    paid_until = (datetime.now(UTC) + timedelta(days=40)).date()
    inline.sandbox.order("set_number", number=number[1:], paid_until=paid_until.isoformat())
    renews = datetime.combine(paid_until, time(), UTC) - timedelta(hours=14)  # Where that date begins first.
    job = inline.submit(Release(numbers=(number,), before_renewal=timedelta(days=1)))
    before = didflow.departures(job.id)
    assert before is not None
    assert before.no_sooner
    settle(inline, ledger, job)
    found = didflow.departures(job.id)
    assert found is not None
    assert (found.no_sooner, found.goes_at) == (False, renews - timedelta(days=1))


def test_upcoming_lists_what_goes_soon_sorted_by_date(inline: InlineWorker, ledger: MovedLedger, didflow: Didflow, shell: Shell) -> None:
    acme, omega, later = bought(inline, ledger, "acme"), bought(inline, ledger, "omega"), bought(inline, ledger, "later")
    churn = Churn(didflow)
    second = churn.churned("acme", grace="3d")
    first = churn.churned("omega", grace="1d")
    last = churn.churned("later", grace="30d")
    for job in (first, second, last):
        settle(inline, ledger, job)
    assert [(one.job, one.reference) for one in churn.upcoming()] == [(first.id, "omega"), (second.id, "acme")]
    assert [one.job for one in churn.upcoming(None)] == [first.id, second.id, last.id]
    header, *lines = shell("churn", "upcoming", "--days", "7").out.splitlines()
    rows = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    assert [(row["customer"], row["numbers"], row["job"]) for row in rows] == [("omega", omega[0], first.id), ("acme", acme[0], second.id)]
    assert rows[0]["in"] in ("in 23 h 59 min", "in 1 d 0 h")
    document = shell("churn", "upcoming", "--all", "--json").json
    assert [one["numbers"][0]["number"] for one in document] == [omega[0], acme[0], later[0]]
    churn.returned("omega")
    assert [one.count(Standing.STAYS) for one in churn.upcoming(None) if one.job == first.id] == [1], "called off, nothing goes"


CSV = """reference,event,grace,key,numbers
acme,churned,7d,left-1,
acme,churned,7d,,
acme,churned,1d,,
nobody,churned,,,
acme,churned,7d,left-1,
acme,returned,,,
acme,churned,1d,,
nobody,returned,,,
acme,left,,,
omega,churned,7d,,{number}
""".replace("{number}", "+12135550199")


def test_a_dry_run_of_a_list_says_what_each_line_would_do_and_submits_nothing(
    inline: InlineWorker, ledger: MovedLedger, didflow: Didflow, shell: Shell
) -> None:
    bought(inline, ledger, "acme", 2)
    jobs = len(didflow.find())
    found = list(Churn(didflow).from_csv(CSV.splitlines(keepends=True), dry_run=True))
    assert [(line.line, line.outcome, line.job) for line in found] == [
        (2, "new", None),
        (3, "same", "line 2"),
        (4, "conflict", "line 2"),
        (5, "unknown_customer", None),
        (6, "same", "line 2"),
        (7, "kept", "line 2"),
        (8, "new", None),
        (9, "nothing", None),
        (10, "refused", None),
        (11, "refused", None),
    ]
    assert "grace: 1d asked, 7d there" in str(found[2].fault)
    (shell.folder / "left.csv").write_text(CSV)
    ended = shell("churn", "csv", "left.csv", "--dry-run", "--json")
    assert (ended.code, [line["outcome"] for line in ended.json]) == (1, [line.outcome for line in found])
    assert len(didflow.find()) == jobs
    done = [line.outcome for line in Churn(didflow).from_csv(CSV.splitlines(keepends=True))]
    assert done == ["submitted", "same", "refused", "refused", "same", "kept", "submitted", "nothing", "refused", "refused"]


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=6, hours=3, minutes=59), "in 6 d 3 h"),
        (timedelta(hours=3, minutes=20), "in 3 h 20 min"),
        (timedelta(minutes=5, seconds=59), "in 5 min"),
        (timedelta(seconds=5), "in less than a minute"),
        (-timedelta(seconds=5), "now"),
    ],
)
def test_the_time_left_in_words(left: timedelta, words: str) -> None:
    assert in_words(left) == words
