"""The question before a purchase: what it would cost, by a worker's dry run, and an order for that price and no other."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from didflow import Didflow, SearchAndBuy
from didflow.contract.exit_codes import ExitCode
from didflow.contract.states import JobState
from didflow.ledger.ledger import Ledger
from didflow.ledger.worker_settings import note_running, running_with
from tests.support.inline_worker import InlineWorker, settings_for
from tests.support.shell import Shell
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox import SandboxAdmin

CITY = ("--country", "US", "--city", "LOS ANGELES, CA")
YES, NO, END_OF_INPUT = "y\n", "n\n", "\x04"


@pytest.fixture
def inline(real_ledger: Ledger, sandbox: SandboxAdmin) -> Iterator[InlineWorker]:
    inline = InlineWorker(real_ledger, sandbox)
    yield inline
    inline.close()


@pytest.fixture
def shell(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> Shell:
    return Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": inline.settings.namespace})


@pytest.fixture
def didflow(inline: InlineWorker) -> Didflow:
    return Didflow(inline.ledger.client, inline.settings.namespace)


def orders(didflow: Didflow) -> list[SearchAndBuy]:
    """What was really ordered, dry runs left out."""
    asked = [view.request for view in didflow.find()]
    return [request for request in asked if isinstance(request, SearchAndBuy) and not request.dry_run]


def test_the_question_has_the_price_and_the_order_is_for_that_price(shell: Shell, inline: InlineWorker, didflow: Didflow) -> None:
    inline.leases.beat()
    limited = settings_for(inline.sandbox.url, inline.settings.namespace, spend_account_usd_per_day=100)
    inline.ledger.perform(note_running(inline.ledger.keys, "stage", running_with(limited)))
    with working(inline):
        command = ("buy", *CITY, "-q", "2", "--max-total", "20", "--key", "order-1", "--wait", "--json")
        bought = shell(*command, answers=YES)
    assert bought.code == 0, bought.err
    charged = Decimal(bought.json["result"]["totals"]["charged_usd"])
    assert "2 numbers in LOS ANGELES, CA, US:" in bought.err
    for number in bought.json["result"]["numbers"]:
        assert number["number"] in bought.err
    said = re.search(r"now (\S+) USD: setup (\S+), first month (\S+); then (\S+) USD a month", bought.err)
    assert said is not None, bought.err
    assert Decimal(said[1]) == charged == Decimal(said[2]) + Decimal(said[3])
    assert "balance 1000.00 USD, after the purchase" in bought.err
    assert "limit of this order: max total 20 USD (--max-total)" in bought.err
    assert "limit of account default: 100.00 USD per day, 0.00 USD used" in bought.err
    assert f"buy 2 numbers for {charged} USD?" in bought.err
    (order,) = orders(didflow)
    assert order.terms is not None
    assert {one.number for one in order.terms.numbers} == {number["number"] for number in bought.json["result"]["numbers"]}


def test_the_same_command_again_is_the_same_job_and_asks_nothing(shell: Shell, inline: InlineWorker, didflow: Didflow) -> None:
    inline.leases.beat()
    command = ("buy", *CITY, "--key", "order-2", "--json")
    with working(inline):
        first = shell(*command, answers=YES)
    for again in (shell(*command, answers=""), shell(*command, "--yes")):
        assert (again.code, again.json["id"], again.json["is_new"]) == (0, first.json["id"], False), again.err
    assert shell(*command, "-q", "2", "--yes").code == ExitCode.CONFLICT
    assert len(orders(didflow)) == 1


def test_no_and_the_end_of_the_input_buy_nothing(shell: Shell, inline: InlineWorker, didflow: Didflow) -> None:
    inline.leases.beat()
    with working(inline):
        declined = shell("buy", *CITY, answers=NO)
        ended = shell("buy", *CITY, answers=END_OF_INPUT)
    assert (declined.code, "nothing was done" in declined.err) == (ExitCode.NOTHING_DONE, True)
    assert (ended.code, "nothing was done" in ended.err) == (ExitCode.INTERRUPTED, True)
    assert orders(didflow) == []


def test_an_order_for_later_is_not_bound_to_the_price_of_today(shell: Shell, inline: InlineWorker, didflow: Didflow) -> None:
    inline.leases.beat()
    with working(inline):
        placed = shell("buy", *CITY, "--key", "order-3", "--not-before", "1h", "--json", answers=YES)
        assert "what they cost then (now" in placed.err
        job = shell("buy", *CITY, "--key", "order-4", "--json", answers=YES).json["id"]
        didflow.wait(job, 20)
    later, now = sorted(orders(didflow), key=lambda order: order.terms is not None)
    assert (later.terms, now.terms is not None) == (None, True), "tomorrow's order can't be by today's quote"


def test_without_workers_and_without_an_answer_the_question_says_that_the_price_is_not_known(
    shell: Shell, inline: InlineWorker, didflow: Didflow
) -> None:
    nobody = shell("buy", *CITY, "--max-total", "5", answers=NO)
    assert "no worker is running, so the price" in nobody.err
    assert "limit of this order: max total 5 USD (--max-total)" in nobody.err
    assert "buy 1 number in LOS ANGELES, CA, US at a price that isn't known yet?" in nobody.err
    assert didflow.find() == ()
    inline.leases.beat()
    silent = shell("buy", *CITY, "--timeout", "0.1", answers=YES)
    assert silent.code == 0, silent.err
    assert "the workers didn't say within 0.1 s" in silent.err
    assert "at a price that isn't known yet?" in silent.err
    assert {(view.state, view.request is not None and view.request.dry_run) for view in didflow.find()} == {
        (JobState.QUEUED, False),
        (JobState.CANCELLED, True),
    }


def test_numbers_that_cannot_be_had_are_not_asked_about(shell: Shell, inline: InlineWorker, didflow: Didflow) -> None:
    inline.leases.beat()
    with working(inline):
        none = shell("buy", *CITY, "--max-monthly", "0.01", "--json", answers="")
        stands = shell("buy", *CITY, "--max-monthly", "0.01", "--wait-until", "2d", answers=NO)
    assert (none.code, none.json["error"]["code"]) == (ExitCode.JOB, "no_stock")
    assert "not to be had now" in stands.err
    assert "look for 1 number in LOS ANGELES, CA, US until" in stands.err
    assert orders(didflow) == []


def test_a_quote_from_a_file_is_shown_before_it_is_ordered_by(shell: Shell, inline: InlineWorker) -> None:
    with working(inline):
        printed = shell("buy", *CITY, "--dry-run", "--json").json
    (shell.folder / "quote.json").write_text(json.dumps(printed))
    asked = shell("buy", "--quote", "quote.json", answers=NO)
    quote = printed["result"]["quote"]
    total = Decimal(quote["setup_usd"]) + Decimal(quote["monthly_usd"])
    assert f"buy 1 number for {total} USD?" in asked.err
