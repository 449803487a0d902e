"""`didflow failover`, `failover plan` and `failback` as an operator meets them, on real workers and a sandbox."""

import json
import os
import pty
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from didflow.ledger.failover_plans import FailoverPlans
from producers.failover import Failover
from tests.support.cluster import Cluster, cluster, until
from tests.support.cluster_shell import shell_of
from tests.support.shell import Shell

BACKUP = "sip:backup@example.net"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("plant"), processes=1, DIDFLOW_PLAN_REFRESH_SECONDS="1", DIDFLOW_BATCH_SIZE="2") as running:
        yield running


@pytest.fixture
def didflow(running: Cluster, tmp_path: Path) -> Shell:
    return shell_of(running.stack, tmp_path, DIDFLOW_PLAN_REFRESH_SECONDS="1")


def own(running: Cluster, label: str, count: int = 3, host: str = "old.example.net") -> list[str]:
    """Numbers of ours with a label of their own, at a place of their own."""
    route = [{"transport": 1, "destination": f"{label}@{host}", "priority": 1}]
    return [f"+{number}" for number in running.sandbox.order("seed_owned", count=count, label=label, destinations=route)]


def places(running: Cluster, numbers: list[str]) -> list[set[str]]:
    owned = running.sandbox.owned()
    return [{one["destination"] for one in owned[number.removeprefix("+")]["destinations"]} for number in numbers]


def moved_by(running: Cluster, key: str) -> Any:
    (view,) = running.didflow.find(idempotency_key=key)
    return view


def test_an_incident_reroutes_and_fails_back_and_each_line_names_the_next_command(running: Cluster, didflow: Shell) -> None:
    ours = own(running, "a")
    away = didflow("failover", "--from-destination", "a@old.example.net", "--to", BACKUP, "--incident", "INC-1", "--yes")
    assert away.code == 0, away.out + away.err
    assert "3 of 3 numbers would move to sip:backup@example.net" in away.err
    moved = moved_by(running, "failover:INC-1").id
    assert away.out == f"job\toutcome\tnumbers\tfirst errors\n{moved}\tconfirmed\t3\t\n", "in a pipe a table and nothing else"
    assert "bring them back with: didflow failback INC-1" in away.err
    assert "incident INC-1: job " in away.err
    assert "3 selected" in away.err
    assert places(running, ours) == [{"backup@example.net"}] * 3
    again = didflow("failover", "--from-destination", "a@old.example.net", "--to", BACKUP, "--incident", "INC-1", "--json")
    assert (again.code, again.json["incident"], again.json["job"]["id"]) == (0, "INC-1", moved_by(running, "failover:INC-1").id)
    back = didflow("failback", "INC-1")
    assert back.code == 0, back.out + back.err
    assert re.search(r"confirmed\t3", back.out)
    assert places(running, ours) == [{"a@old.example.net"}] * 3


def test_a_dry_run_groups_by_present_route_and_fits_eighty_columns(running: Cluster, didflow: Shell) -> None:
    own(running, "b1", 2)
    own(running, "b2", 1, "a-rather-long-name-of-a-host.of-a-customer.somewhere.example.net")
    ours = [f"+{number}" for number, one in running.sandbox.owned().items() if one["label"] in ("b1", "b2")]
    before = running.sandbox.owned()
    looked = didflow("failover", *(f"--number={number}" for number in ours), "--to", BACKUP, "--dry-run", columns=80)
    assert looked.code == 0, looked.out + looked.err
    assert re.search(r"goes now to +sip:b1@old\.example\.net\n +numbers +2\n +verdict +would move", looked.out)
    assert "a-rather-long-name-of-a-host.of-a-customer.somewhere.example.net" in looked.out, "a place is whole"
    assert max(map(len, looked.out.splitlines())) <= 88
    assert running.sandbox.owned() == before
    as_json = didflow("failover", "--number", ours[0], "--to", BACKUP, "--dry-run", "--json")
    assert len(as_json.json["result"]["quote"]["numbers"]) == 1


