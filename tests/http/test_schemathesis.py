"""Schemathesis sends requests of its own to the whole API: `tests/support/schemathesis.toml` says with which checks."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from didflow.contract.api_keys import ApiKey, ApiScope, new_key_id
from didflow.ledger import api_keys
from didflow.ledger.ledger import Ledger
from tests.support.described_answers import description
from tests.support.http_server import served
from worker.local.embedded_valkey import EmbeddedValkey

ROOT = Path(__file__).parents[2]
OPERATIONS = [path for path, operations in description()["paths"].items() for _ in operations if not path.endswith("/events")]


def run_schemathesis(valkey: EmbeddedValkey, ledger: Ledger, folder: Path, *options: str) -> tuple[str, str]:
    """Its report, and the server's log. Fails with the report, which has the seed and each finding as a `curl` command."""
    key = ApiKey(id=new_key_id(), name="schemathesis", scopes=frozenset({ApiScope.ADMIN}))
    secret = ledger.perform(api_keys.create(ledger.commands, key))
    environment = os.environ | {
        "FUZZ_KEY": secret,
        "FUZZ_KEY_NAMES": f"{key.name} {key.id}",
        "PYTHONPATH": str(ROOT),
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(ROOT / "tests" / "support" / "schemathesis.toml")]
    with served(valkey.url, ledger.keys.namespace) as (process, url):
        log: list[str] = []
        assert process.stderr is not None
        reading = threading.Thread(target=log.extend, args=(process.stderr,))
        reading.start()
        command += ["run", str(ROOT / "docs" / "openapi.json"), "--url", url, "--no-color", *options]
        ran = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        process.terminate()
        reading.join()
    logged = "".join(log)
    assert ran.returncode == 0, ran.stdout
    assert re.findall(r"Tested: +(\d+)", ran.stdout) == [str(len(OPERATIONS))], ran.stdout
    assert "http.failed" not in logged
    assert secret not in logged
    return ran.stdout, logged


def test_a_few_requests_to_each_operation(valkey: EmbeddedValkey, real_ledger: Ledger, tmp_path: Path) -> None:
    run_schemathesis(valkey, real_ledger, tmp_path, "--phases", "fuzzing", "--max-examples", "2")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_whole_api_for_minutes(valkey: EmbeddedValkey, real_ledger: Ledger, tmp_path: Path) -> None:
    """Examples, every boundary of every parameter, arbitrary values, and sequences of requests."""
    report, _ = run_schemathesis(valkey, real_ledger, tmp_path, "--max-time", "140", "--workers", "2")
    assert re.findall(r"✅ (\w+)", report)[-4:] == ["Examples", "Coverage", "Fuzzing", "Stateful"], report
