"""The commands that a job says come next: they are printed ready to be pasted, and they do what is said."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from didflow import Didflow
from didflow.client.sync.documents import Documents
from didflow.ledger.ledger import Ledger
from tests.support.inline_worker import InlineWorker
from tests.support.shell import Shell
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox import SandboxAdmin

TO = ("--to", "sip:backup@example.net")


@pytest.fixture
def inline(real_ledger: Ledger, sandbox: SandboxAdmin) -> Iterator[InlineWorker]:
    inline = InlineWorker(real_ledger, sandbox)
    yield inline
    inline.close()


@pytest.fixture
def shell(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> Shell:
    return Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": inline.settings.namespace})


def own(inline: InlineWorker, count: int) -> list[str]:
    route = [{"transport": 1, "destination": "pbx@old.example.net", "priority": 1}]
    return [f"+{number}" for number in inline.sandbox.order("seed_owned", count=count, label="a", destinations=route)]


def test_an_order_that_documents_stopped_names_the_flag_that_lets_it_through(shell: Shell, inline: InlineWorker) -> None:
    with working(inline):
        stopped = shell("buy", "--country", "DE", "--yes", "--wait", "--json")
        flag = re.search(r"\((--documents \w+); field documents\)", stopped.json["error"]["message"])
        assert flag is not None
        bought = shell("buy", "--country", "DE", "--yes", "--wait", *flag[1].split())
    assert (stopped.code, bought.code) == (1, 0), bought.out
    job = re.search(r"^job\t(\w+)", bought.out, re.MULTILINE)
    assert job is not None
    assert f"upload id (Any form of ID) with: didflow documents upload --type id --file FILE --job {job[1]}" in bought.out
    assert f"--type localaddress --file FILE --job {job[1]}" in bought.out
    follower = Documents(_didflow(inline)).follower(job[1])
    assert follower is not None
    assert f"what is still missing is followed by: didflow status {follower.id}" in bought.out


def test_a_dry_run_by_selector_gives_the_expected_count(shell: Shell, inline: InlineWorker) -> None:
    own(inline, 3)
    for command in (("reroute", "--label", "a", *TO), ("release", "--label", "a")):
        with working(inline):
            looked = shell(*command, "--dry-run")
            option = re.search(r"add: (--expected-count \d+)", looked.out)
            assert option is not None, looked.out
            done = shell(*command, *option[1].split(), "--yes", "--wait", "--json")
        assert (option[1], done.code) == ("--expected-count 3", 0), done.out
    inline.sandbox.order("seed_owned", count=1, label="a")
    with working(inline):
        other = shell("reroute", "--label", "a", *TO, "--expected-count", "3", "--wait", "--json")
    assert "If these are meant, give --expected-count 1 (field expected_count)" in other.json["error"]["message"]


def test_after_a_failover_and_a_reroute_the_command_that_brings_it_back_does_so(shell: Shell, inline: InlineWorker) -> None:
    ours = own(inline, 2)
    moves = (("reroute", "--number", ours[0], *TO, "--wait"), ("failover", "--number", ours[1], *TO, "--incident", "INC 7", "--no-check"))
    for command in moves:
        with working(inline):
            moved = shell(*command)
            said = re.search(r"bring them back with: (didflow failback .+)", moved.out + moved.err)
            assert said is not None, moved.err
            back = shell(*shlex.split(said[1])[1:], "--json")
        assert back.code == 0, back.out
        assert back.json["next"] == []
        assert ("INC 7" in shlex.split(said[1])) == (command[0] == "failover")
    assert {one["destination"] for number in ours for one in inline.sandbox.owned()[number[1:]]["destinations"]} == {"pbx@old.example.net"}


def _didflow(inline: InlineWorker) -> Didflow:
    return Didflow(inline.ledger.client, inline.settings.namespace)
