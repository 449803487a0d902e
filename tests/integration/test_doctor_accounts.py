"""`didflow doctor` says of each account in which dialect it is asked, what its key may do, and whether its jobs wait; by reads alone."""

import re
from pathlib import Path
from typing import Any

import pytest

from didflow.contract.requests import SearchAndBuy
from didflow.ledger.dialects import note_dialect
from tests.support.inline_shell import shell_of
from tests.support.inline_worker import InlineWorker
from tests.support.shell import Shell
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox.options import SANDBOX_KEY


@pytest.fixture
def shell(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> Shell:
    return shell_of(inline, valkey.url, tmp_path)


def checks(shell: Shell, **environment: str) -> dict[str, tuple[str, str]]:
    """The account's checks by name, each name once: verdict and message."""
    shown = Shell(shell.folder, shell.environment | environment)("doctor", "--json")
    assert SANDBOX_KEY not in shown.out + shown.err
    listed = [one for one in shown.json if one["name"].endswith(" default")]
    found = {one["name"]: (one["verdict"], one["message"]) for one in listed}
    assert len(found) == len(listed)
    return found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": "both"}, "/v1/numbers with a Bearer token, detected by reads; no worker has asked yet"),
        ({"path": "mydids", "key_place": "query"}, "/v1/mydids with the key in the query, detected by reads"),
        ({"path": "mydids", "key_place": "bearer"}, "/v1/mydids with a Bearer token, detected by reads"),
        ({"path": "numbers", "key_place": "query", "unknown_route": "record_json"}, "/v1/numbers with the key in the query"),
    ],
)
def test_the_dialect_is_detected_and_shown(inline: InlineWorker, shell: Shell, options: dict[str, Any], said: str) -> None:
    inline.sandbox.order("reconfigure", **options)
    found = checks(shell)
    assert found["account default"][0] == "ok"
    assert found["dialect default"][0] == "ok"
    assert said in found["dialect default"][1]


@pytest.mark.parametrize("unknown_route", ["html", "json", "record_json"])
def test_a_setting_that_does_not_fit_the_server_fails(inline: InlineWorker, shell: Shell, unknown_route: str) -> None:
    inline.sandbox.order("reconfigure", path="numbers", unknown_route=unknown_route)
    found = checks(shell, WAVIX_DIALECT="mydids")
    verdict, message = found["account default"]
    assert verdict == "fail"
    assert "the owned list can't be read (/v1/mydids with a Bearer token: 404; /v1/mydids with the key in the query: 404)" in message
    assert "as set (dialect)" in checks(shell, WAVIX_DIALECT="numbers")["dialect default"][1]


def test_what_the_workers_found_is_shown_with_its_age_and_when_it_has_expired(inline: InlineWorker, shell: Shell) -> None:
    inline.ledger.run(note_dialect("default", inline.sandbox.url, "numbers", "bearer"))
    assert re.search(r"the workers found it \d+ s ago and confirmed it \d+ s ago", checks(shell)["dialect default"][1])
    inline.sandbox.order("reconfigure", path="mydids", key_place="query")
    verdict, message = checks(shell)["dialect default"]
    assert verdict == "warn"
    assert "the workers use /v1/numbers with the key in bearer" in message


@pytest.mark.parametrize(
    ("scopes", "verdict", "said"),
    [
        (None, "ok", "may read numbers, stock, cart, trunks, balance, transactions"),
        (("numbers", "buy", "account"), "warn", "not trunks (The API key lacks the scope trunks:read): SIP trunks as destinations"),
        (("numbers", "buy", "trunks"), "warn", "not balance (The API key lacks the scope account:read)"),
        (
            ("numbers", "buy", "trunks", "account"),
            "warn",
            "not transactions (The API key lacks the scope billing:read): `didflow reconcile",
        ),
        (("numbers", "trunks", "account"), "fail", "may read numbers, trunks, balance; not stock (The API key lacks the scope buy:read)"),
    ],
)
def test_what_the_key_may_do_is_listed(inline: InlineWorker, shell: Shell, scopes: Any, verdict: str, said: str) -> None:
    if scopes:
        inline.sandbox.order("reconfigure", scopes={"default": scopes})
    found = checks(shell)
    assert found["account default"][0] == "ok"
    assert found["key default"][0] == verdict
    assert said in found["key default"][1]


@pytest.mark.parametrize("as_json", [("--json",), ()])
def test_the_provider_s_words_command_no_terminal(inline: InlineWorker, shell: Shell, as_json: tuple[str, ...]) -> None:
    words = "\x1b[2J\x1b]0;owned\x07not you"
    inline.sandbox.add_fault("*", "refuse", status=403, times=None, body={"success": False, "message": words})
    inline.attempt(inline.submit(SearchAndBuy(country="US")))
    shown = shell("doctor", *as_json).out
    assert shown.count("not you") >= 2, "of the pause, and of the refusal"
    assert "\x1b]" not in shown + shown.encode().decode("unicode_escape")
    assert "\x07" not in shown + shown.encode().decode("unicode_escape")


def test_a_paused_account_whose_key_works_again_is_said_to_go_on(inline: InlineWorker, shell: Shell) -> None:
    inline.sandbox.order("set_key_valid", valid=False)
    inline.attempt(inline.submit(SearchAndBuy(country="US")))
    verdict, message = checks(shell)["account default"]
    assert verdict == "fail"
    assert "paused since" in message
    assert "refuses the key: Unauthorized: check the key" in message
    inline.sandbox.order("set_key_valid", valid=True)
    verdict, message = checks(shell)["account default"]
    assert verdict == "warn"
    assert "takes the key" in message
    assert re.fullmatch(
        r"http\S+ takes the key; the balance is \S+ USD; it is still paused since [-0-9]+ [0-9:]+ UTC: the provider said 401 Unauthorized;"
        r" nothing to correct here; its jobs resume after a probe, within \S+ s;"
        r" if they don't, the workers run with another key: restart them with this one",
        message,
    )


def test_a_dry_run_says_that_the_balance_is_not_readable(inline: InlineWorker, shell: Shell) -> None:
    inline.sandbox.order("reconfigure", scopes={"default": ("numbers", "buy")})
    with working(inline):
        shown = shell("buy", "--yes", "--country", "US", "--dry-run", "--wait")
    assert shown.code == 0
    assert "balance not readable with this key" in shown.out
    assert "nothing is reserved" in shown.out


def test_a_doctor_changes_nothing(inline: InlineWorker, shell: Shell) -> None:
    before = set(inline.ledger.client.scan_iter(match=f"{inline.ledger.keys.namespace}:*"))
    checks(shell)
    calls = inline.sandbox.state()["calls"]
    assert set(calls) == {"owned", "countries", "cart", "trunks", "profile", "transactions"}
    after = set(inline.ledger.client.scan_iter(match=f"{inline.ledger.keys.namespace}:*"))
    assert after - before <= {inline.ledger.keys.rate("default")}
