"""What an answer to a delivery means."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didflow.contract.webhooks import DeliveryOutcome, DisabledReason, Endpoint, NewEndpoint
from producers.webhooks.schedule import JITTER, PAUSE_MOST_S, TRIED_FOR, WAITS_S, Verdict, judge

THREE_DAYS_MS = int(TRIED_FOR.total_seconds() * 1000)


def judged(
    status: int | None,
    retry_after_s: float | None = None,
    *,
    attempt: int = 1,
    tried_for_ms: int = 0,
    delivered_meanwhile: bool = False,
    chance: float = 0.5,
) -> Verdict:
    return judge(status, retry_after_s, attempt=attempt, tried_for_ms=tried_for_ms, delivered_meanwhile=delivered_meanwhile, chance=chance)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    assert judged(status, tried_for_ms=2 * THREE_DAYS_MS) == Verdict(DeliveryOutcome.DELIVERED)


@pytest.mark.parametrize("status", [None, 199, 300, 301, 307, 400, 401, 404, 408, 422, 500, 502])
def test_anything_else_is_tried_again(status: int | None) -> None:
    assert judged(status) == Verdict(DeliveryOutcome.RETRIED, WAITS_S[0])


def test_waits_grow_until_they_are_of_hours_and_cover_three_days() -> None:
    waits = [judged(500, attempt=attempt).again_s for attempt in range(1, 30)]
    assert all(one <= other for one, other in pairwise(waits))
    assert max(waits) == 8 * 3600
    within = [waited for waited in (sum(waits[:count]) for count in range(30)) if waited < TRIED_FOR.total_seconds()]
    assert len(within) > 12


@given(chance=st.floats(0, 1), attempt=st.integers(1, 10**6))
def test_no_wait_is_jittered_by_more_than_a_fifth(chance: float, attempt: int) -> None:
    plain, drawn = judged(500, attempt=attempt).again_s, judged(500, attempt=attempt, chance=chance).again_s
    assert plain * (1 - JITTER) - 1e-6 <= drawn <= plain * (1 + JITTER) + 1e-6


def test_retry_after_is_respected_and_of_busy_answers_by_the_whole_endpoint() -> None:
    assert judged(503, 120.0) == Verdict(DeliveryOutcome.RETRIED, 120.0, 120.0)
    assert judged(429, 1.0) == Verdict(DeliveryOutcome.RETRIED, WAITS_S[0], 1.0)
    assert judged(500, 120.0) == Verdict(DeliveryOutcome.RETRIED, 120.0)
    assert judged(429, 1e9).pause_s == judged(429, 1e9).again_s == PAUSE_MOST_S


def test_410_disables_at_once_and_days_of_failure_when_nothing_else_was_delivered() -> None:
    assert judged(410).disable is DisabledReason.GONE
    assert judged(410).outcome is DeliveryOutcome.RETRIED, "it stays queued"
    assert judged(500, tried_for_ms=THREE_DAYS_MS - 1).disable is None
    assert judged(500, tried_for_ms=THREE_DAYS_MS).disable is DisabledReason.FAILING
    assert judged(None, tried_for_ms=THREE_DAYS_MS, delivered_meanwhile=True).outcome is DeliveryOutcome.GIVEN_UP


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, True),
        ({"types": ("didflow.job.succeeded.v1",)}, True),
        ({"types": ("didflow.job.failed.v1", "didflow.job.*")}, True),
        ({"types": ("didflow.*",)}, True),
        ({"types": ("didflow.jo.*",)}, False),
        ({"types": ("didflow.job.failed.v1",)}, False),
        ({"types": ("didflow.job.succeeded.v1.*",)}, False),
        ({"account": "main"}, True),
        ({"account": "other"}, False),
        ({"reference_prefix": "shop-"}, True),
        ({"reference_prefix": "shop-1"}, False),
        ({"account": "main", "reference_prefix": "shop-", "types": ("didflow.number.*",)}, False),
    ],
)
def test_an_endpoint_gets_what_its_filters_let_through(filters: dict[str, object], wanted: bool) -> None:
    found = Endpoint.model_validate({"id": "0" * 12, "name": "shop", "url": "https://shop.example.net/", **filters})
    assert found.wants("didflow.job.succeeded.v1", "main", "shop-7") is wanted


def test_an_event_without_account_or_reference_reaches_no_endpoint_that_is_limited_to_one() -> None:
    for filters in ({"account": "main"}, {"reference_prefix": "shop-"}):
        found = Endpoint.model_validate({"id": "0" * 12, "name": "shop", "url": "https://shop.example.net/", **filters})
        assert not found.wants("didflow.number.left.v1", "", "")


@pytest.mark.parametrize(
    "given_",
    [{"name": ""}, {"name": "a b"}, {"name": "-a"}, {"name": "a/b"}, {"url": "shop"}, {"url": "ftp://shop"}, {"types": ("didflow.Job",)}],
)
def test_what_no_endpoint_can_be_is_refused(given_: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(given_))):
        NewEndpoint.model_validate({"name": "shop", "url": "https://shop.example.net/", **given_})
