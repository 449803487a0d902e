"""The owned list says that it ends before it does. Numbers on the other pages are ours, and are treated so.

`too_few`: the server says that there is one page, and shows the others if they are asked for. `first_only`: it shows no other page.
"""

from collections.abc import Iterator

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.provider import ReadFailed
from didflow.contract.requests import Failback, Reroute, SearchAndBuy, Selector
from tests.support.fan_out import fanning, play
from tests.support.inline_worker import InlineWorker, charged, outcomes
from worker.jobs.owned_numbers import find_owned, find_surely, listed, owned_whole, pages_of
from worker.wavix.reads import READ_ATTEMPTS
from worker.wavix.sandbox import Sandbox, SandboxOptions

__all__ = ["fanning"]

pytestmark = pytest.mark.provider()
BACKUP = Destination.sip("backup@example.net")
NOT_OURS = "+12135550100"
ENDS_EARLY = pytest.mark.parametrize("pages", ["too_few", "first_only"])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """All numbers of a test are of one city: a search for the digits that some of them share finds more than a page."""
    with Sandbox(SandboxOptions(numbers_per_city=240)) as sandbox:
        yield sandbox


def reads(inline: InlineWorker) -> int:
    return int(inline.sandbox.state()["calls"].get("owned", 0))


def all_listed(inline: InlineWorker, probable: int) -> list[str]:
    return [one.number for items in listed(inline.client, pages=probable) for one in items]


@pytest.mark.parametrize("probable", [1, 2, 3, 5])
def test_a_list_is_read_on_behind_a_full_page_that_is_said_to_be_the_last(inline: InlineWorker, probable: int) -> None:
    ours = inline.own(230)
    inline.sandbox.order("reconfigure", owned_pages="too_few")
    assert sorted(all_listed(inline, probable)) == sorted(ours)
    assert {one.number for page in pages_of(inline.client) for one in page.items} == set(ours)
    assert {one.number for one in owned_whole(inline.client)} == set(ours)
    assert find_owned(inline.client, [ours[0], ours[-1]]).keys() == {ours[0], ours[-1]}


@pytest.mark.parametrize("pages", ["right", "last_again", "end_refused"])
@pytest.mark.parametrize("probable", [1, 2])
def test_a_list_whose_last_page_is_full_ends_there_whatever_the_server_says_of_the_next_one(
    inline: InlineWorker, pages: str, probable: int
) -> None:
    ours = inline.own(200)
    inline.sandbox.order("reconfigure", owned_pages=pages)
    assert sorted(all_listed(inline, probable)) == sorted(ours)
    assert {one.number for one in owned_whole(inline.client)} == set(ours)


def test_a_list_whose_last_page_isnt_full_costs_no_further_read(inline: InlineWorker) -> None:
    inline.own(199)
    before = reads(inline)
    all_listed(inline, 1)
    assert reads(inline) - before == 2 + 1, "both pages, and the first once more"


def test_a_server_that_breaks_at_the_page_behind_the_last_one_ends_the_list(inline: InlineWorker) -> None:
    ours = inline.own(100)
    inline.sandbox.add_fault("owned", "status_500_before", skip=1, times=READ_ATTEMPTS)
    assert sorted(all_listed(inline, 1)) == sorted(ours)
    assert inline.sandbox.state()["faults"] == {"owned:status_500_before": READ_ATTEMPTS}


@pytest.mark.parametrize("fault", ["status_500_before", "refuse"])
def test_a_server_that_breaks_or_refuses_the_key_while_a_list_is_read_has_not_ended_it(inline: InlineWorker, fault: str) -> None:
    inline.own(130)
    inline.sandbox.order("reconfigure", owned_pages="too_few")
    refused = {"status": 401, "body": {"success": False, "message": "no"}} if fault == "refuse" else {}
    inline.sandbox.add_fault("owned", fault, skip=1, times=None, **refused)
    with pytest.raises(ReadFailed):
        all_listed(inline, 1)


@ENDS_EARLY
def test_several_numbers_behind_the_end_of_the_list_are_found_by_all_their_digits(inline: InlineWorker, pages: str) -> None:
    ours = inline.own(130)
    inline.sandbox.order("reconfigure", owned_pages=pages)
    assert find_surely(inline.client, [ours[0], ours[120], ours[129], NOT_OURS]).keys() == {ours[0], ours[120], ours[129]}


@ENDS_EARLY
@pytest.mark.parametrize("search", ["works", "silent"])
def test_a_reroute_of_numbers_behind_the_end_of_the_list_is_confirmed_by_their_records(
    inline: InlineWorker, pages: str, search: str
) -> None:
    """They are selected by their records; a list that doesn't show them afterwards says nothing of whether they left."""
    ours = inline.own(130)
    ids = tuple(int(inline.sandbox.owned()[number[1:]]["record_id"]) for number in ours[120:123])
    inline.sandbox.order("reconfigure", owned_pages=pages, search=search)
    view = inline.run(Reroute(record_ids=ids, destinations=(BACKUP,)))
    assert outcomes(view) == dict.fromkeys(ours[120:123], "confirmed")
    back = inline.run(Failback(job_id=view.id))
    if search == "works":
        assert outcomes(back) == dict.fromkeys(ours[120:123], "confirmed")


@ENDS_EARLY
def test_many_named_numbers_behind_the_end_of_the_list_are_rerouted(inline: InlineWorker, pages: str) -> None:
    ours = inline.own(130)
    inline.sandbox.order("reconfigure", owned_pages=pages)
    view = inline.run(Reroute(numbers=(*ours[105:130], NOT_OURS), destinations=(BACKUP,)))
    assert outcomes(view) == dict.fromkeys(ours[105:130], "confirmed") | {NOT_OURS: "not_found"}


def test_a_number_that_left_the_account_after_its_call_is_still_not_found(inline: InlineWorker) -> None:
    ours = inline.own(3)
    job = inline.submit(Reroute(numbers=tuple(ours), destinations=(BACKUP,)))
    inline.sandbox.order("reconfigure", apply_late_s=60.0)
    assert inline.attempt(job).reason == "settling"
    inline.sandbox.order("lose_number", number=ours[1][1:])
    assert outcomes(inline.finish(job))[ours[1]] == "not_found"


def test_a_selector_means_the_numbers_on_every_page(fanning: InlineWorker) -> None:
    ours = fanning.own(130)
    fanning.sandbox.order("reconfigure", owned_pages="too_few")
    view = play(fanning, fanning.submit(Reroute(selector=Selector(all=True), destinations=(BACKUP,))))
    assert outcomes(view) == dict.fromkeys(ours, "confirmed")


@ENDS_EARLY
def test_a_lost_answer_to_a_checkout_buys_nothing_twice(inline: InlineWorker, pages: str) -> None:
    """Transactions, which would hold the purchase back, aren't listed: the numbers themselves say that they were bought."""
    owned = inline.own(130)
    inline.sandbox.order("reconfigure", owned_pages=pages, charges="unlisted")
    inline.sandbox.add_fault("checkout", "act_and_drop")
    view = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2))
    assert view.state == "succeeded"
    assert set(outcomes(view)) == inline.owned() - set(owned)
    assert len(inline.sandbox.ledger()) == 2
    assert charged(view) == inline.sandbox.charged_usd()
