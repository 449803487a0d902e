"""The purchase protocol under each fault of the provider: never more than asked, nothing charged that isn't reported."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from pydantic import SecretStr

from didflow.contract.destinations import Destination
from didflow.contract.jobs import JobView
from didflow.contract.provider import Answer
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import JobState, WaitReason
from didflow.ledger import script_calls
from didflow.ledger.ledger import Ledger
from didflow.ledger.replies import CancelRequested
from tests.support.cluster import until
from tests.support.inline_worker import HTTP_TIMEOUT_S, SETTLE_S, InlineWorker, charged, numbers, outcomes
from worker.reconcile.diff import strangers
from worker.reconcile.ledger_view import read_books
from worker.wavix.client import WavixClient
from worker.wavix.sandbox import Sandbox, SandboxAdmin
from worker.wavix.sandbox.options import SANDBOX_KEY

TWO = SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=2)


def exactly(inline: InlineWorker, view: JobView, count: int) -> None:
    """The promise, checked against the provider's own ledger."""
    assert set(outcomes(view)) == inline.owned()
    assert len(inline.owned()) == count
    assert charged(view) == inline.sandbox.charged_usd()
    assert len(inline.sandbox.ledger()) == count
    assert inline.sandbox.state()["accounts"]["default"]["cart"] == []


@pytest.mark.parametrize("kind", ["act_and_drop", "act_and_hang", "cut_json", "act_then_html", "status_500_after"])
def test_a_lost_checkout_answer_buys_nothing_twice(inline: InlineWorker, kind: str) -> None:
    inline.sandbox.add_fault("checkout", kind, seconds=1.0)
    view = inline.run(TWO)
    assert view.state == "succeeded"
    exactly(inline, view, 2)
    assert inline.sandbox.state()["calls"]["checkout"] == 1


@pytest.mark.parametrize("kind", ["drop", "hang", "html_error", "status_500_before"])
def test_a_checkout_that_never_happened_is_settled_and_bought_with_other_numbers(inline: InlineWorker, kind: str) -> None:
    inline.sandbox.add_fault("checkout", kind, seconds=1.0)
    view = inline.run(TWO)
    assert view.state == "succeeded"
    exactly(inline, view, 2)
    first, second = (step.detail for step in inline.story(view) if step.name == "fence")
    assert not set(first.split()) & set(second.split()), "a number whose checkout was unclear is never tried again"


