"""What a consumer asks of the stream, and when: no server, no clock."""

import pytest
import redis

from didflow.contract.errors import ServiceUnavailable
from didflow.ledger.commands import RedisCommand
from didflow.ledger.consumer_groups import AGAIN_FIRST_S, AGAIN_LAST_S, Channel, Conversation, Pause, follow
from didflow.ledger.group_membership import Membership

CHANNEL = Channel("results", "results:poison", "poison")
AWAY = ServiceUnavailable("away")
#: Nothing is pending, nothing is abandoned, nothing is new.
REPLIES: dict[str, object] = {"xpending_range": [], "xautoclaim": ["0-0", [], []], "xreadgroup": [], "xgroup_create": True}


class Consumer:
    """Follows a stream in which nothing happens, on a clock that the test moves."""

    def __init__(self, *, waits_for_redis: bool = True) -> None:
        self.now_s = 0.0
        member = Membership("g", "a", min_idle_s=10, waits_for_redis=waits_for_redis)
        self.conversation: Conversation[object] = follow(CHANNEL, member, dict, lambda: self.now_s)
        self.step: object = next(self.conversation)

    @property
    def asks(self) -> str:
        assert isinstance(self.step, RedisCommand)
        return self.step.method

    def answered(self) -> str:
        """Answer; what it asks then."""
        self.step = self.conversation.send(REPLIES[self.asks])
        return self.asks

    def fails(self, error: Exception) -> None:
        self.step = self.conversation.throw(error)

    def paused_s(self) -> float:
        """Let its pause pass."""
        assert isinstance(self.step, Pause)
        seconds = self.step.seconds
        self.step = self.conversation.send(None)
        return seconds


def test_the_abandoned_are_looked_for_twice_in_the_time_after_which_they_count_as_such() -> None:
    consumer = Consumer()
    assert [consumer.answered() for _ in range(3)] == ["xautoclaim", "xreadgroup", "xreadgroup"]
    consumer.now_s = 5.0
    assert [consumer.answered() for _ in range(2)] == ["xautoclaim", "xreadgroup"]


def test_after_an_outage_living_consumers_have_time_to_acknowledge_what_they_hold() -> None:
    consumer = Consumer()
    assert [consumer.answered() for _ in range(2)] == ["xautoclaim", "xreadgroup"]
    consumer.now_s = 60.0
    consumer.fails(AWAY)
    consumer.paused_s()
    assert consumer.asks == "xpending_range", "what was given to it while the answer was lost comes first"
    assert [consumer.answered() for _ in range(2)] == ["xreadgroup", "xreadgroup"]
    consumer.now_s = 70.0
    assert consumer.answered() == "xautoclaim"


def test_the_pauses_grow_to_a_limit_and_begin_short_after_a_success() -> None:
    consumer, paused = Consumer(), []
    for _ in range(8):
        consumer.fails(AWAY)
        paused.append(consumer.paused_s())
    assert paused[:3] == [AGAIN_FIRST_S, 2 * AGAIN_FIRST_S, 4 * AGAIN_FIRST_S]
    assert paused[-1] == AGAIN_LAST_S
    consumer.answered()
    consumer.fails(AWAY)
    assert consumer.paused_s() == AGAIN_FIRST_S


def test_a_group_that_is_gone_is_made_once_and_an_outage_meanwhile_is_waited_for() -> None:
    consumer = Consumer()
    consumer.fails(redis.exceptions.ResponseError("NOGROUP No such key"))
    assert consumer.asks == "xgroup_create"
    consumer.fails(AWAY)
    consumer.paused_s()
    assert consumer.asks == "xgroup_create"
    assert [consumer.answered() for _ in range(2)] == ["xpending_range", "xreadgroup"]


def test_one_that_is_not_to_wait_raises() -> None:
    with pytest.raises(ServiceUnavailable):
        Consumer(waits_for_redis=False).fails(AWAY)
    with pytest.raises(redis.exceptions.ResponseError):
        Consumer().fails(redis.exceptions.ResponseError("WRONGTYPE"))