def test_numbers_that_take_no_calls_are_counted_before_and_after(running: Cluster, didflow: Shell) -> None:
    own(running, "inactive", 2)
    route = [{"transport": 1, "destination": "inactive@old.example.net", "priority": 1}]
    running.sandbox.order("seed_owned", count=1, label="inactive", destinations=route, approved=False)
    words = "1 of 3 is inactive: it can be routed, but takes no calls until its documents are approved"
    looked = didflow("failover", "--label", "inactive", "--to", BACKUP, "--dry-run")
    assert words in looked.err
    assert re.search(r"^sip:inactive@old\.example\.net\t3\twould move$", looked.out, re.MULTILINE)
    away = didflow("failover", "--label", "inactive", "--to", BACKUP, "--incident", "INC-inactive", "--yes")
    assert away.code == 0, away.out + away.err
    assert away.err.count(words) == 2
    assert "3 selected, 1 inactive" in away.err
    assert words in didflow("failback", "INC-inactive").err


def test_numbers_come_from_a_file_and_several_places_are_tried_in_their_order(running: Cluster, didflow: Shell, tmp_path: Path) -> None:
    (ours,) = own(running, "c", 1)
    (tmp_path / "numbers.txt").write_text(f"# one\n{ours}\n")
    away = didflow("failover", "--numbers", "numbers.txt", "--to", "trunk:144", "--to", BACKUP, "--no-check", "--json")
    assert away.code == 0
    assert re.fullmatch(r"numbers-\d{8}T\d{6}", away.json["incident"])
    assert [(one["destination"], one["priority"]) for one in away.json["job"]["result"]["numbers"][0]["route_after"]] == [
        ("144", 1),
        ("backup@example.net", 2),
    ]


def test_nothing_to_do_is_said_and_is_no_failure(running: Cluster, didflow: Shell) -> None:
    own(running, "d")
    arguments = ("failover", "--label", "d", "--to", "sip:d@old.example.net")
    checked = didflow(*arguments, "--incident", "INC-4")
    assert (checked.code, "nothing to do" in checked.err) == (0, True)
    assert running.didflow.find(idempotency_key="failover:INC-4") == ()
    at_once = didflow(*arguments, "--no-check")
    assert (at_once.code, "nothing to do" in at_once.err) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--label", "e", "--to", "trunk:99999"), 1, "unknown_trunk"),
        (("--from-trunk", "99999", "--to", BACKUP), 1, "nothing_selected"),
        (("--label", "nobody-has-it", "--to", BACKUP), 1, "nothing_selected"),
        (("--label", "e", "--to", BACKUP, "--expected-count", "2"), 1, "unexpected_count"),
        (("--label", "e", "--to", BACKUP, "--max-fraction", "0.001"), 1, "too_large_fraction"),
        (("--label", "e", "--to", BACKUP, "--deadline", "2020-01-01T00:00Z"), 2, "deadline: 2020-01-01 00:00:00 UTC has passed"),
        (("--to", BACKUP), 2, "exactly one way"),
        (("--label", "e"), 2, "at least 1 destination"),
        (("--label", "e", "--to", "nowhere", "--deadline", "soon"), 2, "deadline: "),
        (("--numbers", "missing.txt", "--to", BACKUP), 2, "numbers_file"),
    ],
)
def test_bad_input_reroutes_nothing(running: Cluster, didflow: Shell, arguments: tuple[str, ...], code: int, words: str) -> None:
    if not any(one["label"] == "e" for one in running.sandbox.owned().values()):
        own(running, "e")
    before = running.sandbox.owned()
    # What only the provider knows is detected by the check, and by the job itself where there is none.
    for first in ((), ("--no-check",)) if code == 1 else ((),):
        refused = didflow("failover", *arguments, *first, "--incident", uuid.uuid4().hex, "--yes")
        assert refused.code == code, refused.out + refused.err
        assert words in refused.out + refused.err
        assert running.sandbox.owned() == before


def test_a_job_is_failed_back_once_and_another_key_gets_the_job_that_did_it(running: Cluster, didflow: Shell) -> None:
    own(running, "f")
    away = didflow("failover", "--label", "f", "--to", BACKUP, "--no-check", "--incident", "INC-6", "--json").json["job"]
    assert away["is_new"]
    job = away["id"]
    back, again = (didflow("failback", named, "--json").json["job"] for named in (job, "INC-6"))
    assert (back["is_new"], again["is_new"]) == (True, False)
    first = back["id"]
    assert again["id"] == first, "named by its incident it is the same"
    other = didflow("failback", job, "--key", "another")
    assert other.code == 2
    assert first in other.err
    assert "failback:INC-6" in other.err


