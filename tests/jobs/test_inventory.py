"""The inventory shows what the account has: by sweeps, and at once what jobs confirm."""

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.inventory import InventoryFilter
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
    for number, fee in zip(owned, ("1.00", "2.50", "0.35"), strict=True):
        inline.sandbox.order("set_fees", number=number.removeprefix("+"), setup_usd="0", monthly_usd=fee)
    sweep(inline)
    totals = inventory_of(inline).totals()
    assert totals.numbers == 3


def test_what_jobs_do_is_no_event(inline: InlineWorker) -> None:
    owned = inline.own(3)
    sweep(inline)
    inline.run(SearchAndBuy(country="US", quantity=1))
    inline.run(Reroute(numbers=tuple(owned[:2]), destinations=(Destination.sip("new@example.net"),)))
    inline.run(Release(numbers=(owned[2],)))
    for _ in range(3):
        assert sweep(inline) == ""
    assert [kind for kind, _, _ in number_events(inline)] == ["didflow.inventory.first_sweep.v1"]
