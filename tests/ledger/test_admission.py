"""One gate for all workers, on the server's clock: moments, the line, the emergencies' share, Retry-After, the breaker."""

import itertools
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didflow.contract.destinations import Destination
from didflow.contract.requests import Request, Reroute, SearchAndBuy
from didflow.contract.states import JobState, WaitReason
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.rate_limit import CREEP_PER_S, FLOOR, LATE_S, WIRE_S, Breaker, Pace, Verdict, admit, rate_state, report
from didflow.ledger.script_calls import Submission
from tests.support.ledger_roles import DONE, claimed, states, stream, submitted, wait_until_ms

HUNDRED = Pace.of(100, 0.5)
#: Opens at the second failure, and lets a probe through at once.
QUICK = Breaker(failures=2, first_s=0.0, last_s=0.0, probe_s=0.05)
_asks = itertools.count()


def ask(
    ledger: Ledger,
    pace: Pace = HUNDRED,
    *,
    emergency: bool = False,
    waited_s: float = 0.0,
    patience_s: float = 5.0,
    probe_s: float | None = QUICK.probe_s,
    named: str = "",
) -> Verdict:
    name = named or f"ask-{next(_asks)}"
    return ledger.run(admit("default", name, pace, emergency=emergency, waited_s=waited_s, patience_s=patience_s, probe_s=probe_s))


def tell(ledger: Ledger, moment_us: int, heard: str, words: str = "HTTP 502", *, breaker: Breaker = QUICK, pause_s: float = 0.0) -> str:
    return ledger.run(report("default", moment_us, heard, words, breaker, pause_s=pause_s, jitter=0.5))  # type: ignore[arg-type]


def move(ledger: Ledger, **moments_s: float) -> None:
    """Write moments as so many seconds from now: what passes time in a test, without waiting for it."""
    now_us = ledger.now_ms() * 1000
    fields = {name: str(int(now_us + moment_s * 1_000_000)) for name, moment_s in moments_s.items()}
    ledger.client.hset(ledger.keys.rate("default"), mapping=fields)  # type: ignore[arg-type]


def opened(ledger: Ledger) -> None:
    assert tell(ledger, 1, "down") == "same"
    assert tell(ledger, 2, "down") == "opened"


# The pace


@given(st.floats(0.05, 300), st.integers(1, 50), st.booleans())
def test_no_second_holds_more_than_the_rate_though_the_first_are_late_and_the_next_are_not(
    rate_per_s: float, late: int, whole: bool
) -> None:
    rate_per_s = max(1.0, round(rate_per_s)) if whole else rate_per_s
    interval_us, late_us = Pace.of(rate_per_s, 0.5).interval_us, round((LATE_S + WIRE_S) * 1_000_000)
    places = range(late + int(rate_per_s) + 2)
    arrivals = [place * interval_us + (late_us if place < late else 0) for place in places]
    busiest = max(sum(first <= arrival < first + 1_000_000 for arrival in arrivals) for first in arrivals[:late])
    assert busiest <= max(1, int(rate_per_s))


@pytest.mark.parametrize("rate_per_s", [1, 10, 50, 1000])
def test_nine_tenths_of_a_whole_rate_are_used(rate_per_s: int) -> None:
    assert 1_000_000 / Pace.of(rate_per_s, 0.5).interval_us >= 0.9 * rate_per_s


def test_moments_are_an_interval_apart_and_each_is_given_once(ledger: Ledger) -> None:
    given_now = [ask(ledger) for _ in range(8)]
    assert {verdict.word for verdict in given_now} == {"go"}
    assert as_close_as(HUNDRED.interval_us, given_now)


def as_close_as(interval_us: int, given_now: list[Verdict]) -> bool:
    """Whether nobody comes sooner after the one before him, and nobody who has to wait comes later."""
    gaps = [(later.moment_us - earlier.moment_us, later.wait_s) for earlier, later in itertools.pairwise(given_now)]
    return all(gap_us == interval_us or (gap_us > interval_us and wait_s == 0.0) for gap_us, wait_s in gaps)


def test_after_a_pause_there_is_no_burst(ledger: Ledger) -> None:
    move(ledger, last_us=-3600)
    first, second = ask(ledger), ask(ledger)
    assert first.wait_s == 0.0
    assert second.moment_us - first.moment_us >= HUNDRED.interval_us


