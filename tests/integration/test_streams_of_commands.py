"""What commands read and write: nothing of the provider's drives a terminal, a full disk is said, and no input is without end."""

import os
import re
from pathlib import Path

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.printable import printable
from didflow.contract.requests import Reroute
from tests.support.inline_shell import shell_of
from tests.support.inline_worker import InlineWorker
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey
from worker.operate.account_overlap import Shown, shared_numbers
from worker.wavix.sandbox import Sandbox, SandboxOptions
from worker.wavix.sandbox.options import SANDBOX_KEY

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e"


@pytest.fixture
def shell(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> Shell:
    return shell_of(inline, valkey.url, tmp_path)


def test_what_is_printed_is_one_line_without_control_characters() -> None:
    assert printable("a\x1b[2J\tb\nc\u2028d\ud800") == "a\N{REPLACEMENT CHARACTER}[2J b c d\N{REPLACEMENT CHARACTER}"
    assert printable("São Paulo 東京") == "São Paulo 東京"


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_doctor_prints_no_escape_of_the_provider(inline: InlineWorker, shell: Shell, as_json: tuple[str, ...]) -> None:
    inline.ledger.pause_account("default", 403, f"no{ESCAPES} rights")
    shown = shell("doctor", *as_json)
    assert shown.code == 1
    text = shown.out if not as_json else "".join(check["message"] for check in shown.json)
    assert "rights" in text
    assert text.replace("\n", "").replace("\t", "").isprintable()


def test_one_account_under_two_keys_is_found_by_what_both_own(inline: InlineWorker, shell: Shell) -> None:
    inline.own(3)
    inline.sandbox.order("reconfigure", more_keys={"second-key": "default"})
    tables = f"[reseller]\napi_key = 'second-key'\nbase_url = '{inline.sandbox.url}'\n"
    (shell.folder / "accounts.toml").write_text(tables)
    twins = Shell(shell.folder, shell.environment | {"DIDFLOW_ACCOUNTS": str(shell.folder / "accounts.toml")})
    (check,) = [one for one in twins("doctor", "--json").json if one["name"] == "accounts"]
    assert check["verdict"] == "fail"
    assert "'default' and 'reseller' own the same records" in check["message"]
    assert len(re.findall(r"\+\d{11}", check["message"])) == 3
    assert SANDBOX_KEY not in str(check)
    assert "second-key" not in str(check)


def test_accounts_that_own_different_numbers_are_well_and_one_that_cannot_be_read_is_said(shell: Shell) -> None:
    with Sandbox(SandboxOptions(numbers_per_city=30, accounts={"default": SANDBOX_KEY, "reseller": "second-key"})) as sandbox:
        for account in ("default", "reseller"):
            sandbox.order("seed_owned", count=3, account=account)
        (shell.folder / "accounts.toml").write_text(f"[reseller]\napi_key = 'second-key'\nbase_url = '{sandbox.url}'\n")
        accounts = {"WAVIX_BASE_URL": sandbox.url, "DIDFLOW_ACCOUNTS": str(shell.folder / "accounts.toml")}
        two = Shell(shell.folder, shell.environment | accounts)

        def verdict() -> tuple[str, str]:
            return next((one["verdict"], one["message"]) for one in two("doctor", "--json").json if one["name"] == "accounts")

        assert verdict() == ("ok", "no two of 2 accounts are one: records of each were looked for at the others")
        sandbox.order("set_key_valid", account="reseller", valid=False)
        assert verdict() == ("warn", "what 'reseller' owns can't be read, so it isn't compared with the others")
    assert "accounts" not in [one["name"] for one in shell("doctor", "--json").json], "one account has nothing to be compared with"


def test_one_account_is_found_however_far_apart_its_two_lists_begin(inline: InlineWorker) -> None:
    inline.own(120)
    pages = [tuple((one.record_id, one.number) for one in inline.client.owned(page=page).items) for page in (1, 2)]
    assert pages[0]
    assert pages[1]
    assert not set(pages[0]) & set(pages[1])
    newest, oldest, empty = (Shown(inline.client, records) for records in (*pages, ()))
    before = sum(inline.sandbox.state()["calls"].values())
    assert shared_numbers(newest, oldest) == [number for _, number in pages[0][:3]]
    assert shared_numbers(empty, oldest) == [number for _, number in pages[1][:3]]
    assert sum(inline.sandbox.state()["calls"].values()) - before == 6, "three of each, and no list"
    assert shared_numbers(newest, Shown(inline.client, ((1, "+12135550100"),))), "whatever else the other shows"
    assert not shared_numbers(Shown(inline.client, ((1, "+12135550100"),)), oldest)
    assert not shared_numbers(empty, empty)


NO_UTF_8 = os.fsdecode(b"job-\xff\xfe")


@pytest.mark.parametrize("command", [("status",), ("explain",), ("cancel",), ("retry",), ("status", "--json"), ("status", "--wait")])
def test_an_id_that_is_no_utf_8_is_bad_input(shell: Shell, command: tuple[str, ...]) -> None:
    ended = shell(*command, NO_UTF_8)
    assert ended.code == 2
    assert "an argument is no UTF-8 text" in ended.out + ended.err


@pytest.mark.parametrize(
    "command",
    [("jobs", "--reference", NO_UTF_8), ("jobs", "--key", NO_UTF_8), ("history", NO_UTF_8), ("dead-letters", "--drop", NO_UTF_8)],
)
def test_other_words_that_are_no_utf_8_end_in_no_traceback(shell: Shell, command: tuple[str, ...]) -> None:
    assert shell(*command).code in (0, 2)
    assert shell(*command, "--json").code in (0, 2)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_said(inline: InlineWorker, shell: Shell) -> None:
    job = inline.run(Reroute(numbers=tuple(inline.own(2)), destinations=(Destination.sip("pbx@example.net"),)))
    ended = shell("status", job.id, "--csv", "/dev/full")
    assert ended.code == 2
    assert "csv: can't be written: No space left on device" in ended.err
    for command in (("jobs", "--json"), ("status", job.id), ("status", job.id, "--csv", "-")):
        lost = shell(*command, stdout=Path("/dev/full"))
        assert lost.code == 1
        assert "the output can't be written (No space left on device)" in lost.err


def test_a_document_that_is_no_file_is_refused_at_once(shell: Shell) -> None:
    os.mkfifo(shell.folder / "pipe")
    for what in ("pipe", ".", "/dev/zero"):
        ended = shell("documents", "upload", "--number", "+493012345678", "--type", "id", "--file", what)
        assert ended.code == 2
        assert "file: " in ended.err


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no /dev/zero here")
@pytest.mark.parametrize(
    "command",
    [
        ("reroute", "--to", "sip:a@b", "--numbers-file", "/dev/zero"),
        ("buy", "--quote", "/dev/zero"),
        ("requests", "send", "didflow.request.v1", "--id", "1", "--data", "@/dev/zero"),
    ],
)
def test_an_input_without_end_is_refused(shell: Shell, command: tuple[str, ...]) -> None:
    assert shell(*command).code == 2
