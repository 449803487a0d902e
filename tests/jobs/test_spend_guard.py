"""The spend guard on real jobs: a limit is never exceeded, what waits goes on, and what is held is what may still be charged."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from didflow.client.review import finding, resolving
from didflow.contract.jobs import Job, JobView
from didflow.contract.provider import Answer
from didflow.contract.requests import SearchAndBuy
from didflow.contract.spending import Scope, ScopeSpending, Spend, SpendLimit
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from didflow.settings import Settings
from tests.jobs.test_purchase_property import FAULTS
from tests.jobs.test_reviewed_sequences import Meddled
from tests.support.inline_worker import SETTLE_S, Stage, charged, numbers, outcomes
from tests.support.ledger_roles import let_pass, stream
from worker.jobs.purchase.spend_limits import most_affordable
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox import Sandbox, SandboxOptions

TWO = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2)
ACCOUNT = "account:default"


def spending(stage: Stage, scope: Scope = "account", name: str = "default") -> ScopeSpending:
    return stage.ledger.spending([(scope, name)])[0]


@pytest.fixture
def limited(stage: Stage) -> Iterator[Callable[..., Stage]]:
    """Workers with other settings on the same ledger and sandbox."""
    with ExitStack() as opened:
        yield lambda **changes: opened.enter_context(closing(Stage(stage.ledger, stage.sandbox, **changes)))


def settled_only(stage: Stage) -> Spend:
    """What the account has spent, when nothing is open."""
    told = spending(stage)
    assert told.held == Spend()
    assert told.open_jobs == ()
    return told.day


def waits(view: JobView) -> None:
    assert (view.state, view.reason, view.attempt) == (JobState.WAITING, "spend_limit", 0)


def cart(stage: Stage) -> list[str]:
    held: list[str] = stage.sandbox.state()["accounts"]["default"]["cart"]
    return held


def told_to_wait(stage: Stage, job: Job) -> list[str]:
    """The reasons in this job's waiting events."""
    events = (fields for fields in stream(stage.ledger, "events") if fields["subject"] == job.id)
    return [json.loads(fields["data"])["reason"] for fields in events if fields["type"] == "didflow.job.waiting.v1"]


def test_a_second_job_waits_with_an_event_and_goes_on_when_the_window_has_passed(limited: Callable[..., Stage]) -> None:
    stage = limited(spend_account_numbers_per_hour=3)
    first, second = stage.run(TWO), stage.submit(TWO)
    for _ in range(3):
        waits(stage.attempt(second))
        stage.make_due(second)
    assert told_to_wait(stage, second) == ["spend_limit"]
    assert stage.sandbox.charged_usd() == charged(first)
    let_pass(stage.ledger, ACCOUNT, 59)
    waits(stage.attempt(second))
    let_pass(stage.ledger, ACCOUNT, 2)
    stage.make_due(second)
    view = stage.finish(second)
    assert view.state == "succeeded"
    assert stage.sandbox.charged_usd() == charged(first) + charged(view)
    assert settled_only(stage) == Spend(numbers=4, usd=stage.sandbox.charged_usd())


def test_a_cart_that_is_too_dear_is_given_up_whole_and_the_story_says_why(stage: Stage, limited: Callable[..., Stage]) -> None:
    first = stage.run(TWO)
    stage = limited(spend_account_usd_per_day=Decimal(4))
    job = stage.submit(TWO)
    waits(stage.attempt(job))
    assert cart(stage) == []
    assert set(stage.ledger.client.hkeys(stage.ledger.keys.reserved("default"))) == set(outcomes(first)), "only what is ours by now"
    assert len(stage.sandbox.ledger()) == 2
    assert {step.name for step in stage.story(job)} == {"submitted", "bind", "abandon", "waiting"}
    (why,) = (step.detail for step in stage.story(job) if step.name == "waiting")
    assert why.startswith(f"spend_limit: account default may spend 4.00 USD per day: {charged(first)} USD used, 3.")
    assert " needed; enough is free at 20" in why


