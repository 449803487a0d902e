"""Delays are bounded, whatever is counted, and a draw moves them only so far."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didflow.delays import doubling_s, draw_for, jittered_s
from worker.jobs.halving import halves

TIMES = st.integers(-(2**63), 2**63)


def test_a_delay_doubles_from_its_first_to_its_last() -> None:
    assert [doubling_s(1.0, 5.0, times) for times in (0, 1, 2, 3, 4, 1_000_000)] == [1.0, 1.0, 2.0, 4.0, 5.0, 5.0]


@given(TIMES)
def test_no_count_of_failures_is_too_large(times: int) -> None:
    assert 0.5 <= doubling_s(0.5, 300.0, times) <= 300.0


@pytest.mark.parametrize(("draw", "earlier", "delay_s"), [(0, 0.25, 6.0), (0.5, 0.25, 8.0), (1, 0.25, 10.0), (0, 0.0, 8.0), (1, 0.0, 12.0)])
def test_a_draw_changes_a_delay_by_at_most_half(draw: float, earlier: float, delay_s: float) -> None:
    assert jittered_s(8.0, draw, earlier=earlier) == delay_s


def test_the_same_parts_give_the_same_draw_and_others_another() -> None:
    draws = [draw_for("job", look) for look in range(100)]
    assert draws == [draw_for("job", look) for look in range(100)]
    assert all(0 <= draw < 1 for draw in draws)
    assert len(set(draws)) == 100


@given(st.lists(st.integers(), min_size=2))
def test_halves_are_the_batch_in_its_order_and_neither_is_all_of_it(batch: list[int]) -> None:
    first, second = halves(batch)
    assert [*first, *second] == batch
    assert 0 <= len(second) - len(first) <= 1


@pytest.mark.parametrize("batch", [[], [1]])
def test_one_that_was_refused_alone_is_not_halved(batch: list[int]) -> None:
    with pytest.raises(ValueError, match="refused alone"):
        halves(batch)
