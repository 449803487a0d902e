"""The purchase protocol as a model: every reachable state is visited, so "holds" means that no order of events breaks it."""

import pytest

from tests.model.purchase_protocol import explore


def test_the_protocol_never_buys_too_many_and_can_finish() -> None:
    states, counterexample, done = explore()
    assert counterexample is None
    assert done
    assert states > 10_000


@pytest.mark.parametrize("size", [pytest.param((1, 4, 3), marks=pytest.mark.long), (2, 5, 2), (3, 5, 2)], ids=str)
def test_nor_does_it_with_more_numbers(size: tuple[int, int, int]) -> None:
    """Quantity, numbers in stock, attempts."""
    _, counterexample, done = explore(*size)
    assert counterexample is None
    assert done


@pytest.mark.parametrize("size", [(1, 3, 2), (2, 5, 2)], ids=str)
def test_nor_does_it_leave_an_unheld_number_in_the_cart(size: tuple[int, int, int]) -> None:
    """With attempts that give up what is in the cart, before the fence. Quantity, numbers in stock, attempts."""
    _, counterexample, done = explore(*size, gives_up=True)
    assert counterexample is None
    assert done


WEAKER: dict[str, dict[str, bool]] = {
    "without the token check": {"fence": False},
    "look before removing from the cart": {"revoke": False},
    "reuse of a burned number": {"taint_unclear_put": False, "reuse": True},
    "a refusal is believed": {"believe_refusal": True},
    "absence by one search": {"second_read": False},
    "a removal is believed": {"believe_removal": True},
    "the owned list is read before the cart": {"owned_before_cart": True},
    "a charge does not veto": {"charge_vetoes": False},
    "a charge makes a number ours": {"charge_is_proof": True},
    "given up and free at a yes": {"gives_up": True, "believe_leaving": True},
    "given up and free by one cart list": {"gives_up": True, "one_cart_read": True},
    "assumption A2 broken": {"checkout_needs_cart": False},
    "assumption A6 broken": {"refused_put_may_come_late": True},
}


@pytest.mark.parametrize("weaker", WEAKER.values(), ids=WEAKER)
def test_each_step_of_the_protocol_is_needed(weaker: dict[str, bool]) -> None:
    _, counterexample, _ = explore(attempts=2, **weaker)
    assert counterexample


#: The largest of them.
LARGEST = "reuse of a burned number"
UNTOUCHED = [
    pytest.param({}, id="the protocol"),
    *(pytest.param(rules, id=name, marks=pytest.mark.long if name == LARGEST else ()) for name, rules in WEAKER.items()),
]


@pytest.mark.parametrize("weaker", UNTOUCHED)
def test_untouched_numbers_differ_in_their_names_only(weaker: dict[str, bool]) -> None:
    """What makes the model quick leaves out no verdict: visiting them all comes to the same."""
    fewer, counterexample, done = explore(1, 3, 2, **weaker)
    all_of_them, same, same_done = explore(1, 3, 2, names_matter=True, **weaker)
    assert fewer < all_of_them
    assert (counterexample and len(counterexample), done) == (same and len(same), same_done)