def test_an_ask_that_is_sent_twice_loses_a_moment_and_gains_none(ledger: Ledger) -> None:
    once, again, other = ask(ledger, named="once"), ask(ledger, named="once"), ask(ledger)
    assert other.moment_us - again.moment_us >= HUNDRED.interval_us
    assert again.moment_us - once.moment_us >= HUNDRED.interval_us


def test_accounts_do_not_wait_for_each_other(ledger: Ledger) -> None:
    slow = Pace.of(1, 0.5)
    assert ask(ledger, slow).wait_s == 0.0
    elsewhere = admit("other", "ask", slow, emergency=False, patience_s=5.0, probe_s=None)
    assert ledger.run(elsewhere).wait_s == 0.0


# The line


def test_a_caller_that_must_ask_again_keeps_its_place_before_a_new_one(ledger: Ledger) -> None:
    slow = Pace.of(1, 0.5)
    assert ask(ledger, slow).word == "go"
    waits = [ask(ledger, slow, patience_s=60.0) for _ in range(5)]
    assert {verdict.word for verdict in waits} == {"back"}
    assert [verdict.wait_s for verdict in waits] == pytest.approx([1.04, 2.13, 3.22, 4.31, 5.40], abs=0.3)
    move(ledger, last_us=-1.05)
    assert ask(ledger, slow, patience_s=60.0).word == "back", "a moment is near, but others were here before"
    assert ask(ledger, slow, waited_s=0.1).word == "go"


def test_a_caller_without_patience_takes_no_place(ledger: Ledger) -> None:
    slow = Pace.of(0.1, 0.5)
    ask(ledger, slow)
    first = ask(ledger, slow, patience_s=0.0)
    for _ in range(50):
        assert ask(ledger, slow, patience_s=0.0).word == "limited"
    assert ask(ledger, slow, patience_s=60.0).wait_s < first.wait_s


def test_a_clock_that_was_set_back_blocks_no_caller(ledger: Ledger) -> None:
    move(ledger, last_us=3600, others_us=3600, emergency_us=3600, line_other_us=3600, until_us=3600)
    assert ask(ledger).word == "go"
    opened(ledger)
    move(ledger, again_us=3600)
    assert ask(ledger).note == "probe"


# Emergencies


def test_an_emergency_comes_before_the_line(ledger: Ledger) -> None:
    ten = Pace.of(10, 0.5)
    for _ in range(20):
        ask(ledger, ten)
    # A slot is at most 100 ms away when it is assigned, the next one 109 ms later, and who has to ask again does so 50 ms before.
    assert ask(ledger, ten, emergency=True).wait_s < 0.16


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_while_there_are_emergencies_the_others_have_the_rest(ledger: Ledger, share: float) -> None:
    pace = Pace.of(100, share)
    ask(ledger, pace, emergency=True)
    moments: list[int] = []
    while len(moments) < 4:
        given_now = ask(ledger, pace, waited_s=0.1)
        moments += [given_now.moment_us] if given_now.word == "go" else []
    least_us = pace.interval_us / (1 - share)
    assert all(later - earlier >= least_us - 1 for earlier, later in itertools.pairwise(moments))


def test_between_the_others_moments_an_emergency_finds_its_own(ledger: Ledger) -> None:
    ask(ledger, emergency=True)
    assert [ask(ledger).word for _ in range(20)][-1] == "back"
    given_now = ask(ledger, emergency=True)
    assert given_now.word == "go"
    assert given_now.wait_s < 0.02 + HUNDRED.interval_us / 1_000_000 + 0.001


def test_without_emergencies_the_others_have_all(ledger: Ledger) -> None:
    ask(ledger, emergency=True)
    move(ledger, emergency_us=-6)
    assert as_close_as(HUNDRED.interval_us, [ask(ledger) for _ in range(6)])


# 429


def test_a_retry_after_stops_every_caller_at_once(ledger: Ledger) -> None:
    leave = ask(ledger)
    assert tell(ledger, leave.moment_us, "limited", pause_s=60.0) == "slowed"
    for emergency in (False, True):
        given_now = ask(ledger, emergency=emergency)
        assert given_now.word == "limited"
        assert 59 < given_now.wait_s < 61.5
    state = rate_state(ledger, "default")
    assert state.paused_until is not None
    assert state.limit_words == "HTTP 502"


