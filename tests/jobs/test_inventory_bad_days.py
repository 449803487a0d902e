"""What a sweep sees on a bad day shows nothing wrong: half a list, an old one, one that lies; and what jobs confirmed later wins."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

import pytest

from didflow.checks.inventory import check_inventory
from didflow.contract.destinations import Destination
from didflow.contract.provider import NotNow, NotNowReason, OwnedNumber, Page, ReadFailed
from didflow.contract.requests import Release, Reroute
from tests.support.inline_worker import InlineWorker
from tests.support.sweeping import inventory_of, keeper_of, make_sweep_due, mirrored, number_events, sweep
from worker.jobs.ports.provider import OwnedPort
from worker.wavix.client import WavixClient

pytestmark = pytest.mark.provider()
FIRST = "didflow.inventory.first_sweep.v1"


class Meanwhile:
    """The provider, and what happens once the page with that place was read: 1 is the first one."""

    def __init__(self, client: WavixClient, happens: Callable[[], object], after_page: int = 1) -> None:
        self._client, self._happens, self._left = client, happens, after_page

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    def owned(self, **asked: object) -> Page[OwnedNumber]:
        page = self._client.owned(**asked)  # type: ignore[arg-type]
        self._left -= 1
        if self._left == 0:
            self._happens()
        return page


def digits(number: str) -> str:
    return number.removeprefix("+")


def kinds(inline: InlineWorker) -> list[str]:
    return [kind for kind, _, _ in number_events(inline)]


def test_a_route_confirmed_while_a_sweep_runs_stays(inline: InlineWorker) -> None:
    owned = inline.own(3)
    sweep(inline)

    def rerouted() -> None:
        inline.run(Reroute(numbers=(owned[0],), destinations=(Destination.sip("new@example.net"),)))

    sweep(inline, provider=Meanwhile(inline.client, rerouted))
    assert str(mirrored(inline)[owned[0]].route[0]) == "sip:new@example.net"
    assert kinds(inline) == [FIRST]
    assert sweep(inline) == ""
    assert kinds(inline) == [FIRST]


def test_a_release_while_a_sweep_runs_stays(inline: InlineWorker) -> None:
    owned = inline.own(3)
    sweep(inline)
    sweep(inline, provider=Meanwhile(inline.client, lambda: inline.run(Release(numbers=(owned[0],)))))
    assert sorted(mirrored(inline)) == sorted(owned[1:])
    assert sweep(inline) == ""
    assert sorted(mirrored(inline)) == sorted(owned[1:])
    assert kinds(inline) == [FIRST]


def test_a_route_confirmed_in_the_first_sweep_is_never_shown_as_it_was(inline: InlineWorker) -> None:
    owned = inline.own(3)

    def rerouted() -> None:
        inline.run(Reroute(numbers=(owned[0],), destinations=(Destination.sip("new@example.net"),)))

    assert sweep(inline, provider=Meanwhile(inline.client, rerouted)) == "1 numbers changed while they were read"
    shown = mirrored(inline)
    assert owned[0] not in shown
    assert not inventory_of(inline).state().complete
    assert sweep(inline) == ""
    assert str(mirrored(inline)[owned[0]].route[0]) == "sip:new@example.net"


def test_a_list_that_lags_shows_no_old_route(inline: InlineWorker) -> None:
    """A sweep that began within the settle time after the confirmation may read an old list."""
    owned = inline.own(2)
    sweep(inline)
    inline.run(Reroute(numbers=(owned[0],), destinations=(Destination.sip("new@example.net"),)))
    inline.run(Release(numbers=(owned[1],)))
    inline.sandbox.order("reconfigure", read_lag_s=30.0)
    sweep(inline, settle_s=60.0)
    shown = mirrored(inline)
    assert list(shown) == [owned[0]]
    assert str(shown[owned[0]].route[0]) == "sip:new@example.net"
    assert kinds(inline) == [FIRST]


def test_a_number_is_gone_after_two_complete_sweeps(inline: InlineWorker) -> None:
    owned = inline.own(3)
    sweep(inline)
    inline.sandbox.order("lose_number", number=digits(owned[0]))
    assert sweep(inline) == ""
    missing = mirrored(inline)[owned[0]]
    assert missing.missing_since is not None
    assert kinds(inline) == [FIRST]
    assert sweep(inline) == ""
    assert sorted(mirrored(inline)) == sorted(owned[1:])
    assert sweep(inline) == ""
    assert [(kind, number) for kind, number, _ in number_events(inline)][1:] == [("didflow.number.disappeared.v1", owned[0])]
    history = inventory_of(inline).show(owned[0]).history
    assert [entry.happened.what for entry in history.entries] == ["disappeared"]
    assert not history.faults


def test_a_number_that_comes_back_between_two_sweeps_is_not_missing(inline: InlineWorker) -> None:
    owned = inline.own(2)
    sweep(inline)
    inline.sandbox.order("reconfigure", owned_pages="too_few")
    assert sweep(inline) == ""  # One page is all there is.
    assert mirrored(inline)[owned[0]].missing_since is None


def test_a_list_that_says_it_has_too_few_pages_is_read_on_and_the_sweep_is_complete(inline: InlineWorker) -> None:
    owned = inline.own(130)
    inline.sandbox.order("reconfigure", owned_pages="too_few")
    assert sweep(inline) == ""
    assert sorted(mirrored(inline)) == sorted(owned)
    inline.sandbox.order("lose_number", number=digits(owned[120]))
    assert [sweep(inline), sweep(inline)] == ["", ""], "what is gone from its second page is seen to be gone"
    assert sorted(mirrored(inline)) == sorted({*owned} - {owned[120]})


def test_a_list_that_shows_its_first_page_alone_hides_no_number(inline: InlineWorker) -> None:
    """No sweep is complete. What the list hides is read by its record, so none counts as gone, and the doctor says why."""
    owned = inline.own(130)
    sweep(inline)
    inline.sandbox.order("reconfigure", owned_pages="first_only")
    for _ in range(3):
        assert sweep(inline) == "the list doesn't show 30 numbers whose records are there"
    assert sorted(mirrored(inline)) == sorted(owned)
    assert kinds(inline) == [FIRST]
    (check,) = check_inventory(inline.ledger, "default", every_s=900.0)
    assert (check.verdict, check.name) == ("warn", "inventory default")
    assert "the last sweep wasn't complete: the list doesn't show 30 numbers whose records are there" in check.message
    inline.sandbox.order("reconfigure", owned_pages="right")
    assert sweep(inline) == ""
    assert all(one.missing_since is None for one in mirrored(inline).values())


def test_a_page_that_repeats_leaves_the_mirror_as_it_was(inline: InlineWorker) -> None:
    owned = inline.own(130)
    sweep(inline)
    inline.sandbox.order("reconfigure", owned_pages="repeated")
    assert sweep(inline).startswith("the list can't be read")
    state = inventory_of(inline).state()
    assert (state.complete, state.numbers) == (False, 130)
    assert all(one.missing_since is None for one in mirrored(inline).values())
    assert sorted(mirrored(inline)) == sorted(owned)


def test_half_a_sweep_shows_nothing_as_gone(inline: InlineWorker) -> None:
    inline.own(130)
    sweep(inline)

    def dies() -> None:
        raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE))

    for _ in range(3):
        assert sweep(inline, provider=Meanwhile(inline.client, dies)) != ""
    assert len(mirrored(inline)) == 130
    assert all(one.missing_since is None for one in mirrored(inline).values())


def test_a_worker_that_died_in_a_sweep_is_followed_by_another(inline: InlineWorker) -> None:
    inline.own(3)
    ledger = inline.ledger
    make_sweep_due(ledger)
    assert ledger._script("inventory_begin", "default", "the dead", 60_000, "", 15_000)[0] == "go"
    keeper = keeper_of(inline)
    assert keeper.look() > 0
    assert inventory_of(inline).state().sweeping
    assert mirrored(inline) == {}
    ledger.client.hset(ledger.keys.inventory_state("default"), "lease_ms", "1")
    keeper.look()
    assert len(mirrored(inline)) == 3
    assert inventory_of(inline).state().complete


def test_a_clock_that_was_set_back_an_hour_does_not_keep_the_next_sweep_from_beginning(inline: InlineWorker) -> None:
    inline.own(1)
    sweep(inline)
    ledger, state = inline.ledger, inline.ledger.keys.inventory_state("default")
    assert ledger._script("inventory_begin", "default", "too early", 60_000, "", 15_000)[0] == "no"
    for field in ("ended_ms", "next_ms"):
        ledger.client.hincrby(state, field, 3_600_000)
    assert ledger._script("inventory_begin", "default", "in time", 60_000, "", 15_000)[0] == "go"


@pytest.mark.parametrize("how", ["signed off", "silent"])
def test_the_sweep_of_a_worker_that_is_gone_is_over_at_once(inline: InlineWorker, how: str) -> None:
    """A killed worker is signed off by the one that replaces it; else it is gone when it has been silent."""
    inline.own(3)
    ledger, workers = inline.ledger, inline.ledger.keys.workers
    for worker in ("worker-1", "worker-2"):
        ledger.worker_alive(worker)

    def dies() -> None:
        raise SystemExit

    dying = cast("OwnedPort", Meanwhile(inline.client, dies))
    killed = keeper_of(inline, worker="worker-1", provider=dying)
    make_sweep_due(ledger)
    with pytest.raises(SystemExit):
        killed.look()
    another = keeper_of(inline, worker="worker-2")
    another.look()
    assert inventory_of(inline).state().sweeping
    assert inventory_of(inline).state().swept_at is None
    if how == "signed off":
        ledger.worker_gone("worker-1")
    else:
        ledger.client.zadd(workers, {"worker-1": ledger.now_ms() - 16_000})
    another.look()
    state = inventory_of(inline).state()
    assert (state.complete, state.sweeping, state.numbers) == (True, False, 3)


def test_what_changes_elsewhere_is_one_event_and_in_the_history(inline: InlineWorker) -> None:
    owned = inline.own(2)
    sweep(inline)
    route = [{"transport": 1, "destination": "theirs@example.net", "priority": 1}]
    inline.sandbox.order("set_destinations", number=digits(owned[0]), destinations=route)
    inline.sandbox.order("set_number", number=digits(owned[1]), label="vip", seconds=5)
    for _ in range(2):
        assert sweep(inline) == ""
    told = {number: (kind, body["field"], body["from"], body["to"]) for kind, number, body in number_events(inline)[1:]}
    kind = "didflow.number.changed_elsewhere.v1"
    assert told == {
        owned[0]: (kind, "route", ["sip:old@example.net"], ["sip:theirs@example.net"]),
        owned[1]: (kind, "label", None, "vip"),
    }
    assert len(number_events(inline)) == 3
    happened = inventory_of(inline).show(owned[1]).history.entries[0].happened
    assert (happened.what, happened.field, happened.was, happened.now) == ("changed_elsewhere", "label", None, "vip")


def test_a_number_that_appears_is_one_event(inline: InlineWorker) -> None:
    inline.own(2)
    sweep(inline)
    (new,) = inline.own(1)
    for _ in range(2):
        assert sweep(inline) == ""
    assert [(kind, number) for kind, number, _ in number_events(inline)][1:] == [("didflow.number.appeared.v1", new)]


def test_a_renewal_is_one_event_for_each_renewal(inline: InlineWorker) -> None:
    owned = inline.own(2)
    soon = inline.ledger.now_ms() / 1000 + 86_400
    inline.sandbox.order("set_number", number=digits(owned[0]), paid_until=f"{datetime.fromtimestamp(soon, UTC):%Y-%m-%d}")
    for _ in range(2):
        assert sweep(inline, renewal_due_days=3.0) == ""
    due = [(kind, number) for kind, number, _ in number_events(inline) if kind != FIRST]
    assert due == [("didflow.number.renewal_due.v1", owned[0])]


def test_reads_go_on_while_the_gate_is_closed_and_say_so(inline: InlineWorker) -> None:
    inline.own(2)
    sweep(inline)
    inline.ledger.client.hset(inline.ledger.keys.epoch, mapping={"number": "2"})
    state = inventory_of(inline).state()
    assert state.gate_closed
    assert state.numbers == 2
    assert len(mirrored(inline)) == 2


def test_two_accounts_do_not_mix(inline: InlineWorker) -> None:
    owned = inline.own(2)
    sweep(inline)
    other = inventory_of(inline, "second")
    assert other.state().numbers == 0
    assert other.state().swept_at is None
    assert other.show(owned[0]).number is None
    assert list(other.numbers()) == []
