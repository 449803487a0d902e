"""Any value of any option and argument of any command: taken, or refused with exit code 2 and a fault; never a traceback.

The commands run in this process on a real Valkey. The roles, which become other processes, are in test_cli_values.py.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from didflow.contract.exit_codes import ExitCode
from producers.cli.app import app
from producers.cli.processes import ROLES
from tests.support.cli_commands import COMMANDS
from worker.local.embedded_valkey import EmbeddedValkey

NUMBER = ("--number", "+12135550100")
TO = ("--to", "sip:a@example.net")
#: What makes each command one that could be done, and that doesn't wait.
GOOD: dict[tuple[str, ...], tuple[str, ...]] = {
    ("buy",): ("--country", "US", "--yes", "--timeout", "0"),
    ("reroute",): (*NUMBER, *TO, "--yes", "--timeout", "0"),
    ("release",): (*NUMBER, "--yes", "--timeout", "0"),
    ("failback",): ("j", "--no-wait", "--yes"),
    ("failover",): (*NUMBER, *TO, "--no-check", "--no-wait"),
    ("failover", "plan", "save"): ("evening", *NUMBER, *TO, "--timeout", "0"),
    ("failover", "plan", "run"): ("evening", "--no-check", "--no-wait"),
    ("failover", "plan", "show"): ("evening",),
    ("failover", "plan", "delete"): ("night",),
    ("failover", "plan", "refresh"): ("night", "--timeout", "0"),
    ("failover", "plan", "list"): (),
    ("failover", "rehearse"): ("evening",),
    ("routes",): (),
    ("routes", "diff"): ("2h", "now"),
    ("incidents",): (),
    ("incidents", "status"): ("INC-1",),
    ("incidents", "cancel"): ("INC-1", "--yes"),
    ("incidents", "failback"): ("INC-1", "--yes"),
    ("churn", "churned"): ("acme", "--yes", "--timeout", "0"),
    ("churn", "returned"): ("acme", "--no-wait"),
    ("churn", "csv"): ("leavers.csv", "--yes"),
    ("churn", "upcoming"): (),
    ("catalogue", "countries"): ("--timeout", "0"),
    ("catalogue", "regions"): ("--country", "US", "--timeout", "0"),
    ("catalogue", "cities"): ("--country", "US", "--timeout", "0"),
    ("catalogue", "offers"): ("--country", "US", "--city", "MIAMI, FL", "--timeout", "0"),
    ("documents", "missing"): (*NUMBER, "--timeout", "0"),
    ("documents", "follow"): (*NUMBER, "--timeout", "0"),
    ("onboarding", "status"): ("4711", "--timeout", "0"),
    ("pool", "list"): (),
    ("pool", "return"): NUMBER,
    ("requests", "send"): ("didflow.request.v1", "--id", "1", "--data", "{}"),
    ("status",): ("j", "--timeout", "0"),
    ("jobs",): (),
    ("explain",): ("j",),
    ("evidence",): ("j",),
    ("activity",): (),
    ("numbers", "views"): (),
    ("numbers", "save-view"): ("mine", "country=DE"),
    ("numbers", "delete-view"): ("mine",),
    ("keys", "sessions"): (),
    ("keys", "end-session"): ("--key", "shop"),
    ("freeze",): ("--reason", "r", "--timeout", "0"),
    ("unfreeze",): (),
    ("cancel",): ("j",),
    ("retry",): ("j",),
    ("resolve",): ("j", "--not-bought", "--yes"),
    ("history",): ("+12135550100",),
    ("numbers",): (),
    ("numbers", "show"): ("+12135550100",),
    ("numbers", "totals"): (),
    ("audit",): (),
    ("decisions",): (),
    ("results", "groups"): (),
    ("results", "delete-group"): ("cli", "--yes"),
    ("spend",): (),
    ("dead-letters",): ("--yes",),
    ("schema",): (),
    ("keys", "create"): ("cli", "--scope", "read"),
    ("keys", "list"): (),
    ("keys", "rotate"): ("cli",),
    ("keys", "revoke"): ("cli", "--yes"),
    ("webhooks", "create"): ("cli", "https://shop.example.net/hook"),
    ("webhooks", "list"): (),
    ("webhooks", "show"): ("cli",),
    ("webhooks", "update"): ("cli", "--disabled"),
    ("webhooks", "rotate"): ("cli",),
    ("webhooks", "enable"): ("cli",),
    ("webhooks", "disable"): ("cli",),
    ("webhooks", "delete"): ("cli", "--yes"),
    ("webhooks", "deliveries"): ("cli",),
    ("webhooks", "redeliver"): ("cli", "--since", "1h"),
    ("webhooks", "test"): ("cli", "--timeout", "0"),
    ("completion",): ("bash",),
    ("settings",): (),
}
#: They wait for news, or have tests of their own.
LEFT_OUT = {
    ("serve",),
    ("webhooks", "run"),
    ("requests", "consume"),
    ("documents", "upload"),
    ("results",),
    ("onboarding", "fulfilments"),
    *((role,) for role in ROLES),
}
#: These only wait longer.
WAITING = {"timeout", "follow", "wait", "watch"}
#: Values at the edges of what times, durations, counts, money, names and paths can be.
EDGES = [
    *("", " ", "-1", "0", "9" * 30, "1e400", "nan", "abc", "+12135550100", "1.5", "-", "a,b", "[bold]", "\x1b[2J"),
    *("0001-01-01T00:00:00+01:00", "9999-12-31", "2026-02-30", "99999999999d", "-999999999.9d", "7d", "sip:", "trunk:99999999999999999999"),
    *("missing/file", ".", "@missing", "{", "\udcff", "\u202e", "x" * 5000, "city=LOS ANGELES, CA; quantity=2", "=;=", "1:ab"),
]


@dataclass(frozen=True)
class Place:
    """Where a value is put: an option of a command, or one of its arguments."""

    command: tuple[str, ...]
    option: str | None  # None: the first argument.

    def line(self, value: str) -> list[str]:
        rest = GOOD[self.command]
        if self.option is None:
            return [*self.command, *rest[1:], "--", value]
        return [*self.command, *rest, f"{self.option}={value}"]


def places() -> Iterator[Place]:
    for path in GOOD:
        for parameter in COMMANDS[path].params:
            if parameter.name in WAITING or getattr(parameter, "is_flag", False):
                continue
            is_option = parameter.opts[0].startswith("-")
            yield Place(path, max(parameter.opts, key=len) if is_option else None)


PLACES = list(places())


@pytest.fixture(scope="module")
def environment(valkey: EmbeddedValkey) -> dict[str, str]:
    return {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": f"any-{uuid.uuid4().hex[:8]}", "COLUMNS": "80"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leavers.csv").write_text("reference,event\nacme,churned\n")


def check(environment: dict[str, str], place: Place, value: str) -> None:
    ended = CliRunner().invoke(app, place.line(value), env=environment, input="")
    assert ended.exception is None or isinstance(ended.exception, SystemExit), (place, value, ended.exception)
    assert ended.exit_code in set(ExitCode), (place, value)
    said = ended.output
    assert ended.exit_code != ExitCode.INPUT or said.strip(), (place, value)
    assert "Traceback" not in said
    assert "\x1b" not in said, (place, value)


def test_every_command_is_tried() -> None:
    assert set(COMMANDS) - LEFT_OUT == set(GOOD)


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{' '.join(place.command)} {place.option or 'argument'}")
def test_no_edge_of_a_value_is_a_traceback(environment: dict[str, str], place: Place) -> None:
    for value in EDGES:
        check(environment, place, value)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(place=st.sampled_from(PLACES), value=st.text(st.characters(exclude_characters="\0"), max_size=30) | st.sampled_from(EDGES))
@example(place=Place(("buy",), "--wait-until"), value="99999999999d")
@example(place=Place(("churn", "churned"), "--at"), value="9999-12-31")
@example(place=Place(("routes", "diff"), "--csv"), value="\x1b")
@example(place=Place(("numbers",), "--csv"), value="\x1b[2J")
@example(place=Place(("audit",), "--export"), value="")
@example(place=Place(("audit",), "--export"), value="missing/file")
def test_no_generated_value_is_a_traceback(environment: dict[str, str], place: Place, value: str) -> None:
    check(environment, place, value)
