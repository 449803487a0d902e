"""What may be spent: held before the checkout, all or nothing; what was bought counts until its window has passed."""

import threading
from decimal import Decimal

import pytest

from didflow.contract.attempt_write import Write
from didflow.contract.audit import AuditFilter
from didflow.contract.spending import LimitReached, Scope, Spend, SpendLimit, Unit, Window
from didflow.contract.states import JobState
from didflow.ledger import script_calls
from didflow.ledger.audit import audit_page
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.replies import LeaseLost, Resolved, Saved
from didflow.ledger.worker_settings import note_limits, running_with
from didflow.settings import Settings
from tests.support.ledger_roles import DONE, claimed, finished, let_pass, submitted, wait_until_ms

ACCOUNT, REFERENCE = "account:default", "reference:customer-9"


def limit(most: str, unit: Unit = "usd", window: Window = "hour", scope: Scope = "account") -> SpendLimit:
    return SpendLimit(scope=scope, unit=unit, window=window, most=Decimal(most))


def spend(usd: str, numbers: int = 1) -> Spend:
    return Spend(numbers=numbers, usd=Decimal(usd))


def begun(ledger: Ledger, **options: object) -> Claim:
    return claimed(ledger, submitted(ledger, **options).id)  # type: ignore[arg-type]


def hold(ledger: Ledger, claim: Claim, what: Spend, *limits: SpendLimit, count: int = 1) -> LimitReached | None:
    """What stands against it; None: it is held."""
    said = ledger.save(claim, count, Write("fence", phase="carted", hold=what, limits=limits))
    if isinstance(said, LimitReached):
        return said
    assert said == Saved()
    return None


def settle(ledger: Ledger, claim: Claim, bought: Spend, count: int = 2) -> None:
    assert ledger.save(claim, count, Write("settled", phase="new", settle=bought)) == Saved()


def spent(ledger: Ledger, scope: Scope = "account", name: str = "default") -> tuple[Spend, Spend, Spend]:
    """Of the hour, of the day, and of both what is held."""
    (shown,) = ledger.spending([(scope, name)])
    return shown.hour, shown.day, shown.held


NOTHING = Spend()


def test_what_is_held_counts_and_a_hold_beyond_the_limit_writes_nothing(ledger: Ledger) -> None:
    one, other = begun(ledger), begun(ledger)
    assert hold(ledger, one, spend("3.00"), limit("5")) is None
    reached = hold(ledger, other, spend("2.01"), limit("5"))
    assert reached is not None
    assert (reached.name, reached.limit, reached.used, reached.held, reached.asked) == (
        "default",
        limit("5"),
        Decimal(3),
        Decimal(3),
        Decimal("2.01"),
    )
    assert reached.frees_in_s is None, "it depends on the open checkout"
    assert ledger.get(other.job_id).phase is None
    assert [step.name for step in ledger.perform(ledger.commands.steps(other.job_id))] == ["submitted"]
    assert spent(ledger) == (spend("3"), spend("3"), spend("3"))
    assert hold(ledger, other, spend("2.00"), limit("5")) is None, "exactly the limit may be spent"


def test_what_was_not_bought_is_given_back_and_what_was_counts_on(ledger: Ledger) -> None:
    claim = begun(ledger)
    hold(ledger, claim, spend("4.50", 3))
    settle(ledger, claim, spend("1.50", 1))
    assert spent(ledger) == (spend("1.5"), spend("1.5"), NOTHING)
    hold(ledger, claim, spend("3.00", 2), count=3)
    settle(ledger, claim, NOTHING, count=4)
    assert spent(ledger) == (spend("1.5"), spend("1.5"), NOTHING)


def test_a_write_that_is_repeated_counts_once(ledger: Ledger) -> None:
    claim = begun(ledger, reference="customer-9")
    for _ in range(2):
        assert hold(ledger, claim, spend("2"), limit("3")) is None
    assert spent(ledger) == (spend("2"), spend("2"), spend("2"))
    for _ in range(2):
        settle(ledger, claim, spend("2"))
    assert spent(ledger) == spent(ledger, "reference", "customer-9") == (spend("2"), spend("2"), NOTHING)


