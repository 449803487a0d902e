"""A job's story tells every call that may have changed something: what was asked, as the log names it, and how it was answered."""

import json
from collections.abc import Callable

import httpx
import pytest
from structlog.testing import capture_logs

from didflow.contract.destinations import Destination
from didflow.contract.jobs import Job, JobView, ProviderCall
from didflow.contract.requests import Failback, Release, Reroute, SearchAndBuy
from tests.support.inline_worker import SETTLE_S, InlineWorker
from tests.support.ledger_roles import stream
from worker.wavix.transport import fingerprint

ROUTED = SearchAndBuy(country="US", quantity=2, destinations=(Destination.sip("pbx@example.net"),))
RELAYED = SearchAndBuy(country="US", sms=True, sms_relay_url="https://example.net/sms")


def recorded(inline: InlineWorker, view: Job | JobView) -> list[ProviderCall]:
    return [call for step in inline.story(view) for call in step.calls]


def rerouted(inline: InlineWorker) -> JobView:
    return inline.run(Reroute(numbers=tuple(inline.own(2)), destinations=(Destination.sip("new@example.net"),)))


#: Kind by name: how it is played, and the calls that it makes when all goes well.
KINDS: dict[str, tuple[Callable[[InlineWorker], JobView], list[str]]] = {
    "purchase": (lambda inline: inline.run(ROUTED), ["cart_add", "checkout", "set_route"]),
    "sms_relay": (lambda inline: inline.run(RELAYED), ["cart_add", "checkout", "sms_relay"]),
    "reroute": (rerouted, ["set_route"]),
    "failback": (lambda inline: inline.run(Failback(job_id=rerouted(inline).id)), ["set_route"]),
    "release": (lambda inline: inline.run(Release(numbers=tuple(inline.own(2)))), ["release"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_records_its_calls_and_the_log_has_the_same_fingerprints(inline: InlineWorker, kind: str) -> None:
    play, calls = KINDS[kind]
    with capture_logs() as log:
        view = play(inline)
    assert view.state == "succeeded"
    story = recorded(inline, view)
    assert [(call.call, call.answer) for call in story] == [(call, "yes") for call in calls]
    logged = [(line["request"], line.get("answer")) for line in log if line["event"] in ("wavix.asked", "wavix.answered")]
    both = [pair for call in story for pair in ((call.request, None), (call.request, "yes"))]
    assert logged[-len(both) :] == both, "recorded before it is sent, and when it is answered"


@pytest.mark.parametrize(
    ("call", "kind", "answer"),
    [
        ("cart_put", "drop", "unclear:RemoteProtocolError"),
        ("checkout", "act_and_drop", "unclear:RemoteProtocolError"),
        ("checkout", "rate_limit", "not_now"),
        ("destinations", "act_then_html", "unclear:HTTP 502, unreadable"),
    ],
)
def test_a_call_without_a_clear_yes_is_recorded_even_if_the_attempt_ends_with_it(
    inline: InlineWorker, call: str, kind: str, answer: str
) -> None:
    inline.sandbox.add_fault(call, kind)
    view = inline.run(ROUTED)
    name = {"cart_put": "cart_add", "destinations": "set_route"}.get(call, call)
    assert next(one.answer for one in recorded(inline, view) if one.call == name) == answer


def test_a_refusal_and_a_barred_account_are_recorded(inline: InlineWorker) -> None:
    inline.sandbox.order("set_balance", usd="0.00")
    inline.sandbox.add_fault("profile", "refuse", status=403, times=None)  # What the balance is known not to cover isn't sent.
    poor = inline.submit(ROUTED)
    inline.attempt(poor)
    assert ("checkout", "no:insufficient_funds") in {(call.call, call.answer) for call in recorded(inline, poor)}
    going = inline.submit(Release(numbers=tuple(inline.own(1))))
    inline.sandbox.add_fault("release", "refuse", status=401)
    inline.attempt(going)
    assert [(call.call, call.answer) for call in recorded(inline, going)] == [("release", "barred")]


def test_a_settlement_names_its_witness_and_what_is_repeated_has_the_same_fingerprint(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("checkout", "drop")
    view = inline.run(ROUTED)
    witnesses = [step.witness for step in inline.story(view) if step.name == "settled"]
    assert witnesses == [f"out of the cart for {SETTLE_S:g} s, owned list silent", "owned list shows all"]
    assert all(step.witness is None for step in inline.story(view) if step.name != "settled")
    ours = inline.own(1)
    inline.sandbox.add_fault("release", "drop")
    calls = recorded(inline, inline.run(Release(numbers=tuple(ours))))
    assert [call.answer for call in calls] == ["unclear:RemoteProtocolError", "yes"]
    assert len({call.request for call in calls}) == 1


def test_a_fingerprint_is_of_method_path_query_and_body_alone() -> None:
    request = httpx.Request("POST", "https://api.example.net/v1/buy/cart/checkout", json={"ids": ["12135550100"]})
    same = httpx.Request("POST", "https://other.example.net/v1/buy/cart/checkout", json={"ids": ["12135550100"]}, headers={"X": "key"})
    assert fingerprint(request) == fingerprint(same)
    others = (
        httpx.Request("POST", request.url, json={"ids": ["12135550101"]}),
        httpx.Request("PUT", request.url, json={"ids": ["12135550100"]}),
        httpx.Request("POST", f"{request.url}?x=1", json={"ids": ["12135550100"]}),
    )
    assert len({fingerprint(request), *map(fingerprint, others)}) == 4


def test_the_events_stream_has_each_change_once_however_often_the_lists_are_read(inline: InlineWorker) -> None:
    inline.sandbox.add_fault("owned", "lag", seconds=1.2, times=6)
    view = inline.run(ROUTED)
    assert inline.steps(view).count("look_again") > 1
    emitted = [json.loads(entry["data"]) for entry in stream(inline.ledger, "events")]
    assert [(body["state"], body["reason"] or body["progress"]) for body in emitted] == [
        ("queued", None),
        ("running", None),
        ("waiting", "settling"),
        ("running", "2 of 2 bought"),
    ]
