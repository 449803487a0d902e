"""A quote is good for one order, by whatever way it is ordered, unless it was requested as reusable."""

import asyncio
import json
import threading
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from didflow import AsyncDidflow, Didflow, DidflowError, InvalidRequest, Job, Quote, QuotedSubmission, SearchAndBuy
from didflow.contract.business_events import ORDER
from didflow.ledger.connection import connect
from producers.business_events import BusinessEvents
from producers.onboarding import Onboarding
from tests.support.generated_requests import EDGES
from tests.support.inline_worker import InlineWorker
from tests.support.quotes import TWO, quoted
from tests.support.shell import Shell
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey

ONCE = "it is good for one order"


@pytest.fixture
def didflow(inline: InlineWorker) -> Didflow:
    return Didflow(inline.ledger.client, inline.settings.namespace)


def purchases(didflow: Didflow) -> list[str]:
    return [view.id for view in didflow.find() if view.request is not None and not view.request.dry_run]


def refused(result: Job | DidflowError) -> str:
    assert isinstance(result, InvalidRequest)
    assert [where for where, _ in result.faults] == ["quote"]
    return str(result)


def test_a_second_order_by_a_quote_is_refused_and_the_first_one_s_key_gives_its_job(inline: InlineWorker, didflow: Didflow) -> None:
    quote = quoted(inline)
    first = didflow.submit(quote=quote, idempotency_key="order-1")
    for key in ("order-2", "order-3", None):
        with pytest.raises(InvalidRequest, match=ONCE) as once:
            didflow.submit(quote=quote, idempotency_key=key)
        assert first.id in str(once.value)
    again = didflow.submit(quote=quote, idempotency_key="order-1")
    assert (again.id, again.is_new) == (first.id, False)
    assert purchases(didflow) == [first.id]
    inline.finish(first)
    with pytest.raises(InvalidRequest, match=ONCE):  # Also when the order has ended, however it did.
        didflow.submit(quote=quote, idempotency_key="order-4")


def test_of_many_in_one_pipeline_one_goes_through(inline: InlineWorker, didflow: Didflow) -> None:
    quote = quoted(inline)
    first, *others = didflow.submit_many([QuotedSubmission(quote, f"order-{place}") for place in range(5)])
    assert isinstance(first, Job)
    assert all(ONCE in refused(one) for one in others)
    assert purchases(didflow) == [first.id]


def test_the_async_client_refuses_the_same(inline: InlineWorker, didflow: Didflow, valkey: EmbeddedValkey) -> None:
    quote = quoted(inline)

    async def ordered_so() -> list[Job | DidflowError | BaseException]:
        client = AsyncDidflow.from_url(valkey.url, inline.settings.namespace)
        orders = (client.submit(quote=quote, idempotency_key=f"order-{place}") for place in range(3))
        results: list[Job | DidflowError | BaseException] = list(await asyncio.gather(*orders, return_exceptions=True))
        results += await client.submit_many([QuotedSubmission(quote, "order-8"), QuotedSubmission(quote, "order-9")])
        await client.aclose()
        return results

    results = asyncio.run(ordered_so())
    assert [type(one) for one in results].count(Job) == 1
    assert all(ONCE in refused(cast("DidflowError", one)) for one in results if not isinstance(one, Job))
    assert len(purchases(didflow)) == 1


