"""Jobs on servers that take the key elsewhere, have the numbers under another path, or give the key few rights. No money moves blindly."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.requests import Release, Reroute, SearchAndBuy
from didflow.contract.states import JobState, WaitReason
from didflow.ledger.dialects import noted_dialect
from didflow.ledger.ledger import Ledger
from tests.support.inline_worker import InlineWorker, charged, numbers, outcomes, result_of
from worker.attempt.dialects import finder_of
from worker.attempt.provider_clients import client_of
from worker.wavix.sandbox import Sandbox, SandboxOptions
from worker.wavix.sandbox.options import SANDBOX_KEY

ONE = SearchAndBuy(country="US", city=("LOS ANGELES, CA",))
TO_TRUNK = (Destination.trunk(144, "32882"),)
PERMANENT = Destination.sip("pbx@example.net")


@contextmanager
def inline_on(ledger: Ledger, settings: dict[str, Any] | None = None, **options: Any) -> Iterator[InlineWorker]:
    """An inline worker whose client determines the dialect as a worker's does, on a sandbox with these options."""
    with Sandbox(SandboxOptions(numbers_per_city=5, **options)) as sandbox:
        inline = InlineWorker(ledger, sandbox, **({"WAVIX_DIALECT": "auto"} | (settings or {})))
        account = inline.settings.account("default")
        assert account is not None
        inline.client.close()
        inline.client = client_of(account, finder_of("default", account, ledger), timeout_s=inline.settings.http_timeout)
        yield inline
        inline.close()


@pytest.mark.parametrize(
    ("path", "key_place", "unknown_route"),
    [*product(("mydids", "numbers", "both"), ("query", "bearer", "both", "published"), ("html", "record_json"))],
)
def test_a_purchase_is_made_once_whatever_the_server_takes(real_ledger: Ledger, path: str, key_place: str, unknown_route: str) -> None:
    with inline_on(real_ledger, path=path, key_place=key_place, unknown_route=unknown_route) as inline:
        view = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), destinations=TO_TRUNK))
        assert view.state is JobState.SUCCEEDED
        assert charged(view) == inline.sandbox.charged_usd() > 0
        (bought,) = numbers(view)
        assert inline.run(Reroute(numbers=(bought.number,), destinations=(PERMANENT,))).state is JobState.SUCCEEDED
        assert inline.run(Release(numbers=(bought.number,))).state is JobState.SUCCEEDED
        assert inline.owned() == set()
        assert inline.sandbox.state()["calls"]["checkout"] == 1


@pytest.mark.parametrize("unknown_route", ["html", "json", "record_json"])
@pytest.mark.parametrize(("dialect", "served"), [("mydids", "numbers"), ("numbers", "mydids")])
def test_nothing_is_bought_where_the_owned_list_can_not_be_read(real_ledger: Ledger, dialect: str, served: str, unknown_route: str) -> None:
    with inline_on(real_ledger, {"WAVIX_DIALECT": dialect}, path=served, unknown_route=unknown_route, key_place="both") as inline:
        job = inline.submit(ONE)
        view = inline.attempt(job)
        assert (view.state, view.reason) == (JobState.WAITING, WaitReason.PROVIDER_DOWN)
        assert "check WAVIX_BASE_URL and WAVIX_DIALECT" in inline.story(job)[-1].detail
        assert inline.sandbox.state()["calls"].keys() <= {"countries", "regions", "cities"}
        inline.sandbox.order("reconfigure", path="both")
        assert inline.finish(job).state is JobState.SUCCEEDED
        assert len(inline.sandbox.ledger()) == 1


def test_a_server_that_gives_a_path_up_while_a_job_waits_is_followed(real_ledger: Ledger) -> None:
    with inline_on(real_ledger, path="mydids", key_place="query") as inline:
        bought = inline.run(ONE)
        inline.sandbox.order("reconfigure", path="numbers", key_place="bearer")
        assert inline.run(Reroute(numbers=(numbers(bought)[0].number,), destinations=(PERMANENT,))).state is JobState.SUCCEEDED
        assert inline.run(ONE).state is JobState.SUCCEEDED
        assert len(inline.sandbox.ledger()) == 2


def test_what_was_found_is_shared_with_its_age_and_without_the_key(real_ledger: Ledger) -> None:
    with inline_on(real_ledger, path="mydids", key_place="query") as inline:
        inline.run(ONE)
        note = noted_dialect(real_ledger, "default", inline.sandbox.url)
        assert note is not None
        assert (note.path, note.key_in) == ("mydids", "query")
        assert note.age_s < 60
        assert SANDBOX_KEY not in str(real_ledger.client.hgetall(real_ledger.keys.dialect("default")))
        account = inline.settings.account("default")
        assert account is not None
        before = inline.sandbox.state()["calls"]["owned"]
        other = client_of(account, finder_of("default", account, real_ledger), timeout_s=1.0)
        assert (other.dialect().path, other.dialect().key_in) == ("mydids", "query")
        other.close()
        assert inline.sandbox.state()["calls"]["owned"] == before, "another process needs no read of its own"
        assert noted_dialect(real_ledger, "default", "https://elsewhere.example") is None, "it is about one server"


