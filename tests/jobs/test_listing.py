"""Reading the owned list while it changes: nothing is missed, nothing is taken twice."""

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.requests import Reroute, Selector
from tests.support.fan_out import fanning, play
from tests.support.inline_worker import InlineWorker, outcomes
from tests.support.watched_list import Watched
from worker.jobs.owned_numbers import LIST_TRIES, listed, pages_of
from worker.wavix.client import WavixClient

__all__ = ["fanning"]


def taken(client: WavixClient) -> list[str]:
    return [item.number for items in listed(client) for item in items]


def test_a_list_that_stays_is_read_once(inline: InlineWorker) -> None:
    ours = inline.own(35)
    client = Watched(inline.sandbox, lambda _: None)
    assert sorted(taken(client)) == sorted(ours)
    assert client.reads == 4 + 1, "and its beginning once more"
    client.close()


@pytest.mark.parametrize("probable", [2, 4, 7])
def test_pages_that_are_asked_for_ahead_lose_and_repeat_no_number(inline: InlineWorker, probable: int) -> None:
    """Too few, as many as there are, and too many: this server shows the last page again then."""
    inline.sandbox.order("reconfigure", owned_pages="last_again")
    ours = inline.own(35)
    client = Watched(inline.sandbox, lambda _: None)
    found = [item.number for items in listed(client, pages=probable) for item in items]
    assert sorted(found) == sorted(ours)
    assert client.reads == 4 + 1
    client.close()


def test_a_number_that_leaves_in_the_middle_hides_no_other_one(inline: InlineWorker) -> None:
    """All behind it move up by one: the first of the next page is on a page that was read already."""
    ours = inline.own(35)

    def leaves(reads: int) -> None:
        if reads == 1:
            inline.client.release([int(inline.sandbox.owned()[ours[3][1:]]["record_id"])])

    client = Watched(inline.sandbox, leaves)
    assert len({item.number for shown in pages_of(client) for item in shown.items}) == 34, "read once, one is missed"
    client.close()
    ours += inline.own(1)
    leaves_again = Watched(inline.sandbox, leaves)
    found = taken(leaves_again)
    assert len(found) == len(set(found))
    assert set(ours) - {ours[3]} <= set(found)
    assert leaves_again.reads == 2 * (4 + 1)
    leaves_again.close()


def test_one_that_comes_while_another_leaves_is_noticed_though_the_length_stays(inline: InlineWorker) -> None:
    ours = inline.own(35)

    def change(reads: int) -> None:
        if reads == 2:
            ours.extend(inline.own(1))
            inline.client.release([int(inline.sandbox.owned()[ours[3][1:]]["record_id"])])

    client = Watched(inline.sandbox, change)
    found = taken(client)
    assert len(found) == len(set(found))
    assert set(ours) - {ours[3]} <= set(found)
    client.close()


def test_a_list_that_never_stays_is_read_a_few_times_and_then_taken(inline: InlineWorker) -> None:
    ours = inline.own(25)

    def grow(_: int) -> None:
        inline.own(1)

    client = Watched(inline.sandbox, grow)
    found = taken(client)
    assert len(found) == len(set(found))
    assert set(ours) <= set(found)
    assert client.reads <= LIST_TRIES * 10
    client.close()


@pytest.mark.parametrize("when", [1, 3, 5, 9])
def test_a_reroute_of_all_numbers_reroutes_all_though_the_account_changes_meanwhile(fanning: InlineWorker, when: int) -> None:
    ours = fanning.own(60)
    backup = Destination.sip("backup@example.net")

    def leaves(reads: int) -> None:
        if reads == when:
            plain.release([int(fanning.sandbox.owned()[ours[4][1:]]["record_id"])])

    fanning.client, plain = Watched(fanning.sandbox, leaves), fanning.client
    view = play(fanning, fanning.submit(Reroute(selector=Selector(all=True), destinations=(backup,))))
    reported = outcomes(view)
    assert set(ours) - {ours[4]} <= set(reported)
    assert {reported[number] for number in ours if number != ours[4]} == {"confirmed"}
    assert reported.get(ours[4]) in (None, "not_found", "confirmed")
    plain.close()