def test_a_job_that_waits_for_a_limit_leaves_the_provider_alone(stage: Stage, limited: Callable[..., Stage]) -> None:
    stage.run(TWO)
    stage = limited(spend_account_usd_per_day=Decimal(4))
    job = stage.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2, destinations=()))
    waits(stage.attempt(job))
    before = stage.sandbox.state()["calls"]
    for _ in range(3):
        stage.make_due(job)
        waits(stage.attempt(job))
    assert stage.sandbox.state()["calls"] == before
    let_pass(stage.ledger, ACCOUNT, 24 * 60 + 1)
    stage.make_due(job)
    assert stage.finish(job).state == "succeeded"


@pytest.mark.parametrize(
    ("limits", "needs"),
    [
        ({"account_numbers_per_hour": 1}, "this needs 2 numbers at once, and the account may never spend more than 1 number per hour"),
        ({"account_usd_per_day": Decimal("1.50")}, "the account may never spend more than 1.50 USD per day"),
        ({"reference_numbers_per_day": 1}, "the reference may never spend more than 1 number per day"),
    ],
)
def test_what_can_never_fit_fails_with_what_to_do_and_buys_nothing(
    limited: Callable[..., Stage], limits: dict[str, object], needs: str
) -> None:
    stage = limited(**{f"spend_{name}": most for name, most in limits.items()})
    job = stage.submit(TWO, reference="customer-9")
    view = stage.attempt(job)
    assert view.state == "failed"
    assert view.error is not None
    assert view.error.code == "spend_limit_too_low"
    assert needs in view.error.message
    (name,) = limits
    assert f"raise DIDFLOW_SPEND_{name.upper()}" in view.error.message
    assert (stage.sandbox.ledger(), cart(stage)) == ([], [])
    assert settled_only(stage) == Spend()


def test_each_reference_has_its_own_limit(limited: Callable[..., Stage]) -> None:
    stage = limited(spend_reference_numbers_per_day=2)
    one, again, other = (stage.submit(TWO, reference=name) for name in ("customer-9", "customer-9", "customer-8"))
    assert stage.finish(one).state == "succeeded"
    waits(stage.attempt(again))
    assert stage.finish(other).state == "succeeded"
    assert spending(stage, "reference", "customer-9").day.numbers == 2
    assert spending(stage).day == Spend(numbers=4, usd=stage.sandbox.charged_usd())


def test_best_effort_buys_what_fits_and_the_rest_when_there_is_room_again(limited: Callable[..., Stage]) -> None:
    stage = limited(spend_account_numbers_per_hour=3)
    job = stage.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=5, policy="best_effort"))
    waits(stage.attempt(job))
    assert len(stage.owned()) == 3
    let_pass(stage.ledger, ACCOUNT, 61)
    stage.make_due(job)
    view = stage.finish(job)
    assert (view.state, len(numbers(view))) == ("succeeded", 5)
    assert charged(view) == stage.sandbox.charged_usd() == settled_only(stage).usd


def test_a_limit_in_usd_is_filled_with_the_cheapest_and_no_other_number_is_taken(limited: Callable[..., Stage]) -> None:
    stage = limited(spend_account_usd_per_hour=Decimal(5))
    job = stage.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=20, policy="best_effort"))
    waits(stage.attempt(job))
    assert 0 < stage.sandbox.charged_usd() <= 5
    assert (cart(stage), set(stage.ledger.client.hkeys(stage.ledger.keys.reserved("default")))) == ([], stage.owned())


def test_a_job_that_waits_for_a_limit_with_numbers_bought_lists_them_when_it_is_cancelled(limited: Callable[..., Stage]) -> None:
    stage = limited(spend_account_numbers_per_hour=3)
    job = stage.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=5, policy="best_effort"))
    waits(stage.attempt(job))
    stage.ledger.run(script_calls.cancel(job.id))
    view = stage.finish(job)
    assert view.state == "partial"
    assert set(outcomes(view)) == stage.owned()


