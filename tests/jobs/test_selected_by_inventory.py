"""Selectors of reroute and release with the filters of the inventory: the inventory names the numbers, the provider has the last word."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.errors import InvalidRequest
from didflow.contract.inventory import InventoryFilter
from didflow.contract.requests import Release, Reroute, SearchAndBuy, Selector
from didflow.contract.states import JobState
from didflow.ledger.inventory_rows import moment_ms
from tests.support.inline_worker import InlineWorker, outcomes, result_of
from tests.support.sweeping import inventory_of, keeper_of, make_sweep_due, mirrored, sweep

NEW = (Destination.sip("new@example.net"),)
#: Conditions that tell numbers of `varied` apart; `{record}` is a record id of its, `{digits}` the end of a number.
CONDITIONS: tuple[Mapping[str, Any], ...] = (
    {"search": "{digits}"},
    {"record_id": "{record}"},
    {"status": "inactive"},
    {"document": "passport"},
    {"country": "US", "city": "LOS ANGELES, CA", "sms": True},
    {"label": "gold", "renewal_within": "10d"},
    {"trunk_id": 144, "seconds_min": 1},
    {"destination": "sip:old@example.net", "seconds_max": 0},
    {"without": ("label",)},
    {"without": "reference, label"},
    {"without": ("city",)},
    {"without": ("country",)},
    {"without": ("destination",)},
    {"without": ("trunk_id",), "country": "US"},
    {"without": ("sms_relay_url",)},
    {"without": ("document",)},
    {"sms_relay_url": "https://example.net/sms"},
    {"setup_usd_min": "0.01", "setup_usd_max": "5000"},
    {"monthly_usd_min": "0.01", "monthly_usd_max": "5000"},
    {"channels_min": 1, "channels_max": 1000},
    {"added_after": "2020-01-01T00:00Z", "added_before": "2100-01-01T00:00Z"},
    {"paid_until_after": "2090-01-01T00:00Z", "paid_until_before": "2100-01-01T00:00Z"},
    {"unused_for": "1h"},
    {"reference": "acme"},
    {"parked": True},
    {"lent": False, "country": "US"},
    {"lent": True},
    {"reserved": True},
    {"quarantined": True},
    {"missing": False},
)
#: No number of the sandbox lacks these.
IN_EVERY_RECORD = ({"without": ("city",)}, {"without": ("country",)})


def varied(inline: InlineWorker) -> list[str]:
    """Numbers that differ in what can be filtered by."""
    trunked = inline.sandbox.order(
        "seed_owned", count=2, destinations=[{"transport": 5, "destination": "144", "trunk_id": 144, "priority": 1}]
    )
    owned = [*inline.own(3, label="gold"), *inline.own(2), *(f"+{number}" for number in trunked)]
    inline.sandbox.order("seed_owned", count=1, approved=False)
    inline.sandbox.order("seed_owned", count=1, destinations=[])
    changes = (
        (owned[0], {"paid_until": "2026-12-02", "sms_relay_url": "https://example.net/sms", "sms_enabled": True}),
        (owned[1], {"paid_until": "2099-01-15", "seconds": 50}),
        (owned[5], {"seconds": 9}),
    )
    for number, fields in changes:
        inline.sandbox.order("set_number", number=number.removeprefix("+"), **fields)
    inline.finish(inline.submit(SearchAndBuy(country="US", quantity=1), reference="acme"))
    return owned


def selected(inline: InlineWorker, wanted: Mapping[str, Any]) -> set[str]:
    """What a dry run of a reroute and one of a release select."""
    found = []
    for request in (Reroute(selector=Selector(**wanted), destinations=NEW, dry_run=True), Release(selector=Selector(**wanted))):
        result = result_of(inline.run(request))
        found.append({number.number for number in result.quote.numbers} if result.quote else set())
    assert found[0] == found[1]
    return found[0]


def test_every_filter_of_the_inventory_selects_what_the_inventory_shows(inline: InlineWorker) -> None:
    owned = varied(inline)
    assert sweep(inline) == ""
    records = {"{record}": mirrored(inline)[owned[0]].record_id, "{digits}": owned[0][-6:]}
    assert {name for wanted in CONDITIONS for name in wanted} == set(InventoryFilter.model_fields)
    nothing = set()
    for wanted in CONDITIONS:
        given = {name: records.get(value, value) if isinstance(value, str) else value for name, value in wanted.items()}
        shown = {one.number for one in inventory_of(inline).numbers(matching=InventoryFilter(**given))}
        assert selected(inline, given) == shown, given
        nothing |= set() if shown or given in IN_EVERY_RECORD else set(given)
    assert nothing <= {"document", "unused_for", "parked", "lent", "reserved", "quarantined"}, "the others select some"


def test_a_release_by_reference_releases_those_and_no_other(inline: InlineWorker) -> None:
    owned = inline.own(2)
    theirs = set()
    for reference in ("acme", "other"):
        view = inline.finish(inline.submit(SearchAndBuy(country="US", quantity=2), reference=reference))
        theirs |= set(outcomes(view)) if reference == "acme" else set()
    sweep(inline)
    refused = inline.run(Release(selector=Selector(reference="acme"), expected_count=3))
    assert (refused.state, result_of(refused).error.code) == (JobState.FAILED, "unexpected_count")  # type: ignore[union-attr]
    view = inline.run(Release(selector=Selector(reference="acme"), expected_count=2))
    assert outcomes(view) == dict.fromkeys(theirs, "released")
    assert set(owned) < inline.owned()
    assert not theirs & inline.owned()


def test_a_number_that_got_calls_since_the_sweep_is_not_unused(inline: InlineWorker) -> None:
    owned = inline.own(3)
    sweep(inline)
    inline.sandbox.order("set_number", number=owned[0].removeprefix("+"), seconds=60)
    assert {one.number for one in inventory_of(inline).numbers(matching=InventoryFilter(unused_for="1s"))} == set(owned)
    assert selected(inline, {"unused_for": "1s"}) == set(owned[1:])
    view = inline.run(Release(selector=Selector(unused_for="1s"), expected_count=3))
    assert result_of(view).error.code == "unexpected_count"  # type: ignore[union-attr]
    assert inline.owned() == set(owned)


@pytest.mark.parametrize("why", ["never swept", "too old", "last sweep incomplete", "asked for"])
def test_the_list_is_read_where_the_inventory_does_not_do(inline: InlineWorker, why: str) -> None:
    """Then also a number that the inventory lacks is selected."""
    worker, asked = inline, {}
    owned = inline.own(2)
    if why != "never swept":
        sweep(inline)
    late = inline.own(1)
    if why == "too old":
        worker = InlineWorker(inline.ledger, inline.sandbox, failover_inventory_seconds=0)
    elif why == "last sweep incomplete":
        inline.ledger.client.hset(inline.ledger.keys.inventory_state("default"), "trouble", "the list changed all the time")
    elif why == "asked for":
        asked = {"read_routes": True}
    view = worker.run(Reroute(selector=Selector(without=("sms_relay_url",), trunk_id=None), destinations=NEW, **asked))
    assert outcomes(view) == dict.fromkeys(owned + late, "confirmed")


def test_a_young_inventory_saves_the_list(inline: InlineWorker) -> None:
    owned = inline.own(230, label="acme")
    inline.own(1, label="gold")
    inline.sandbox.order("set_number", number=owned[7].removeprefix("+"), seconds=5)
    sweep(inline)
    before = inline.sandbox.state()["calls"].get("owned", 0)
    view = inline.run(Reroute(selector=Selector(seconds_min=5), destinations=NEW))
    assert outcomes(view) == {owned[7]: "confirmed"}
    assert inline.sandbox.state()["calls"]["owned"] - before < 3, "the account has three pages"


def test_an_emergency_with_a_condition_moves_no_number_without_it(inline: InlineWorker) -> None:
    """The snapshot from the inventory knows nothing of conditions, so such a failover reads its numbers first."""
    worker = InlineWorker(inline.ledger, inline.sandbox, batch_size=10)
    owned = inline.own(34)
    inline.sandbox.order("set_number", number=owned[3].removeprefix("+"), seconds=5)
    sweep(inline)
    view = worker.run(Reroute(selector=Selector(destination="sip:old@example.net", seconds_min=1), destinations=NEW))
    assert outcomes(view) == {owned[3]: "confirmed"}
    assert {key for key, route in inline.routes().items() if route == ["new@example.net"]} == {owned[3]}


def test_a_release_by_reference_leaves_one_that_belongs_to_another_by_then(inline: InlineWorker) -> None:
    """The reference counts again at the moment when the number goes, after its grace period."""
    view = inline.finish(inline.submit(SearchAndBuy(country="US", quantity=1), reference="acme"))
    (number,) = outcomes(view)
    sweep(inline)
    soon = moment_ms(inline.ledger.now_ms()) + timedelta(seconds=0.5)
    job = inline.submit(Release(selector=Selector(reference="acme"), expected_count=1, at=soon))
    inline.attempt(job)
    holders, redis = inline.ledger.keys.holders, inline.ledger.client
    redis.hset(holders, number, cast("str", redis.hget(holders, number)).replace('"acme"', '"other"'))
    assert outcomes(inline.finish(job)) == {number: "protected"}
    assert number in inline.owned()


def test_numbers_without_a_label_are_selected_and_no_other(inline: InlineWorker) -> None:
    labelled, ours = set(inline.own(2, label="customer-9")), set(inline.own(3))
    sweep(inline)
    assert selected(inline, {"without": ("label",)}) == ours
    view = inline.run(Reroute(selector=Selector(without=("label",)), destinations=NEW, expected_count=3))
    assert outcomes(view) == dict.fromkeys(ours, "confirmed")
    view = inline.run(Release(selector=Selector(without=("label",)), expected_count=3))
    assert outcomes(view) == dict.fromkeys(ours, "released")
    assert inline.owned() == labelled


@pytest.mark.parametrize("by", ["selector", "record ids"])
def test_a_release_of_numbers_without_a_label_leaves_one_that_got_one_since(inline: InlineWorker, by: str) -> None:
    one, two = inline.own(2)
    sweep(inline)
    soon = moment_ms(inline.ledger.now_ms()) + timedelta(seconds=0.5)
    ids = tuple(record.record_id for record in mirrored(inline).values())
    chosen = {"selector": Selector(without=("label",))} if by == "selector" else {"record_ids": ids, "expected_without": ("label",)}
    job = inline.submit(Release(**chosen, expected_count=2, at=soon))
    inline.attempt(job)
    inline.sandbox.order("set_number", number=one.removeprefix("+"), label="customer-9")
    assert outcomes(inline.finish(job)) == {one: "protected", two: "released"}


def test_a_release_of_numbers_without_a_reference_leaves_one_that_was_bought_for_somebody(inline: InlineWorker) -> None:
    (ours,) = inline.own(1)
    (bought,) = outcomes(inline.finish(inline.submit(SearchAndBuy(country="US", quantity=1), reference="acme")))
    view = inline.run(Release(numbers=(ours, bought), expected_without=("reference",)))
    assert outcomes(view) == {ours: "released", bought: "protected"}


@pytest.mark.parametrize("parts", [("destination",), ("trunk_id",)], ids=str)
def test_numbers_that_a_release_has_parked_itself_still_lack_a_route(inline: InlineWorker, parts: tuple[str, ...]) -> None:
    bare = [f"+{number}" for number in inline.sandbox.order("seed_owned", count=1, destinations=[])]
    inline.own(0 if parts == ("trunk_id",) else 2)
    sweep(inline)
    chosen = Selector.model_validate({"without": parts})
    parking = (Destination.trunk(144),)
    view = inline.run(Release(selector=chosen, expected_count=1, grace=timedelta(seconds=1), parking=parking))
    assert outcomes(view) == dict.fromkeys(bare, "released")


def record_of(inline: InlineWorker, number: str) -> int:
    """The sandbox's record of it."""
    return int(inline.sandbox.owned()[number.removeprefix("+")]["record_id"])


