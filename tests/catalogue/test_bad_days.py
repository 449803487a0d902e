"""The catalogue on a bad day: a provider that counts badly or is away, a paused account, a closed gate, damaged keys."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from didflow.checks.catalogue import check_catalogue
from didflow.client.sync.catalogue import Catalogue
from didflow.client.sync.client import Didflow
from didflow.contract.errors import CatalogueTimeout, LookFailed, ServiceUnavailable, UnknownAccount, UnreadableRecord
from didflow.contract.requests import CatalogueLook, SearchAndBuy
from didflow.contract.states import JobState
from didflow.ledger.worker_settings import note_running, running_with
from tests.support.inline_shell import shell_of
from tests.support.inline_worker import InlineWorker
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox import Sandbox, SandboxOptions

LOS_ANGELES = "LOS ANGELES, CA"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Cities with three pages of numbers."""
    with Sandbox(SandboxOptions(numbers_per_city=250)) as sandbox:
        yield sandbox


def look_job(inline: InlineWorker) -> str:
    """The newest look."""
    return next(view.id for view in inline.ledger.perform(inline.ledger.commands.find()) if view.kind == "catalogue_look")


def asked_in_vain(didflow: Didflow, max_age_s: float = 0.0) -> CatalogueTimeout:
    with pytest.raises(CatalogueTimeout) as caught:
        didflow.catalogue.countries(timeout_s=0.0, max_age_s=max_age_s)
    return caught.value


@pytest.mark.parametrize(
    ("pages", "count", "gaps"),
    [
        ("published", 250, None),
        ("repeated", 100, "page 2 shows what earlier pages showed"),
        ("one_more", 250, "page 4 can't be read"),
        ("said_to_be_one", 250, "the list changed while it was read"),
    ],
)
def test_offers_of_a_provider_that_counts_badly_are_not_called_complete(
    inline: InlineWorker, didflow: Didflow, pages: str, count: int, gaps: str | None
) -> None:
    inline.sandbox.order("reconfigure", stock_pages=pages)
    with working(inline):
        found = didflow.catalogue.offers("US", LOS_ANGELES)
    assert (len(found.items), found.complete, found.gaps) == (count, gaps is None, gaps)


def test_places_in_pages_are_all_read_and_a_list_that_is_cut_says_so(inline: InlineWorker, didflow: Didflow) -> None:
    inline.sandbox.order("reconfigure", place_lists="paged")
    with working(inline):
        cities = didflow.catalogue.cities("US")
        assert (len(cities.items), cities.complete) == (8, True)
        inline.sandbox.order("reconfigure", place_lists="said_to_be_one")
        assert len(didflow.catalogue.cities("US", fresh=True).items) == 8
        inline.sandbox.order("reconfigure", place_lists="cut")
        cut = didflow.catalogue.cities("US", region="California", fresh=True)
    assert [one.name for one in cut.items] == [LOS_ANGELES, "SAN DIEGO, CA"]
    assert (cut.complete, cut.gaps) == (False, "page 2 shows what earlier pages showed")


def test_a_purchase_finds_a_city_on_the_second_page(inline: InlineWorker) -> None:
    inline.sandbox.order("reconfigure", place_lists="paged")
    view = inline.run(SearchAndBuy(country="US", city="SAN FRANCISCO, CA", dry_run=True))
    assert view.state is JobState.SUCCEEDED, view.error


def test_texts_of_a_hostile_provider_are_texts(inline: InlineWorker, didflow: Didflow) -> None:
    inline.sandbox.add_fault("countries", "set_field", field="name", value='"\\u001b[2J\\u202e[bold]\\ud800 x"', times=None)
    with working(inline):
        name = didflow.catalogue.countries().items[0].name
    assert "\ud800" not in name
    assert didflow.catalogue.countries().items[0].name == name


def test_an_account_that_no_worker_has_is_refused_at_once(inline: InlineWorker, didflow: Didflow) -> None:
    inline.ledger.worker_alive("worker-1")
    inline.ledger.perform(note_running(inline.ledger.keys, "worker-1", running_with(inline.settings)))
    with pytest.raises(UnknownAccount, match="no running worker has an account 'othr', they have 'default'"):
        Catalogue(didflow, account="othr").countries()


def test_a_paused_account_is_named_with_what_the_provider_said(inline: InlineWorker, didflow: Didflow) -> None:
    inline.ledger.worker_alive("worker-1")
    inline.ledger.pause_account("default", 401, "wrong key")
    error = asked_in_vain(didflow)
    assert (error.reason, "the provider said 401 wrong key: check its key with `didflow doctor`" in str(error)) == ("account_paused", True)


def test_a_provider_that_is_down_is_named_and_the_old_answer_is_there(inline: InlineWorker, didflow: Didflow) -> None:
    inline.ledger.worker_alive("worker-1")
    with working(inline):
        didflow.catalogue.countries()
    inline.sandbox.add_fault("countries", "status_500_before", times=None)
    asked_in_vain(didflow)
    inline.runner.run(look_job(inline))
    error = asked_in_vain(didflow)
    assert error.reason == "provider_down"
    assert "s old is there: accept it with a higher maximum age" in str(error)
    assert len(didflow.catalogue.countries().items) == 6


def test_a_key_without_the_right_to_search_is_told_so(inline: InlineWorker, didflow: Didflow) -> None:
    inline.sandbox.order("reconfigure", scopes={"default": ("numbers",)})
    with working(inline), pytest.raises(LookFailed, match="search and buy numbers") as caught:
        didflow.catalogue.countries()
    assert caught.value.code == "look_failed"


