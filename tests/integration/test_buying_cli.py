"""Ladders, standing orders and quotes from the shell and from both clients: what is printed, refused, and how it ends."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from didflow import AsyncDidflow, Didflow, InvalidRequest, Quote, Rung, SearchAndBuy
from didflow.contract.states import JobState
from didflow.ledger.script_calls import Submission, fingerprint
from producers.onboarding import Onboarding
from tests.support.inline_worker import InlineWorker
from tests.support.shell import Shell
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey

CITY = ("--country", "US", "--city", "LOS ANGELES, CA")


@pytest.fixture
def shell(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> Shell:
    return Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": inline.settings.namespace})


@pytest.fixture
def didflow(inline: InlineWorker) -> Didflow:
    return Didflow(inline.ledger.client, inline.settings.namespace)


def test_a_ladder_is_given_rung_by_rung_and_printed_rung_by_rung(shell: Shell, inline: InlineWorker) -> None:
    inline.sandbox.order("sell_out", city="LOS ANGELES, CA", keep=1)
    rungs = ("--rung", "name=here; city=LOS ANGELES, CA", "--rung", "region=California; max_monthly=9.00; quantity=2")
    with working(inline):
        shown = shell("buy", "--yes", "--country", "US", *rungs, "-q", "3", "--wait")
        ended = shell("buy", "--yes", "--country", "US", *rungs, "-q", "2", "--wait", "--json", "--key", "second")
    assert shown.code == 0, shown.err
    assert "1 here" in shown.out
    assert "2 California" in shown.out
    assert ended.code == 0, ended.out
    assert [rung["bought"] for rung in ended.json["result"]["search"]["rungs"]] == [0, 2]


def test_a_standing_order_waits_and_is_cancelled(shell: Shell, inline: InlineWorker) -> None:
    job = shell("buy", "--yes", *CITY, "-q", "99", "--wait-until", "2d", "--key", "order-1", "--json").json["id"]
    inline.runner.run(job)
    assert "waiting (stock)" in shell("status", job).out
    shell("cancel", job)
    inline.runner.run(job)
    assert inline.ledger.get(job).state is JobState.CANCELLED
    assert inline.sandbox.state()["accounts"]["default"]["cart"] == []


def test_a_quote_goes_through_a_file_and_a_pipe_and_is_refused_when_changed(shell: Shell, inline: InlineWorker) -> None:
    with working(inline):
        printed = shell("buy", "--yes", *CITY, "-q", "2", "--dry-run", "--json").out
        (shell.folder / "quote.json").write_text(printed)
        bought = shell("buy", "--yes", "--quote", "quote.json", "--key", "order-3", "--wait", "--json")
        again = shell("buy", "--yes", "--quote", "-", "--key", "order-3", "--json", stdin=printed)
    assert bought.code == 0, bought.out
    assert (again.json["id"], again.json["is_new"]) == (bought.json["id"], False)
    quote = json.loads(printed)["result"]["quote"]
    assert bought.json["result"]["totals"]["setup_usd"] == quote["setup_usd"]
    changed = shell("buy", "--yes", "--quote", "-", "--json", stdin=json.dumps(quote | {"setup_usd": "0.01"}))
    assert changed.code == 2
    assert changed.json["error"]["faults"][0][0] == "quote"
    assert "was changed since" in changed.json["error"]["message"]


def test_a_submit_that_waits_says_whether_the_job_is_new(shell: Shell, inline: InlineWorker) -> None:
    with working(inline):
        order = ("buy", "--yes", *CITY, "-q", "1", "--key", "order-4", "--wait", "--json")
        first, again = shell(*order), shell(*order)
    assert (first.code, again.code) == (0, 0), first.out + again.out
    assert (first.json["is_new"], again.json["is_new"]) == (True, False)
    assert first.json["id"] == again.json["id"]
    assert first.json["state"] == again.json["state"] == "succeeded"


def test_a_dry_run_shows_what_using_a_number_costs_where_there_is_room(shell: Shell, inline: InlineWorker) -> None:
    with working(inline):
        offered = shell("buy", *CITY, "--dry-run", "--json").json["result"]["quote"]["numbers"][0]["number"]
        inline.sandbox.order("show_offer", number=offered[1:], per_min="0.0059", sms_price=0.25, free_min=123, cnam=True)
        job = shell("buy", *CITY, "--dry-run", "--json").json["id"]
    assert "0.0059 a minute, 123 free, 0.25 an SMS, CNAM" in shell("status", job, columns=160).out
    assert "a minute" not in shell("status", job, columns=80).out
    (number,) = shell("status", job, "--json").json["result"]["quote"]["numbers"]
    assert (number["per_minute_usd"], number["sms_usd"], number["free_minutes"]) == ("0.0059", "0.25", 123)
    assert (number["cnam"], number["domestic_cli"]) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (("--rung", "city"), "rung 1"),
        (("--rung", "city=X", "--rung", "quantity=none"), "rung 2.quantity"),
        (("--rung", "colour=red"), "rung 1.colour"),
        (("--wait-until", "soon"), "wait_until"),
        (("--wait-until", "2020-01-01T00:00+00:00"), "wait_until"),
        (("--quote", "nowhere.json"), "quote"),
    ],
)
def test_bad_input_is_named_with_its_place(shell: Shell, arguments: tuple[str, ...], where: str) -> None:
    country = () if "--quote" in arguments else ("--country", "US")
    refused = shell("buy", "--yes", *country, *arguments, "--json")
    assert refused.code == 2, refused.out
    assert where in [fault[0] for fault in refused.json["error"]["faults"]]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("buy", "--yes", "--country", "US", "--quantity", "0"), "quantity: give at least 1"),
        (("buy", "--yes", "--country", "US", "--rung", "quantity=0"), "rung 1.quantity: give at least 1"),
        (("buy", "--country", "US", "--destination", "sip:a@b"), "No such option: --destination (Possible options: --to)"),
        (("reroute", "--to", "sip:a@b", "--where", "citty=Miami"), "where.citty: there is no such field: leave it out, or write city"),
        (("reroute", "--to", "sip:a@b", "--where", "zzz=red"), "leave it out, or write one of search, record_id, "),
    ],
)
def test_a_refused_option_says_what_to_give(shell: Shell, command: tuple[str, ...], said: str) -> None:
    refused = shell(*command)
    assert refused.code == 2
    assert said in refused.err


def test_neither_country_nor_quote_is_bad_input(shell: Shell) -> None:
    assert "country" in shell("buy", "--yes", "--json").json["error"]["message"]


def test_a_deadline_in_the_past_is_refused_but_a_repeated_submit_still_gets_its_job(didflow: Didflow) -> None:
    request = SearchAndBuy(country="US", wait_until=datetime.now(UTC) + timedelta(hours=1))
    job = didflow.submit(request, idempotency_key="order-1")
    late = request.model_copy(update={"wait_until": datetime(2026, 1, 1, tzinfo=UTC)})
    assert didflow.submit(late, idempotency_key="order-1").id == job.id
    with pytest.raises(InvalidRequest, match="wait_until: 2026-01-01 00:00:00 UTC has passed: nothing could be bought"):
        didflow.submit(late)


def test_the_async_client_orders_by_a_quote_and_refuses_the_same(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    request = SearchAndBuy(country="US", dry_run=True)

    async def ordered() -> tuple[bool, str]:
        client = AsyncDidflow.from_url(valkey.url, inline.settings.namespace)
        dry_run = await client.submit(request)
        quote = (await client.wait(dry_run.id, 20)).result.quote  # type: ignore[union-attr]
        assert isinstance(quote, Quote)
        job = await client.submit(quote=quote, idempotency_key="order-1")
        with pytest.raises(InvalidRequest) as refused:
            await client.submit(quote=quote.model_copy(update={"first_year_usd": quote.monthly_usd}))
        await client.wait(job.id, 20)
        await client.aclose()
        return job.is_new, str(refused.value)

    with working(inline):
        is_new, refusal = asyncio.run(ordered())
    assert is_new
    assert refusal.startswith("quote: was not signed here")
    assert len(inline.owned()) == 1


def test_an_onboarding_order_that_waits_can_be_called_off(inline: InlineWorker, didflow: Didflow) -> None:
    onboarding = Onboarding(didflow)
    until = datetime.now(UTC) + timedelta(hours=1)
    job = onboarding.order("4711", SearchAndBuy(country="US", city=("MIAMI, FL",), quantity=99, wait_until=until))
    inline.attempt(job)
    assert onboarding.cancel("4711") is not None
    assert inline.attempt(job).state is JobState.CANCELLED
    assert onboarding.cancel("none such") is None


def test_a_request_that_uses_none_of_it_keeps_its_fingerprint() -> None:
    plain = Submission(SearchAndBuy(country="US", city=("X",), max_monthly_usd=Decimal("2.50")))
    assert fingerprint(plain) == "ae7cd2103b40ea0333c90d2d50d24635faa78ca5313300ce8ceb8ee295c25a07"
    others: list[dict[str, Any]] = [{"ladder": (Rung(),), "city": ()}, {"wait_until": datetime(2027, 1, 1, tzinfo=UTC)}]
    for fields in others:
        assert fingerprint(Submission(plain.request.model_copy(update=fields))) != fingerprint(plain)


def test_a_quote_that_is_no_file_is_not_said_to_hold_none(tmp_path: Path) -> None:
    shell = Shell(tmp_path, {})
    (tmp_path / "note.txt").write_text("not a quote")
    assert "quote: nowhere.json can't be read (FileNotFoundError)" in shell("buy", "--yes", "--quote", "nowhere.json").err
    assert "quote: note.txt holds no quote" in shell("buy", "--yes", "--quote", "note.txt").err