def test_a_wrong_key_pauses_the_account_as_ever(real_ledger: Ledger) -> None:
    with inline_on(real_ledger) as inline:
        inline.sandbox.order("set_key_valid", valid=False)
        job = inline.submit(ONE)
        assert inline.attempt(job).reason == WaitReason.ACCOUNT_PAUSED
        assert inline.ledger.account_state("default").status == 401


# Rights


def test_an_account_that_may_not_use_the_api_at_all_is_paused(real_ledger: Ledger) -> None:
    with inline_on(real_ledger) as inline:
        inline.client.dialect()  # It has worked before.
        inline.sandbox.order("set_flex_pro", flex_pro=False)
        job = inline.submit(ONE)
        assert inline.attempt(job).reason == WaitReason.ACCOUNT_PAUSED
        assert "Flex Pro" in inline.ledger.account_state("default").message


def test_a_key_that_may_not_read_the_owned_list_pauses_the_account(real_ledger: Ledger) -> None:
    with inline_on(real_ledger, scopes={"default": ("buy", "trunks", "account")}) as inline:
        job = inline.submit(ONE)
        assert inline.attempt(job).reason == WaitReason.ACCOUNT_PAUSED
        assert inline.sandbox.charged_usd() == 0


def test_a_key_without_trunks_and_balance_does_every_job_and_the_account_goes_on(real_ledger: Ledger) -> None:
    with inline_on(real_ledger, scopes={"default": ("numbers", "buy")}) as inline:
        quote = result_of(inline.run(ONE.model_copy(update={"dry_run": True}))).quote
        assert quote is not None
        assert (quote.balance_usd, quote.balance_after_usd) == (None, None)
        assert quote.setup_usd > 0
        view = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), destinations=TO_TRUNK))
        assert view.state is JobState.SUCCEEDED
        ours = inline.own(2)
        assert set(outcomes(inline.run(Reroute(numbers=tuple(ours), destinations=TO_TRUNK))).values()) == {"confirmed"}
        assert not inline.ledger.account_state("default").paused


def test_an_unknown_trunk_is_the_providers_to_refuse_where_trunks_can_not_be_read(real_ledger: Ledger) -> None:
    with inline_on(real_ledger, scopes={"default": ("numbers", "buy")}) as inline:
        (ours,) = inline.own(1)
        before = inline.routes()
        assert inline.run(Reroute(numbers=(ours,), destinations=(Destination.trunk(999, "9"),))).state is JobState.FAILED
        assert inline.routes() == before


@pytest.mark.parametrize("scopes", [("numbers", "trunks", "account"), ("numbers", "buy:read", "trunks", "account")])
def test_a_key_that_may_not_buy_fails_purchases_and_nothing_else(real_ledger: Ledger, scopes: tuple[str, ...]) -> None:
    with inline_on(real_ledger, {"max_attempts": 2}, scopes={"default": scopes}) as inline:
        view = inline.run(ONE)
        assert view.state is JobState.FAILED
        assert view.error is not None
        assert view.error.code == "not_permitted"
        assert "buy numbers (the provider said 403" in view.error.message
        assert (inline.sandbox.charged_usd(), inline.sandbox.state()["accounts"]["default"]["cart"]) == (Decimal(0), [])
        assert not inline.ledger.account_state("default").paused
        (ours,) = inline.own(1)
        assert inline.run(Reroute(numbers=(ours,), destinations=(PERMANENT,))).state is JobState.SUCCEEDED


@pytest.mark.parametrize("request_", [Release, Reroute])
def test_a_key_that_only_reads_changes_nothing_and_says_so(real_ledger: Ledger, request_: type) -> None:
    with inline_on(real_ledger, {"max_attempts": 2}, scopes={"default": ("numbers:read", "buy", "trunks", "account")}) as inline:
        (ours,) = inline.own(1)
        before = inline.routes()
        more = {"destinations": (PERMANENT,)} if request_ is Reroute else {}
        view = inline.run(request_(numbers=(ours,), **more))
        assert view.error is not None
        assert view.error.code == "not_permitted"
        assert inline.routes() == before
        assert not inline.ledger.account_state("default").paused


def test_a_checkout_that_the_key_may_not_make_is_not_taken_for_one(real_ledger: Ledger) -> None:
    with inline_on(real_ledger, {"max_attempts": 2}) as inline:
        inline.sandbox.add_fault("checkout", "refuse", status=403, times=None, body={"success": False, "message": "scope missing"})
        view = inline.run(ONE)
        assert (view.state, view.error and view.error.code) == (JobState.FAILED, "checkout_forbidden")
        assert inline.sandbox.state()["accounts"]["default"]["cart"] == []
        assert not inline.ledger.account_state("default").paused


def test_a_right_that_is_lost_while_a_checkout_is_unclear_parks_the_purchase(real_ledger: Ledger) -> None:
    with inline_on(real_ledger, {"max_attempts": 2}) as inline:
        inline.sandbox.add_fault("checkout", "act_and_drop")
        refused = {"success": False, "message": "scope missing"}
        for call in ("cart", "cart_delete"):
            inline.sandbox.add_fault(call, "refuse", status=403, times=None, body=refused)
        job = inline.submit(ONE)
        view = inline.finish(job)
        assert view.state is JobState.NEEDS_REVIEW, "it was bought, and may not be given up as if it were not"
        assert len(inline.sandbox.ledger()) == inline.sandbox.state()["calls"]["checkout"] == 1
        assert not inline.ledger.account_state("default").paused