def test_an_attempt_that_lost_its_lease_neither_holds_nor_settles(ledger: Ledger) -> None:
    old = claimed(ledger, submitted(ledger).id, lease_ms=1)
    hold(ledger, old, spend("2"))
    wait_until_ms(ledger, ledger.now_ms() + 2)
    assert ledger.sweep(max_crashes=5).recovered == 1
    assert ledger.save(old, 2, Write("settled", settle=NOTHING)) == LeaseLost()
    assert ledger.save(old, 3, Write("fence", hold=spend("9"))) == LeaseLost()
    assert spent(ledger) == (spend("2"), spend("2"), spend("2")), "a crash keeps the hold"
    settle(ledger, claimed(ledger, old.job_id, "worker-2"), spend("2"), count=1)
    assert spent(ledger) == (spend("2"), spend("2"), NOTHING)


@pytest.mark.parametrize(("window", "minutes"), [("hour", 60), ("day", 24 * 60)])
def test_a_window_rolls_on(ledger: Ledger, window: Window, minutes: int) -> None:
    one, other = begun(ledger), begun(ledger)
    hold(ledger, one, spend("2"))
    settle(ledger, one, spend("2"))
    reached = hold(ledger, other, spend("2"), limit("3", window=window))
    assert reached is not None
    assert reached.frees_in_s is not None
    assert (minutes - 0.1) * 60 <= reached.frees_in_s <= (minutes + 1) * 60, "no sooner than the window, at most a minute later"
    let_pass(ledger, ACCOUNT, minutes - 1)
    assert ledger.limit_against(other, spend("2"), [limit("3", window=window)]) is not None
    let_pass(ledger, ACCOUNT, 2)
    assert ledger.limit_against(other, spend("2"), [limit("3", window=window)]) is None
    assert hold(ledger, other, spend("2"), limit("3", window=window)) is None


def test_it_goes_on_when_enough_and_not_all_of_it_has_left_the_window(ledger: Ledger) -> None:
    claim = begun(ledger)
    for count in range(1, 7, 2):  # 1 USD each: 40 minutes ago, 20 minutes ago, now
        hold(ledger, claim, spend("1"), count=count)
        settle(ledger, claim, spend("1"), count=count + 1)
        if count < 5:
            let_pass(ledger, ACCOUNT, 20)
    reached = ledger.limit_against(claim, spend("2"), [limit("3")])
    assert reached is not None
    assert reached.frees_in_s is not None
    assert 39.9 * 60 <= reached.frees_in_s <= 41 * 60


def test_what_has_left_the_hour_frees_nothing_in_it(ledger: Ledger) -> None:
    claim = begun(ledger)
    for count in (1, 3):  # 1 USD each: 90 minutes ago, now
        hold(ledger, claim, spend("1"), count=count)
        settle(ledger, claim, spend("1"), count=count + 1)
        if count == 1:
            let_pass(ledger, ACCOUNT, 90)
    assert spent(ledger) == (spend("1"), spend("2", 2), NOTHING)
    reached = ledger.limit_against(claim, spend("1"), [limit("1")])
    assert reached is not None
    assert reached.frees_in_s is not None
    assert reached.frees_in_s >= 59.9 * 60


def test_the_limit_that_lasts_longest_is_named(ledger: Ledger) -> None:
    claim = begun(ledger, reference="customer-9")
    hold(ledger, claim, spend("2", 2))
    settle(ledger, claim, spend("2", 2))
    limits = [limit("2", window="hour"), limit("2", "numbers", "day", "reference"), limit("2", "numbers", "hour")]
    reached = ledger.limit_against(claim, spend("1"), limits)
    assert reached is not None
    assert (reached.limit, reached.name) == (limits[1], "customer-9")
    assert reached.sentence("…") == "reference customer-9 may spend 2 numbers per day: 2 numbers used, 1 number needed; …"