def test_a_release_by_destination_leaves_one_that_goes_elsewhere_by_then(inline: InlineWorker) -> None:
    one, two = inline.own(2)
    soon = moment_ms(inline.ledger.now_ms()) + timedelta(seconds=0.5)
    job = inline.submit(Release(selector=Selector(destination="sip:old@example.net"), expected_count=2, at=soon))
    inline.attempt(job)
    inline.client.set_route([record_of(inline, one)], NEW, None)
    assert outcomes(inline.finish(job)) == {one: "changed_elsewhere", two: "released"}


def test_what_contradicts_itself_or_means_nothing_is_refused() -> None:
    for given in ({"without": ()}, {"without": ""}, {"without": ("price",)}, {"without": ("label",), "label": "x"}, {"label": ""}):
        for model in (Selector, InventoryFilter):
            with pytest.raises(InvalidRequest):
                model.model_validate(given)
    assert Selector.model_validate({"without": "reference,label"}) == Selector(without=("label", "reference"))


def test_two_dry_runs_and_the_job_agree_while_the_mirror_is_kept(inline: InlineWorker) -> None:
    owned = inline.own(4)
    for number in owned[:2]:
        inline.sandbox.order("set_number", number=number.removeprefix("+"), seconds=30)
    sweep(inline)
    first = selected(inline, {"seconds_min": 30})
    make_sweep_due(inline.ledger)
    keeper_of(inline).look()
    assert selected(inline, {"seconds_min": 30}) == first == set(owned[:2])
    view = inline.run(Release(selector=Selector(seconds_min=30), expected_count=2))
    assert set(outcomes(view).values()) == {"released"}
    assert inline.owned() == set(owned[2:])
