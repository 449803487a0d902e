"""Lanes share the threads of a process: in turn, never more than there are, and some are reserved for emergencies."""

import threading
import time

import pytest

from didflow.contract.states import Lane
from worker.broker.idle_threads import IdleThreads


def test_no_more_are_had_than_are_idle() -> None:
    threads = IdleThreads(5)
    assert threads.reserve(Lane.MONEY, 0.0) == 4
    assert threads.reserve(Lane.BULK, 0.0) == 0
    threads.give_back(Lane.MONEY, 2)
    assert threads.reserve(Lane.BULK, 0.0) == 2


@pytest.mark.parametrize(("shared", "reserved"), [(1, 1), (2, 1), (3, 1), (4, 1), (7, 1), (8, 2), (11, 2), (12, 3), (32, 8)])
def test_a_quarter_as_many_again_are_reserved_for_emergencies(shared: int, reserved: int) -> None:
    threads = IdleThreads(IdleThreads.count_with(shared))
    assert threads.reserve(Lane.MONEY, 0.0) == shared
    assert threads.reserve(Lane.EMERGENCY, 0.0) == reserved


def test_emergencies_also_have_half_of_the_others_while_these_are_idle() -> None:
    threads = IdleThreads(10)
    assert threads.reserve(Lane.EMERGENCY, 0.0) == 2 + 4
    assert threads.reserve(Lane.EMERGENCY, 0.0) == 0
    assert threads.reserve(Lane.MONEY, 0.0) == 4
    threads.give_back(Lane.EMERGENCY, 4)
    assert threads.reserve(Lane.BULK, 0.0) == 4, "the two that still run have the reserved threads"
    threads.give_back(Lane.EMERGENCY, 1)
    assert threads.reserve(Lane.EMERGENCY, 0.0) == 1


def test_one_thread_for_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="2 threads or more"):
        IdleThreads(1)


def test_the_first_caller_to_ask_gets_a_thread_first() -> None:
    threads, had = IdleThreads(2), list[str]()
    assert threads.reserve(Lane.MONEY, 0.0) == 1

    def consume(name: str) -> None:
        assert threads.reserve(Lane.MONEY, 5.0) == 1
        had.append(name)
        threads.give_back(Lane.MONEY, 1)

    consumers = []
    for place, name in enumerate(("bulk", "money", "documents")):
        consumers.append(threading.Thread(target=consume, args=(name,)))
        consumers[-1].start()
        stand_in_line(threads, place + 1)
    threads.give_back(Lane.MONEY, 1)
    assert threads.reserve(Lane.MONEY, 5.0) == 1
    assert had == ["bulk", "money", "documents"], "who asks again stands behind those that wait"
    for consumer in consumers:
        consumer.join()


def stand_in_line(threads: IdleThreads, count: int) -> None:
    while len(threads._line) < count:
        time.sleep(0.001)


def test_an_emergency_gets_no_shared_thread_that_another_caller_waits_for_and_its_own_at_once() -> None:
    threads = IdleThreads(2)
    assert threads.reserve(Lane.MONEY, 0.0) == 1
    consumer = threading.Thread(target=threads.reserve, args=(Lane.BULK, 5.0))
    consumer.start()
    stand_in_line(threads, 1)
    with threads._changed:  # As between the end of a job and the moment at which the one that waits has woken up.
        threads._others -= 1
        assert threads.reserve(Lane.EMERGENCY, 0.0) == 1
        assert threads.reserve(Lane.EMERGENCY, 0.0) == 0
        threads._changed.notify_all()
    consumer.join()


def test_an_emergency_that_waits_gets_the_first_thread_that_it_may_have() -> None:
    threads, had = IdleThreads(5), list[int]()
    assert threads.reserve(Lane.EMERGENCY, 0.0) == 3
    assert threads.reserve(Lane.MONEY, 0.0) == 2
    waiting = threading.Thread(target=lambda: had.append(threads.reserve(Lane.EMERGENCY, 5.0)))
    waiting.start()
    threads.give_back(Lane.EMERGENCY, 1)
    waiting.join()
    assert had == [1]


def test_a_thread_is_spared_for_a_job_to_come_while_another_is_left_and_nobody_waits() -> None:
    threads = IdleThreads(5)
    assert threads.reserve_spare(Lane.MONEY)
    assert threads.reserve_spare(Lane.BULK)
    assert threads.reserve(Lane.MONEY, 0.0) == 2
    threads.give_back(Lane.MONEY, 1)
    assert not threads.reserve_spare(Lane.BULK), "the last one is for a job that needs it now"
    assert not threads.reserve_spare(Lane.EMERGENCY), "an emergency isn't claimed for a process that may stand still"
    assert not IdleThreads(2).reserve_spare(Lane.MONEY)
