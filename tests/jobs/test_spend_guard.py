"""The spend guard on real jobs: a limit is never exceeded, what waits continues, and what is held is what may still be charged."""

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
from tests.support.inline_worker import InlineWorker, charged, numbers, outcomes
from tests.support.ledger_roles import let_pass, stream
from tests.support.meddled_client import Meddled
from tests.support.simulation.purchase_faults import FAULTS
from worker.jobs.purchase.spend_limits import most_affordable
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox import Sandbox, SandboxOptions

TWO = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2)
ACCOUNT = "account:default"


def spending(inline: InlineWorker, scope: Scope = "account", name: str = "default") -> ScopeSpending:
    return inline.ledger.spending([(scope, name)])[0]


@pytest.fixture
def limited(inline: InlineWorker) -> Iterator[Callable[..., InlineWorker]]:
    """Workers with other settings on the same ledger and sandbox."""
    with ExitStack() as opened:
        yield lambda **changes: opened.enter_context(closing(InlineWorker(inline.ledger, inline.sandbox, **changes)))


def settled_only(inline: InlineWorker) -> Spend:
    """What the account has spent, when nothing is open."""
    spent = spending(inline)
    assert spent.held == Spend()
    assert spent.open_jobs == ()
    return spent.day


def waits(view: JobView) -> None:
    assert (view.state, view.reason, view.attempt) == (JobState.WAITING, "spend_limit", 0)


def cart(inline: InlineWorker) -> list[str]:
    held: list[str] = inline.sandbox.state()["accounts"]["default"]["cart"]
    return held


def waits_emitted(inline: InlineWorker, job: Job) -> list[str]:
    """The reasons in this job's waiting events."""
    events = (fields for fields in stream(inline.ledger, "events") if fields["subject"] == job.id)
    return [json.loads(fields["data"])["reason"] for fields in events if fields["type"] == "didflow.job.waiting.v1"]


def test_a_second_job_waits_with_an_event_and_goes_on_when_the_window_has_passed(limited: Callable[..., InlineWorker]) -> None:
    inline = limited(spend_account_numbers_per_hour=3)
    first, second = inline.run(TWO), inline.submit(TWO)
    for _ in range(3):
        waits(inline.attempt(second))
        inline.make_due(second)
    assert waits_emitted(inline, second) == ["spend_limit"]
    assert inline.sandbox.charged_usd() == charged(first)
    let_pass(inline.ledger, ACCOUNT, 59)
    waits(inline.attempt(second))
    let_pass(inline.ledger, ACCOUNT, 2)
    inline.make_due(second)
    view = inline.finish(second)
    assert view.state == "succeeded"
    assert inline.sandbox.charged_usd() == charged(first) + charged(view)
    assert settled_only(inline) == Spend(numbers=4, usd=inline.sandbox.charged_usd())


def test_a_cart_that_is_too_dear_is_given_up_whole_and_the_story_says_why(
    inline: InlineWorker, limited: Callable[..., InlineWorker]
) -> None:
    first = inline.run(TWO)
    inline = limited(spend_account_usd_per_day=Decimal(4))
    job = inline.submit(TWO)
    waits(inline.attempt(job))
    assert cart(inline) == []
    assert set(inline.ledger.client.hkeys(inline.ledger.keys.reserved("default"))) == set(outcomes(first)), "only what is ours by now"
    assert len(inline.sandbox.ledger()) == 2
    assert {step.name for step in inline.story(job)} == {"submitted", "bind", "abandon", "waiting"}
    (why,) = (step.detail for step in inline.story(job) if step.name == "waiting")
    assert why.startswith(f"spend_limit: account default may spend 4.00 USD per day: {charged(first)} USD used, 3.")
    assert " needed; enough is free at 20" in why


def test_a_job_that_waits_for_a_limit_leaves_the_provider_alone(inline: InlineWorker, limited: Callable[..., InlineWorker]) -> None:
    inline.run(TWO)
    inline = limited(spend_account_usd_per_day=Decimal(4))
    job = inline.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2, destinations=()))
    waits(inline.attempt(job))
    before = inline.sandbox.state()["calls"]
    for _ in range(3):
        inline.make_due(job)
        waits(inline.attempt(job))
    assert inline.sandbox.state()["calls"] == before
    let_pass(inline.ledger, ACCOUNT, 24 * 60 + 1)
    inline.make_due(job)
    assert inline.finish(job).state == "succeeded"


