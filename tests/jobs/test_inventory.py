"""The inventory shows what the account has: by sweeps, and at once what jobs confirm."""

import asyncio
import threading
import time
from typing import Any

import pytest

from didflow.client.aio.client import AsyncDidflow
from didflow.contract.destinations import Destination
from didflow.contract.errors import InvalidRequest
from didflow.contract.inventory import SORTS, InventoryFilter
from didflow.contract.requests import FollowDocuments, Release, Reroute, SearchAndBuy
from didflow.contract.states import JobState
from tests.support.cluster import until
from tests.support.inline_worker import InlineWorker
from tests.support.sweeping import inventory_of, keeper_of, make_sweep_due, mirrored, number_events, sweep
from worker.inventory.keeper import InventoryKeeper
from worker.local.embedded_valkey import EmbeddedValkey

pytestmark = pytest.mark.provider()


def test_a_sweep_shows_every_number_with_its_fields(inline: InlineWorker) -> None:
    owned = inline.own(130, to="sip:old@example.net", label="acme")
    inline.sandbox.order("set_number", number=owned[0].removeprefix("+"), seconds=77, paid_until="2027-01-15")
    assert sweep(inline) == ""
    found = mirrored(inline)
    assert sorted(found) == sorted(owned)
    first = found[owned[0]]
    assert (first.status, first.label, first.seconds) == ("active", "acme", 77)
    assert [str(one) for one in first.route] == ["sip:old@example.net"]
    assert first.paid_until is not None
    assert first.paid_until.isoformat() == "2027-01-15T00:00:00+00:00"
    state = inventory_of(inline).state()
    assert (state.numbers, state.complete, state.sweeping) == (130, True, False)


def test_a_purchase_is_shown_at_once(inline: InlineWorker) -> None:
    view = inline.run(SearchAndBuy(country="US", quantity=2, destinations=(Destination.sip("new@example.net"),)))
    assert view.state is JobState.SUCCEEDED
    found = mirrored(inline)
    assert found.keys() == inline.owned()
    assert {str(one.route[0]) for one in found.values()} == {"sip:new@example.net"}


def test_a_reroute_is_shown_at_once(inline: InlineWorker) -> None:
    owned = inline.own(3)
    sweep(inline)
    inline.run(Reroute(numbers=tuple(owned[:2]), destinations=(Destination.sip("new@example.net"),)))
    found = mirrored(inline)
    assert [str(found[number].route[0]) for number in owned] == ["sip:new@example.net"] * 2 + ["sip:old@example.net"]
    page = inventory_of(inline).page(matching=InventoryFilter(destination="sip:new@example.net"))
    assert [one.number for one in page.numbers] == sorted(owned[:2])


def test_a_release_is_shown_at_once(inline: InlineWorker) -> None:
    owned = inline.own(3)
    sweep(inline)
    inline.run(Release(numbers=tuple(owned[:2])))
    assert list(mirrored(inline)) == [owned[2]]
    assert sweep(inline) == ""
    assert list(mirrored(inline)) == [owned[2]]


def test_totals(inline: InlineWorker) -> None:
    owned = inline.own(3)
    inline.sandbox.order("set_number", number=owned[0].removeprefix("+"), paid_until="2026-01-01")
    inline.sandbox.order("set_number", number=owned[1].removeprefix("+"), paid_until="2099-01-01")
    inline.sandbox.order("set_number", number=owned[2].removeprefix("+"), paid_until="2099-01-01")
    sweep(inline)
    fees = {number: one.monthly_usd for number, one in mirrored(inline).items()}
    totals = inventory_of(inline).totals(renewal_days=7)
    assert (totals.numbers, totals.active, totals.missing) == (3, 3, 0)
    assert totals.monthly_usd == sum(fees.values())
    assert (totals.renewals, totals.renewals_usd) == (1, fees[owned[0]])
    assert inventory_of(inline).totals(matching=InventoryFilter(label="nobody")).numbers == 0


def test_what_jobs_do_is_no_event(inline: InlineWorker) -> None:
    owned = inline.own(3)
    sweep(inline)
    inline.run(SearchAndBuy(country="US", quantity=1))
    inline.run(Reroute(numbers=tuple(owned[:2]), destinations=(Destination.sip("new@example.net"),)))
    inline.run(Release(numbers=(owned[2],)))
    for _ in range(3):
        assert sweep(inline) == ""
    assert [kind for kind, _, _ in number_events(inline)] == ["didflow.inventory.first_sweep.v1"]


