"""What the two forms of the client got from each other, and the parts that have a name of their own."""

import asyncio
from datetime import timedelta

import pytest

from didflow import (
    AsyncDidflow,
    Destination,
    Didflow,
    EndpointChange,
    InvalidRequest,
    NewEndpoint,
    Release,
    Reroute,
    WebhookNotFound,
)
from didflow.ledger.connection import MOST_CONNECTIONS
from tests.support.inline_worker import InlineWorker
from worker.local.embedded_valkey import EmbeddedValkey

BACKUP = (Destination.sip("backup@example.net"),)


def test_both_forms_read_the_same(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    namespace = inline.ledger.keys.namespace
    didflow = Didflow.from_url(valkey.url, namespace)
    moved = didflow.submit(Reroute(numbers=tuple(inline.own(2)), destinations=BACKUP))
    leaving = didflow.submit(Release(numbers=tuple(inline.own(1)), grace=timedelta(days=1)))
    assert inline.finish(moved).state == "succeeded"
    inline.attempt(leaving)

    async def read() -> None:
        other = AsyncDidflow.from_url(valkey.url, namespace)
        assert await other.tally(moved.id) == didflow.tally(moved.id)
        assert await other.recent(limit=5) == didflow.recent(limit=5) != []
        assert await other.upcoming(timedelta(days=7)) == didflow.upcoming(timedelta(days=7))
        assert [one.job for one in await other.upcoming(timedelta(days=7))] == [leaving.id]
        assert await other.pool.handed_out() == didflow.pool.handed_out() == ()
        assert await other.documents.follower(moved.id) is didflow.documents.follower(moved.id) is None
        await other.aclose()

    asyncio.run(read())
    didflow.close()


def test_endpoints_of_webhooks_are_kept_by_either_form(valkey: EmbeddedValkey, namespace: str) -> None:
    didflow = Didflow.from_url(valkey.url, namespace, actor="ann")
    made = didflow.webhooks.create(NewEndpoint(name="shop", url="https://shop.example.net/hook"))
    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(made)
    with pytest.raises(InvalidRequest, match="url"):
        didflow.webhooks.create(NewEndpoint(name="inside", url="http://127.0.0.1/hook"))

    async def read() -> None:
        other = AsyncDidflow.from_url(valkey.url, namespace)
        assert await other.webhooks.all() == didflow.webhooks.all() == (await other.webhooks.get(made.id),)
        moved = await other.webhooks.update("shop", EndpointChange(url="https://new.example.net/hook", enabled=False))
        assert (moved.url, moved.state) == ("https://new.example.net/hook", "disabled")
        assert (await other.webhooks.enable("shop")).state == "enabled" == didflow.webhooks.get("shop").state
        assert (await other.webhooks.rotate("shop", overlap=timedelta(hours=1))).secrets == 2
        event_id = await other.webhooks.test("shop")
        assert didflow.webhooks.get("shop").queued == 1
        assert (await other.webhooks.redeliver("shop", event_id), didflow.webhooks.redeliver("shop", "gone:1")) == (1, 0)
        assert await other.webhooks.deliveries("shop") == didflow.webhooks.deliveries("shop") == ()
        await other.webhooks.delete("shop")
        with pytest.raises(WebhookNotFound):
            didflow.webhooks.get("shop")
        await other.aclose()

    asyncio.run(read())
    didflow.close()


def test_more_calls_at_once_than_connections_wait_for_one(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    """A burst was answered as if Redis were away."""

    async def burst() -> None:
        didflow = AsyncDidflow.from_url(valkey.url, inline.ledger.keys.namespace)
        release = Release(numbers=("+12135550100",), grace=timedelta(days=1))
        jobs = await asyncio.gather(*(didflow.submit(release, idempotency_key="burst") for _ in range(2 * MOST_CONNECTIONS + 1)))
        assert len({job.id for job in jobs}) == 1
        assert [job.is_new for job in jobs].count(True) == 1
        await didflow.aclose()

    asyncio.run(burst())