@pytest.mark.parametrize(
    ("limits", "needs"),
    [
        ({"account_numbers_per_hour": 1}, "this needs 2 numbers at once, and the account may never spend more than 1 number per hour"),
        ({"account_usd_per_day": Decimal("1.50")}, "the account may never spend more than 1.50 USD per day"),
        ({"reference_numbers_per_day": 1}, "the reference may never spend more than 1 number per day"),
    ],
)
def test_what_can_never_fit_fails_with_what_to_do_and_buys_nothing(
    limited: Callable[..., InlineWorker], limits: dict[str, object], needs: str
) -> None:
    inline = limited(**{f"spend_{name}": most for name, most in limits.items()})
    job = inline.submit(TWO, reference="customer-9")
    view = inline.attempt(job)
    assert view.state == "failed"
    assert view.error is not None
    assert view.error.code == "spend_limit_too_low"
    assert needs in view.error.message
    (name,) = limits
    assert f"raise DIDFLOW_SPEND_{name.upper()}" in view.error.message
    assert (inline.sandbox.ledger(), cart(inline)) == ([], [])
    assert settled_only(inline) == Spend()


def test_each_reference_has_its_own_limit(limited: Callable[..., InlineWorker]) -> None:
    inline = limited(spend_reference_numbers_per_day=2)
    one, again, other = (inline.submit(TWO, reference=name) for name in ("customer-9", "customer-9", "customer-8"))
    assert inline.finish(one).state == "succeeded"
    waits(inline.attempt(again))
    assert inline.finish(other).state == "succeeded"
    assert spending(inline, "reference", "customer-9").day.numbers == 2
    assert spending(inline).day == Spend(numbers=4, usd=inline.sandbox.charged_usd())


def test_best_effort_buys_what_fits_and_the_rest_when_there_is_room_again(limited: Callable[..., InlineWorker]) -> None:
    inline = limited(spend_account_numbers_per_hour=3)
    job = inline.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=5, policy="best_effort"))
    waits(inline.attempt(job))
    assert len(inline.owned()) == 3
    let_pass(inline.ledger, ACCOUNT, 61)
    inline.make_due(job)
    view = inline.finish(job)
    assert (view.state, len(numbers(view))) == ("succeeded", 5)
    assert charged(view) == inline.sandbox.charged_usd() == settled_only(inline).usd


def test_a_limit_in_usd_is_filled_with_the_cheapest_and_no_other_number_is_taken(limited: Callable[..., InlineWorker]) -> None:
    inline = limited(spend_account_usd_per_hour=Decimal(5))
    job = inline.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=20, policy="best_effort"))
    waits(inline.attempt(job))
    assert 0 < inline.sandbox.charged_usd() <= 5
    assert (cart(inline), set(inline.ledger.client.hkeys(inline.ledger.keys.reserved("default")))) == ([], inline.owned())


def test_a_job_that_waits_for_a_limit_with_numbers_bought_lists_them_when_it_is_cancelled(limited: Callable[..., InlineWorker]) -> None:
    inline = limited(spend_account_numbers_per_hour=3)
    job = inline.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=5, policy="best_effort"))
    waits(inline.attempt(job))
    inline.ledger.run(script_calls.cancel(job.id))
    view = inline.finish(job)
    assert view.state == "partial"
    assert set(outcomes(view)) == inline.owned()