def test_pages_are_stable_while_the_mirror_changes(inline: InlineWorker) -> None:
    owned = sorted(inline.own(12))
    sweep(inline)
    inventory, seen = inventory_of(inline), list[str]()
    page = inventory.page(limit=4)
    while True:
        seen += [one.number for one in page.numbers]
        if page.next_cursor is None:
            break
        inline.sandbox.order("set_number", number=owned[len(seen) - 1].removeprefix("+"), label=f"label {len(seen)}")
        inline.run(Release(numbers=(owned[len(seen)],)))
        assert sweep(inline) == ""
        page = inventory.page(limit=4, cursor=page.next_cursor)
    assert seen == [*owned[:4], *owned[5:]]


@pytest.mark.parametrize("other", [{"sort": "-number"}, {"matching": InventoryFilter(country="US")}, {"limit": 4, "cursor": "e30"}])
def test_a_cursor_of_another_list_is_refused(inline: InlineWorker, other: dict[str, Any]) -> None:
    inline.own(3)
    sweep(inline)
    cursor = inventory_of(inline).page(limit=2).next_cursor
    with pytest.raises(InvalidRequest) as refused:
        inventory_of(inline).page(**{"limit": 2, "cursor": cursor, **other})
    assert [where for where, _ in refused.value.faults] == ["cursor"]
    with pytest.raises(InvalidRequest):
        inventory_of(inline, "second").page(limit=2, cursor=cursor)


def test_every_sort_goes_both_ways_and_ends(inline: InlineWorker) -> None:
    owned = inline.own(5)
    for place, number in enumerate(owned):
        inline.sandbox.order("set_number", number=number.removeprefix("+"), seconds=place % 3, paid_until=f"2027-01-{10 + place % 2}")
    sweep(inline)
    for name in SORTS:
        up = [one.number for one in inventory_of(inline).numbers(sort=name)]
        down = [one.number for one in inventory_of(inline).numbers(sort=f"-{name}")]
        assert up == down[::-1]
        assert sorted(up) == sorted(owned)
    by_seconds = [one.seconds for one in inventory_of(inline).numbers(sort="-seconds")]
    assert by_seconds == [2, 1, 1, 0, 0]


def test_documents_that_are_followed_are_shown_at_once(inline: InlineWorker) -> None:
    bought = inline.run(SearchAndBuy(country="DE", documents="allow_inactive"))
    (number,) = mirrored(inline)
    assert mirrored(inline)[number].status == "inactive"
    inline.sandbox.order("approve_documents", number=number.removeprefix("+"))
    inline.run(FollowDocuments(numbers=(number,)))
    assert mirrored(inline)[number].status == "active"
    assert bought.state is JobState.SUCCEEDED


def test_the_client_for_asyncio_shows_the_same(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    owned = sorted(inline.own(3))
    sweep(inline)

    async def shown() -> tuple[list[str], int, str | None]:
        didflow = AsyncDidflow.from_url(valkey.url, inline.settings.namespace)
        try:
            numbers = [one.number async for one in didflow.inventory.numbers()]
            totals, file = await didflow.inventory.totals(), await didflow.inventory.show(owned[0])
            return numbers, totals.numbers, file.number.number if file.number else None
        finally:
            await didflow.aclose()

    assert asyncio.run(shown()) == (owned, 3, owned[0])


def test_a_sweep_keeps_to_its_share_and_waits_for_an_emergency(inline: InlineWorker) -> None:
    inline.own(130)
    ledger, keeper = inline.ledger, keeper_of(inline)
    make_sweep_due(ledger)
    seconds, microseconds = ledger.client.time()
    ledger.client.hset(ledger.keys.rate("default"), "emergency_us", seconds * 1_000_000 + microseconds)
    thread = threading.Thread(target=keeper.look)
    thread.start()
    until(lambda: inventory_of(inline).state().sweeping, what="the sweep")
    assert mirrored(inline) == {}, "it has begun, and asks nothing"
    ledger.client.hdel(ledger.keys.rate("default"), "emergency_us")
    thread.join(20)
    assert len(mirrored(inline)) == 130
    slow = InventoryKeeper(ledger, "default", lambda: inline.client, every_s=900.0, requests_per_s=10.0, settle_s=0.0, renewal_due_s=0.0)
    make_sweep_due(ledger)
    began_s = time.monotonic()
    slow.look()
    assert time.monotonic() - began_s >= 0.2, "two pages, and the first one again: a tenth of a second apart"
