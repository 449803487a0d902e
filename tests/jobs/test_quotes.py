"""Quotes: signed by the worker, ordered by any caller that has them, and kept or refused with the difference named."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from didflow import (
    AsyncDidflow,
    Didflow,
    DidflowError,
    IdempotencyConflict,
    InvalidRequest,
    Job,
    Quote,
    QuotedSubmission,
    SearchAndBuy,
    Submission,
)
from didflow.client.submission import submit_batch
from didflow.contract.jobs import JobView
from didflow.contract.quotes import is_genuine, signature
from didflow.ledger import script_calls
from didflow.ledger.commands import send
from tests.support.inline_worker import InlineWorker, charged, numbers
from tests.support.ledger_roles import held_by
from tests.support.quotes import CITY, TWO, quoted
from worker.local.embedded_valkey import EmbeddedValkey


@pytest.fixture
def didflow(inline: InlineWorker) -> Didflow:
    return Didflow(inline.ledger.client, inline.settings.namespace)


def ordered(inline: InlineWorker, quote: Quote) -> JobView:
    return inline.finish(Didflow(inline.ledger.client, inline.settings.namespace).submit(quote=quote))


def digits(quote: Quote) -> list[str]:
    return [number.number[1:] for number in quote.numbers]


def test_a_quote_says_all_that_a_buyer_asks(inline: InlineWorker) -> None:
    quote = quoted(inline, SearchAndBuy(country="DE", quantity=2, documents="allow_inactive"))
    assert quote.documents == ("id", "localaddress")
    assert quote.first_year_usd == quote.setup_usd + 12 * quote.monthly_usd
    assert quote.balance_usd is not None
    assert quote.balance_after_usd == quote.balance_usd - quote.setup_usd - quote.monthly_usd
    assert quote.expires_at is not None
    assert timedelta(minutes=58) < quote.expires_at - datetime.now(UTC) <= timedelta(hours=1)
    assert quote.signature
    assert "cart_put" not in inline.sandbox.state()["calls"]


def test_a_quote_says_what_using_a_number_costs_and_is_ordered_with_it(inline: InlineWorker, didflow: Didflow) -> None:
    for number in digits(quoted(inline)):
        inline.sandbox.order("show_offer", number=number, per_min="0.0059", sms_price=0.25, free_min=123, cnam=True, domestic_cli=True)
    quote = quoted(inline)
    for one in quote.numbers:
        assert (one.per_minute_usd, one.sms_usd, one.free_minutes) == (Decimal("0.0059"), Decimal("0.25"), 123)
        assert (one.cnam, one.domestic_cli) == (True, True)
    carried = Quote.model_validate_json(quote.model_dump_json(exclude_none=True))
    cheaper = carried.numbers[0].model_copy(update={"per_minute_usd": Decimal("0.0001")})
    with pytest.raises(InvalidRequest, match="quote: was not signed here or was changed since"):
        didflow.submit(quote=carried.model_copy(update={"numbers": (cheaper, *carried.numbers[1:])}))
    assert ordered(inline, carried).state == "succeeded"


def test_a_quote_that_knows_no_prices_of_use_is_signed_as_before_there_were_any() -> None:
    stored = """{"numbers": [{"number": "+12135681931", "setup_usd": "1.00", "monthly_usd": "0.99", "documents_needed": ["id"],
        "document_titles": {"id": "Passport"}}], "setup_usd": "1.00", "monthly_usd": "0.99", "first_year_usd": "12.88",
        "balance_usd": "10.00", "balance_after_usd": "8.01", "documents": ["id"], "id": "j", "account": "default",
        "request": {"kind": "search_and_buy", "country": "US", "quantity": 1}, "expires_at": "2026-11-30T09:00:00Z",
        "signature": "f5116e601a915a95fbaa0073101bcebb5d9777c708103639f1edb7e559ebec09"}"""
    quote = Quote.model_validate_json(stored)
    assert is_genuine(quote, "secret")
    priced = quote.numbers[0].model_copy(update={"per_minute_usd": Decimal("0.01")})
    assert not is_genuine(quote.model_copy(update={"numbers": (priced,)}), "secret")


def test_what_is_ordered_by_a_quote_is_what_was_quoted(inline: InlineWorker) -> None:
    quote = quoted(inline)
    view = ordered(inline, quote)
    assert view.state == "succeeded"
    assert [number.number for number in numbers(view)] == sorted(number.number for number in quote.numbers)
    assert charged(view) == inline.sandbox.charged_usd() == quote.setup_usd + quote.monthly_usd


def test_a_quote_survives_the_way_through_json(inline: InlineWorker) -> None:
    carried = Quote.model_validate_json(quoted(inline).model_dump_json(exclude_none=True))
    assert ordered(inline, carried).state == "succeeded"


@pytest.mark.parametrize(
    "altered",
    [
        lambda quote: {"setup_usd": Decimal("0.01")},
        lambda quote: {"numbers": (quote.numbers[0].model_copy(update={"monthly_usd": Decimal("99.00")}), *quote.numbers[1:])},
        lambda quote: {"request": quote.request.model_copy(update={"max_monthly_usd": Decimal("99.00")})},
        lambda quote: {"expires_at": quote.expires_at + timedelta(days=1)},
        lambda quote: {"account": "other"},
        lambda quote: {"signature": None},
        lambda quote: {"signature": "\u00e9" * 64},
        lambda quote: {"signature": "\ud800"},
        lambda quote: {"signature": ""},
        lambda quote: {"id": "another"},
        lambda quote: {"reusable": True},
        lambda quote: {"expires_at": datetime(2100, 1, 1)},
        lambda quote: {"signature": signature(quote, "made up")},
    ],
)
def test_a_quote_that_was_changed_is_refused(inline: InlineWorker, didflow: Didflow, altered: Callable[[Quote], dict[str, object]]) -> None:
    quote = quoted(inline)
    with pytest.raises(InvalidRequest, match="quote: was not signed here or was changed since"):
        didflow.submit(quote=quote.model_copy(update=altered(quote)))


def test_a_quote_that_expired_is_refused_but_its_order_is_still_the_same_job(inline: InlineWorker, didflow: Didflow) -> None:
    quote = quoted(inline)
    job = didflow.submit(quote=quote, idempotency_key="order-1")
    late = expired(inline, quote)
    with pytest.raises(InvalidRequest, match="quote: expired at"):
        didflow.submit(quote=late, idempotency_key="order-2")
    again = didflow.submit(quote=late, idempotency_key="order-1")
    assert (again.id, again.is_new) == (job.id, False)


def test_an_order_by_a_quote_is_another_request_than_one_without(inline: InlineWorker, didflow: Didflow) -> None:
    didflow.submit(TWO, idempotency_key="order-1")
    with pytest.raises(IdempotencyConflict) as conflict:
        didflow.submit(quote=quoted(inline), idempotency_key="order-1")
    assert conflict.value.difference == "price: that of a quote asked, none there"
    didflow.submit(quote=quoted(inline), idempotency_key="order-2")
    with pytest.raises(IdempotencyConflict) as conflict:
        didflow.submit(TWO, idempotency_key="order-2")
    assert conflict.value.difference == "price: none asked, that of a quote there"


def expired(inline: InlineWorker, quote: Quote) -> Quote:
    late = quote.model_copy(update={"expires_at": datetime.now(UTC) - timedelta(seconds=5)})
    return late.model_copy(update={"signature": signature(late, inline.ledger.run(script_calls.quote_secret()))})


def test_many_orders_by_quotes_are_refused_as_single_ones_are_and_the_others_go_through(inline: InlineWorker, didflow: Didflow) -> None:
    quote = quoted(inline)
    late = expired(inline, quote)
    known = didflow.submit(quote=quote, idempotency_key="known", reference="customer-9")
    changed = quote.model_copy(update={"setup_usd": Decimal("0.01")})
    bad = [
        QuotedSubmission(changed, "changed"),
        QuotedSubmission(late, "late"),
        QuotedSubmission(late),
        QuotedSubmission(quote, "account", account="other"),
        QuotedSubmission(quote, "request", request=SearchAndBuy(country="CA")),
        QuotedSubmission(quote, "priority", priority=10),
        QuotedSubmission(quote, "used"),
        QuotedSubmission(quote.model_copy(update={"signature": "\u00e9" * 64}), "no ASCII"),
        QuotedSubmission(quoted(inline, TWO.model_copy(update={"quantity": 1})), "known"),
    ]
    other = quoted(inline)
    results = didflow.submit_many([*bad, Submission(TWO), QuotedSubmission(late, "known"), QuotedSubmission(other, "new", "customer-9")])
    for one, refused in zip(bad, results, strict=False):
        with pytest.raises(DidflowError) as single:
            didflow.submit(one.request, quote=one.quote, idempotency_key=one.idempotency_key, account=one.account, priority=one.priority)
        assert (type(refused), str(refused)) == (type(single.value), str(single.value))
    plain, again, new = results[len(bad) :]
    assert isinstance(plain, Job)
    assert again == Job(known.id, is_new=False, state=known.state)
    assert isinstance(new, Job)
    assert [view.id for view in didflow.find(reference="customer-9")] == [new.id, known.id]
    assert len(didflow.find()) == 6, "three dry runs, one of before, and two"
    assert didflow.get(new.id).request == didflow.get(known.id).request


def test_many_orders_by_quotes_take_as_many_questions_as_one(inline: InlineWorker) -> None:
    late = expired(inline, quoted(inline))

    def questions(count: int) -> int:
        command, asked = submit_batch(inline.ledger.commands, [QuotedSubmission(late, f"order-{place}") for place in range(count)]), 0
        with suppress(StopIteration):
            step = next(command)
            while True:
                asked += 1
                step = command.send(send(inline.ledger.client, step))
        return asked

    assert questions(200) == questions(1) <= 6


def test_the_async_client_orders_many_by_their_quotes(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    quote = quoted(inline)

    async def ordered_so() -> list[Job | DidflowError]:
        client = AsyncDidflow.from_url(valkey.url, inline.settings.namespace)
        batch = [QuotedSubmission(quote, "one"), QuotedSubmission(expired(inline, quote), "two"), QuotedSubmission(quote, "one")]
        results = await client.submit_many(batch)
        await client.aclose()
        return results

    first, late, again = asyncio.run(ordered_so())
    assert isinstance(first, Job)
    assert isinstance(late, InvalidRequest)
    assert again == Job(first.id, is_new=False, state=first.state)


def test_another_account_or_request_than_the_quote_s_is_refused(inline: InlineWorker, didflow: Didflow) -> None:
    quote = quoted(inline)
    with pytest.raises(InvalidRequest, match="is for account 'default'"):
        didflow.submit(quote=quote, account="other")
    with pytest.raises(InvalidRequest, match="is for another request"):
        didflow.submit(SearchAndBuy(country="CA"), quote=quote)
    with pytest.raises(InvalidRequest, match="give a request, or a quote"):
        didflow.submit()
    assert didflow.submit(TWO, quote=quote).is_new


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"setup_usd": "9.00", "monthly_usd": "0.99"}, "setup is 9.00 USD, quoted 0.50"),
        ({"setup_usd": "0.50", "monthly_usd": "7.00"}, "a month is 7.00 USD, quoted 0.99"),
    ],
)
def test_worse_fees_are_refused_and_named(inline: InlineWorker, change: dict[str, str], difference: str) -> None:
    number = one_for_sale(inline)
    quote = quoted(inline, TWO.model_copy(update={"quantity": 1}))
    assert digits(quote) == [number]
    inline.sandbox.order("set_fees", number=number, **change)
    view = ordered(inline, quote)
    refused_as_worse(inline, view, f"+{number}: {difference}")


def test_fees_that_are_worse_only_in_the_cart_are_refused_before_the_checkout(inline: InlineWorker) -> None:
    number = one_for_sale(inline)
    quote = quoted(inline, TWO.model_copy(update={"quantity": 1}))
    real_put = inline.client.put_in_cart

    def dearer_by_then(numbers: list[str]) -> object:
        inline.sandbox.order("set_fees", number=number, setup_usd="0.50", monthly_usd="7.00")
        return real_put(numbers)

    inline.client.put_in_cart = dearer_by_then  # type: ignore[assignment, method-assign]
    refused_as_worse(inline, ordered(inline, quote), f"+{number}: a month is 7.00 USD, quoted 0.99")
    assert inline.sandbox.state()["calls"]["cart_put"] == 1


def test_documents_that_weren_t_quoted_are_refused_and_named(inline: InlineWorker) -> None:
    number = one_for_sale(inline)
    quote = quoted(inline, TWO.model_copy(update={"quantity": 1, "documents": "allow_inactive"}))
    inline.sandbox.order("set_documents", number=number, kinds=[1, 2])
    refused_as_worse(inline, ordered(inline, quote), f"+{number}: needs documents (address, id) that weren't quoted")


def test_a_number_that_is_gone_is_named_where_nothing_can_stand_in_for_it(inline: InlineWorker) -> None:
    number = one_for_sale(inline)
    quote = quoted(inline, TWO.model_copy(update={"quantity": 1}))
    inline.sandbox.order("sell_to_other", number=number)
    refused_as_worse(inline, ordered(inline, quote), f"+{number}: is no longer offered")


def test_another_number_may_stand_in_for_one_that_is_gone_if_it_is_no_worse(inline: InlineWorker) -> None:
    quote = quoted(inline)
    gone = digits(quote)[0]
    inline.sandbox.order("sell_to_other", number=gone)
    view = ordered(inline, quote)
    assert view.state == "succeeded"
    assert f"+{gone}" not in {number.number for number in numbers(view)}
    assert charged(view) <= quote.setup_usd + quote.monthly_usd


def test_cheaper_than_quoted_is_no_reason_to_refuse(inline: InlineWorker) -> None:
    number = one_for_sale(inline)
    quote = quoted(inline, TWO.model_copy(update={"quantity": 1}))
    inline.sandbox.order("set_fees", number=number, setup_usd="0.00", monthly_usd="0.10")
    assert ordered(inline, quote).state == "succeeded"
    assert inline.sandbox.charged_usd() == Decimal("0.10")


def test_a_partial_quote_orders_as_many_as_it_quoted(inline: InlineWorker) -> None:
    inline.sandbox.order("sell_out", city=CITY, keep=3)
    quote = quoted(inline, TWO.model_copy(update={"quantity": 5, "policy": "best_effort"}))
    view = ordered(inline, quote)
    assert (view.state, len(numbers(view))) == ("succeeded", 3)


def test_what_can_t_be_had_as_asked_isn_t_signed(inline: InlineWorker, didflow: Didflow) -> None:
    quote = quoted(inline, TWO.model_copy(update={"quantity": 31}))
    assert quote.signature is None
    with pytest.raises(InvalidRequest, match="quote: was not signed here"):
        didflow.submit(quote=quote)


def test_the_secret_is_in_the_ledger_alone(inline: InlineWorker) -> None:
    quote = quoted(inline)
    secret = inline.ledger.run(script_calls.quote_secret())
    assert secret not in json.dumps(quote.model_dump(mode="json"))
    assert secret == inline.ledger.run(script_calls.quote_secret())


def one_for_sale(inline: InlineWorker) -> str:
    """The city has one number for sale."""
    number, *_ = inline.sandbox.order("sell_out", city=CITY)
    inline.sandbox.order("restock", numbers=[number])
    inline.sandbox.order("set_fees", number=number, setup_usd="0.50", monthly_usd="0.99")
    return str(number)


def refused_as_worse(inline: InlineWorker, view: JobView, difference: str) -> None:
    assert (view.state, view.error and view.error.code) == ("failed", "quote_worse")
    assert view.error is not None
    assert difference in view.error.message
    assert not inline.owned()
    assert inline.sandbox.state()["accounts"]["default"]["cart"] == []
    assert "checkout" not in inline.sandbox.state()["calls"]


def test_a_quote_names_no_number_that_a_purchase_would_leave_alone(inline: InlineWorker) -> None:
    first = quoted(inline)
    one, other = (number.number for number in first.numbers)
    reserved = inline.ledger.keys.reserved("default")
    tomorrow_ms, yesterday_ms = inline.ledger.now_ms() + 86_400_000, inline.ledger.now_ms() - 86_400_000
    inline.ledger.client.hset(reserved, mapping={one: held_by("another", tomorrow_ms), other: held_by("another", yesterday_ms)})
    second = quoted(inline)
    names = [number.number for number in second.numbers]
    assert len(names) == 2
    assert (one in names, other in names) == (False, True), "a reservation whose time is over holds nothing"
    inline.ledger.client.hset(reserved, other, held_by("another"))
    assert not {one, other} & {number.number for number in quoted(inline).numbers}
    bought = inline.run(TWO)
    assert not {one, other} & {number.number for number in numbers(bought)}, "nor does a purchase"