def test_behind_a_closed_gate_the_catalogue_goes_on(inline: InlineWorker, didflow: Didflow) -> None:
    inline.ledger.client.hset(inline.ledger.keys.epoch, mapping={"server": "another", "number": "1"})
    inline.ledger.sweep(max_crashes=5)
    inline.ledger.client.hset(inline.ledger.keys.gate("default"), "checker", "worker-2")
    with working(inline):
        assert len(didflow.catalogue.countries().items) == 6


def test_a_look_waits_while_an_emergency_job_calls(inline: InlineWorker, didflow: Didflow) -> None:
    asked_in_vain(didflow)
    inline.sandbox.add_fault("countries", "slow", seconds=0.0)
    rate, now_us = inline.ledger.keys.rate("default"), inline.ledger.now_ms() * 1000
    inline.ledger.client.hset(rate, "emergency_us", now_us)
    inline.runner.run(look_job(inline))
    view = inline.ledger.get(look_job(inline))
    assert (view.state, view.reason) == (JobState.WAITING, "rate_limited")
    assert inline.sandbox.state()["faults"] == {}, "nothing was asked"
    inline.ledger.client.hset(rate, "emergency_us", now_us - 10_000_000)
    inline.ledger.client.hset(inline.ledger.keys.job(view.id), "due_ms", "")
    inline.runner.run(view.id)
    assert len(didflow.catalogue.countries(timeout_s=0.0).items) == 6
    assert inline.sandbox.state()["faults"] == {"countries:slow": 1}


def test_two_accounts_do_not_mix(inline: InlineWorker, didflow: Didflow) -> None:
    other = Catalogue(didflow, account="other")
    with working(inline):
        didflow.catalogue.countries()
    with pytest.raises(CatalogueTimeout):
        other.countries(timeout_s=0.0, max_age_s=float("inf"))
    keys, client = inline.ledger.keys, inline.ledger.client
    # What was copied from another account isn't believed.
    client.hset(keys.catalogue_looks("other"), "countries", str(client.hget(keys.catalogue_looks("default"), "countries")))
    client.zadd(keys.catalogue_began("other"), {"countries": inline.ledger.now_ms()})
    with pytest.raises(CatalogueTimeout):
        other.countries(timeout_s=0.0, max_age_s=float("inf"))


def test_a_look_that_something_else_changed_is_not_believed_but_made_again(inline: InlineWorker, didflow: Didflow) -> None:
    looks = inline.ledger.keys.catalogue_looks("default")
    with working(inline):
        first = didflow.catalogue.countries()
        text = str(inline.ledger.client.hget(looks, "countries"))
        inline.ledger.client.hset(looks, "countries", text.replace("Germany", "Atlantis"))
        again = didflow.catalogue.countries(max_age_s=float("inf"))
    assert again.items == first.items
    assert again.jobs != first.jobs


def test_a_key_of_another_type_is_named(inline: InlineWorker, didflow: Didflow) -> None:
    inline.ledger.client.set(inline.ledger.keys.catalogue_began("default"), "something else")
    with pytest.raises(UnreadableRecord):
        didflow.catalogue.countries(timeout_s=0.0)


def test_without_redis_the_question_says_so() -> None:
    with pytest.raises(ServiceUnavailable):
        Didflow.from_url("redis://127.0.0.1:1/0").catalogue.countries()


def test_an_ended_look_is_kept_for_an_hour_and_no_longer(inline: InlineWorker, didflow: Didflow) -> None:
    with working(inline):
        didflow.catalogue.countries()
    kept_ms = int(inline.ledger.client.zscore(f"{inline.ledger.keys.namespace}:retention", look_job(inline)) or 0) - inline.ledger.now_ms()
    assert 3_500_000 < kept_ms <= 3_600_000


NOT_OF_COUNTRIES = "countries takes no {}: leave it out"


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"what": "offers", "country_id": 1}, ["offers needs city_id: the provider's id"]),
        ({"what": "countries", "country_id": 1, "city_id": 2}, [NOT_OF_COUNTRIES.format(name) for name in ("country_id", "city_id")]),
    ],
)
def test_a_look_without_its_ids_is_refused(fields: dict[str, Any], faults: list[str]) -> None:
    with pytest.raises(ValueError, match="request") as caught:
        CatalogueLook.model_validate(fields)
    assert [fault.message for fault in caught.value.faults] == faults  # type: ignore[attr-defined]


def test_doctor_names_looks_that_were_changed_and_keys_that_are_none_of_ours(
    inline: InlineWorker, didflow: Didflow, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    client, keys = inline.ledger.client, inline.ledger.keys

    def checks() -> dict[str, tuple[str, str]]:
        return {one.name: (one.verdict, one.message) for one in check_catalogue(inline.ledger, {"default"})}

    with working(inline):
        didflow.catalogue.cities("US", region="Texas")
    verdict, message = checks()["catalogue default"]
    assert (verdict, message.startswith("3 looks (1 cities, 1 countries, 1 regions), ")) == ("ok", True)
    client.hset(keys.catalogue_looks("default"), "countries", "0" * 64 + "{}")
    client.hset(keys.catalogue_looks("default"), "price list", "cheap")
    verdict, message = checks()["catalogue default"]
    assert (verdict, "2 looks were changed or cut by something else: countries, price list;" in message) == ("warn", True)
    client.set(f"{keys.catalogue}notes", "mine")
    client.set(keys.catalogue_began("customers"), "mine")
    assert checks()["catalogue (none)"][1].startswith(f"these keys are none of ours: {keys.catalogue}notes; ")
    assert checks()["catalogue customers"][0] == "warn"
    shell = shell_of(inline, valkey.url, tmp_path)
    shell.environment["DIDFLOW_RATE_LIMIT"] = "1000"
    doctor = shell("doctor", "--json").json
    assert {one["name"]: (one["verdict"], one["message"]) for one in doctor if one["name"].startswith("catalogue ")} == checks()