def test_a_shorter_retry_after_does_not_end_a_longer_one(ledger: Ledger) -> None:
    first, second = ask(ledger), ask(ledger)
    tell(ledger, first.moment_us, "limited", pause_s=60.0)
    tell(ledger, second.moment_us, "limited", pause_s=1.0)
    assert ask(ledger).wait_s > 59


def test_many_refused_at_once_halve_the_rate_once(ledger: Ledger) -> None:
    leaves = [ask(ledger) for _ in range(8)]
    assert [tell(ledger, leave.moment_us, "limited") for leave in leaves] == ["slowed"] + ["same"] * 7
    assert 0.5 <= rate_state(ledger, "default").pace < 0.52


def test_refused_again_after_its_pause_it_is_halved_again_down_to_the_floor(ledger: Ledger) -> None:
    for _ in range(8):
        move(ledger, until_us=-1, last_us=-60)
        assert tell(ledger, ask(ledger).moment_us, "limited") == "slowed"
    assert FLOOR <= rate_state(ledger, "default").pace < FLOOR + 0.02
    move(ledger, until_us=-1, last_us=-1)
    first, second = ask(ledger), ask(ledger, waited_s=0.1)
    assert second.moment_us - first.moment_us > 8 * HUNDRED.interval_us or second.word == "back"


def test_the_rate_creeps_up_to_what_is_configured_and_no_further(ledger: Ledger) -> None:
    tell(ledger, ask(ledger).moment_us, "limited")
    move(ledger, cut_us=-20)
    assert rate_state(ledger, "default").pace == pytest.approx(0.5 + 20 * CREEP_PER_S, abs=0.01)
    move(ledger, cut_us=-3600, until_us=-3580)
    assert rate_state(ledger, "default").pace == 1.0
    assert ask(ledger, waited_s=0.1).word == ask(ledger, waited_s=0.1).word == "go"


# The breaker


def test_failures_in_a_row_open_it_with_one_event(ledger: Ledger) -> None:
    opened(ledger)
    assert tell(ledger, 3, "down") == "same", "sent before it opened"
    assert states(ledger, "events") == ["breaker_opened"]
    event = stream(ledger, "events")[0]
    assert (event["subject"], json.loads(event["data"])) == ("default", {"account": "default", "status": None, "message": "HTTP 502"})
    assert rate_state(ledger, "default").open_since is not None


def test_a_success_between_failures_restarts_the_count(ledger: Ledger) -> None:
    tell(ledger, 1, "down")
    leave = ask(ledger)
    assert leave.note == "watched"
    tell(ledger, leave.moment_us, "fine")
    assert ask(ledger).note == ""
    assert tell(ledger, leave.moment_us + 1, "down") == "same"


def test_a_late_success_of_before_the_failure_says_nothing(ledger: Ledger) -> None:
    tell(ledger, 5, "down")
    tell(ledger, 4, "fine")
    assert tell(ledger, 6, "down") == "opened"


def test_failures_far_apart_do_not_open_it(ledger: Ledger) -> None:
    tell(ledger, 1, "down")
    move(ledger, failing_us=-1000)
    assert tell(ledger, 2, "down") == "same"


def test_a_429_is_no_outage(ledger: Ledger) -> None:
    tell(ledger, 1, "down")
    tell(ledger, 2, "limited")
    assert tell(ledger, 3, "down") == "same"


def test_while_it_is_open_only_one_probe_goes(ledger: Ledger) -> None:
    opened(ledger)
    probe = ask(ledger, named="first", probe_s=60.0)
    assert (probe.word, probe.note) == ("go", "probe")
    others = [ask(ledger, emergency=emergency, probe_s=60.0) for emergency in (False, True, False)]
    assert {verdict.word for verdict in others} == {"down"}
    assert all(0 < verdict.wait_s <= 1 for verdict in others), "its answer may come any moment"
    assert ask(ledger, named="first", probe_s=60.0) == Verdict("go", 0.0, probe.moment_us, "probe"), (
        "the reply was lost: it still is the one"
    )


def test_a_probe_that_died_is_followed_by_another(ledger: Ledger) -> None:
    opened(ledger)
    assert ask(ledger, probe_s=60.0).note == "probe"
    move(ledger, again_us=-1)
    assert ask(ledger).note == "probe"


