"""Who did it: every command that changes something records its user's name."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from didflow import AsyncDidflow, Destination, Didflow, InvalidRequest, Reroute, SearchAndBuy
from didflow.contract.actors import os_user
from didflow.contract.api_keys import ApiKey, ApiScope, new_key_id
from didflow.contract.errors import InvalidSettings, JobError
from didflow.contract.requests import Release
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import JobState, Outcome
from didflow.contract.webhooks import EndpointState
from didflow.ledger import api_keys, console_sessions
from didflow.ledger.api_keys import create
from didflow.ledger.commands import Commands
from didflow.ledger.connection import connect, connect_async
from didflow.ledger.gate import Gate
from didflow.ledger.ledger import Ledger
from didflow.ledger.provider_identity import claim_ledger
from didflow.ledger.webhooks import endpoints
from didflow.ledger.worker_settings import running_with
from didflow.settings import Settings, load_settings
from producers.cli.app import app
from producers.cli.processes import ROLES
from producers.failover import Failover
from tests.support.cli_commands import COMMANDS
from tests.support.ledger_roles import claimed
from tests.support.webhook_process import endpoint
from worker.local.embedded_valkey import EmbeddedValkey

NUMBER = "+12135550100"
OF = ("--number", NUMBER)
TO = ("--to", "sip:a@example.net")
PBX = (Destination.sip("pbx@example.net"),)
#: They only look, wait or print; and roles that run processes.
LOOKING = {
    *((name,) for name in (*ROLES, "status", "jobs", "explain", "history", "decisions", "incidents", "results", "spend", "schema")),
    *((name,) for name in ("settings", "completion", "evidence", "activity")),
    *(("failover", "plan", verb) for verb in ("list", "show")),
    *(("numbers", *verb) for verb in ((), ("show",), ("totals",), ("views",))),
    # A view is only filters; it keeps who saved it.
    *(("numbers", verb) for verb in ("save-view", "delete-view")),
    # Workers make the looks; one job serves all who ask.
    *(("catalogue", what) for what in ("countries", "regions", "cities", "offers")),
    # It has a ledger of its own.
    ("failover", "rehearse"),
    *(("routes", *verb) for verb in ((), ("diff",))),
    ("incidents", "status"),
    ("audit",),
    ("churn", "upcoming"),
    ("onboarding", "status"),
    ("onboarding", "fulfilments"),
    ("pool", "list"),
    ("results", "groups"),
    # What they do is done by the systems whose events they carry.
    ("requests", "send"),
    ("requests", "consume"),
    # Who asks it is named by the key of each request.
    ("serve",),
    ("keys", "list"),
    ("keys", "sessions"),
    *(("webhooks", verb) for verb in ("run", "list", "show", "deliveries")),
    # It needs the key of an account: tests/integration/test_documents.py has its entry in the audit.
    ("documents", "upload"),
}


@dataclass
class Simulation:
    """A ledger without workers. What is there already was submitted by bob."""

    ledger: Ledger
    didflow: Didflow

    def job(self, key: str | None = None) -> str:
        return self.didflow.submit(SearchAndBuy(country="US"), idempotency_key=key).id

    def parked(self) -> str:
        job_id = self.didflow.submit(Release(numbers=(NUMBER,))).id
        unclear = NumberResult(number=NUMBER, record_id=1, outcome=Outcome.UNCLEAR)
        why = JobError(code="release_unclear", message="nobody knows")
        claim = claimed(self.ledger, job_id)
        assert self.ledger.finish(claim, JobState.NEEDS_REVIEW, Result(numbers=(unclear,), totals=Totals(requested=1, done=0), error=why))
        return job_id

    def bought(self, reference: str) -> None:
        """The ledger knows of a number that was bought for this reference."""
        keys = self.ledger.keys
        self.ledger.client.hset(keys.holders, NUMBER, json.dumps({"record_id": "1", "account": "default", "reference": reference or ""}))
        self.ledger.client.sadd(keys.holdings(reference), NUMBER)

    def moved(self) -> str:
        Failover(self.didflow).away("INC-1", [NUMBER], PBX)
        return "INC-1"

    def moving(self) -> str:
        """An incident that a worker has begun with."""
        name = self.moved()
        self.ledger.client.hset(self.ledger.keys.job(self.didflow.find(reference=name)[0].id), "phase", "moving")
        return name

    def plan(self) -> str:
        Failover(self.didflow).keep_plan("evening", Reroute(numbers=(NUMBER,), destinations=PBX))
        keys = self.ledger.keys
        self.ledger.client.hset(keys.plan("evening"), mapping={"numbers": json.dumps({NUMBER: 1}), "count": 1, "resolved_ms": 1})
        return "evening"

    def handed_out(self) -> None:
        self.ledger.client.hset(self.ledger.keys.handed_out("default"), NUMBER, json.dumps({"record_id": "1", "job": "job", "order": 1}))

    def key(self) -> str:
        """The name of a key of the HTTP API."""
        key = ApiKey(id=new_key_id(), name="shop", scopes=frozenset({ApiScope.READ}))
        self.ledger.perform(create(Commands(self.ledger.keys.namespace, actor="bob"), key))
        return "shop"

    def session(self) -> str:
        """The id of a session of the console."""
        self.key()
        commands = self.ledger.commands
        (kept,) = self.ledger.perform(api_keys.kept(commands))
        self.ledger.perform(console_sessions.create(commands, kept.key, name="carl"))
        return self.ledger.perform(console_sessions.kept(commands))[0].id

    def webhook(self) -> str:
        """The name of an endpoint."""
        endpoint(self.ledger, "shop", "https://shop.example.net/hook")
        return "shop"

    def disabled(self) -> None:
        self.ledger.perform(endpoints.switch(self.ledger.commands, self.webhook(), EndpointState.DISABLED))

    def message(self) -> None:
        """An event that the endpoint was sent."""
        self.webhook()
        fields = {"id": "job:1", "type": "didflow.job.queued.v1", "key": "job", "account": "default", "reference": "", "body": "{}"}
        self.ledger.client.xadd(self.ledger.keys.webhook_messages, cast("dict[Any, Any]", fields))

    def group(self) -> None:
        self.ledger.client.xgroup_create(self.ledger.keys.results, "billing", "0", mkstream=True)

    def poison(self) -> str:
        return str(self.ledger.client.xadd(self.ledger.keys.poison, {"poison_entry": "1-1", "poison_group": "billing"}))


def args(*words: str) -> Callable[[Simulation], tuple[str, ...]]:
    return lambda simulation: words


def after(prepare: Callable[[Simulation], object], *words: str) -> Callable[[Simulation], tuple[str, ...]]:
    def arguments(simulation: Simulation) -> tuple[str, ...]:
        prepare(simulation)
        return words

    return arguments


def left(simulation: Simulation) -> tuple[str, ...]:
    simulation.bought("acme")
    Path("left.csv").write_text("reference,event\nacme,churned\n")
    return ("left.csv", "--yes")


def came_back(simulation: Simulation) -> tuple[str, ...]:
    simulation.didflow.submit(Release(numbers=(NUMBER,), expected_reference="acme"), reference="acme")
    return ("acme", "--no-wait")


#: What is there before, and the arguments.
CHANGING: dict[tuple[str, ...], Callable[[Simulation], tuple[str, ...]]] = {
    ("freeze",): args("--reason", "a wrong list"),
    ("unfreeze",): after(lambda simulation: simulation.didflow.freeze("a wrong list")),
    ("keys", "create"): args("shop", "--scope", "read"),
    ("keys", "rotate"): lambda simulation: (simulation.key(),),
    ("keys", "revoke"): lambda simulation: (simulation.key(), "--yes"),
    ("keys", "end-session"): lambda simulation: (simulation.session(),),
    ("webhooks", "create"): args("shop", "https://shop.example.net/hook"),
    ("webhooks", "update"): lambda simulation: (simulation.webhook(), "--url", "https://shop.example.net/other"),
    ("webhooks", "rotate"): lambda simulation: (simulation.webhook(),),
    ("webhooks", "enable"): after(Simulation.disabled, "shop"),
    ("webhooks", "disable"): lambda simulation: (simulation.webhook(),),
    ("webhooks", "delete"): lambda simulation: (simulation.webhook(), "--yes"),
    ("webhooks", "redeliver"): after(Simulation.message, "shop", "--since", "1h"),
    ("webhooks", "test"): lambda simulation: (simulation.webhook(), "--timeout", "0"),
    ("buy",): args("--country", "US", "--yes"),
    ("reroute",): args(*OF, *TO),
    ("release",): args(*OF, "--yes"),
    ("failover",): args(*OF, *TO, "--no-check", "--no-wait"),
    ("failback",): lambda simulation: (simulation.moved(), "--no-wait"),
    ("failover", "plan", "save"): args("night", *OF, *TO, "--timeout", "0"),
    ("failover", "plan", "run"): lambda simulation: (simulation.plan(), "--no-check", "--no-wait"),
    ("failover", "plan", "refresh"): lambda simulation: (simulation.plan(), "--timeout", "0"),
    ("failover", "plan", "delete"): lambda simulation: (simulation.plan(),),
    ("incidents", "cancel"): lambda simulation: (simulation.moved(), "--yes"),
    ("incidents", "failback"): lambda simulation: (simulation.moving(), "--yes"),
    ("churn", "churned"): after(lambda simulation: simulation.bought("acme"), "acme", "--yes"),
    ("churn", "returned"): came_back,
    ("churn", "csv"): left,
    ("documents", "missing"): args(*OF, "--timeout", "0"),
    ("documents", "follow"): args(*OF),
    ("pool", "return"): after(Simulation.handed_out, *OF),
    ("cancel",): lambda simulation: (simulation.job(),),
    ("retry",): lambda simulation: (simulation.parked(),),
    ("resolve",): lambda simulation: (simulation.parked(), "--not-released", "--yes"),
    ("dead-letters",): lambda simulation: ("--drop", simulation.poison(), "--yes"),
    ("results", "delete-group"): after(Simulation.group, "billing", "--yes"),
}


@pytest.fixture
def simulation(real_ledger: Ledger) -> Simulation:
    return Simulation(real_ledger, Didflow(real_ledger.client, real_ledger.keys.namespace, actor="bob"))


def names(simulation: Simulation) -> str:
    """Everything that is stored and shown of who did what."""
    client: Any = simulation.ledger.client
    found = [str(one.actor) for one in simulation.didflow.decisions()]
    for view in simulation.didflow.find():
        found += [str(view.actor), str(view.decided_by), *(str(step.actor) for step in simulation.didflow.explain(view.id))]
    return " ".join(found) + str(client.xrange(simulation.ledger.keys.events))


def test_every_command_is_known_to_change_something_or_not() -> None:
    assert set(COMMANDS) == set(CHANGING) | LOOKING


@pytest.mark.parametrize("command", CHANGING, ids=" ".join)
def test_no_change_is_without_a_name(
    simulation: Simulation,
    valkey: EmbeddedValkey,
    namespace: str,
    command: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = CHANGING[command](simulation)
    assert "ann" not in names(simulation)
    environment = {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": namespace, "DIDFLOW_ACTOR": "ann"}
    ended = CliRunner().invoke(app, [*command, *arguments], env=environment, input="")
    assert ended.exit_code in (0, 1, 3), ended.output
    assert "ann" in names(simulation), ended.output
    assert "ann" in {entry.actor for entry in simulation.didflow.audit().entries}, "a change that is not in the audit"
    assert simulation.didflow.verify_audit().faults == ()


def test_a_cancel_a_retry_and_a_finding_are_recorded_with_their_names(simulation: Simulation) -> None:
    ann, job_id = Didflow(simulation.ledger.client, simulation.ledger.keys.namespace, actor="ann"), simulation.parked()
    ann.retry(job_id)
    view = simulation.didflow.get(job_id)
    assert (view.actor, view.decided_by) == ("bob", "ann")
    assert [(step.name, step.actor) for step in ann.explain(job_id) if step.actor] == [("retried", "ann")]
    parked = simulation.parked()
    ann.resolve(parked, [NUMBER], actor="carl")
    (released,) = [entry.happened for entry in simulation.didflow.history(NUMBER).entries if entry.job == parked]
    assert (released.what, released.by, released.actor) == ("released", "person", "carl")
    assert simulation.didflow.history(NUMBER).faults == ()
    events = [json.loads(fields["data"]) for _, fields in simulation.didflow.recent() if fields["subject"] == parked]
    assert [event["actor"] for event in events] == ["bob", "carl"], "who submitted it when it was parked, and who ended it"


def test_what_reconcile_accepts_and_whose_ledger_it_is_have_names(real_ledger: Ledger, valkey: EmbeddedValkey) -> None:
    ledger = Ledger(real_ledger.client, real_ledger.keys.namespace, actor="ann")
    Gate(ledger).accept("default", {NUMBER: 1})
    didflow = Didflow(real_ledger.client, real_ledger.keys.namespace)
    assert didflow.history(NUMBER).entries[0].happened.actor == "ann"
    ledger.run(claim_ledger("default", "https://a.example.net", how="adopt", actor="ann"))
    assert [(one.what, one.actor, one.detail) for one in didflow.decisions()] == [("adopt", "ann", " -> https://a.example.net")]


def test_without_a_name_it_is_the_user_of_the_system(valkey: EmbeddedValkey, namespace: str) -> None:
    assert Didflow.from_url(valkey.url, namespace).actor == AsyncDidflow(connect_async(valkey.url)).actor == os_user() != ""


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[2J", "x" * 101, "y" * 10_000])
def test_a_name_that_cannot_be_printed_or_is_too_long_is_refused(
    valkey: EmbeddedValkey, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(valkey.url)
    with pytest.raises(InvalidRequest, match="actor: is 1 to 100 printable characters"):
        Didflow(client, actor=name)
    with pytest.raises(InvalidRequest, match="actor: is 1 to 100 printable characters"):
        AsyncDidflow(cast("Any", client), actor=name)
    with pytest.raises(InvalidRequest, match="actor"):
        Didflow(client, actor="ann").cancel("job", actor=name)
    monkeypatch.setenv("DIDFLOW_ACTOR", name)
    with pytest.raises(InvalidSettings, match="DIDFLOW_ACTOR") as refused:
        load_settings()
    assert name.strip() == "" or name not in str(refused.value)
    client.close()


def test_workers_that_act_for_others_are_no_finding() -> None:
    settings = Settings(_env_file=None, actor="ann")
    assert settings.acting == "ann"
    assert "DIDFLOW_ACTOR" not in running_with(settings).settings
