"""The system's resolver, in threads of its own."""

import asyncio

import pytest

from producers.webhooks import resolver
from producers.webhooks.resolver import Resolver


def test_a_name_of_this_host_is_found() -> None:
    assert set(asyncio.run(Resolver()("localhost"))) <= {"127.0.0.1", "::1"}


def test_deliveries_to_one_name_share_a_lookup_and_nothing_is_kept() -> None:
    async def scenario() -> Resolver:
        resolve = Resolver()
        found = await asyncio.gather(*(resolve("localhost") for _ in range(resolver.MOST_LOOKUPS * 2)))
        assert all(one == found[0] for one in found)
        return resolve

    assert asyncio.run(scenario())._under_way == {}


def test_a_name_that_does_not_exist_raises_for_all_who_wait() -> None:
    async def scenario() -> list[list[str] | BaseException]:
        resolve = Resolver()
        return await asyncio.gather(*(resolve("no..host") for _ in range(3)), return_exceptions=True)

    assert [isinstance(one, OSError) for one in asyncio.run(scenario())] == [True] * 3


def test_one_who_gives_up_does_not_take_the_lookup_from_the_others() -> None:
    async def scenario() -> list[str]:
        resolve = Resolver()
        impatient, patient = asyncio.ensure_future(resolve("localhost")), asyncio.ensure_future(resolve("localhost"))
        await asyncio.sleep(0)
        impatient.cancel()
        return await patient

    assert asyncio.run(scenario())


def test_lookups_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "MOST_LOOKUPS", 0)
    with pytest.raises(OSError, match="too many"):
        asyncio.run(Resolver()("localhost"))