def test_an_unclear_checkout_is_held_until_it_is_settled(limited: Callable[..., Stage]) -> None:
    stage = limited(spend_account_numbers_per_hour=3)
    stage.sandbox.add_fault("checkout", "act_and_drop")
    stage.sandbox.add_fault("owned", "lag", seconds=SETTLE_S * 0.8, times=None)
    unclear, other = stage.submit(TWO), stage.submit(TWO)
    view = stage.attempt(unclear)
    assert view.reason == "settling"
    told = spending(stage)
    assert told.held == Spend(numbers=2, usd=stage.sandbox.charged_usd())
    assert told.open_jobs == (unclear.id,)
    waits(stage.attempt(other))
    (why,) = (step.detail for step in stage.story(other) if step.name == "waiting")
    assert "(2 numbers of it held by open checkouts)" in why
    assert "it goes on when open checkouts are settled" in why
    assert stage.finish(unclear).state == "succeeded"
    assert settled_only(stage) == Spend(numbers=2, usd=stage.sandbox.charged_usd())


def test_a_checkout_that_never_happened_gives_its_hold_back_and_the_next_round_has_room(limited: Callable[..., Stage]) -> None:
    stage = limited(spend_account_numbers_per_hour=2)
    stage.sandbox.add_fault("checkout", "drop")
    view = stage.run(TWO)
    assert view.state == "succeeded"
    assert stage.steps(view).count("fence") == 2
    assert settled_only(stage) == Spend(numbers=2, usd=stage.sandbox.charged_usd())


def test_a_refused_checkout_gives_its_hold_back(stage: Stage) -> None:
    stage.sandbox.order("set_balance", usd="0.50")
    job = stage.submit(TWO)
    assert stage.attempt(job).reason == "funds"
    assert settled_only(stage) == Spend()


def test_only_the_bought_part_of_a_checkout_counts(real_ledger: Ledger) -> None:
    with Sandbox(SandboxOptions(numbers_per_city=30, partial_checkout=True)) as sandbox:
        stage = Stage(real_ledger, sandbox, spend_account_numbers_per_hour=3)
        sandbox.add_fault("checkout", "sell_to_other")
        job = stage.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=3))
        view = stage.finish(job)
        assert view.state == "succeeded"
        assert settled_only(stage) == Spend(numbers=3, usd=sandbox.charged_usd())
        stage.close()


def test_a_worker_that_dies_with_its_checkout_open_leaves_the_hold_to_the_next(limited: Callable[..., Stage]) -> None:
    class Dead(BaseException):
        pass

    class Dying(Meddled):
        def check_out(self, numbers: Any) -> Answer[None]:
            raise Dead

    stage = limited(spend_account_numbers_per_hour=2)
    job = stage.submit(TWO)
    alive = stage.client
    Dying(stage)
    with pytest.raises(Dead):
        stage.attempt(job)
    assert spending(stage).held.numbers == 2
    stage.client = alive
    stage.ledger.client.zadd(f"{stage.ledger.keys.namespace}:leases", {job.id: 1})
    assert stage.ledger.sweep(max_crashes=5).recovered == 1
    assert spending(stage).held.numbers == 2
    assert stage.finish(job).state == "succeeded"
    assert settled_only(stage) == Spend(numbers=2, usd=stage.sandbox.charged_usd())