def test_a_reference_has_a_limit_of_its_own_on_any_account(ledger: Ledger) -> None:
    one, other = begun(ledger, reference="customer-9"), begun(ledger, reference="customer-9", account="second")
    stranger, nobody = begun(ledger, reference="customer-8"), begun(ledger)
    per_reference = limit("1", "numbers", "day", "reference")
    assert hold(ledger, one, spend("2"), per_reference) is None
    assert hold(ledger, other, spend("2"), per_reference) is not None
    assert hold(ledger, stranger, spend("2"), per_reference) is None
    assert hold(ledger, nobody, spend("2"), per_reference) is None, "a job without a reference has only its account's limits"
    assert spent(ledger, "account", "second")[0] == NOTHING


def test_names_that_look_like_other_keys_get_nothing_mixed_up(ledger: Ledger) -> None:
    names = ["x", "x:held", "account:default", "a|b", "ü"]
    for name in names:
        hold(ledger, begun(ledger, reference=name), spend("1"))
    assert [spent(ledger, "reference", name)[2] for name in names] == [spend("1")] * len(names)
    assert spent(ledger)[2] == spend("5", 5)


def test_money_is_exact_and_what_has_more_decimals_is_rounded_against_us(ledger: Ledger) -> None:
    claim = begun(ledger)
    for count in range(1, 21, 2):
        hold(ledger, claim, spend("0.1"), count=count)
        settle(ledger, claim, spend("0.1"), count=count + 1)
    assert spent(ledger)[0] == spend("1.0", 10)
    assert hold(ledger, claim, spend("0.00001"), limit("1.00009"), count=21) is not None
    assert hold(ledger, claim, spend("0.00001"), limit("1.0001"), count=22) is None
    assert spent(ledger)[2] == spend("0.0001")


def test_large_amounts_are_exact(ledger: Ledger) -> None:
    claim, other = begun(ledger), begun(ledger)
    hold(ledger, claim, spend("99999999.9999"))
    settle(ledger, claim, spend("99999999.9999"))
    assert hold(ledger, other, spend("0.0002"), limit("100000000")) is not None
    assert hold(ledger, other, spend("0.0001"), limit("100000000")) is None
    assert spent(ledger)[0] == spend("100000000", 2)


def test_a_parked_job_keeps_its_hold_until_it_is_resolved(ledger: Ledger) -> None:
    claim = begun(ledger, reference="customer-9")
    hold(ledger, claim, spend("3", 2))
    assert finished(ledger, claim, JobState.NEEDS_REVIEW)
    let_pass(ledger, ACCOUNT, 3 * 24 * 60)
    (shown,) = ledger.spending([("account", "default")])
    assert (shown.day, shown.held, shown.open_jobs) == (spend("3", 2), spend("3", 2), (claim.job_id,))
    for _ in range(2):
        found = script_calls.resolve(claim.job_id, int(claim.token), JobState.PARTIAL, DONE, spend("1"), "one of two", {})
        assert ledger.run(found) == Resolved()
    assert spent(ledger) == spent(ledger, "reference", "customer-9") == (spend("1"), spend("1"), NOTHING)


def test_a_parked_job_that_is_retried_keeps_its_hold_and_settles_it(ledger: Ledger) -> None:
    claim = begun(ledger)
    hold(ledger, claim, spend("3", 2))
    finished(ledger, claim, JobState.NEEDS_REVIEW)
    ledger.run(script_calls.retry(claim.job_id))
    assert spent(ledger)[2] == spend("3", 2)
    settle(ledger, claimed(ledger, claim.job_id, "worker-2"), spend("3", 2), count=1)
    assert spent(ledger) == (spend("3", 2), spend("3", 2), NOTHING)


