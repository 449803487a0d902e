"""`didflow numbers`: the account's numbers, for people and for other programs."""

import csv
import io
from pathlib import Path

import pytest

from didflow.contract.jobs import Job
from didflow.contract.states import JobState
from tests.support.inline_shell import shell_of
from tests.support.inline_worker import InlineWorker
from tests.support.shell import Shell
from tests.support.sweeping import sweep
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey

pytestmark = pytest.mark.provider()


@pytest.fixture
def shell(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> Shell:
    return shell_of(inline, valkey.url, tmp_path)


def test_the_list_for_people_and_programs(inline: InlineWorker, shell: Shell) -> None:
    owned = sorted(inline.own(5, label="acme"))
    sweep(inline)
    shown = shell("numbers", columns=160)
    assert shown.code == 0
    assert all(number in shown.out for number in owned)
    shown = shell("numbers", "--label", "acme", "--limit", "2", "--json")
    assert [one["number"] for one in shown.json["numbers"]] == owned[:2]
    assert shown.json["state"]["complete"] is True
    rest = shell("numbers", "--label", "acme", "--cursor", shown.json["next_cursor"], "--json")
    assert [one["number"] for one in rest.json["numbers"]] == owned[2:]
    lines = list(csv.DictReader(io.StringIO(shell("numbers", "--csv", "-").out)))
    assert [line["number"] for line in lines] == owned
    assert {line["route"] for line in lines} == {"sip:old@example.net"}
    totals = shell("numbers", "totals", "--json")
    assert totals.json["numbers"] == 5


def test_one_number(inline: InlineWorker, shell: Shell) -> None:
    owned = inline.own(1)
    sweep(inline)
    shown = shell("numbers", "show", owned[0], "--json")
    assert shown.code == 0
    assert shown.json["number"]["number"] == owned[0]
    assert {one["action"]: one["why_not"] for one in shown.json["possible"]}["reroute"] == ""
    absent = shell("numbers", "show", "+12135559999")
    assert absent.code == 1


def test_every_fault_is_named(shell: Shell) -> None:
    wrong = shell("numbers", "--min-monthly", "5", "--max-monthly", "1", "--renewal-within", "soon", "--search", "abc", "--json")
    assert wrong.code == 2
    places = [place for place, _ in wrong.json["error"]["faults"]]
    assert {"renewal_within", "search"} <= set(places)
    assert any("monthly_usd_min is above" in what for _, what in wrong.json["error"]["faults"])
    sorted_by = shell("numbers", "--sort", "montly_usd", "--json")
    assert sorted_by.code == 2
    assert "monthly_usd" in sorted_by.json["error"]["message"]
    page = shell("numbers", "--cursor", "nonsense", "--json")
    assert page.code == 2


def doctor(shell: Shell) -> dict[str, tuple[str, str]]:
    return {one["name"]: (one["verdict"], one["message"]) for one in shell("doctor", "--json").json}


def test_the_doctor_says_how_old_it_is_and_names_what_others_wrote(inline: InlineWorker, shell: Shell) -> None:
    ledger, owned = inline.ledger, inline.own(3)
    assert doctor(shell)["inventory default"][0] == "warn"
    sweep(inline)
    found = doctor(shell)
    assert found["inventory default"][0] == "ok"
    assert "inventory default data" not in found
    assert "inventory keys" not in found
    ledger.client.hset(ledger.keys.inventory_rows("default"), owned[0], "nonsense")
    ledger.client.set(f"{ledger.keys.namespace}:inventory:rows:strange", "1")
    found = doctor(shell)
    assert owned[0] in found["inventory default data"][1]
    assert "inventory:rows:strange" in found["inventory keys"][1]
    assert sweep(inline) == ""
    assert "inventory default data" not in doctor(shell)


def test_a_release_takes_exactly_what_the_inventory_s_filter_selects(inline: InlineWorker, shell: Shell) -> None:
    owned = inline.own(4)
    for number, seconds in zip(owned, (0, 0, 5, 0), strict=True):
        inline.sandbox.order(
            "set_number", number=number.removeprefix("+"), seconds=seconds, label="idle" if number != owned[3] else "other"
        )
    too_soon = shell("release", "--where", "label=idle", "--json")
    assert too_soon.code == 2
    assert "no complete sweep" in too_soon.json["error"]["message"]
    sweep(inline)
    where = ("--where", "label=idle", "--where", "seconds_max=0")
    with working(inline):
        asked = shell("release", *where, "--json")
    assert asked.code == 0
    assert all(number in asked.out for number in owned[:2])
    assert not any(number in asked.out for number in owned[2:])
    assert inline.owned() == set(owned), "without an expected count it is a dry run"
    wrong = shell("release", *where, "--expected-count", "3", "--yes", "--json")
    assert (wrong.code, wrong.json["error"]["faults"]) == (
        2,
        [["expected_count", "2 numbers match and 3 were expected: nothing was submitted"]],
    )
    right = shell("release", *where, "--expected-count", "2", "--yes", "--json")
    assert right.code == 0
    inline.finish(Job(right.json["id"], True, JobState.QUEUED))
    assert inline.owned() == set(owned[2:])


def test_a_number_that_left_since_the_sweep_stops_a_reroute_by_filter(inline: InlineWorker, shell: Shell) -> None:
    owned = inline.own(2, label="acme")
    sweep(inline)
    inline.sandbox.order("lose_number", number=owned[0].removeprefix("+"))
    asked = shell("reroute", "--where", "label=acme", "--expected-count", "2", "--to", "sip:new@example.net", "--yes", "--json")
    view = inline.finish(Job(asked.json["id"], True, JobState.QUEUED))
    assert view.error is not None
    assert view.error.code == "unexpected_count"
    assert inline.routes()[owned[1]] == ["old@example.net"]


def test_every_fault_of_where_is_named(inline: InlineWorker, shell: Shell) -> None:
    inline.own(1)
    sweep(inline)
    wrong = shell("release", "--where", "colour=red", "--where", "nothing", "--where", "seconds_max=many", "--json")
    assert wrong.code == 2
    assert {place for place, _ in wrong.json["error"]["faults"]} == {"where", "where.colour", "where.seconds_max"}
    none = shell("release", "--where", "label=nobody", "--json")
    assert (none.code, none.json["error"]["faults"]) == (
        2,
        [["matching", "no number of the account matches: look with `didflow numbers` and fewer filters"]],
    )
    both = shell("release", "--where", "label=acme", "--number", "+12135550100", "--json")
    assert both.code == 2