@pytest.mark.parametrize("ends", ["resolved", "none", "retried"])
def test_a_parked_job_keeps_its_hold_until_a_person_ends_it(limited: Callable[..., Stage], ends: str) -> None:
    stage = limited(settle_limit_seconds=1.0, spend_account_numbers_per_hour=3)
    stage.sandbox.add_fault("owned", "lag", seconds=60.0, times=None)
    parked = stage.run(TWO)
    assert parked.state is JobState.NEEDS_REVIEW
    let_pass(stage.ledger, ACCOUNT, 3 * 24 * 60)
    assert spending(stage).held == Spend(numbers=2, usd=stage.sandbox.charged_usd())
    other = stage.submit(TWO)
    waits(stage.attempt(other))
    stage.sandbox.clear_faults()
    if ends == "retried":
        stage.ledger.run(script_calls.retry(parked.id))
        assert spending(stage).held.numbers == 2
        assert stage.finish(Job(parked.id, False, JobState.QUEUED)).state == "succeeded"
        assert settled_only(stage) == Spend(numbers=2, usd=stage.sandbox.charged_usd())
        return
    bought = sorted(outcomes(parked))[:1] if ends == "resolved" else []
    found = finding(parked, bought)
    for _ in range(2):
        stage.ledger.run(resolving(found))
    view = stage.ledger.get(parked.id)
    assert settled_only(stage) == Spend(numbers=len(bought), usd=charged(view))
    stage.make_due(other)
    assert stage.finish(other).state == "succeeded", "there is room for two more"


def test_a_number_that_never_came_into_the_cart_keeps_no_other_one_there(stage: Stage, limited: Callable[..., Stage]) -> None:
    stage.run(TWO)
    stage = limited(spend_account_usd_per_day=Decimal(4))
    stage.sandbox.add_fault("cart_put", "partial")
    waits(stage.attempt(stage.submit(TWO)))
    assert cart(stage) == []


def test_a_dry_run_holds_and_counts_nothing(limited: Callable[..., Stage]) -> None:
    stage = limited(spend_account_numbers_per_hour=1)
    assert stage.run(TWO.model_copy(update={"dry_run": True})).state == "succeeded"
    assert stage.ledger.spending([], newest=10) == ()


