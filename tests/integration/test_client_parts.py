"""What the two forms of the client got from each other, and the parts that have a name of their own."""

import asyncio
from datetime import timedelta

from didflow import AsyncDidflow, Destination, Didflow, Release, Reroute
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