def test_a_checkout_that_acts_after_recovery_began_finds_an_empty_cart(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("checkout", "act_late", seconds=0.15)
    view = inline.run(TWO)
    assert view.state == "succeeded"
    exactly(inline, view, 2)
    assert inline.sandbox.state()["faults"]["checkout:acted_late"] == 1


@pytest.mark.parametrize("kind", ["act_and_drop", "act_late", "drop", "cut_json"])
def test_numbers_whose_cart_add_was_unclear_are_never_checked_out(inline: InlineWorker, kind: str) -> None:
    inline.sandbox.add_fault("cart_put", kind, seconds=0.2)
    job = inline.submit(TWO)
    inline.attempt(job)
    if kind == "act_late":
        until(lambda: inline.sandbox.state()["faults"].get("cart_put:acted_late"), what="the late add")
    view = inline.finish(job)
    assert view.state == "succeeded"
    exactly(inline, view, 2)
    bound, again = (set(step.detail.split()) for step in inline.story(view) if step.name == "bind")
    assert not bound & again


def test_a_lagging_owned_list_is_not_believed_before_the_settle_time(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("checkout", "act_and_drop")
    inline.sandbox.add_fault("owned", "lag", seconds=SETTLE_S * 0.8, times=None)
    view = inline.run(TWO)
    assert view.state == "succeeded"
    exactly(inline, view, 2)


@pytest.mark.parametrize("charges", ["fees", "order"])
@pytest.mark.parametrize("kind", ["act_and_drop", "act_then_html"])
def test_a_charge_that_names_a_number_keeps_it_from_being_replaced_however_late_the_owned_list_is(
    inline: InlineWorker, charges: str, kind: str
) -> None:
    inline.sandbox.order("reconfigure", charges=charges)
    inline.sandbox.add_fault("checkout", kind)
    inline.sandbox.add_fault("owned", "lag", seconds=60.0, times=None)
    job = inline.submit(TWO)
    for _ in range(6):
        assert inline.attempt(job).state is JobState.WAITING
        inline.wait_until_due(job)
        if "charged_not_shown" in inline.steps(job):
            break
    assert "charged_not_shown" in inline.steps(job)
    inline.sandbox.clear_faults()  # The list shows them at last.
    view = inline.finish(job)
    assert view.state == "succeeded"
    exactly(inline, view, 2)


def test_a_charge_without_a_number_that_shows_is_for_a_person(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("checkout", "act_and_drop")
    inline.sandbox.add_fault("owned", "lag", seconds=60.0, times=None)
    view = inline.run(TWO)
    assert view.state is JobState.NEEDS_REVIEW
    assert set(outcomes(view).values()) == {"unclear"}
    assert len(inline.sandbox.ledger()) == 2
    assert "the transactions show a charge" in {step.name: step.detail for step in inline.story(view)}["unsettled"]


@pytest.mark.parametrize("kind", ["drop", "rate_limit", "html_error", "cut_json"])
def test_transactions_that_cannot_be_read_change_nothing(inline: InlineWorker, kind: str) -> None:
    inline.sandbox.add_fault("transactions", kind, times=None)
    inline.sandbox.add_fault("checkout", "drop")
    view = inline.run(TWO)
    assert view.state == "succeeded"
    exactly(inline, view, 2)


@pytest.mark.parametrize("kind", ["drop", "hang", "html_error", "status_500_before"])
def test_what_may_still_be_in_the_cart_stays_reserved_so_that_no_gate_finds_it_strange(inline: InlineWorker, kind: str) -> None:
    inline.sandbox.order("set_balance", usd="0.10")
    inline.sandbox.add_fault("cart_delete", kind, seconds=1.0, times=None)
    view = inline.attempt(job := inline.submit(TWO))
    in_cart = [f"+{number}" for number in inline.sandbox.state()["accounts"]["default"]["cart"]]
    assert (view.reason, len(in_cart)) == (WaitReason.FUNDS, 2)
    assert strangers(read_books(inline.ledger, "default"), in_cart, inline.ledger.now_ms()) == ()
    inline.sandbox.clear_faults()
    inline.sandbox.order("set_balance", usd="100")
    view = inline.finish(job)
    exactly(inline, view, 2)
    assert not set(outcomes(view)) & set(in_cart), "they are others' in a day"


def test_a_number_that_an_old_cart_list_does_not_show_stays_reserved(inline: InlineWorker) -> None:
    inline.sandbox.order("set_balance", usd="0.10")
    inline.sandbox.add_fault("cart_delete", "status_500_before")
    inline.sandbox.add_fault("cart", "lag", seconds=60.0, times=None)
    inline.attempt(inline.submit(TWO))
    assert len(inline.sandbox.state()["accounts"]["default"]["cart"]) == 2
    assert inline.ledger.client.hlen(inline.ledger.keys.reserved("default")) == 2


def test_a_clear_yes_is_still_looked_up_in_a_list_that_lags(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("owned", "lag", seconds=0.4, times=None)
    view = inline.run(TWO)
    assert view.state == "succeeded"
    exactly(inline, view, 2)
    assert "look_again" in inline.steps(view)


def test_a_clear_yes_that_never_shows_is_parked_and_holds_its_numbers(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("owned", "lag", seconds=60.0, times=None)
    view = inline.run(TWO)
    assert view.state is JobState.NEEDS_REVIEW
    assert set(outcomes(view).values()) == {"unclear"}
    assert len(inline.sandbox.ledger()) == 2
    assert inline.ledger.client.hlen(inline.ledger.keys.reserved("default")) == 2


def test_numbers_sold_to_another_customer_meanwhile_are_replaced(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("checkout", "sell_to_other", times=2)
    view = inline.run(TWO)
    assert view.state == "succeeded"
    exactly(inline, view, 2)


def test_a_checkout_that_sells_part_is_completed_not_repeated(inline: InlineWorker) -> None:
    inline.sandbox.order("reconfigure", partial_checkout=True)
    inline.sandbox.add_fault("checkout", "sell_to_other")
    view = inline.run(TWO)
    assert view.state == "succeeded"
    exactly(inline, view, 2)


def test_a_cart_that_takes_only_part_is_filled_up(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("cart_put", "partial")
    view = inline.run(TWO)
    assert view.state == "succeeded"
    exactly(inline, view, 2)


def test_a_price_that_rose_in_the_cart_is_not_paid(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("cart_put", "price_change", usd="9.00")
    view = inline.run(TWO.model_copy(update={"max_monthly_usd": Decimal("2.50")}))
    assert view.state == "succeeded"
    exactly(inline, view, 2)
    assert inline.sandbox.charged_usd() < 9


@pytest.mark.parametrize("call", ["checkout", "cart_put", "dids", "owned", "countries", "cart_delete"])
def test_429_waits_and_burns_no_attempt(inline: InlineWorker, call: str) -> None:
    inline.sandbox.add_fault(call, "rate_limit", seconds=0.0, times=6)
    if call == "cart_delete":
        inline.sandbox.add_fault("checkout", "drop")
    view = inline.run(TWO)
    assert view.state == "succeeded"
    exactly(inline, view, 2)
    assert view.attempt <= 2


def test_a_removal_from_the_cart_that_fails_is_repeated_before_anything_is_believed(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("checkout", "drop")
    inline.sandbox.add_fault("cart_delete", "status_500_before", times=3)
    view = inline.run(TWO)
    assert view.state == "succeeded"
    exactly(inline, view, 2)


def test_numbers_that_stay_in_the_cart_park_the_job(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("checkout", "drop")
    inline.sandbox.add_fault("cart_delete", "status_500_before", times=None)
    view = inline.run(TWO)
    assert view.state is JobState.NEEDS_REVIEW
    assert view.error is not None
    assert "cart" in view.error.message
    assert not inline.owned()


def cart_of(inline: InlineWorker) -> object:
    return inline.sandbox.state()["accounts"]["default"]["cart"]


def test_what_the_balance_does_not_cover_is_not_checked_out_and_goes_on_when_there_is_money(inline: InlineWorker) -> None:
    inline.sandbox.order("set_balance", usd="0.50")
    job = inline.submit(TWO)
    for _ in range(3):
        view = inline.attempt(job)
        assert (view.state, view.reason) == (JobState.WAITING, WaitReason.FUNDS)
        assert "0.50 USD" in inline.story(job)[-1].detail
        assert cart_of(inline) == []
        assert not inline.ledger.client.hlen(inline.ledger.keys.reserved("default")), "nothing was checked out, so nothing is locked"
        inline.make_due(job)
    seen = inline.sandbox.state()["calls"]
    assert "checkout" not in seen
    assert seen["cart_put"] == 1, "a job that waits for funds looks at the balance alone"
    inline.sandbox.order("set_balance", usd="100")
    inline.ledger.client.delete(inline.ledger.keys.stock_note("default", "balance"))  # What was read ten seconds ago isn't read again.
    view = inline.finish(job)
    assert view.state == "succeeded"
    exactly(inline, view, 2)


def test_best_effort_buys_what_the_balance_covers_and_waits_for_the_rest(inline: InlineWorker) -> None:
    inline.sandbox.order("set_balance", usd="4.00")
    job = inline.submit(TWO.model_copy(update={"quantity": 4, "policy": "best_effort"}))
    view = inline.attempt(job)
    assert (view.state, view.reason, view.progress) == (JobState.WAITING, WaitReason.FUNDS, "2 of 4 bought")
    assert len(inline.owned()) == 2
    assert inline.sandbox.state()["calls"]["checkout"] == 1
    assert inline.ledger.client.hlen(inline.ledger.keys.reserved("default")) == 2


def test_what_is_in_the_cart_and_not_covered_goes_back_for_others(inline: InlineWorker) -> None:
    """Fees rose while five numbers went into the cart: the balance covers two of them. Another job buys the other three at once."""
    offers = sorted(inline.client.offers(8652, 200, sms_only=False, page=1).items, key=lambda one: one.total_usd)[:5]
    inline.sandbox.add_fault("cart_put", "price_change", usd="10.00")
    for offer in inline.client.offers(8652, 200, sms_only=False, page=1).items:
        if offer not in offers:
            inline.sandbox.order("sell_to_other", number=offer.number[1:])
    balance = sum(offer.total_usd + 10 for offer in offers[:2]) + 5
    inline.sandbox.order("set_balance", usd=str(balance))
    job = inline.submit(TWO.model_copy(update={"quantity": 5, "policy": "best_effort"}))
    view = inline.attempt(job)
    assert (view.state, view.reason, view.progress) == (JobState.WAITING, WaitReason.FUNDS, "2 of 5 bought")
    assert len(inline.owned()) == 2
    assert cart_of(inline) == []
    inline.sandbox.order("set_balance", usd="1000")
    other = inline.submit(TWO.model_copy(update={"quantity": 3}))
    assert inline.attempt(other).state == "succeeded"
    assert inline.owned() == {offer.number for offer in offers}


@pytest.mark.parametrize("words_in", ["message", "error", "error_dids"])
@pytest.mark.parametrize("status", [400, 402, 403, 422])
def test_no_funds_is_no_stock(inline: InlineWorker, status: int, words_in: str) -> None:
    """With a key that may not read the balance, the provider's refusal is all that there is."""
    inline.sandbox.order("reconfigure", funds_status=status, funds_words_in=words_in)
    inline.sandbox.add_fault("profile", "refuse", status=403, times=None)
    inline.sandbox.order("set_balance", usd="0.50")
    job = inline.submit(TWO)
    while (view := inline.attempt(job)).reason != WaitReason.FUNDS:
        assert view.reason == WaitReason.SETTLING
        inline.wait_until_due(job)
    assert "Insufficient funds" in inline.story(job)[-1].detail
    assert inline.sandbox.state()["calls"]["checkout"] == 1, "one checkout a look"
    assert cart_of(inline) == []
    assert inline.ledger.client.hlen(inline.ledger.keys.reserved("default")) == 2
    inline.sandbox.order("set_balance", usd="100")
    view = inline.finish(job)
    assert view.state == "succeeded"
    exactly(inline, view, 2)
    assert inline.sandbox.state()["calls"]["checkout"] == 2


def test_checkouts_refused_for_lack_of_funds_come_more_and_more_rarely(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("profile", "refuse", status=403, times=None)
    inline.sandbox.order("set_balance", usd="0.50")
    job = inline.submit(TWO)
    pauses = []
    for _ in range(3):
        while (view := inline.attempt(job)).reason != WaitReason.FUNDS:
            inline.wait_until_due(job)
        assert view.due_at is not None
        pauses.append(round((view.due_at.timestamp() - inline.ledger.now_ms() / 1000) / 60))
        inline.make_due(job)
    assert pauses == [1, 2, 4]


def test_a_linked_card_may_pay_for_what_the_balance_does_not_cover(real_ledger: Ledger, sandbox: Sandbox) -> None:
    inline = InlineWorker(real_ledger, sandbox, linked_card=True)
    sandbox.order("reconfigure", card_linked=True)
    sandbox.order("set_balance", usd="0.50")
    view = inline.run(TWO)
    assert view.state == "succeeded"
    exactly(inline, view, 2)
    inline.close()


REFUSED_AFTER_ALL: dict[str, dict[str, object]] = {
    "404": {"status": 404},
    "404 page": {"status": 404, "html": True},
    "403": {"status": 403, "body": {"success": False, "message": "Forbidden"}},
    "403 page": {"status": 403, "html": True},
    "400": {"status": 400},
    "401": {"status": 401, "body": {"success": False, "message": "Unauthorized"}},
    "422": {"status": 422, "body": {"error": "Some numbers are no longer available"}},
    "no funds": {"status": 422, "body": {"error": "Insufficient funds"}},
    "429": {"status": 429},
    "503": {"status": 503},
    "503 later": {"status": 503, "headers": {"Retry-After": "1"}},
}


@pytest.mark.parametrize("answer", REFUSED_AFTER_ALL.values(), ids=REFUSED_AFTER_ALL)
def test_a_checkout_that_acts_and_is_then_refused_buys_nothing_twice(inline: InlineWorker, answer: dict[str, object]) -> None:
    """A proxy sent it twice, or a gateway refused what it had passed on; and the owned list shows it late."""
    inline.sandbox.add_fault("checkout", "act_then_refuse", **answer)
    inline.sandbox.add_fault("owned", "lag", seconds=SETTLE_S * 0.6, times=None)
    view = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)))
    assert view.state == "succeeded"
    exactly(inline, view, 1)
    assert inline.sandbox.state()["calls"]["checkout"] == 1
    assert not inline.ledger.account_state("default").paused


@pytest.mark.parametrize("answer", REFUSED_AFTER_ALL.values(), ids=REFUSED_AFTER_ALL)
@pytest.mark.parametrize("call", ["cart_put", "cart_delete"])
def test_a_change_of_the_cart_that_acts_and_is_then_refused_buys_nothing_twice(
    inline: InlineWorker, call: str, answer: dict[str, object]
) -> None:
    inline.sandbox.add_fault(call, "act_then_refuse", **answer)
    if call == "cart_delete":
        inline.sandbox.add_fault("checkout", "drop")
    view = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)))
    assert view.state == "succeeded"
    exactly(inline, view, 1)


@pytest.mark.parametrize("search", ["silent", "ignored"])
@pytest.mark.parametrize("fault", ["act_and_drop", "act_then_refuse", None])
def test_ownership_does_not_rest_on_search_alone(inline: InlineWorker, search: str, fault: str | None) -> None:
    inline.own(130)
    before = inline.owned()
    inline.sandbox.order("reconfigure", search=search)
    if fault:
        inline.sandbox.add_fault("checkout", fault)
    view = inline.run(SearchAndBuy(country="CA", city=("TORONTO, ON",)))
    assert view.state == "succeeded"
    assert inline.owned() - before == set(outcomes(view))
    assert len(inline.sandbox.ledger()) == 1
    assert charged(view) == inline.sandbox.charged_usd()


def test_a_removal_from_the_cart_that_is_only_said_to_be_done_is_looked_up(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("checkout", "drop")
    inline.sandbox.add_fault("cart_delete", "refuse", status=200, body={"success": True})
    view = inline.run(TWO)
    assert view.state == "succeeded"
    exactly(inline, view, 2)
    assert "revoke_again" in inline.steps(view)


def test_a_key_that_may_not_buy_fails_the_purchase_and_pauses_no_account(real_ledger: Ledger, sandbox: Sandbox) -> None:
    inline = InlineWorker(real_ledger, sandbox, max_attempts=2)
    sandbox.add_fault("checkout", "refuse", status=403, body={"success": False, "message": "Forbidden"}, times=None)
    view = inline.run(TWO)
    assert (view.state, view.error and view.error.code) == (JobState.FAILED, "checkout_forbidden")
    assert "403 Forbidden" in str(view.error)
    assert not real_ledger.account_state("default").paused
    assert cart_of(inline) == []
    inline.close()


class SellsOneAndRefuses(WavixClient):
    """A provider whose refusal of a checkout isn't one of everything."""

    def check_out(self, numbers: Sequence[str]) -> Answer[None]:
        super().check_out(numbers[:1])
        SandboxAdmin(str(self._http._client.base_url)).order("set_balance", usd="0.00")
        return super().check_out(numbers[1:])


def test_a_refusal_that_the_owned_list_contradicts_keeps_what_was_bought(inline: InlineWorker) -> None:
    job = inline.submit(TWO.model_copy(update={"quantity": 4}))
    inline.client = SellsOneAndRefuses(inline.sandbox.url, SecretStr(SANDBOX_KEY), "mydids", timeout_s=HTTP_TIMEOUT_S)
    while (view := inline.attempt(job)).reason == WaitReason.SETTLING:
        inline.wait_until_due(job)
    assert (view.reason, view.progress) == (WaitReason.FUNDS, "1 of 4 bought")
    assert len(inline.owned()) == 1


def test_a_number_that_the_budget_leaves_out_is_put_back_for_others(inline: InlineWorker) -> None:
    budget = TWO.model_copy(update={"quantity": 3, "policy": "best_effort", "max_total_usd": Decimal("3.00")})
    view = inline.run(budget)
    assert view.state == "partial"
    bound, fenced = (set(next(step.detail for step in inline.story(view) if step.name == name).split()) for name in ("bind", "fence"))
    assert fenced < bound, "the budget doesn't allow all that was put into the cart"
    put_back = set(next(step.detail for step in inline.story(view) if step.name == "put_back").split())
    assert put_back == bound - fenced
    assert cart_of(inline) == []
    rest = inline.run(TWO.model_copy(update={"quantity": 30, "policy": "best_effort"}))
    assert rest.state == "partial"
    assert put_back <= inline.owned()


def test_a_wrong_key_pauses_the_account_once_and_goes_on_when_it_is_right(inline: InlineWorker) -> None:
    inline.sandbox.order("set_key_valid", valid=False)
    jobs = [inline.submit(TWO) for _ in range(3)]
    for job in jobs:
        view = inline.attempt(job)
        assert (view.state, view.reason) == (JobState.WAITING, WaitReason.ACCOUNT_PAUSED)
    assert inline.ledger.account_state("default").paused
    inline.sandbox.order("set_key_valid", valid=True)
    ended = [inline.finish(job) for job in jobs]
    assert {view.state for view in ended} == {JobState.SUCCEEDED}
    assert all(view.attempt == 1 for view in ended)
    events = inline.event_types()
    assert events.count("didflow.account.paused.v1") == events.count("didflow.account.resumed.v1") == 1


def test_a_provider_that_is_down_makes_jobs_wait_and_burns_nothing(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("*", "status_500_before", times=None)
    job = inline.submit(TWO)
    for _ in range(3):
        view = inline.attempt(job)
        assert (view.state, view.reason, view.attempt) == (JobState.WAITING, WaitReason.PROVIDER_DOWN, 0)
        inline.make_due(job)
    inline.sandbox.clear_faults()
    view = inline.finish(job)
    assert view.state == "succeeded"
    exactly(inline, view, 2)


def test_numbers_bought_in_a_first_round_are_reported_when_later_rounds_never_get_through(real_ledger: Ledger, sandbox: Sandbox) -> None:
    inline = InlineWorker(real_ledger, sandbox, batch_size=2, max_attempts=3)
    inline.sandbox.add_fault("cart_put", "act_and_drop", skip=1, times=None)
    view = inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",), quantity=4, policy="best_effort"))
    assert (view.state, view.attempt) == ("partial", 3)
    assert view.error is not None
    assert view.error.code == "cart_unclear"
    assert set(outcomes(view)) == inline.owned()
    assert charged(view) == inline.sandbox.charged_usd() > 0
    inline.close()


def test_numbers_are_reported_when_the_job_is_cancelled_before_their_routes_are_set(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("destinations", "drop")
    job = inline.submit(TWO.model_copy(update={"destinations": (Destination.sip("pbx@example.net"),)}))
    assert inline.attempt(job).reason == WaitReason.RETRY
    assert inline.ledger.run(script_calls.cancel(job.id)) == CancelRequested()
    view = inline.finish(job)
    assert view.state == "partial"
    assert view.error is not None
    assert view.error.code == "cancelled_after_purchase"
    exactly(inline, view, 2)
    assert [number.route_after for number in numbers(view)] == [None, None], "no route was set, so none is claimed"


def test_a_job_called_off_while_it_waits_buys_nothing_more(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("cart_put", "drop")
    job = inline.submit(TWO)
    assert inline.attempt(job).reason == WaitReason.RETRY
    inline.ledger.run(script_calls.cancel(job.id))
    view = inline.finish(job)
    assert view.state == "cancelled"
    assert inline.owned() == set()
    assert inline.sandbox.state()["accounts"]["default"]["cart"] == []


def test_what_a_late_add_left_in_the_cart_goes_with_the_next_purchase(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("cart_put", "act_late", seconds=1.5)  # Longer than the job takes on a busy machine.
    inline.run(SearchAndBuy(country="US", city=("LOS ANGELES, CA",)))
    until(lambda: inline.sandbox.state()["accounts"]["default"]["cart"], what="the late add")
    inline.run(SearchAndBuy(country="NL", city=("Amsterdam",)))
    assert inline.sandbox.state()["accounts"]["default"]["cart"] == []
    assert len(inline.sandbox.ledger()) == 2


def test_a_number_that_is_ours_is_not_bound_again_from_an_old_list_of_the_stock(inline: InlineWorker) -> None:
    """Else a restart of Redis could give it to the second job: that looks in the owned list for what was bound."""
    first = inline.run(TWO)
    inline.sandbox.add_fault("dids", "lag", times=None, seconds=60.0)
    second = inline.run(TWO)
    bound = {number for step in inline.story(second) if step.name == "bind" for number in step.detail.split()}
    assert bound
    assert not bound & set(outcomes(first))
    exactly_ = set(outcomes(first)) | set(outcomes(second))
    assert inline.owned() == exactly_


def test_a_probe_that_gets_429_is_followed_by_another_as_soon_as_one_may_go(inline: InlineWorker, sandbox: SandboxAdmin) -> None:
    patient = InlineWorker(inline.ledger, sandbox, probe_seconds=600.0)
    job = patient.submit(TWO)
    sandbox.order("set_key_valid", valid=False)
    assert patient.attempt(job).reason == WaitReason.ACCOUNT_PAUSED
    sandbox.order("set_key_valid", valid=True)
    account = patient.ledger.keys.account("default")
    patient.ledger.client.hset(account, "probe_ms", 0)  # The time of the next probe has come.
    for call in ("countries", "owned", "cart", "stock", "balance", "cities"):
        sandbox.add_fault(call, "rate_limit", seconds=1.0, times=None)
    patient.make_due(job)
    assert patient.attempt(job).reason == WaitReason.RATE_LIMITED
    next_ms = int(str(patient.ledger.client.hget(account, "probe_ms")))
    assert 0 < next_ms - patient.ledger.now_ms() <= 5_000, "and not after the ten minutes of a probe that was refused"
    sandbox.clear_faults()
    patient.wait_until_due(job)
    assert patient.finish(job).state is JobState.SUCCEEDED
    assert not patient.ledger.account_state("default").paused
    patient.close()
