"""Scripts of many tasks share connections and pipelines; each task gets its own reply."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import redis

from didflow.ledger.async_script_client import PIPELINES, AsyncScriptClient
from didflow.ledger.connection import connect, connect_async
from worker.local.embedded_valkey import EmbeddedValkey

T = TypeVar("T")

ECHO = "return ARGV[1]"
REFUSE = "return redis.error_reply('NO ' .. ARGV[1])"


def with_client(url: str, do: Callable[[AsyncScriptClient, str], Awaitable[T]]) -> T:
    """What `do` returns in a loop of its own, with a client and the hash of a script that returns its argument."""

    async def run() -> T:
        client = connect_async(url)
        assert isinstance(client, AsyncScriptClient)
        try:
            return await do(client, await client.script_load(ECHO))
        finally:
            await client.aclose()

    return asyncio.run(run())


def test_each_task_gets_its_own_reply(valkey: EmbeddedValkey) -> None:
    async def ask(client: AsyncScriptClient, echo: str) -> list[object]:
        refuse = await client.script_load(REFUSE)
        asked = [client.evalsha(refuse if place % 7 == 0 else echo, 0, str(place)) for place in range(1_000)]
        return list(await asyncio.gather(*asked, return_exceptions=True))

    replies = with_client(valkey.url, ask)
    assert [reply for reply in replies if isinstance(reply, str)] == [str(place) for place in range(1_000) if place % 7]
    refused = [str(reply) for reply in replies if isinstance(reply, redis.exceptions.ResponseError)]
    assert refused == [f"NO {place}" for place in range(0, 1_000, 7)]


def test_many_tasks_take_few_connections(valkey: EmbeddedValkey) -> None:
    async def ask(client: AsyncScriptClient, echo: str) -> int:
        await asyncio.gather(*(client.evalsha(echo, 0, str(place)) for place in range(500)))
        name = await client.client_id()
        theirs = [one for one in await client.client_list() if int(one["id"]) > int(name)]
        return len(theirs)

    assert with_client(valkey.url, ask) <= PIPELINES


def test_a_hash_is_a_dictionary_also_beside_a_script(valkey: EmbeddedValkey, namespace: str) -> None:
    async def ask(client: AsyncScriptClient, echo: str) -> list[object]:
        await client.hset(f"{namespace}:hash", mapping={"a": "1", "b": "2"})
        both = await client.ask_together([("EVALSHA", echo, 0, "x"), ("HGETALL", f"{namespace}:hash")])
        return [await client.hgetall(f"{namespace}:hash"), await client.hgetall(f"{namespace}:none"), *both]

    assert with_client(valkey.url, ask) == [{"a": "1", "b": "2"}, {}, "x", {"a": "1", "b": "2"}]


def test_a_lone_surrogate_is_replaced(valkey: EmbeddedValkey) -> None:
    """As redis-py does: a person's text never makes a command fail."""

    async def ask(client: AsyncScriptClient, echo: str) -> list[object]:
        return list(await asyncio.gather(*(client.evalsha(echo, 0, text) for text in ("a", "b\ud800c", "d"))))

    assert with_client(valkey.url, ask) == ["a", "b?c", "d"]


def test_a_lost_connection_is_made_again(valkey: EmbeddedValkey) -> None:
    async def ask(client: AsyncScriptClient, echo: str) -> list[object]:
        replies = []
        for _ in range(3):
            replies.append(await client.evalsha(echo, 0, "here"))
            killing.client_kill_filter(_type="normal", skipme=True)
        return [*replies, *(await asyncio.gather(*(client.evalsha(echo, 0, str(place)) for place in range(20))))]

    killing = connect(valkey.url)
    assert with_client(valkey.url, ask) == ["here"] * 3 + [str(place) for place in range(20)]
    killing.close()


def test_a_task_that_is_cancelled_disturbs_no_other(valkey: EmbeddedValkey) -> None:
    async def ask(client: AsyncScriptClient, echo: str) -> list[object]:
        tasks = [asyncio.create_task(client.evalsha(echo, 0, str(place))) for place in range(100)]
        await asyncio.sleep(0)  # All have asked.
        for task in tasks[::2]:
            task.cancel()
        replies = await asyncio.gather(*tasks, return_exceptions=True)
        return [*replies[1::2], await client.evalsha(echo, 0, "later")]

    assert with_client(valkey.url, ask) == [*(str(place) for place in range(1, 100, 2)), "later"]


def test_what_is_asked_when_all_pipelines_end_at_one_moment_is_sent(valkey: EmbeddedValkey) -> None:
    """Nothing else is asked then that would take it along."""

    async def ask(client: AsyncScriptClient, echo: str) -> list[object]:
        answered: list[object] = []

        async def one() -> None:
            answered.append(await client.evalsha(echo, 0, "once"))
            if len(answered) == 1:
                answered.append(await client.evalsha(echo, 0, "again"))

        other.client_pause(60_000, all=False)
        tasks: list[asyncio.Task[None]] = []
        for _ in range(PIPELINES):
            tasks.append(asyncio.create_task(one()))
            while sum("b" in one["flags"] for one in other.client_list()) < len(tasks):  # Blocked until the pause is over.
                await asyncio.sleep(0.001)
        other.client_unpause()
        other.ping()  # By now all are replied to, and the loop, which was busy, finds all replies at once.
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks)
        return answered

    other = connect(valkey.url)
    try:
        assert with_client(valkey.url, ask) == [*["once"] * PIPELINES, "again"]
    finally:
        other.client_unpause()
        other.close()


def test_where_nothing_answers_each_task_has_the_error() -> None:
    async def ask() -> list[object]:
        client = connect_async("redis://127.0.0.1:1/0")
        return list(await asyncio.gather(*(client.evalsha("sha", 0) for _ in range(10)), return_exceptions=True))

    assert [type(reply) for reply in asyncio.run(ask())] == [redis.exceptions.ConnectionError] * 10


def test_a_client_works_in_a_second_loop(valkey: EmbeddedValkey) -> None:
    client, other = connect_async(valkey.url), connect(valkey.url)
    sha = other.script_load(ECHO)
    other.close()

    async def ask() -> object:
        reply: object = await client.evalsha(sha, 0, "x")
        return reply

    assert [asyncio.run(ask()) for _ in range(2)] == ["x", "x"]
