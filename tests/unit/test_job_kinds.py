"""A kind of job that is missing somewhere is named here, with the place."""

import re
from typing import get_args

import pytest

from didflow.contract.job_kinds import KINDS, JobKind, names_behind_the_gate, request_models
from didflow.contract.requests import Release, Request
from didflow.contract.states import Lane
from didflow.ledger.script_loader import source_texts
from worker.jobs.handlers import HANDLERS


def test_every_request_has_a_kind() -> None:
    assert set(get_args(Request)) == set(request_models()), "didflow/contract/requests.py and didflow/contract/job_kinds.py"


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_has_a_handler_that_takes_its_request(kind: JobKind) -> None:
    assert kind.name in HANDLERS, "worker/jobs/handlers.py"
    assert kind.request in (None, HANDLERS[kind.name].model)


def test_every_handler_has_a_kind() -> None:
    assert HANDLERS.keys() == KINDS.keys(), "didflow/contract/job_kinds.py"
    models = [handler.model for handler in HANDLERS.values()]
    assert len(models) == len(set(models)), "a handler is found by the model of its request"


@pytest.mark.parametrize("path", sorted(source_texts()))
def test_no_script_names_a_kind(path: str) -> None:
    code = re.sub(r"--.*$", "", source_texts()[path], flags=re.MULTILINE)
    words = {first or second for first, second in re.findall(r"'([^'\n]*)'|\"([^\"\n]*)\"", code)}
    assert not words & KINDS.keys(), "scripts get the names as arguments, see include/kinds.lua"


def test_only_kinds_that_move_no_money_run_behind_a_closed_gate() -> None:
    assert names_behind_the_gate().split() == ["reroute", "failback", "follow_documents", "upload_document", "catalogue_look", "move_batch"]


@pytest.mark.parametrize("does", ["buys", "gives_back"])
def test_a_kind_that_buys_or_gives_back_has_to_move_money(does: str) -> None:
    facts = {"moves_money": False, "buys": False, "gives_back": False, "changes_routes": False} | {does: True}
    with pytest.raises(ValueError, match="must wait for the gate"):
        JobKind(name="release", request=Release, lane=Lane.BULK, **facts)


@pytest.mark.parametrize(("name", "fault"), [("two words", "letters and _"), ("reroute", "have another kind")])
def test_a_kind_has_the_name_that_its_requests_store(name: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        JobKind(name=name, request=Release, lane=Lane.BULK, moves_money=True, buys=False, gives_back=True, changes_routes=False)