def test_only_a_reroute_is_brought_back(running: Cluster, didflow: Shell) -> None:
    bought = didflow("buy", "--yes", "--country", "US", "--city", "LOS ANGELES, CA", "--json").json["id"]
    refused = didflow("failback", bought)
    assert (refused.code, "a failback undoes a reroute" in refused.err) == (2, True), refused.err
    nobody = didflow("failback", "0" * 26)
    assert (nobody.code, "there is no job" in nobody.err) == (2, True)


def test_a_failback_of_an_unknown_incident_names_similar_ones_and_where_they_are_listed(running: Cluster, didflow: Shell) -> None:
    didflow("failover", "--from-destination", "a@old.example.net", "--to", BACKUP, "--incident", "INC-981", "--no-check", "--no-wait")
    nobody = didflow("failback", "INC-982")
    assert nobody.code == 2
    assert "there is no incident 'INC-982'" in nobody.err
    assert "INC-981" in nobody.err
    assert "`didflow incidents`" in nobody.err
    assert "job" not in nobody.err


def test_a_plan_reroutes_its_numbers_and_the_sweep_those_it_missed(running: Cluster, didflow: Shell) -> None:
    ours = own(running, "g")
    saved = didflow("failover", "plan", "save", "evening", "--label", "g", "--to", BACKUP)
    assert saved.code == 0, saved.out + saved.err
    assert saved.out.splitlines()[1].startswith("evening\t3\t")
    plans = FailoverPlans(running.ledger)
    until(lambda: plans.get("evening").job is None, what="no refresh under way")
    # As if the last refresh was before these came.
    missed = own(running, "g", 2)
    keep_as_it_is(running, "evening", ours)
    ran = didflow("failover", "plan", "run", "evening", "--incident", "INC-7", "--yes")
    assert ran.code == 0, ran.out + ran.err
    assert "plan evening: 3 numbers, refreshed 0:0" in ran.err
    assert "the sweep found 2 numbers that the plan missed, and 2 of them are confirmed" in ran.err
    assert places(running, ours + missed) == [{"backup@example.net"}] * 5
    assert len(moved_by(running, "failover:INC-7").result.numbers) == 3
    again = didflow("failover", "plan", "run", "evening", "--incident", "INC-7", "--json")
    assert again.json["job"]["id"] == moved_by(running, "failover:INC-7").id
    assert again.json["sweep"]["id"] == moved_by(running, "failover-sweep:INC-7").id
    assert (again.json["job"]["is_new"], again.json["sweep"]["is_new"]) == (False, False)
    back = didflow("failback", "INC-7")
    assert back.code == 0, back.out + back.err
    assert places(running, ours + missed) == [{"g@old.example.net"}] * 5
    assert didflow("failover", "plan", "delete", "evening").code == 0
    assert didflow("failover", "plan", "show", "evening").code == 2


def test_a_plan_s_count_holds_for_its_sweep_too(running: Cluster, didflow: Shell) -> None:
    ours = own(running, "counted")
    assert didflow("failover", "plan", "save", "counted", "--label", "counted", "--to", BACKUP, "--expected-count", "3").code == 0
    plans = FailoverPlans(running.ledger)
    until(lambda: plans.get("counted").job is None, what="no refresh under way")
    missed = own(running, "counted", 2)
    keep_as_it_is(running, "counted", ours)
    ran = didflow("failover", "plan", "run", "counted", "--incident", "INC-41", "--yes")
    assert ran.code == 1, ran.out + ran.err
    assert "together 5, and 3 were expected" in " ".join((ran.out + ran.err).split())
    assert places(running, ours) == [{"backup@example.net"}] * 3
    assert places(running, missed) == [{"counted@old.example.net"}] * 2
    assert didflow("failover", "plan", "delete", "counted").code == 0


def test_the_run_of_a_large_plan_lists_nothing_first_unless_asked_to(running: Cluster, didflow: Shell) -> None:
    ours = own(running, "large", 7)
    assert didflow("failover", "plan", "save", "large", "--from-destination", "large@old.example.net", "--to", BACKUP).code == 0
    plans = FailoverPlans(running.ledger)
    until(lambda: plans.get("large").job is None, what="no refresh under way")
    keep_as_it_is(running, "large", ours)
    snapshot = plans.get("large").snapshot
    assert snapshot is not None
    ran = didflow("failover", "plan", "run", "large", "--incident", "INC-81", "--yes")
    assert ran.code == 0, ran.out + ran.err
    assert "nothing is read before the first one moves" in ran.err
    assert moved_by(running, "failover:INC-81").request.snapshot_of == snapshot
    assert didflow("failback", "INC-81").code == 0
    assert places(running, ours) == [{"large@old.example.net"}] * 7
    ran = didflow("failover", "plan", "run", "large", "--incident", "INC-82", "--yes", "--read-routes")
    assert ran.code == 0, ran.out + ran.err
    assert "nothing is read before" not in ran.err
    assert moved_by(running, "failover:INC-82").request.snapshot_of is None
    assert didflow("failback", "INC-82").code == 0
    didflow("failover", "plan", "delete", "large")


