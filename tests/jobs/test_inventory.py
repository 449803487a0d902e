"""The inventory shows what the account has: by sweeps, and at once what jobs confirm."""

from typing import Any

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.errors import InvalidRequest
from didflow.contract.inventory import SORTS, InventoryFilter
from didflow.contract.requests import Release, Reroute, SearchAndBuy
from didflow.contract.states import JobState
from tests.support.inline_worker import InlineWorker
from tests.support.sweeping import inventory_of, mirrored, number_events, sweep

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
