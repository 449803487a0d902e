"""A number is missing only when two different reads miss it: the search of the owned list may be silent or ignored."""

from collections.abc import Callable, Collection

import pytest

from didflow.contract.provider import OwnedNumber
from tests.support.inline_worker import InlineWorker
from tests.support.watched_list import Watched
from worker.jobs.owned_numbers import find_each, find_owned, find_records, find_surely
from worker.jobs.ports.provider import Provider

Find = Callable[[Provider, Collection[str]], dict[str, OwnedNumber]]
NOT_OURS = "+12135550100"


def calls(inline: InlineWorker) -> int:
    return int(inline.sandbox.state()["calls"].get("owned", 0))


@pytest.mark.parametrize("search", ["works", "ignored", "silent"])
def test_ours_are_found_whatever_the_search_does(inline: InlineWorker, search: str) -> None:
    ours = inline.own(150)
    inline.sandbox.order("reconfigure", search=search)
    wanted = [ours[0], ours[149], NOT_OURS]
    assert find_surely(inline.client, wanted).keys() == {ours[0], ours[149]}


@pytest.mark.parametrize("find", [find_owned, find_each])
@pytest.mark.parametrize("place", [0, 120])
def test_a_search_that_is_ignored_shows_the_number_on_whichever_page_it_is(inline: InlineWorker, find: Find, place: int) -> None:
    ours = inline.own(150)
    inline.sandbox.order("reconfigure", search="ignored")
    assert find(inline.client, [ours[place]]).keys() == {ours[place]}
    assert find(inline.client, [NOT_OURS]) == {}


def test_an_ignored_search_isnt_asked_for_each_number(inline: InlineWorker) -> None:
    ours = inline.own(250)
    inline.sandbox.order("reconfigure", search="ignored")
    before = calls(inline)
    assert find_each(inline.client, ours[:50]).keys() == set(ours[:50])
    assert calls(inline) - before == 1 + 3, "one question, then the list's three pages"


def test_the_whole_list_is_read_only_when_a_number_is_missing(inline: InlineWorker) -> None:
    ours = inline.own(250)
    before = calls(inline)
    find_surely(inline.client, [ours[7]])
    assert calls(inline) - before <= 2
    before = calls(inline)
    find_surely(inline.client, [ours[7], NOT_OURS])
    assert calls(inline) - before >= 3


def test_a_list_that_changes_all_the_time_is_read_until_it_shows_nothing_new(inline: InlineWorker) -> None:
    """On an account where someone always buys, no reading finds the list as the one before."""
    ours = inline.own(130)
    inline.sandbox.order("reconfigure", search="silent")

    def grow(_: int) -> None:
        inline.own(1)

    client = Watched(inline.sandbox, grow)
    assert find_surely(client, [ours[0], ours[-1], NOT_OURS]).keys() == {ours[0], ours[-1]}
    client.close()


@pytest.mark.parametrize("count", [2, 21])
@pytest.mark.parametrize("fault", ["the list is old", "records are hidden", "nothing"])
def test_records_are_read_by_id_and_where_they_are_many_by_the_list_too(inline: InlineWorker, count: int, fault: str) -> None:
    """Whichever of the two reads shows nothing, the other one is asked where it may help."""
    inline.own(count)
    ids = {int(record["record_id"]) for record in inline.sandbox.owned().values()}
    if fault == "the list is old":
        inline.sandbox.add_fault("owned", "lag", times=None, seconds=60.0)
    if fault == "records are hidden" and count > 20:
        inline.sandbox.add_fault("owned_one", "refuse", times=None, status=404, body={"success": False, "message": "Number not found"})
    found = list(find_records(inline.client, [*ids, 1]))
    assert {one.record_id for one in found} == ids
    assert len(found) == count