def keep_as_it_is(running: Cluster, name: str, numbers: list[str]) -> None:
    """Let no worker refresh the plan any more, and let it know these numbers."""
    client, keys = running.ledger.client, running.ledger.keys
    client.zadd(keys.plans, {name: running.ledger.now_ms() + 3_600_000})
    plans = FailoverPlans(running.ledger)
    until(lambda: plans.get(name).job is None, what="the last refresh")
    assert set(plans.get(name).numbers) >= set(numbers)
    known = {number: one["record_id"] for number, one in running.sandbox.owned().items() if f"+{number}" in numbers}
    client.hset(keys.plan(name), mapping={"numbers": json.dumps({f"+{n}": i for n, i in known.items()}), "count": len(numbers)})


def test_workers_keep_a_plan_fresh_and_say_what_keeps_them_from_it(running: Cluster, didflow: Shell) -> None:
    own(running, "h", 1)
    assert didflow("failover", "plan", "save", "night", "--label", "h", "--to", BACKUP, "--expected-count", "1").code == 0
    plans = FailoverPlans(running.ledger)
    running.ledger.client.zadd(running.ledger.keys.plans, {"night": 0})
    first = plans.get("night").resolved_at
    until(lambda: plans.get("night").resolved_at != first, what="a refresh")
    own(running, "h", 1)
    until(lambda: plans.get("night").trouble, what="a refresh that fails")
    plan = plans.get("night")
    assert (plan.count, "2 numbers are selected and 1 were expected" in (plan.trouble or "")) == (1, True)
    until(lambda: stale(didflow), what="a stale plan")
    listed = didflow("failover", "plan", "list", "--json").json
    assert [(one["name"], one["count"]) for one in listed] == [("night", 1)]
    refreshed = didflow("failover", "plan", "refresh", "night")
    assert (refreshed.code, "2 numbers are selected" in refreshed.out) == (1, True)
    didflow("failover", "plan", "delete", "night")


def stale(didflow: Shell) -> bool:
    return "the plan is stale" in didflow("failover", "plan", "show", "night").err


