"""The purchase protocol as a model: every reachable state is visited, so "holds" means that no order of events breaks it."""

import pytest

from tests.model.purchase_protocol import explore


def test_the_protocol_never_buys_too_many_and_can_finish() -> None:
    states, counterexample, done = explore()
    assert counterexample is None
    assert done
    assert states > 10_000


@pytest.mark.parametrize(
    "weaker",
    [{"fence": False}, {"revoke": False}, {"taint_unclear_put": False, "reuse": True}, {"checkout_needs_cart": False}],
    ids=["without the token check", "look before removing from the cart", "reuse of a spent number", "assumption A2 broken"],
)
def test_each_step_of_the_protocol_is_needed(weaker: dict[str, bool]) -> None:
    _, counterexample, _ = explore(**weaker)
    assert counterexample