def test_a_job_that_killed_its_workers_keeps_its_hold(ledger: Ledger) -> None:
    claim = claimed(ledger, submitted(ledger).id, lease_ms=1)
    hold(ledger, claim, spend("3"))
    wait_until_ms(ledger, ledger.now_ms() + 2)
    assert ledger.sweep(max_crashes=1).parked == 1
    assert spent(ledger)[2] == spend("3")


def test_a_job_that_ends_with_its_checkout_unsettled_has_spent_what_it_held(ledger: Ledger) -> None:
    claim = begun(ledger)
    hold(ledger, claim, spend("3"))
    for _ in range(2):
        assert finished(ledger, claim, JobState.FAILED)
    assert spent(ledger) == (spend("3"), spend("3"), NOTHING)


def test_fifty_holds_at_once_never_exceed_the_limit(ledger: Ledger) -> None:
    claims = [begun(ledger) for _ in range(50)]
    start = threading.Barrier(10)
    held: list[Claim] = []

    def work(mine: list[Claim]) -> None:
        start.wait()
        held.extend(claim for claim in mine if hold(ledger, claim, spend("1.49"), limit("15"), limit("12", "numbers", "day")) is None)

    threads = [threading.Thread(target=work, args=(claims[part::10],)) for part in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 10, "15 USD allow ten at 1.49"
    assert spent(ledger)[2] == spend("14.90", 10)


def test_nothing_is_kept_for_ever(ledger: Ledger) -> None:
    claim = begun(ledger, reference="customer-9")
    for count in range(1, 9, 2):
        hold(ledger, claim, spend("1"), count=count)
        settle(ledger, claim, spend("1"), count=count + 1)
        let_pass(ledger, ACCOUNT, 23 * 60)
    assert ledger.client.hlen(ledger.keys.spent(ACCOUNT)) == 2, "a hold forgets what has left the day"
    ended = begun(ledger, reference="customer-8")
    hold(ledger, ended, spend("1"))
    until = f"{ledger.keys.namespace}:spent_until"
    assert sorted(ledger.client.zrange(until, 0, -1)) == [ACCOUNT, "reference:customer-8", REFERENCE]
    ledger.client.zadd(until, {REFERENCE: 1, "reference:customer-8": 1})
    ledger.sweep(max_crashes=5)
    assert sorted(ledger.client.zrange(until, 0, -1)) == [ACCOUNT, "reference:customer-8"], "one that holds is still to be shown"
    assert ledger.client.exists(ledger.keys.spent(REFERENCE), ledger.keys.held(REFERENCE)) == 0
    assert spent(ledger, "reference", "customer-8")[2] == spend("1")


def test_the_latest_spenders_are_listed_after_those_asked_for(ledger: Ledger) -> None:
    hold(ledger, begun(ledger, reference="customer-9"), spend("1"))
    shown = ledger.spending([("account", "idle"), ("account", "default")], newest=10)
    assert [(one.scope, one.name) for one in shown] == [("account", "idle"), ("account", "default"), ("reference", "customer-9")]
    assert shown[0].day == NOTHING


def test_a_worker_that_starts_with_other_limits_is_in_the_audit_once(real_ledger: Ledger) -> None:
    def start(host: str, usd_per_day: str | None) -> int:
        running = running_with(Settings(_env_file=None, WAVIX_API_KEY="x", spend_account_usd_per_day=usd_per_day))
        return real_ledger.run(note_limits(running, f"didflow@{host}"))

    assert [start("a", "100"), start("b", "100"), start("a", "5000"), start("b", "5000"), start("b", None)] == [0, 0, 1, 0, 1]
    entries = real_ledger.perform(audit_page(real_ledger.commands, AuditFilter(what="limits"), limit=5)).entries
    assert [(entry.actor, dict(entry.on), entry.detail) for entry in entries] == [
        ("didflow@b", {"account": "default"}, "5000.00 USD per day -> none"),
        ("didflow@a", {"account": "default"}, "100.00 USD per day -> 5000.00 USD per day"),
    ]