def test_producers_that_order_at_the_same_moment_make_one_order(inline: InlineWorker, didflow: Didflow, valkey: EmbeddedValkey) -> None:
    quote, together, results = quoted(inline), threading.Barrier(8), list[Job | DidflowError]()

    def order(place: int) -> None:
        client = connect(valkey.url)
        one = Didflow(client, inline.settings.namespace)
        together.wait()
        try:
            results.append(one.submit(quote=quote, idempotency_key=f"order-{place}"))
        except InvalidRequest as error:
            results.append(error)
        client.close()

    threads = [threading.Thread(target=order, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len(purchases(didflow)) == sum(isinstance(one, Job) for one in results) == 1


def test_an_event_orders_by_a_quote_once(inline: InlineWorker, didflow: Didflow) -> None:
    quote = quoted(inline)
    events = BusinessEvents(didflow, consumer="a")
    for event_id in ("order-1", "order-2", "order-1"):
        events.send(ORDER, {"quote": quote.model_dump(mode="json"), "customer": "acme"}, event_id=event_id)
    events.send(ORDER, {"customer": "acme"}, event_id="order-3")
    first, second, again, nothing = events.take_in(block_s=0.01, give_up_idle=True)
    assert first.job is not None
    assert second.refusal is not None
    assert ONCE in refused(second.refusal)
    assert again.job is not None
    assert (again.job.id, again.job.is_new) == (first.job.id, False)
    assert nothing.refusal is not None
    assert "give a request, or a quote" in str(nothing.refusal)
    assert purchases(didflow) == [first.job.id]


def test_the_command_orders_once_and_a_reusable_quote_often(
    inline: InlineWorker, didflow: Didflow, valkey: EmbeddedValkey, tmp_path: Any
) -> None:
    shell = Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": inline.settings.namespace})
    asked = ("buy", "--country", "US", "--city", "LOS ANGELES, CA", "--dry-run", "--json")
    with working(inline):
        once, often = shell(*asked), shell(*asked, "--reusable-quote")
        said = shell("status", often.json["id"], columns=200).out
    assert "good for any number of orders" in said
    order = ("buy", "--yes", "--quote", "-", "--json", "--key")
    assert shell(*order, "order-1", stdin=once.out).code == 0
    again = shell(*order, "order-2", stdin=once.out)
    assert (again.code, ONCE in again.json["error"]["message"]) == (2, True)
    assert [shell(*order, f"order-{place}", stdin=often.out).code for place in (3, 4)] == [0, 0]
    assert len(purchases(didflow)) == 3
    assert shell("buy", "--yes", "--country", "US", "--reusable-quote").code == 2
    assert shell(*order, "order-5", "--reusable-quote", stdin=often.out).code == 2


def test_a_reusable_quote_is_asked_for_as_such(inline: InlineWorker, didflow: Didflow) -> None:
    with working(inline):
        quote = Onboarding(didflow).quote(TWO, reusable=True)
        once = Onboarding(didflow).quote(TWO)
    assert (quote.reusable, once.reusable) == (True, False)
    jobs = [didflow.submit(TWO, quote=quote, idempotency_key=f"order-{place}") for place in range(3)]
    assert len({job.id for job in jobs}) == 3
    assert didflow.get(jobs[0].id).request == didflow.get(didflow.submit(quote=once).id).request, "it buys the same"
    with pytest.raises(InvalidRequest, match="reusable_quote goes with dry_run"):
        SearchAndBuy(country="US", reusable_quote=True)


def test_two_dry_runs_of_one_moment_give_two_quotes(inline: InlineWorker, didflow: Didflow) -> None:
    one, other = quoted(inline), quoted(inline)
    same_time = other.model_copy(update={"expires_at": one.expires_at})
    assert one.id != same_time.id
    assert didflow.submit(quote=one, idempotency_key="order-1").id != didflow.submit(quote=other, idempotency_key="order-2").id


def test_what_is_remembered_of_a_quote_goes_when_it_expires(inline: InlineWorker, didflow: Didflow) -> None:
    quote = quoted(inline)
    didflow.submit(quote=quote)
    left_ms = inline.ledger.client.pttl(f"{inline.settings.namespace}:quote:{quote.id}")
    assert quote.expires_at is not None
    assert 0 < left_ms <= (quote.expires_at - datetime.now(UTC)).total_seconds() * 1000 + 1000


def test_any_value_in_any_field_of_a_quote_is_refused_or_ordered_as_quoted(inline: InlineWorker, didflow: Didflow) -> None:
    real = json.loads(quoted(inline).model_dump_json())
    texts = st.text(max_size=70) | st.sampled_from(EDGES)

    @settings(max_examples=150, database=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(sorted(Quote.model_fields)), texts, min_size=1, max_size=3))
    def order(changes: dict[str, Any]) -> None:
        try:
            quote = Quote.model_validate(real | changes)
        except InvalidRequest:
            return
        submitted = QuotedSubmission(quote, "order", request=None)
        (single,) = didflow.submit_many([submitted])
        assert isinstance(single, Job | InvalidRequest)
        if isinstance(single, Job):
            assert json.loads(quote.model_dump_json()) == real

    order()
