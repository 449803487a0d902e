"""What an answer to a delivery means, and when a failed one is tried again."""

from dataclasses import dataclass
from datetime import timedelta

from didflow.contract.webhooks import DeliveryOutcome, DisabledReason

#: Seconds until the next attempt, after the first, the second, … failure; after the last of them as after it.
WAITS_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0)
#: A wait is up to this part shorter or longer, so that what failed together doesn't come back together.
JITTER = 0.2
#: For how long an event is tried.
TRIED_FOR = timedelta(days=3)
#: An endpoint that asks to be left alone (`Retry-After`) is left alone for this long at most.
PAUSE_MOST_S = 86_400.0
#: Answers whose `Retry-After` is about the endpoint, not about one event.
BUSY = frozenset({429, 503})
#: The endpoint says that it won't come back.
GONE = 410


@dataclass(frozen=True)
class Verdict:
    """What becomes of an event, and of its endpoint.

    again_s   seconds until it is tried again
    pause_s   seconds for which nothing is sent to the endpoint
    disable   why the endpoint is disabled; its events stay queued
    """

    outcome: DeliveryOutcome
    again_s: float = 0.0
    pause_s: float = 0.0
    disable: DisabledReason | None = None


def judge(
    status: int | None, retry_after_s: float | None, *, attempt: int, tried_for_ms: int, delivered_meanwhile: bool, chance: float
) -> Verdict:
    """`status` None: there was no answer. `attempt`: 1 for the first. `tried_for_ms`: since the first attempt.

    `delivered_meanwhile`: whether the endpoint took another event in that time. `chance` from 0 to 1 draws the jitter.
    """
    if status is not None and 200 <= status < 300:
        return Verdict(DeliveryOutcome.DELIVERED)
    wait_s = WAITS_S[min(attempt, len(WAITS_S)) - 1] * (1 - JITTER + 2 * JITTER * chance)
    asked_s = min(PAUSE_MOST_S, retry_after_s or 0.0)
    again_s, pause_s = max(wait_s, asked_s), asked_s if status in BUSY else 0.0
    if status == GONE:
        return Verdict(DeliveryOutcome.RETRIED, again_s, disable=DisabledReason.GONE)
    if tried_for_ms < TRIED_FOR.total_seconds() * 1000:
        return Verdict(DeliveryOutcome.RETRIED, again_s, pause_s)
    if delivered_meanwhile:
        return Verdict(DeliveryOutcome.GIVEN_UP, pause_s=pause_s)
    return Verdict(DeliveryOutcome.RETRIED, again_s, pause_s, DisabledReason.FAILING)
