"""A service that starts before its Redis waits for it, says so once, and says when it has begun."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from didflow.ledger.address import address_file
from tests.support.cluster import until
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey

#: Several looks for a Redis: one looks every half second, the other every second.
LOOKS_S = 2.5


@pytest.mark.parametrize(("command", "area"), [(("webhooks", "run"), "webhooks"), (("requests", "consume"), "requests")])
def test_a_missing_redis_is_logged_once(
    tmp_path: Path, valkey: EmbeddedValkey, namespace: str, command: tuple[str, str], area: str
) -> None:
    environment = Shell(tmp_path, {}).environment | {"DIDFLOW_STATE_DIR": str(tmp_path), "DIDFLOW_NAMESPACE": namespace}
    output = tmp_path / "output"
    with output.open("w") as said:
        service = subprocess.Popen([sys.executable, "-m", "producers.cli", *command], env=environment, stdout=said, stderr=said)
    try:
        until(lambda: f"{area}.no_redis" in output.read_text(), what="that there is no Redis")
        time.sleep(LOOKS_S)  # That nothing more is said needs a while in which it could be.
        assert output.read_text().count("DIDFLOW_REDIS_URL is not set") == 1
        address_file(tmp_path).write_text(valkey.url)
        until(lambda: f"{area}.started" in output.read_text(), what="that it has begun")
    finally:
        service.terminate()
        assert service.wait(30) == 0
