"""A SIP trunk as destination is sent by its login, and known again however the provider shows it; `callhunt` and `active` are kept."""

from datetime import timedelta
from typing import Any

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.requests import Failback, Release, Reroute, SearchAndBuy, Selector
from tests.support.inline_worker import InlineWorker, outcomes
from worker.wavix.sandbox import Sandbox, SandboxOptions

TO_TRUNK = (Destination.trunk(144),)
ON_TRUNK = [{"transport": 5, "destination": "32883", "priority": 1, "trunk_id": 145}]
BACKUP = (Destination.sip("backup@example.net"),)


def raw_routes(inline: InlineWorker) -> list[list[dict[str, Any]]]:
    return [record["destinations"] for record in inline.sandbox.owned().values()]


@pytest.fixture
def strict(inline: InlineWorker) -> InlineWorker:
    inline.sandbox.order("reconfigure", trunk_needs_login=True)
    return inline


@pytest.mark.parametrize("shown", ["given", "login", "id", "login_alone", "id_alone"])
def test_a_reroute_to_a_trunk_is_confirmed_and_brought_back(strict: InlineWorker, shown: str) -> None:
    strict.sandbox.order("reconfigure", trunk_shown=shown)
    ours = [f"+{number}" for number in strict.sandbox.order("seed_owned", count=2, destinations=ON_TRUNK)]
    view = strict.run(Reroute(numbers=tuple(ours), destinations=TO_TRUNK))
    assert outcomes(view) == dict.fromkeys(ours, "confirmed")
    assert raw_routes(strict) == [[{"transport": 5, "destination": "32882", "priority": 1, "trunk_id": 144}]] * 2
    again = strict.run(Reroute(numbers=tuple(ours), destinations=TO_TRUNK))
    assert outcomes(again) == dict.fromkeys(ours, "unchanged")
    back = strict.run(Failback(job_id=view.id))
    assert outcomes(back) == dict.fromkeys(ours, "confirmed")
    assert raw_routes(strict) == [ON_TRUNK] * 2


@pytest.mark.parametrize("shown", ["login", "id", "login_alone", "id_alone"])
def test_numbers_are_selected_by_their_trunk(strict: InlineWorker, shown: str) -> None:
    strict.sandbox.order("reconfigure", trunk_shown=shown)
    ours = [f"+{number}" for number in strict.sandbox.order("seed_owned", count=2, destinations=ON_TRUNK)]
    strict.own(2)
    view = strict.run(Reroute(selector=Selector(trunk_id=145), destinations=BACKUP))
    assert outcomes(view) == dict.fromkeys(ours, "confirmed")


def test_bought_numbers_go_to_the_trunk(strict: InlineWorker) -> None:
    view = strict.run(SearchAndBuy(country="US", destinations=TO_TRUNK))
    assert view.state == "succeeded"
    assert raw_routes(strict) == [[{"transport": 5, "destination": "32882", "priority": 1, "trunk_id": 144}]]


def test_numbers_are_parked_on_a_trunk_in_their_grace_period(strict: InlineWorker) -> None:
    ours = strict.own(1)
    job = strict.submit(Release(numbers=tuple(ours), grace=timedelta(days=1), parking=TO_TRUNK))
    strict.attempt(job)
    assert raw_routes(strict) == [[{"transport": 5, "destination": "32882", "priority": 1, "trunk_id": 144}]]


@pytest.mark.parametrize("shown", ["given", "id", "id_alone"])
def test_a_key_that_may_not_read_trunks_sends_the_id(strict: InlineWorker, shown: str) -> None:
    """As far as the server takes it; nothing of it stops the account."""
    options = SandboxOptions(numbers_per_city=5, scopes={"default": ("buy", "numbers", "account")})
    with Sandbox(options) as sandbox:
        sandbox.order("reconfigure", trunk_shown=shown)
        inline = InlineWorker(strict.ledger, sandbox)
        (number,) = inline.own(1)
        record_id = int(sandbox.owned()[number[1:]]["record_id"])
        inline.client.set_route([record_id], TO_TRUNK, None)
        assert [one["destination"] for one in sandbox.owned()[number[1:]]["destinations"]] == ["144"]
        assert inline.client.owned_one(record_id).route[0].goes_to_trunk(144)
        inline.close()


def test_a_server_that_cant_show_trunks_now_is_sent_nothing(strict: InlineWorker) -> None:
    (number,) = strict.own(1)
    strict.sandbox.add_fault("trunks", "status_500_before", times=20)
    record_id = int(strict.sandbox.owned()[number[1:]]["record_id"])
    answer = strict.client.set_route([record_id], TO_TRUNK, None)
    assert type(answer).__name__ == "NotNow"
    assert "destinations" not in strict.sandbox.state()["calls"]


@pytest.mark.parametrize("flags", ["shown", "hidden"])
def test_callhunt_and_active_are_sent_and_come_back_on_failback(inline: InlineWorker, flags: str) -> None:
    inline.sandbox.order("reconfigure", destination_flags=flags)
    before = [
        {"transport": 1, "destination": "one@example.net", "priority": 1, "callhunt": True, "active": True},
        {"transport": 1, "destination": "two@example.net", "priority": 2, "callhunt": False, "active": False},
    ]
    (number,) = (f"+{one}" for one in inline.sandbox.order("seed_owned", count=1, destinations=before))
    asleep = Destination(transport=1, destination="night@example.net", active=False)
    view = inline.run(Reroute(numbers=(number,), destinations=(*BACKUP, asleep)))
    assert outcomes(view) == {number: "confirmed"}
    assert [one.get("active", True) for one in raw_routes(inline)[0]] == [True, False]
    back = inline.run(Failback(job_id=view.id))
    assert outcomes(back) == {number: "confirmed"}
    if flags == "shown":
        shown = [(one.get("callhunt", False), one.get("active", True)) for one in raw_routes(inline)[0]]
        assert shown == [(True, True), (False, False)]


def test_an_inactive_destination_isnt_taken_for_an_active_one(inline: InlineWorker) -> None:
    inline.sandbox.order("reconfigure", destination_flags="shown")
    asleep = [{"transport": 1, "destination": "backup@example.net", "priority": 1, "active": False}]
    (number,) = (f"+{one}" for one in inline.sandbox.order("seed_owned", count=1, destinations=asleep))
    view = inline.run(Reroute(numbers=(number,), destinations=BACKUP))
    assert outcomes(view) == {number: "confirmed"}
    assert "active" not in raw_routes(inline)[0][0], "only what isn't the default is sent"


def test_a_server_that_doesnt_know_the_flags_takes_routes_without_them(inline: InlineWorker) -> None:
    inline.sandbox.order("reconfigure", destination_flags="refused")
    (number,) = inline.own(1)
    assert outcomes(inline.run(Reroute(numbers=(number,), destinations=BACKUP))) == {number: "confirmed"}
    asleep = Destination(transport=1, destination="night@example.net", active=False)
    assert outcomes(inline.run(Reroute(numbers=(number,), destinations=(asleep,)))) == {number: "refused"}
