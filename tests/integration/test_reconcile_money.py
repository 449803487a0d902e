"""`didflow reconcile --money`: each charge of a month with its job and each job with its charges; hints for a parked purchase."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from didflow.contract.jobs import JobView
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import JobState
from tests.support.inline_shell import shell_of
from tests.support.inline_worker import InlineWorker, outcomes
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox.options import SANDBOX_KEY

TWO = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2)


@pytest.fixture
def shell(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> Shell:
    return shell_of(inline, valkey.url, tmp_path)


def found(shell: Shell, *more: str) -> tuple[int, list[tuple[str, list[str]]]]:
    """The exit code, and each finding with the numbers in it."""
    ended = shell("reconcile", "--money", "--json", *more)
    return ended.code, [(one["kind"], one["numbers"]) for one in ended.json["findings"]]


@pytest.mark.provider
@pytest.mark.parametrize("charges", ["fees", "order"])
def test_a_month_in_which_all_agrees(inline: InlineWorker, shell: Shell, charges: str) -> None:
    inline.sandbox.order("reconfigure", charges=charges)
    inline.run(TWO)
    inline.run(TWO)
    (older,) = inline.own(1, days_ago=60)
    inline.sandbox.order("charge", kind=3, usd="1.23", details=f"Phone number monthly fee {older[1:]}")
    inline.sandbox.order("charge", kind=14, usd="0.07", details=f"Outbound call to {older[1:]}")
    ended = shell("reconcile", "--money", "--json")
    assert (ended.code, ended.json["findings"]) == (0, [])
    spent = str(inline.sandbox.charged_usd())
    assert (ended.json["jobs"], ended.json["jobs_usd"], ended.json["charged_usd"]) == (2, spent, spent)
    assert ended.json["renewals_usd"] == "1.23"
    assert "all agrees to the cent" in shell("reconcile", "--money").err


@pytest.mark.parametrize("server", [{}, {"charge_pages": "too_few"}, {"charge_pages": "too_few", "most_per_page": 25}], ids=str)
def test_charges_on_every_page_count(inline: InlineWorker, shell: Shell, server: dict[str, object]) -> None:
    """Also on those behind a page that the server says is the last one: else each of their jobs would be said to have no charge."""
    inline.run(TWO)
    (older,) = inline.own(1, days_ago=60)
    for _ in range(110):
        inline.sandbox.order("charge", kind=3, usd="0.01", details=f"Phone number monthly fee {older[1:]}")
    inline.sandbox.order("charge", kind=2, usd="3.00", details="Phone number activation fee 13105550123")
    inline.sandbox.order("reconfigure", **server)
    assert found(shell) == (1, [("charge_without_job", ["+13105550123"])])


def test_what_does_not_agree_is_named_with_its_job_and_amounts(inline: InlineWorker, shell: Shell) -> None:
    view = inline.run(TWO)
    one, two = sorted(outcomes(view))
    inline.sandbox.order("charge", kind=2, usd="3.00", details="Phone number activation fee 13105550123")
    inline.sandbox.order("charge", kind=44, usd="0.01", details=f"Phone number order {one[1:]}")
    code, findings = found(shell)
    assert code == 1
    assert sorted(findings) == [("amount_differs", [one]), ("charge_without_job", ["+13105550123"])]
    by_kind = {one["kind"]: one for one in shell("reconcile", "--money", "--json").json["findings"]}
    differs, strange = by_kind["amount_differs"], by_kind["charge_without_job"]
    assert (differs["jobs"], Decimal(differs["charged_usd"]) - Decimal(differs["jobs_usd"])) == ([view.id], Decimal("0.01"))
    assert (strange["jobs"], strange["charged_usd"]) == ([], "3.00")
    ended = shell("reconcile", "--money")
    shown = ended.out + ended.err
    assert all(text in shown for text in ("13105550123", one, "1 amount_differs, 1 charge_without_job"))
    assert two not in shown


def test_a_purchase_that_no_charge_names_is_a_finding(inline: InlineWorker, shell: Shell) -> None:
    inline.sandbox.order("reconfigure", charges="unlisted")
    view = inline.run(TWO)
    code, findings = found(shell)
    assert (code, sorted(findings)) == (1, [("job_without_charge", [number]) for number in sorted(outcomes(view))])
    assert found(shell, "--month", "2020-01") == (0, [])


def test_a_charge_that_was_taken_back_does_not_count(inline: InlineWorker, shell: Shell) -> None:
    inline.sandbox.order("charge", kind=2, usd="3.00", details="Phone number activation fee 13105550123")
    inline.sandbox.order("set_transaction", place=-1, status="Reverted")
    assert found(shell) == (0, [])


def test_a_key_without_the_scope_and_bad_words_are_said(inline: InlineWorker, shell: Shell) -> None:
    inline.sandbox.order("reconfigure", scopes={"default": ["numbers", "buy", "account", "trunks"]})
    ended = shell("reconcile", "--money", "--json")
    assert (ended.code, "billing" in ended.json["error"]["message"]) == (5, True)
    assert SANDBOX_KEY not in ended.out + ended.err
    for words in (("--month", "2026-11"), ("--money", "--month", "November"), ("--money", "--repair")):
        assert shell("reconcile", *words).code == 2


@pytest.fixture
def impatient(inline: InlineWorker) -> Iterator[InlineWorker]:
    """Parks what it can't determine within a second."""
    impatient = InlineWorker(inline.ledger, inline.sandbox, settle_limit_seconds=1.0, max_attempts=1)
    yield impatient
    impatient.close()


def parked(inline: InlineWorker) -> JobView:
    inline.sandbox.add_fault("owned", "lag", seconds=60.0, times=None)
    view = inline.run(TWO)
    assert view.state is JobState.NEEDS_REVIEW
    return view


def test_a_parked_purchase_shows_the_charges_that_name_its_numbers_and_is_not_settled_by_them(
    impatient: InlineWorker, shell: Shell
) -> None:
    view = parked(impatient)
    shown = shell("explain", view.id).out
    assert "transactions" in shown
    (detail,) = [step.detail for step in impatient.story(view) if step.name == "transactions"]
    assert all(f"activation fee {number[1:]}" in detail and f"monthly fee {number[1:]}" in detail for number in outcomes(view))
    resolving = shell("resolve", view.id, "--not-bought")
    assert (resolving.code, detail in resolving.err) == (2, True), "it asks, and a script can't be asked"
    assert impatient.ledger.get(view.id).state is JobState.NEEDS_REVIEW


def test_a_key_that_may_not_read_transactions_parks_it_all_the_same(impatient: InlineWorker) -> None:
    impatient.sandbox.order("reconfigure", scopes={"default": ["numbers", "buy", "account", "trunks"]})
    view = parked(impatient)
    (detail,) = [step.detail for step in impatient.story(view) if step.name == "transactions"]
    assert detail.startswith("not readable with this key, or not now")


def test_charges_that_are_not_listed_are_said_to_be_none(impatient: InlineWorker) -> None:
    impatient.sandbox.order("reconfigure", charges="unlisted")
    (detail,) = [step.detail for step in impatient.story(parked(impatient)) if step.name == "transactions"]
    assert detail == "no charge names the numbers"
