"""A document is sent once, only where it is requested; after an unclear answer the number is checked, and nothing is sent again."""

import pytest

from didflow.contract.document_file import read_paper
from tests.support.simulation.bought_inactive import bought
from tests.support.simulation.simulation import SETTLE_S, Simulation
from worker.jobs.documents.upload import Fate, hand_in

PASSPORT = read_paper("id", b"%PDF-1.4 a passport")


def handed_in(simulation: Simulation, *numbers: str, landing: bool = False) -> dict[str, str]:
    """Their fates. `landing`: what is under way arrives at the first pause."""

    def pause(seconds: float) -> None:
        simulation.clock.pass_ms(int(seconds * 1000))
        while landing and simulation.sandbox.flights:
            simulation.sandbox.land(0)

    done = hand_in(numbers, PASSPORT, simulation.provider, settle_s=SETTLE_S, now_s=lambda: simulation.clock.now_ms() / 1000, pause=pause)
    return {one.number: one.fate.value for one in done}


def papers(simulation: Simulation, number: str) -> list[tuple[int, str]]:
    return [(one["kind"], one["status"]) for one in simulation.sandbox.owned()[number.removeprefix("+")]["documents"]]


def sent(simulation: Simulation) -> int:
    return int(simulation.sandbox.state()["calls"].get("papers", 0))


def test_it_goes_to_all_that_need_it_in_one_call_and_to_no_other(simulation: Simulation) -> None:
    (first, second), _ = bought(simulation, 2)
    (active,) = simulation.own(1)
    fates = handed_in(simulation, first, active, second, "+12135550100")
    assert list(fates.items()) == [(first, "handed_in"), (active, "not_needed"), (second, "handed_in"), ("+12135550100", "not_found")]
    assert sent(simulation) == 1
    assert papers(simulation, active) == []


def test_what_is_not_asked_for_is_not_sent(simulation: Simulation) -> None:
    (number,), _ = bought(simulation)
    address = read_paper("address", b"%PDF-1.4 a bill")
    (one,) = hand_in([number], address, simulation.provider, settle_s=0, now_s=lambda: 0.0, pause=lambda _: None)
    assert (one.fate, one.words) == (Fate.NOT_NEEDED, "it needs id (Any form of ID), localaddress (Proof of local address)")
    assert sent(simulation) == 0


def test_a_second_run_sends_nothing_until_the_first_one_was_rejected(simulation: Simulation) -> None:
    (number,), _ = bought(simulation)
    assert handed_in(simulation, number) == {number: "handed_in"}
    assert handed_in(simulation, number) == {number: "there_already"}
    assert sent(simulation) == 1
    simulation.sandbox.order("review_documents", number=number.removeprefix("+"), verdict="rejected")
    assert handed_in(simulation, number) == {number: "handed_in"}
    assert papers(simulation, number) == [(1, "pending")]


@pytest.mark.parametrize("kind", ["act_and_drop", "act_and_hang", "cut_json", "act_then_html", "status_500_after"])
def test_a_lost_answer_is_found_by_looking(simulation: Simulation, kind: str) -> None:
    (number,), _ = bought(simulation)
    simulation.sandbox.add_fault("papers", kind, seconds=0)
    assert handed_in(simulation, number) == {number: "handed_in"}
    assert sent(simulation) == 1


def test_a_document_that_replaces_a_rejected_one_is_distinguished_from_it(simulation: Simulation) -> None:
    (number,), _ = bought(simulation)
    handed_in(simulation, number)
    simulation.sandbox.order("review_documents", number=number.removeprefix("+"), verdict="rejected")
    simulation.sandbox.add_fault("papers", "drop")
    assert handed_in(simulation, number) == {number: "unclear"}, "the rejected one that is still shown is no sign of the new one"
    simulation.sandbox.add_fault("papers", "act_and_drop")
    assert handed_in(simulation, number) == {number: "handed_in"}


def test_a_lagging_list_gets_its_time(simulation: Simulation) -> None:
    (number,), _ = bought(simulation)
    simulation.clock.pass_ms(int(SETTLE_S * 1000))
    simulation.sandbox.lag_ms = int(SETTLE_S * 1000) - 500
    simulation.sandbox.add_fault("papers", "act_and_drop")
    assert handed_in(simulation, number) == {number: "handed_in"}
    assert sent(simulation) == 1


def test_one_that_comes_late_is_seen_and_not_sent_again(simulation: Simulation) -> None:
    (number,), _ = bought(simulation)
    simulation.sandbox.fly("papers")
    assert handed_in(simulation, number, landing=True) == {number: "handed_in"}
    assert papers(simulation, number) == [(1, "pending")]


@pytest.mark.parametrize("kind", ["drop", "status_500_before", "html_error"])
def test_what_never_shows_is_unclear_and_nothing_is_sent_a_second_time(simulation: Simulation, kind: str) -> None:
    (number,), _ = bought(simulation)
    simulation.sandbox.add_fault("papers", kind)
    before_ms = simulation.clock.now_ms()
    assert handed_in(simulation, number) == {number: "unclear"}
    assert simulation.clock.now_ms() - before_ms >= SETTLE_S * 1000
    assert sent(simulation) == 1
    assert handed_in(simulation, number) == {number: "handed_in"}, "a later run sends it, after a look"


def test_one_bad_number_does_not_keep_the_others_back(simulation: Simulation) -> None:
    (first, second, third), _ = bought(simulation, 3)
    simulation.sandbox.add_fault("papers", "refuse", times=2, status=400)  # All three together, then the first of the halves.
    fates = handed_in(simulation, first, second, third)
    assert sorted(fates.values()) == ["handed_in", "handed_in", "refused"]


def test_a_barred_account_and_a_full_hour_say_that_nothing_was_sent(simulation: Simulation) -> None:
    (number,), _ = bought(simulation)
    simulation.sandbox.add_fault("papers", "refuse", status=403)
    simulation.sandbox.add_fault("papers", "rate_limit", seconds=0)
    assert handed_in(simulation, number) == {number: "not_sent"}
    assert handed_in(simulation, number) == {number: "not_sent"}
    assert papers(simulation, number) == []
