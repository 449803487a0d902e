"""Every command's help: `-h`, examples that work, and the sections in their order. New commands are found by walking."""

import io
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer._click.core import Command
from typer.core import TyperGroup

from didflow.contract.exit_codes import ExitCode
from didflow.settings import load_settings
from producers.cli.commands import SECTIONS
from producers.cli.processes import ROLES
from tests.support.cli_commands import WHOLE
from worker.local import demo, up
from worker.operate import adopt, doctor
from worker.operate import reconcile as reconcile
from worker.process import supervisor
from worker.wavix.sandbox import __main__ as sandbox

#: Of these, whose work needs no ledger, the examples end with 0.
WITHOUT_LEDGER = ("settings", "schema", "completion")
#: These become another process, or run until they are stopped: their examples are parsed.
PARSED_ONLY = ("documents upload", "requests consume", "serve", "webhooks run")


def walked(command: Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Command]]:
    """Every command with its path, groups that are no command by themselves left out."""
    if path and (not isinstance(command, TyperGroup) or command.invoke_without_command):
        yield " ".join(path), command
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from walked(inner, (*path, name))


ROOT = WHOLE
COMMANDS = {path: command for path, command in walked(ROOT) if path not in ROLES}


def examples_in(text: str) -> list[str]:
    """The lines of a help text that are commands."""
    return [line.strip() for line in text.splitlines() if line.strip().startswith("didflow ")]


def examples_of(path: str) -> list[str]:
    command = COMMANDS[path]
    return examples_in(f"{command.help or ''}\n{command.epilog or ''}".replace("\\[", "["))


def ended(words: list[str]) -> tuple[int, str]:
    """The exit code of a command that runs in this process, and what it printed."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed), pytest.raises(SystemExit) as end:
        ROOT.main(words, prog_name="didflow")
    code = end.value.code
    return (code if isinstance(code, int) else 0), printed.getvalue()


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that examples name, without settings and without a ledger."""
    for name in ("DIDFLOW_REDIS_URL", "WAVIX_API_KEY", "DIDFLOW_ACCOUNTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DIDFLOW_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numbers.txt").write_text("+12135550100\n")
    (tmp_path / "left.csv").write_text("reference,event\nacme,churned\n")
    (tmp_path / "order.json").write_text('{"request":{"country":"US"}}')
    return tmp_path


def test_every_command_has_examples() -> None:
    without = [path for path in COMMANDS if not examples_of(path)]
    assert without == [], f"add them in didflow/terminal/examples.py: {without}"


def test_every_example_is_of_its_command_and_fits_a_terminal() -> None:
    wrong = [(path, one) for path in COMMANDS for one in examples_of(path) if not f"{one} ".startswith(f"didflow {path} ") or len(one) > 78]
    assert wrong == []


def test_every_command_has_h(nowhere: Path) -> None:
    """A command inherits it from the app, unless its own settings say otherwise."""
    assert [path for path, command in COMMANDS.items() if "help_option_names" in command.context_settings] == []
    for path in ("buy", "failover", "failover plan run"):
        code, shown = ended([*path.split(), "-h"])
        assert (code, f"didflow {path}" in shown, "Examples:" in shown) == (0, True, True)


def test_the_examples_work_up_to_the_ledger(nowhere: Path) -> None:
    wrong = {}
    for path, command in COMMANDS.items():
        if path in PARSED_ONLY:
            continue
        agreed = ["--yes"] if any("--yes" in param.opts for param in command.params) else []
        for example in examples_of(path):
            words = shlex.split(example)[1:]
            code, shown = ended(words + ([] if "--yes" in words else agreed))
            if code != (ExitCode.DONE if path in WITHOUT_LEDGER else ExitCode.UNREACHABLE):
                wrong[example] = f"{code}: {shown}"
    assert wrong == {}


@pytest.mark.parametrize("path", PARSED_ONLY)
def test_the_examples_of_what_runs_on_are_parsed(path: str, nowhere: Path) -> None:
    for example in examples_of(path):
        assert COMMANDS[path].make_context(path, shlex.split(example)[1 + len(path.split()) :]).params


@pytest.mark.parametrize("role", ROLES)
def test_the_examples_of_roles_are_parsed(role: str, nowhere: Path) -> None:
    settings = load_settings()
    parsers = {
        "up": up.parser(settings),
        "demo": demo.parser(),
        "worker": supervisor.parser(settings),
        "doctor": doctor.parser(),
        "sandbox": sandbox.parser(),
    }
    if role in parsers:
        found = examples_in(parsers[role].format_help().partition("examples:")[2])
        assert found
        for one in found:
            assert parsers[role].parse_args(shlex.split(one)[2:])
    else:
        command = typer.main.get_command({"reconcile": reconcile.app, "adopt": adopt.app}[role])
        found = examples_in(command.epilog or "")
        assert found
        for one in found:
            assert command.make_context(role, shlex.split(one)[2:]).params
        assert "-h" in command.make_context(role, []).help_option_names


def test_the_sections_stand_in_the_order_of_the_work() -> None:
    shown = ended(["--help"])[1]
    places = [shown.index(f" {section} ") for section in ("Submit", "Inspect", "Review", "Configure", "Run")]
    assert places == sorted(places)
    assert list(SECTIONS) == ["Submit", "Inspect", "Review", "Configure", "Run"]
    assert {"doctor", "reconcile"} <= set(SECTIONS["Inspect"])


def test_the_list_of_commands_says_what_the_help_of_each_says_first() -> None:
    said = {name: command.summary for section in SECTIONS.values() for name, command in section.items()}
    assert said == {name: (command.help or "").partition("\n\n")[0] for name, command in WHOLE.commands.items()}


def test_the_version_is_the_installed_one() -> None:
    assert ended(["--version"]) == (0, f"didflow {version('didflow')}\n")