def test_an_unclear_checkout_is_held_until_it_is_settled(limited: Callable[..., InlineWorker]) -> None:
    inline = limited(spend_account_numbers_per_hour=3, settle_seconds=2.0)
    inline.sandbox.add_fault("checkout", "act_and_drop")
    inline.sandbox.add_fault("owned", "lag", seconds=1.8, times=None)  # Longer than the attempt takes on a busy machine.
    unclear, other = inline.submit(TWO), inline.submit(TWO)
    view = inline.attempt(unclear)
    assert view.reason == "settling"
    spent = spending(inline)
    assert spent.held == Spend(numbers=2, usd=inline.sandbox.charged_usd())
    assert spent.open_jobs == (unclear.id,)
    waits(inline.attempt(other))
    (why,) = (step.detail for step in inline.story(other) if step.name == "waiting")
    assert "(2 numbers of it held by open checkouts)" in why
    assert "it resumes when open checkouts are settled" in why
    assert inline.finish(unclear).state == "succeeded"
    assert settled_only(inline) == Spend(numbers=2, usd=inline.sandbox.charged_usd())


def test_a_checkout_that_never_happened_gives_its_hold_back_and_the_next_round_has_room(limited: Callable[..., InlineWorker]) -> None:
    inline = limited(spend_account_numbers_per_hour=2)
    inline.sandbox.add_fault("checkout", "drop")
    view = inline.run(TWO)
    assert view.state == "succeeded"
    assert inline.steps(view).count("fence") == 2
    assert settled_only(inline) == Spend(numbers=2, usd=inline.sandbox.charged_usd())


def test_a_refused_checkout_gives_its_hold_back(inline: InlineWorker) -> None:
    inline.sandbox.order("set_balance", usd="0.50")
    job = inline.submit(TWO)
    assert inline.attempt(job).reason == "funds"
    assert settled_only(inline) == Spend()


def test_only_the_bought_part_of_a_checkout_counts(real_ledger: Ledger) -> None:
    with Sandbox(SandboxOptions(numbers_per_city=30, partial_checkout=True)) as sandbox:
        inline = InlineWorker(real_ledger, sandbox, spend_account_numbers_per_hour=3)
        sandbox.add_fault("checkout", "sell_to_other")
        job = inline.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=3))
        view = inline.finish(job)
        assert view.state == "succeeded"
        assert settled_only(inline) == Spend(numbers=3, usd=sandbox.charged_usd())
        inline.close()


def test_a_worker_that_dies_with_its_checkout_open_leaves_the_hold_to_the_next(limited: Callable[..., InlineWorker]) -> None:
    class Dead(BaseException):
        pass

    class Dying(Meddled):
        def check_out(self, numbers: Any) -> Answer[None]:
            raise Dead

    inline = limited(spend_account_numbers_per_hour=2)
    job = inline.submit(TWO)
    alive = inline.client
    Dying(inline)
    with pytest.raises(Dead):
        inline.attempt(job)
    assert spending(inline).held.numbers == 2
    inline.client = alive
    inline.ledger.client.zadd(f"{inline.ledger.keys.namespace}:leases", {job.id: 1})
    assert inline.ledger.sweep(max_crashes=5).recovered == 1
    assert spending(inline).held.numbers == 2
    assert inline.finish(job).state == "succeeded"
    assert settled_only(inline) == Spend(numbers=2, usd=inline.sandbox.charged_usd())


@pytest.mark.parametrize("ends", ["resolved", "none", "retried"])
def test_a_parked_job_keeps_its_hold_until_a_person_ends_it(limited: Callable[..., InlineWorker], ends: str) -> None:
    inline = limited(settle_limit_seconds=1.0, spend_account_numbers_per_hour=3)
    inline.sandbox.add_fault("owned", "lag", seconds=60.0, times=None)
    parked = inline.run(TWO)
    assert parked.state is JobState.NEEDS_REVIEW
    let_pass(inline.ledger, ACCOUNT, 3 * 24 * 60)
    assert spending(inline).held == Spend(numbers=2, usd=inline.sandbox.charged_usd())
    other = inline.submit(TWO)
    waits(inline.attempt(other))
    inline.sandbox.clear_faults()
    if ends == "retried":
        inline.ledger.run(script_calls.retry(parked.id))
        assert spending(inline).held.numbers == 2
        assert inline.finish(Job(parked.id, False, JobState.QUEUED)).state == "succeeded"
        assert settled_only(inline) == Spend(numbers=2, usd=inline.sandbox.charged_usd())
        return
    bought = sorted(outcomes(parked))[:1] if ends == "resolved" else []
    found = finding(parked, bought)
    for _ in range(2):
        inline.ledger.run(resolving(found))
    view = inline.ledger.get(parked.id)
    assert settled_only(inline) == Spend(numbers=len(bought), usd=charged(view))
    inline.make_due(other)
    assert inline.finish(other).state == "succeeded", "there is room for two more"


