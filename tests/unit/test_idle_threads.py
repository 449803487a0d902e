"""Consumers share their worker's threads: in turn, and never more than there are."""

import threading
import time

from worker.broker.idle_threads import IdleThreads


def test_no_more_are_had_than_are_idle() -> None:
    threads = IdleThreads(3)
    assert threads.in_turn(2, 0.0) == 2
    assert threads.in_turn(2, 0.0) == 1
    assert threads.in_turn(2, 0.0) == 0
    threads.give_back(2)
    assert threads.left_over(3) == 2


def test_the_first_caller_to_ask_gets_a_thread_first() -> None:
    threads, had = IdleThreads(1), list[str]()
    assert threads.in_turn(1, 0.0) == 1

    def consume(name: str) -> None:
        assert threads.in_turn(1, 5.0) == 1
        had.append(name)
        threads.give_back(1)

    consumers = []
    for place, name in enumerate(("bulk", "money", "documents")):
        consumers.append(threading.Thread(target=consume, args=(name,)))
        consumers[-1].start()
        stand_in_line(threads, place + 1)
    threads.give_back(1)
    assert threads.in_turn(1, 5.0) == 1
    assert had == ["bulk", "money", "documents"], "who asks again stands behind those that wait"
    for consumer in consumers:
        consumer.join()


def stand_in_line(threads: IdleThreads, count: int) -> None:
    while len(threads._line) < count:
        time.sleep(0.001)


def test_a_helper_gets_no_thread_that_another_caller_waits_for() -> None:
    threads = IdleThreads(1)
    assert threads.in_turn(1, 0.0) == 1
    consumer = threading.Thread(target=threads.in_turn, args=(1, 5.0))
    consumer.start()
    stand_in_line(threads, 1)
    with threads._changed:  # As between the end of a job and the moment at which the one that waits has woken up.
        threads._idle += 1
        assert threads.left_over(1) == 0
        threads._changed.notify_all()
    consumer.join()