def on_a_terminal(didflow: Shell, *arguments: str, answer: str) -> tuple[int, str]:
    """Run a command on a terminal of 80 columns and answer its question; its exit code and all that it drew."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "producers.cli", *arguments]
    environment = didflow.environment | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=didflow.folder) as running:
        os.close(theirs)
        drawn, answered = b"", False
        with suppress(OSError):  # The terminal's end, on Linux.
            while chunk := os.read(ours, 4096):
                drawn += chunk
                if not answered and b"[y/N]" in drawn:
                    answered = bool(os.write(ours, answer.encode() + b"\n"))
        os.close(ours)
        return running.wait(20), re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", drawn.decode())


def test_on_a_terminal_it_asks_first_and_then_draws_how_far_it_is(running: Cluster, didflow: Shell) -> None:
    ours = own(running, "i", 3)
    running.sandbox.order("reconfigure", apply_late_s=1.0)
    try:
        arguments = ("failover", "--label", "i", "--to", BACKUP, "--incident", "INC-9")
        refused, said = on_a_terminal(didflow, *arguments, answer="n")
        assert (refused, "move them to sip:backup@example.net? [y/N]" in said) == (6, True)
        assert running.didflow.find(idempotency_key="failover:INC-9") == ()
        code, drawn = on_a_terminal(didflow, *arguments, answer="y")
    finally:
        running.sandbox.order("reconfigure", apply_late_s=0.0)
    assert code == 0, drawn
    assert "3 selected, 3 accepted, 0 confirmed, 0 failed, reading back" in drawn
    assert re.search(r"confirmed +3", drawn)
    assert max(len(line) for line in re.split(r"[\r\n]+", drawn)) <= 80
    assert places(running, ours) == [{"backup@example.net"}] * 3


def test_a_plan_that_was_held_by_its_canary_is_not_swept(running: Cluster, didflow: Shell) -> None:
    ours = own(running, "j", 4)
    assert didflow("failover", "plan", "save", "careful", "--label", "j", "--to", BACKUP, "--canary", "1").code == 0
    running.sandbox.add_fault("destinations", "refuse", times=1)
    ran = didflow("failover", "plan", "run", "careful", "--incident", "INC-10", "--yes", "--json")
    assert ran.code == 1
    assert ran.json["job"]["error"]["code"] == "canary_failed"
    assert ran.json["sweep"]["error"]["code"] == "first_failed"
    assert places(running, ours) == [{"j@old.example.net"}] * 4
    assert didflow("failback", "INC-10").code in (0, 1)
    didflow("failover", "plan", "delete", "careful")


def test_a_failback_ends_a_sweep_that_has_not_begun(running: Cluster, didflow: Shell) -> None:
    ours = own(running, "k", 2)
    assert didflow("failover", "plan", "save", "early", "--label", "k", "--to", BACKUP).code == 0
    failover = Failover(running.didflow)
    running.sandbox.order("reconfigure", apply_late_s=0.8)
    try:
        ran = failover.run_plan("early", "INC-11")
        assert ran.sweep is not None
        until(lambda: running.ledger.get(ran.job.id).reason == "settling", what="a move that settles")
        back = failover.back_all("INC-11")
        assert [running.didflow.wait(job.id, 30).state for job in back] == ["succeeded"]
    finally:
        running.sandbox.order("reconfigure", apply_late_s=0.0)
    assert running.ledger.get(ran.sweep.id).state == "cancelled"
    until(lambda: places(running, ours) == [{"k@old.example.net"}] * 2, what="the old routes")
    failover.delete_plan("early")


def test_a_sweep_that_found_all_in_its_place_has_nothing_to_be_brought_back(running: Cluster, didflow: Shell) -> None:
    ours = own(running, "m", 2)
    assert didflow("failover", "plan", "save", "whole", "--label", "m", "--to", BACKUP).code == 0
    ran = didflow("failover", "plan", "run", "whole", "--incident", "INC-12", "--no-check")
    assert (ran.code, "the sweep found no number that the plan missed" in ran.err) == (0, True), ran.err
    assert [line.split("\t")[1] for line in ran.out.splitlines()] == ["outcome", "confirmed", "unchanged"]
    back = didflow("failback", "INC-12", "--json")
    assert (back.code, "sweep" in back.json) == (0, False)
    assert places(running, ours) == [{"m@old.example.net"}] * 2
    didflow("failover", "plan", "delete", "whole")


def test_another_plan_to_the_same_place_is_not_the_same_incident(running: Cluster, didflow: Shell) -> None:
    ours = own(running, "n", 2)
    for name, number in zip(("first", "second"), ours, strict=True):
        assert didflow("failover", "plan", "save", name, "--number", number, "--to", BACKUP).code == 0
    assert didflow("failover", "plan", "run", "first", "--incident", "INC-14", "--yes").code == 0
    other = didflow("failover", "plan", "run", "second", "--incident", "INC-14", "--yes")
    assert (other.code, "those of plan second asked, others there" in other.err) == (4, True), other.err
    assert didflow("failover", "plan", "run", "first", "--incident", "INC-14", "--yes").code == 0
    for name in ("first", "second"):
        didflow("failover", "plan", "delete", name)


def test_a_plan_of_a_list_has_no_sweep_and_an_unknown_plan_is_named(running: Cluster, didflow: Shell) -> None:
    (number,) = own(running, "l", 1)
    assert didflow("failover", "plan", "save", "one", "--number", number, "--to", BACKUP).code == 0
    ran = didflow("failover", "plan", "run", "one", "--no-check")
    assert (ran.code, "no sweep follows" in ran.err) == (0, True)
    unknown = didflow("failover", "plan", "run", "two")
    assert (unknown.code, "plan_not_found" in unknown.err) == (2, True)
    assert didflow("failover", "plan", "save", "empty", "--label", "nobody-has-it", "--to", BACKUP).code == 1
    empty = didflow("failover", "plan", "run", "empty")
    assert (empty.code, "numbers of plan empty aren't known yet (no number" in empty.err) == (2, True), empty.err
    didflow("failover", "plan", "delete", "empty")
    assert didflow("failover", "plan", "save", "a/b", "--number", number, "--to", BACKUP).code == 2
    assert didflow("failover", "plan", "refresh").code == 2
    assert didflow("failover", "plan", "refresh", "--all").code == 0
    didflow("failover", "plan", "delete", "one")