def test_many_workers_at_once_stay_within_the_limit(stage: Stage, limited: Callable[..., Stage]) -> None:
    jobs = [stage.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",))) for _ in range(12)]
    workers = [limited(http_timeout=5.0, spend_account_usd_per_hour=Decimal(9)) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda mine=mine, who=who: [who.attempt(job) for job in mine])
        for mine, who in zip((jobs[part::4] for part in range(4)), workers, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < stage.sandbox.charged_usd() <= 9
    assert settled_only(stage).usd == stage.sandbox.charged_usd()
    for view in map(stage.ledger.get, (job.id for job in jobs)):
        if view.state is not JobState.SUCCEEDED:
            waits(view)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    faults=st.lists(FAULTS, max_size=5),
    quantities=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    usd=st.integers(2, 12),
    partial_checkout=st.booleans(),
)
def test_whatever_the_provider_does_no_hour_has_more_than_its_limit(
    valkey: EmbeddedValkey, faults: list[dict[str, Any]], quantities: list[int], usd: int, partial_checkout: bool
) -> None:
    ledger = Ledger(connect(valkey.url), f"property-{uuid.uuid4().hex[:8]}")
    with Sandbox(SandboxOptions(numbers_per_city=6, partial_checkout=partial_checkout)) as sandbox:
        stage = Stage(
            ledger,
            sandbox,
            settle_seconds=0.25,
            http_timeout=0.08,
            settle_limit_seconds=2.0,
            lease_seconds=60.0,  # Nobody renews it here.
            spend_account_usd_per_hour=Decimal(usd),
        )
        for fault in faults:
            sandbox.add_fault(**fault)
        for quantity in quantities:
            job = stage.submit(SearchAndBuy(country="CA", quantity=quantity, policy="best_effort"))
            for _ in range(4):
                view = stage.attempt(job)
                assert sandbox.charged_usd() <= usd
                assert spending(stage).hour.usd >= sandbox.charged_usd(), "what was charged is counted, at any moment"
                if view.state is not JobState.WAITING:
                    break
                stage.make_due(job)
        stage.close()
    ledger.client.close()


@given(st.lists(st.decimals(0, 20, places=2), max_size=8).map(sorted), st.decimals(0, 30, places=2), st.decimals("0.01", 40, places=2))
def test_what_is_bound_can_be_bought_at_once_and_one_more_could_not(costs: list[Decimal], beside: Decimal, most: Decimal) -> None:
    limits = [SpendLimit(scope="account", unit="usd", window="day", most=most)]
    room = most_affordable(limits, costs, beside, 0)
    assert room == 0 or beside + sum(costs[:room]) <= most
    assert room == len(costs) or beside + sum(costs[: room + 1]) > most
    assert most_affordable(limits, costs, beside, 2) == max(room, min(2, len(costs)))
    assert most_affordable(limits, costs, beside, -1) == room, "a cart that is above its floor"
    assert most_affordable((), costs, beside, 0) == len(costs)


def test_settings_say_what_an_account_and_a_reference_may_spend(tmp_path: Any) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text('[second]\napi_key = "k"\nspend_usd_per_day = "12.50"\nspend_numbers_per_hour = 5\n')
    loaded = Settings(
        _env_file=None,
        accounts=file,
        spend_account_usd_per_day=Decimal(100),
        spend_account_numbers_per_day=50,
        spend_reference_usd_per_hour="7",
    )
    general = {str(limit) + " " + limit.scope for limit in loaded.spend_limits(None)}
    assert general == {"100.00 USD per day account", "50 numbers per day account", "7.00 USD per hour reference"}
    own = {str(limit) + " " + limit.scope for limit in loaded.spend_limits(loaded.account("second"))}
    assert own == {"12.50 USD per day account", "50 numbers per day account", "5 numbers per hour account", "7.00 USD per hour reference"}
    assert Settings(_env_file=None).spend_limits(None) == ()


LIMITS: list[dict[str, Any]] = [
    {"spend_account_usd_per_day": Decimal(20)},
    {"spend_account_numbers_per_day": 6},
    {"spend_reference_usd_per_hour": Decimal(20)},
]


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_best_effort_buys_what_a_limit_leaves_room_for(limited: Callable[..., Stage], limit: dict[str, Any]) -> None:
    stage = limited(**limit)
    stage.finish(stage.submit(TWO.model_copy(update={"quantity": 1}), reference="acme"))
    job = stage.submit(TWO.model_copy(update={"quantity": 30, "policy": "best_effort"}), reference="acme")
    waits(stage.attempt(job))
    assert len(stage.owned()) >= 6
    assert spending(stage).day.usd == stage.sandbox.charged_usd() <= 20
    assert spending(stage).held == Spend()
    assert cart(stage) == []
    assert stage.ledger.client.hlen(stage.ledger.keys.reserved("default")) == len(stage.owned()), "what didn't fit is free for others"


def test_a_standing_order_that_a_limit_stopped_names_the_limit_at_its_end(limited: Callable[..., Stage]) -> None:
    stage = limited(spend_account_numbers_per_day=3)
    stage.run(TWO)
    until = datetime.fromtimestamp(stage.ledger.now_ms() / 1000 + 0.5, UTC)
    view = stage.finish(stage.submit(TWO.model_copy(update={"quantity": 5, "policy": "best_effort", "wait_until": until})))
    assert (view.state, view.error and view.error.code) == (JobState.PARTIAL, "not_filled")
    assert "DIDFLOW_SPEND_ACCOUNT_NUMBERS_PER_DAY" in str(view.error)
    assert "wider" not in str(view.error)


def test_all_or_nothing_still_waits_for_room(limited: Callable[..., Stage]) -> None:
    stage = limited(spend_account_numbers_per_day=3)
    stage.run(TWO)
    waits(stage.attempt(stage.submit(TWO)))
    assert cart(stage) == []