def test_a_probe_that_succeeds_closes_it(ledger: Ledger) -> None:
    opened(ledger)
    probe = ask(ledger)
    assert tell(ledger, probe.moment_us, "fine") == "closed"
    assert tell(ledger, probe.moment_us, "fine") == "same"
    assert ask(ledger).note == ""
    assert states(ledger, "events") == ["breaker_opened", "breaker_closed"]
    assert tell(ledger, 2, "down") == "same", "sent before it opened: says nothing of now"
    assert rate_state(ledger, "default").failures == 0


def down(ledger: Ledger, count: int, request: Request | None = None, delay_ms: int = 30_000) -> list[str]:
    """Jobs that wait for the provider. Each was submitted in a millisecond of its own: only then are their ids in that order."""
    jobs = []
    for _ in range(count):
        jobs.append(ledger.submit(Submission(request or SearchAndBuy(country="US"))).id)
        made_ms = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 == made_ms:
            pass
    for job in jobs:
        assert ledger.suspend(claimed(ledger, job), JobState.WAITING, WaitReason.PROVIDER_DOWN, delay_ms=delay_ms, refund=True)
    return jobs


def due_in_s(ledger: Ledger, job: str) -> float:
    due = ledger.get(job).due_at
    assert due is not None
    return due.timestamp() - ledger.now_ms() / 1000


def test_when_it_closes_jobs_go_on_emergencies_first_and_one_after_the_other(ledger: Ledger) -> None:
    opened(ledger)
    others = down(ledger, 3)
    (first,) = down(ledger, 1, Reroute(numbers=("+12135550100",), destinations=(Destination.trunk(144),)))
    (sooner,) = down(ledger, 1, delay_ms=1)
    settling = submitted(ledger).id
    assert ledger.suspend(claimed(ledger, settling), JobState.WAITING, WaitReason.SETTLING, delay_ms=30_000, refund=True)
    probe = ask(ledger, probe_s=30.0)
    assert tell(ledger, probe.moment_us, "fine") == "closed"
    order = [due_in_s(ledger, job) for job in (first, *others)]
    assert order == sorted(order)
    assert order[-1] < 1
    assert len(set(order)) == 4
    assert due_in_s(ledger, sooner) < order[0] + 0.05, "nobody waits longer for it"
    assert due_in_s(ledger, settling) > 20
    wait_until_ms(ledger, ledger.now_ms() + 250)
    assert ledger.sweep(max_crashes=5).nudged == 5


def test_when_it_closes_only_so_many_go_on_at_once(ledger: Ledger) -> None:
    opened(ledger)
    jobs = down(ledger, 103)
    probe = ask(ledger, probe_s=30.0)
    assert tell(ledger, probe.moment_us, "fine") == "closed"
    assert sum(due_in_s(ledger, job) <= 5 for job in jobs) == 100
    assert all(due_in_s(ledger, job) > 20 for job in jobs[-3:])


def test_a_job_that_waits_for_a_provider_that_is_back_does_not_wait_long(ledger: Ledger) -> None:
    (job,) = down(ledger, 1)
    assert due_in_s(ledger, job) <= 5
    claim = claimed_now(ledger, job)
    assert ledger.finish(claim, JobState.SUCCEEDED, DONE)
    assert not ledger.client.exists(f"{ledger.keys.rate('default')}:down"), "nothing is left of it"


def claimed_now(ledger: Ledger, job: str) -> Claim:
    ledger.client.hset(ledger.keys.job(job), "due_ms", "")
    return claimed(ledger, job)


def test_a_probe_that_fails_opens_it_for_longer_up_to_a_limit(ledger: Ledger) -> None:
    patient = Breaker(failures=1, first_s=10.0, last_s=60.0)
    waits_s = []
    tell(ledger, 1, "down", breaker=patient)
    for _ in range(5):
        given_now = ask(ledger)
        assert given_now.word == "down"
        waits_s.append(given_now.wait_s)
        move(ledger, again_us=-1)
        assert tell(ledger, ask(ledger).moment_us, "down", breaker=patient) == "opened"
    assert waits_s == pytest.approx([10, 20, 40, 60, 60], abs=1)
    assert states(ledger, "events") == ["breaker_opened"], "one event however long it lasts"


def test_a_caller_without_a_breaker_passes_an_open_one(ledger: Ledger) -> None:
    opened(ledger)
    looking = ask(ledger, probe_s=None)
    assert (looking.word, looking.note) == ("go", "watched")
    assert ask(ledger).note == "probe", "and takes the probe of no other caller"
