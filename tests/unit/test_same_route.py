"""When two lists of destinations are the same route, however the provider shows them."""

from typing import Any

import pytest

from didflow.contract.destinations import Destination, SeenDestination, same_route
from didflow.contract.job_kinds import parse_request
from didflow.contract.requests import Reroute

TRUNK = {"transport": 5, "destination": "32882", "trunk_id": 144}


def seen(**fields: Any) -> SeenDestination:
    return SeenDestination.model_validate({"transport": 1, "destination": "pbx@example.net"} | fields)


@pytest.mark.parametrize(
    ("shown", "same"),
    [
        ({}, True),
        ({"destination": "144"}, True),
        ({"trunk_id": None}, True),
        ({"destination": "144", "trunk_id": None}, True),
        ({"trunk_id": 145}, False),
        ({"destination": "32883", "trunk_id": None}, False),
        ({"transport": 1}, False),
        ({"priority": 2}, False),
    ],
)
def test_a_trunk_is_its_id_or_its_login(shown: dict[str, Any], same: bool) -> None:
    asked, is_shown = (Destination.trunk(144, "32882"),), (seen(**(TRUNK | shown)),)
    assert same_route(asked, is_shown) is same
    assert same_route(is_shown, asked) is same


def test_a_login_that_looks_like_another_trunks_id_is_no_other_trunk() -> None:
    assert not same_route((Destination.trunk(144, "145"),), (seen(**TRUNK | {"destination": "32883", "trunk_id": 145}),))


@pytest.mark.parametrize(
    ("asked", "shown", "same"),
    [
        ({}, {}, True),
        ({}, {"callhunt": False, "active": True}, True),
        ({}, {"active": False}, False),
        ({}, {"callhunt": True}, False),
        ({"active": False}, {}, True),
        ({"active": False}, {"active": False}, True),
        ({"active": False}, {"active": True}, False),
        ({"callhunt": True}, {"callhunt": True, "active": True}, True),
    ],
)
def test_callhunt_and_active_count_where_the_server_shows_them(asked: dict[str, bool], shown: dict[str, bool], same: bool) -> None:
    route = (Destination(transport=1, destination="pbx@example.net", **asked),)
    assert same_route(route, (seen(**shown),)) is same


def test_each_destination_is_matched_once_and_in_any_order() -> None:
    one, two = seen(), seen(destination="other@example.net", priority=2)
    assert same_route((one, two), (two, one))
    assert not same_route((one, one), (one, two))
    assert not same_route((one,), (one, one))
    assert not same_route((one, one), (one,))


def test_the_overviews_own_example_is_a_destination() -> None:
    example = {"transport": 1, "destination": "sip@example.com", "priority": 1, "callhunt": False, "active": True}
    request = parse_request({"kind": "reroute", "record_ids": [1, 2], "destinations": [example]})
    assert isinstance(request, Reroute)
    assert request.destinations == (Destination.sip("sip@example.com"),)
