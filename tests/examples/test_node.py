"""The example in Node does what its header says, over HTTP alone."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from didflow.contract.api_keys import ApiKey, ApiScope, new_key_id
from didflow.ledger.api_keys import create
from tests.support.http_server import serving
from tests.support.inline_worker import InlineWorker
from tests.support.working_thread import working
from worker.local.embedded_valkey import EmbeddedValkey

EXAMPLE = Path(__file__).parents[2] / "examples" / "http_order.mjs"


@pytest.mark.skipif(not shutil.which("node"), reason="no Node here: apt-get install nodejs")
def test_an_order_from_node_over_http(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    key = ApiKey(id=new_key_id(), name="shop", scopes=frozenset({ApiScope.READ, ApiScope.BUY}))
    secret = inline.ledger.perform(create(inline.ledger.commands, key))
    with serving(inline.ledger, valkey.url) as url, working(inline):
        variables = os.environ | {"DIDFLOW_HTTP_URL": url, "DIDFLOW_HTTP_KEY": secret}
        first, second = (ordered(variables, "order-1") for _ in range(2))
    assert len(inline.owned()) == 2, "once"
    assert "as it is" in first
    assert "succeeded, " in first
    assert first.splitlines()[-1].split() == second.splitlines()[-1].split()
    assert "(submitted before)" in second
    assert {line.split()[0] for line in first.splitlines()[-2:]} == inline.owned()


@pytest.mark.skipif(not shutil.which("node"), reason="no Node here: apt-get install nodejs")
def test_node_says_what_is_wrong_without_a_trace(inline: InlineWorker, valkey: EmbeddedValkey) -> None:
    key = ApiKey(id=new_key_id(), name="shop", scopes=frozenset({ApiScope.READ, ApiScope.BUY}))
    inline.ledger.perform(create(inline.ledger.commands, key))
    with serving(inline.ledger, valkey.url) as url:
        variables = os.environ | {"DIDFLOW_HTTP_URL": url}
        ended = subprocess.run(["node", str(EXAMPLE)], env=variables, capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("key_missing: send a key as `Authorization: Bearer dfk_")
    assert len(ended.stderr.splitlines()) == 1


def ordered(environment: dict[str, str], key: str) -> str:
    """What it prints."""
    ran = subprocess.run(["node", str(EXAMPLE), key], env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
