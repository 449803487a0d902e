"""Jobs about numbers of ours, on a server whose owned list can't be searched: `search` or `label` is ignored, or finds nothing."""

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.document_file import read_paper
from didflow.contract.requests import Failback, FollowDocuments, Reroute, SearchAndBuy, Selector
from tests.support.fan_out import fanning, play
from tests.support.inline_worker import InlineWorker, outcomes
from tests.support.simulation.bought_inactive import bought
from tests.support.simulation.simulation import SETTLE_S, Simulation
from worker.jobs.documents.upload import hand_in

__all__ = ["fanning"]

BACKUP = Destination.sip("backup@example.net")
NOT_OURS = "+12135550100"
MODES = pytest.mark.parametrize("mode", ["ignored", "silent"])


@pytest.fixture
def simulation_settings() -> dict[str, object]:
    return {"reuse_label": "spare"}


@MODES
def test_named_numbers_are_rerouted_and_failed_back(inline: InlineWorker, mode: str) -> None:
    ours = inline.own(3)
    inline.sandbox.order("reconfigure", search=mode)
    view = inline.run(Reroute(numbers=(*ours, NOT_OURS), destinations=(BACKUP,)))
    assert outcomes(view) == dict.fromkeys(ours, "confirmed") | {NOT_OURS: "not_found"}
    back = inline.run(Failback(job_id=view.id))
    assert outcomes(back) == dict.fromkeys(ours, "confirmed")
    assert inline.routes() == {number: ["old@example.net"] for number in ours}


@MODES
def test_very_many_named_numbers_are_rerouted_and_failed_back(fanning: InlineWorker, mode: str) -> None:
    ours = fanning.own(41)
    fanning.sandbox.order("reconfigure", search=mode)
    view = play(fanning, fanning.submit(Reroute(numbers=(*ours, NOT_OURS), destinations=(BACKUP,))))
    assert outcomes(view) == dict.fromkeys(ours, "confirmed") | {NOT_OURS: "not_found"}
    back = play(fanning, fanning.submit(Failback(job_id=view.id)))
    assert outcomes(back) == dict.fromkeys(ours, "confirmed")
    assert fanning.routes() == {number: ["old@example.net"] for number in ours}


@MODES
def test_a_label_selects_its_numbers_and_no_others(fanning: InlineWorker, mode: str) -> None:
    others, ours = fanning.own(5), fanning.own(41, label="pbx")
    fanning.sandbox.order("reconfigure", label_filter=mode, search=mode)
    view = play(fanning, fanning.submit(Reroute(selector=Selector(label="pbx"), destinations=(BACKUP,))))
    assert outcomes(view) == dict.fromkeys(ours, "confirmed")
    assert {number for number, route in fanning.routes().items() if route == ["old@example.net"]} == set(others)


@pytest.mark.parametrize("count", [2, 30])
def test_a_record_that_the_list_or_its_own_page_doesnt_show_is_looked_for_in_the_other(inline: InlineWorker, count: int) -> None:
    ours = inline.own(count)
    ids = [int(record["record_id"]) for record in inline.sandbox.owned().values()]
    call = "owned_one" if count <= 20 else "owned"
    if call == "owned_one":
        inline.sandbox.add_fault(call, "refuse", times=count, status=404, body={"success": False, "message": "Number not found"})
    else:
        # The list shows the account of before the first of the numbers came.
        inline.sandbox.add_fault(call, "lag", times=1, seconds=60.0)
    view = inline.run(Reroute(record_ids=tuple(ids), destinations=(BACKUP,)))
    assert outcomes(view) == dict.fromkeys(ours, "confirmed")


@MODES
def test_a_document_is_handed_in_and_followed(simulation: Simulation, mode: str) -> None:
    (number,), _ = bought(simulation)
    simulation.sandbox.order("reconfigure", search=mode)
    document = read_paper("id", b"%PDF-1.4 a passport")
    (done,) = hand_in(
        [number],
        document,
        simulation.provider,
        settle_s=SETTLE_S,
        now_s=lambda: simulation.clock.now_ms() / 1000,
        pause=lambda seconds: simulation.clock.pass_ms(int(seconds * 1000)),
    )
    assert done.fate == "handed_in"
    job = simulation.submit(FollowDocuments(numbers=(number,)))
    simulation.run(job)
    followed = simulation.view(job)
    assert followed.reason == "documents", "it waits for the review, and doesn't call the number another customer's"


@MODES
def test_a_number_that_waits_for_reuse_is_found_and_handed_out(simulation: Simulation, mode: str) -> None:
    (ours,) = simulation.sandbox.order("seed_owned", count=1, label="spare")
    simulation.sandbox.order("reconfigure", search=mode)
    job = simulation.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), reuse=True))
    simulation.finish(job)
    assert outcomes(simulation.view(job)) == {f"+{ours}": "reused"}
    assert simulation.sandbox.ledger() == []


@MODES
def test_what_a_purchase_sets_is_seen_on_its_numbers(inline: InlineWorker, mode: str) -> None:
    inline.sandbox.order("reconfigure", search=mode, sms_off_at_first=True)
    asked = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2, sms=True)
    view = inline.run(asked.model_copy(update={"destinations": (BACKUP,), "sms_relay_url": "https://example.net/sms"}))
    assert (view.state, view.error) == ("succeeded", None)
    assert set(outcomes(view).values()) == {"bought"}
