"""Types of documents are ids in some contracts and names in others: both are read, and sent as the server takes them, once."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any, cast

import pytest
import redis

from didflow.contract.document_file import read_paper
from didflow.contract.provider import Document, OwnedNumber, Page
from didflow.contract.requests import FollowDocuments, SearchAndBuy
from tests.support.inline_worker import InlineWorker, numbers, result_of
from tests.support.simulation.bought_inactive import bought
from tests.support.simulation.simulation import SETTLE_S, Simulation
from worker.jobs.documents.upload import hand_in
from worker.wavix.client import WavixClient
from worker.wavix.sandbox import SandboxOptions

pytestmark = pytest.mark.provider()  # The variations are the tests' own.

PASSPORT = read_paper("id", b"%PDF-1.4 a passport")
BERLIN = SearchAndBuy(country="DE", city=("Berlin",), documents="allow_inactive")
TITLES = {"id": "Any form of ID", "localaddress": "Proof of local address"}
ALL_TYPES = ("ids", "names", "names_in_lists", "names_in_uploads")


def scene_with(client: redis.Redis, types: str) -> Simulation:
    return Simulation(client, sandbox=SandboxOptions(numbers_per_city=8, document_types=types))  # type: ignore[arg-type]


@pytest.fixture(params=ALL_TYPES)
def simulation(request: pytest.FixtureRequest, quick_valkey: redis.Redis) -> Iterator[Simulation]:
    simulation = scene_with(quick_valkey, request.param)
    yield simulation
    simulation.close()


def handed_in(simulation: Simulation, *named: str) -> dict[str, str]:
    def pause(seconds: float) -> None:
        simulation.clock.pass_ms(int(seconds * 1000))

    done = hand_in(named, PASSPORT, simulation.provider, settle_s=SETTLE_S, now_s=lambda: simulation.clock.now_ms() / 1000, pause=pause)
    return {one.number: one.fate.value for one in done}


def papers(simulation: Simulation, number: str) -> list[tuple[int, str]]:
    return [(one["kind"], one["status"]) for one in simulation.sandbox.owned()[number.removeprefix("+")]["documents"]]


def test_a_pending_document_counts_as_sent_and_is_not_sent_again(simulation: Simulation) -> None:
    (first, second), _ = bought(simulation, 2)
    assert handed_in(simulation, first, second) == {first: "handed_in", second: "handed_in"}
    sent = simulation.sandbox.state()["calls"]["papers"]
    assert handed_in(simulation, first, second) == {first: "there_already", second: "there_already"}
    assert papers(simulation, first) == papers(simulation, second) == [(1, "pending")]
    assert simulation.sandbox.state()["calls"]["papers"] == sent


@pytest.mark.parametrize(("types", "calls"), [("ids", 1), ("names", 1), ("names_in_lists", 2), ("names_in_uploads", 2)])
def test_the_form_is_the_one_of_the_lists_and_another_one_is_learned_from_a_refusal(
    quick_valkey: redis.Redis, types: str, calls: int
) -> None:
    simulation = scene_with(quick_valkey, types)
    (first, second), _ = bought(simulation, 2)
    assert handed_in(simulation, first) == {first: "handed_in"}
    assert simulation.sandbox.state()["calls"]["papers"] == calls
    assert handed_in(simulation, second) == {second: "handed_in"}
    assert simulation.sandbox.state()["calls"]["papers"] == calls + 1, "what was learned is kept"
    simulation.close()


@pytest.mark.parametrize("words", ["Missing or invalid parameter doc_id", "Invalid document type"])
def test_a_refusal_of_the_form_that_acted_all_the_same_is_found_by_looking(simulation: Simulation, words: str) -> None:
    (number,), _ = bought(simulation)
    body = {"success": False, "message": words}
    if simulation.sandbox.service.world.options.document_types in ("names_in_lists", "names_in_uploads"):
        simulation.sandbox.add_fault("papers", "act_then_refuse", skip=1, status=400, body=body)  # The one in the form that is taken.
        assert handed_in(simulation, number) == {number: "handed_in"}
        assert simulation.sandbox.state()["calls"]["papers"] == 2
    else:
        simulation.sandbox.add_fault("papers", "act_then_refuse", status=400, body=body)
        assert handed_in(simulation, number) == {number: "handed_in"}
        assert simulation.sandbox.state()["calls"]["papers"] == 1, "nothing that was accepted is sent twice"
    assert papers(simulation, number) == [(1, "pending")]


def test_a_refusal_of_both_forms_ends_as_refused_after_two_calls(simulation: Simulation) -> None:
    (number,), _ = bought(simulation)
    simulation.sandbox.add_fault("papers", "refuse", times=None, status=400, body={"success": False, "message": "Missing parameter doc_id"})
    assert handed_in(simulation, number) == {number: "refused"}
    assert simulation.sandbox.state()["calls"]["papers"] == 2


def test_a_yes_is_believed_when_the_number_shows_the_document(quick_valkey: redis.Redis) -> None:
    simulation = scene_with(quick_valkey, "ids")
    (number,), _ = bought(simulation)
    simulation.sandbox.add_fault("papers", "refuse", status=200, body=[])  # A yes that did nothing.
    assert handed_in(simulation, number) == {number: "unclear"}
    assert handed_in(simulation, number) == {number: "handed_in"}
    simulation.close()


class NamesNoType(WavixClient):
    """A server whose documents are of a type that no contract names."""

    def owned(self, **asked: Any) -> Page[OwnedNumber]:
        shown = super().owned(**asked)
        return replace(
            shown, items=tuple(one.model_copy(update={"documents": (Document(kind="passport", status="pending"),)}) for one in shown.items)
        )


def test_a_document_of_an_unknown_type_under_review_is_not_sent_over(quick_valkey: redis.Redis) -> None:
    simulation = Simulation(quick_valkey, provider=NamesNoType)
    (number,), _ = bought(simulation)
    assert handed_in(simulation, number) == {number: "not_sent"}
    assert "papers" not in simulation.sandbox.state()["calls"]
    simulation.close()


@pytest.mark.parametrize(("types", "dry_run"), [*product(ALL_TYPES, (True, False))])
def test_documents_are_described_wherever_they_are_named(inline: InlineWorker, types: str, dry_run: bool) -> None:
    inline.sandbox.order("reconfigure", document_types=types)
    view = inline.run(BERLIN.model_copy(update={"dry_run": dry_run}))
    if dry_run:
        quote = result_of(view).quote
        assert quote is not None
        assert (quote.documents, quote.document_titles) == (("id", "localaddress"), TITLES)
        assert quote.numbers[0].document_titles == TITLES
        return
    (number,) = numbers(view)
    assert (number.documents_needed, number.document_titles) == (("id", "localaddress"), TITLES)
    job = inline.submit(FollowDocuments(numbers=(number.number,)))
    inline.attempt(job)
    entries = cast("list[tuple[str, dict[str, str]]]", inline.ledger.client.xrange(inline.ledger.keys.events))
    reported = [json.loads(fields["data"]) for _, fields in entries if fields["type"] == "didflow.number.documents_missing.v1"]
    assert [one["document_titles"] for one in reported] == [TITLES]
    missing = inline.run(FollowDocuments(numbers=(number.number,), dry_run=True))
    error = numbers(missing)[0].error
    assert error is not None
    assert "upload id (Any form of ID), localaddress (Proof of local address) with" in error.message
