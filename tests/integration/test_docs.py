"""What the documents say is so: words are all explained, commands exist, examples run, links lead somewhere."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer._click.core import Command
from typer.core import TyperGroup

from didflow.contract.destinations import Destination
from didflow.contract.requests import Reroute
from didflow.contract.states import JobState, Outcome, WaitReason
from didflow.settings import Settings
from producers.cli.processes import ROLES
from tests.support.cli_commands import WHOLE
from tests.support.inline_worker import InlineWorker
from tests.support.sweeping import sweep
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every didflow command line in a fenced block that isn't what a command printed."""
    typed = (block for page in PAGES for block in blocks(page, "") if "submitted" not in block)
    lines = [line for block in typed for line in block.splitlines()]
    found = [re.sub(r"\s#.*| … .*", "", line) for line in lines]
    return [match[1] for line in found if (match := re.match(r"(?:.*(?:bin/| exec worker ))?didflow (\S.*)", line.strip()))]


def submits() -> Iterator[tuple[str, str, str]]:
    """(key, what is requested by it, where) of each submit that a page or an example shows. A reader runs them in turn on one ledger."""
    for page in [*PAGES, ROOT / "examples/result_consumer.py", ROOT / "examples/churn_csv.sh"]:
        for line in re.findall(r"didflow buy (.*)$", page.read_text(), re.MULTILINE):
            words = [word for word in shlex.split(line.split(" # ")[0].replace("`", " "), comments=True) if word not in ("--wait", "--yes")]
            if "--key" in words and "…" not in words:
                yield words[words.index("--key") + 1], " ".join(words), page.name
        for block in blocks(page, "python"):
            for key in re.findall(r'idempotency_key="([^"]+)"', block):
                yield key, block, page.name
    for page in PAGES:
        for key, body in re.findall(r"Idempotency-Key: ([^']+)'(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            yield key, body, page.name


def error_codes() -> set[str]:
    """Every literal code of a job's or a number's error in the source."""
    sources = [path.read_text() for folder in ("didflow", "producers", "worker") for path in (ROOT / folder).rglob("*.py")]
    return {code for source in sources for code in re.findall(r'JobError\(\s*code="(\w+)"', source)}


@pytest.mark.parametrize("word", [*JobState, *WaitReason, *Outcome], ids=lambda word: f"{type(word).__name__}.{word}")
def test_every_state_reason_and_outcome_is_explained_to_operators(word: str) -> None:
    assert re.search(rf"^\| `{word}` \|", OPERATIONS, re.MULTILINE)


def test_every_error_code_is_explained_to_operators() -> None:
    assert len(error_codes()) > 15
    assert [code for code in sorted(error_codes()) if f"`{code}`" not in OPERATIONS] == []


def test_examples_that_are_run_in_turn_have_keys_of_their_own() -> None:
    """The same key with another request is a conflict, and the reader's fault it isn't."""
    found: dict[str, dict[str, str]] = {}
    for key, request, page in submits():
        found.setdefault(key, {})[request] = page
    assert len(found) > 12
    assert {key: sorted(requests.values()) for key, requests in found.items() if len(requests) > 1} == {}


def test_settings_that_the_pages_name_exist() -> None:
    known = {field.alias or f"DIDFLOW_{name.upper()}" for name, field in Settings.model_fields.items()}
    known |= {"DIDFLOW_PROFILES", "DIDFLOW_PROFILE_SEED", "DIDFLOW_EXAMPLES", "DIDFLOW_BROWSER"}  # Of the tests, see docs/testing.md.
    named = {name for page in PAGES for name in re.findall(r"\b(?:DIDFLOW|WAVIX)_[A-Z_]+\b", page.read_text())}
    assert named <= known


def named_commands() -> list[str]:
    """Every command in backquotes in a message, a docstring or a page of the console; what is filled in is a word."""
    sources = [
        path
        for folder in ("didflow", "producers", "worker")
        for kind in ("py", "html", "lua")
        for path in (ROOT / folder).rglob(f"*.{kind}")
    ]
    found = {line for path in sources for line in re.findall(r"`didflow ([a-z][^`\n]*)`", path.read_text())}
    return sorted(re.sub(r"\{[^}]*\}", "WORD", line.replace('\\"', '"')) for line in found)


def command_of(line: str) -> tuple[Command, list[str]]:
    """The command that a line calls, and the words behind its name. Fails for options that it doesn't have."""
    name, *rest = shlex.split(line)
    command = WHOLE.commands[name]
    while isinstance(command, TyperGroup) and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--") and word != "--WORD"} <= known
    return command, rest


@pytest.mark.parametrize("line", [line for line in commands() if line.split()[0] not in ROLES])
def test_commands_and_their_options_exist(line: str) -> None:
    command_of(line)


@pytest.mark.parametrize("line", [line for line in named_commands() if line.split()[0] not in ROLES])
def test_commands_that_messages_name_exist(line: str) -> None:
    command, rest = command_of(line)
    takes_arguments = any(parameter.param_type_name == "argument" for parameter in command.params)
    assert takes_arguments or not rest or rest[0].startswith("-"), f"{rest[0]} is no command, and no argument is taken"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
            linked = page.parent / target if target else page
            assert linked.exists(), f"{page.name} links to {target}"
            assert not anchor or anchor in anchors(linked), f"{page.name} links to {target}#{anchor}"


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_the_python_of_the_readme_and_of_its_page_runs(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    (submit,) = blocks(ROOT / "README.md", "python")
    consume, sandbox = blocks(ROOT / "docs/python.md", "python")
    environment = os.environ | {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": inline.settings.namespace}
    with working(inline):
        ran = subprocess.Popen([sys.executable, "-u", "-c", submit + consume], env=environment, stdout=subprocess.PIPE, text=True)
        assert ran.stdout is not None
        said = [ran.stdout.readline(), ran.stdout.readline()]
        ran.terminate()
        ran.wait(10)
        ran.stdout.close()
    assert re.fullmatch(r"succeeded \['\+1213\d+', '\+1213\d+', '\+1213\d+'\]\n", said[0])
    assert said[1].startswith("customer-9 succeeded")
    sandboxed = subprocess.run([sys.executable, "-c", sandbox], capture_output=True, text=True, check=True, timeout=60)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+ 0\n", sandboxed.stdout)


def test_the_failover_page_s_python_runs(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    example = "\n".join(blocks(ROOT / "docs/failover.md", "python"))
    environment = os.environ | {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": inline.settings.namespace}
    inline.sandbox.order("seed_owned", count=3, destinations=[{"transport": 5, "destination": "144", "priority": 1}])
    inline.own(1)
    with working(inline):
        ran = subprocess.run([sys.executable, "-c", example], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert re.fullmatch(r"3 None\n\w{26} \w{26}\nINC-33 \w+ \d of \d no\n", ran.stdout)


def ran(page: str, inline: InlineWorker, valkey: EmbeddedValkey, which: int = 0) -> list[str]:
    """What an example of the page prints."""
    example = blocks(ROOT / "docs" / page, "python")[which]
    environment = os.environ | {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": inline.settings.namespace}
    with working(inline):
        ended = subprocess.run([sys.executable, "-c", example], env=environment, capture_output=True, text=True, check=True, timeout=60)
    return ended.stdout.splitlines()


def test_the_onboarding_page_s_python_runs(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    ordered, handed_over = ran("onboarding.md", inline, valkey)
    assert ordered == "False acme"
    assert handed_over == f"4711 acme succeeded 2 {inline.sandbox.charged_usd()}"


def test_the_onboarding_page_s_ladder_and_quote_run(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    quoted, by_ladder, by_quote = ran("onboarding.md", inline, valkey, 1)
    assert re.fullmatch(r"1 number, first year \d+\.\d\d USD, documents \[\]", quoted)
    shares = re.findall(r"\('([^']+)', \d+, (\d)\)", by_ladder)
    assert shares == [("LOS ANGELES, CA", "2"), ("SAN DIEGO, CA or SAN FRANCISCO, CA", "1"), ("California", "0"), ("US", "0")]
    assert by_quote == "succeeded []"


def test_the_events_page_s_python_runs(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    *taken, handed_over = ran("events.md", inline, valkey)
    assert taken[:2] == ["shop-4722 True", "shop-4722 False"]
    assert "'data.request.country'" in taken[2]
    assert "'data.request.quantity'" in taken[2]
    assert re.fullmatch(r"shop-4722 acme \['\+1\d+', '\+1\d+'\]", handed_over)


def test_the_history_page_s_python_runs(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    (number,) = inline.own(1)
    with working(inline):
        inline.finish(inline.submit(Reroute(numbers=(number,), destinations=(Destination.sip("pbx@example.net"),))))
    (example,) = blocks(ROOT / "docs/history.md", "python")
    environment = os.environ | {"DIDFLOW_REDIS_URL": valkey.url, "DIDFLOW_NAMESPACE": inline.settings.namespace}
    moved = example.replace("+12135550100", number)
    said = subprocess.run([sys.executable, "-c", moved], env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    assert re.fullmatch(r".* routed \w{26} None\nthe chain is intact\n", said)


def test_the_documents_page_s_python_runs(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    *needs, followed = ran("documents.md", inline, valkey)
    assert needs == ["bought_inactive needs id, localaddress"] * 2
    assert re.fullmatch(r"followed by \w{26}-documents", followed)


def test_the_page_of_after_the_purchase_runs(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    inline.sandbox.order("reconfigure", sms_off_at_first=True)
    assert ran("after-purchase.md", inline, valkey) == ["succeeded ['sip:pbx@example.net', 'sip:pbx@example.net']"]
    assert all(one["sms_enabled"] and one["sms_relay_url"] for one in inline.sandbox.owned().values())


def test_the_churn_page_s_python_runs(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    assert ran("churn.md", inline, valkey) == ["kept 2 kept 0 gone", "cancelled"]
    assert set(map(tuple, inline.routes().values())) == {("pbx@example.net",)}


def test_the_inventory_page_s_python_runs(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    owned = sorted(inline.own(2))
    sweep(inline)
    said = ran("inventory.md", inline, valkey)
    assert {line.split()[0] for line in said[:2]} == set(owned)