def test_a_number_that_never_came_into_the_cart_keeps_no_other_one_there(
    inline: InlineWorker, limited: Callable[..., InlineWorker]
) -> None:
    inline.run(TWO)
    inline = limited(spend_account_usd_per_day=Decimal(4))
    inline.sandbox.add_fault("cart_put", "partial")
    waits(inline.attempt(inline.submit(TWO)))
    assert cart(inline) == []


def test_a_dry_run_holds_and_counts_nothing(limited: Callable[..., InlineWorker]) -> None:
    inline = limited(spend_account_numbers_per_hour=1)
    assert inline.run(TWO.model_copy(update={"dry_run": True})).state == "succeeded"
    assert inline.ledger.spending([], newest=10) == ()


def test_many_workers_at_once_stay_within_the_limit(inline: InlineWorker, limited: Callable[..., InlineWorker]) -> None:
    jobs = [inline.submit(SearchAndBuy(country="US", city=("LOS ANGELES, CA",))) for _ in range(12)]
    workers = [limited(http_timeout=5.0, spend_account_usd_per_hour=Decimal(9)) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda mine=mine, who=who: [who.attempt(job) for job in mine])
        for mine, who in zip((jobs[part::4] for part in range(4)), workers, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < inline.sandbox.charged_usd() <= 9
    assert settled_only(inline).usd == inline.sandbox.charged_usd()
    for view in map(inline.ledger.get, (job.id for job in jobs)):
        if view.state is not JobState.SUCCEEDED:
            waits(view)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
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
        inline = InlineWorker(
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
            job = inline.submit(SearchAndBuy(country="CA", quantity=quantity, policy="best_effort"))
            for _ in range(4):
                view = inline.attempt(job)
                assert sandbox.charged_usd() <= usd
                assert spending(inline).hour.usd >= sandbox.charged_usd(), "what was charged is counted, at any moment"
                if view.state is not JobState.WAITING:
                    break
                inline.make_due(job)
        inline.close()
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
def test_best_effort_buys_what_a_limit_leaves_room_for(limited: Callable[..., InlineWorker], limit: dict[str, Any]) -> None:
    inline = limited(**limit)
    inline.finish(inline.submit(TWO.model_copy(update={"quantity": 1}), reference="acme"))
    job = inline.submit(TWO.model_copy(update={"quantity": 30, "policy": "best_effort"}), reference="acme")
    waits(inline.attempt(job))
    assert len(inline.owned()) >= 6
    assert spending(inline).day.usd == inline.sandbox.charged_usd() <= 20
    assert spending(inline).held == Spend()
    assert cart(inline) == []
    assert inline.ledger.client.hlen(inline.ledger.keys.reserved("default")) == len(inline.owned()), "what didn't fit is free for others"


def test_a_standing_order_that_a_limit_stopped_names_the_limit_at_its_end(limited: Callable[..., InlineWorker]) -> None:
    inline = limited(spend_account_numbers_per_day=3)
    inline.run(TWO)
    until = datetime.fromtimestamp(inline.ledger.now_ms() / 1000 + 0.5, UTC)
    view = inline.finish(inline.submit(TWO.model_copy(update={"quantity": 5, "policy": "best_effort", "wait_until": until})))
    assert (view.state, view.error and view.error.code) == (JobState.PARTIAL, "not_filled")
    assert "DIDFLOW_SPEND_ACCOUNT_NUMBERS_PER_DAY" in str(view.error)
    assert "wider" not in str(view.error)


def test_all_or_nothing_still_waits_for_room(limited: Callable[..., InlineWorker]) -> None:
    inline = limited(spend_account_numbers_per_day=3)
    inline.run(TWO)
    waits(inline.attempt(inline.submit(TWO)))
    assert cart(inline) == []
