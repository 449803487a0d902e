"""What lies in `deploy/` says what the code needs: held against a real server, the settings, and systemd where it is."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from didflow.contract.errors import UnsafeRedis
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from didflow.settings import Settings
from tests.support.cluster import until
from worker.local.embedded_valkey import server_binaries
from worker.process.health import living
from worker.process.redis_durability import check_redis, refuse_unsafe
from worker.process.worker_process import GRACE_S

DEPLOY = Path(__file__).parents[2] / "deploy"


@contextmanager
def server(folder: Path, *options: str) -> Iterator[str]:
    """A server with deploy/redis.conf, on a socket in this folder; its URL."""
    socket = folder / "redis.sock"
    place = ("--dir", str(folder), "--port", "0", "--unixsocket", str(socket))
    running = subprocess.Popen(
        [str(server_binaries()[0]), str(DEPLOY / "redis.conf"), *place, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(socket.exists, what="the server")
        yield f"unix://{socket}"
    finally:
        running.terminate()
        running.wait(20)


def test_our_redis_conf_is_what_the_workers_demand(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        findings = check_redis(connect(url))
    assert [finding.sentence for finding in findings if not finding.ok] == []
    assert {"aof", "aof_fsync", "eviction"} <= {finding.code for finding in findings}


@pytest.mark.parametrize(
    ("option", "code"),
    [
        (("--appendonly", "no"), "aof"),
        (("--appendfsync", "everysec"), "aof_fsync"),
        (("--no-appendfsync-on-rewrite", "yes"), "aof_fsync_on_rewrite"),
        (("--maxmemory-policy", "allkeys-lru"), "eviction"),
    ],
)
def test_each_line_of_it_matters(tmp_path: Path, option: tuple[str, str], code: str) -> None:
    with server(tmp_path, *option) as url:
        findings = check_redis(connect(url))
    assert [finding.code for finding in findings if not finding.ok] == [code]
    with pytest.raises(UnsafeRedis, match=r"set `"):
        refuse_unsafe(findings, override=False)
    assert [finding.code for finding in refuse_unsafe(findings, override=True)] == [code]


def test_the_example_names_settings_that_exist() -> None:
    named = set(re.findall(r"^#?([A-Z_]+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    known = {field.alias or f"DIDFLOW_{name.upper()}" for name, field in Settings.model_fields.items()}
    assert named <= known
    assert "WAVIX_API_KEY" in named


def test_stopping_a_worker_waits_for_its_provider_calls() -> None:
    needed_s = Settings(_env_file=None).http_timeout + 2 * GRACE_S
    compose = re.search(r"stop_grace_period: (\d+)s", (DEPLOY / "compose.yaml").read_text())
    unit = re.search(r"TimeoutStopSec=(\d+)", (DEPLOY / "systemd/didflow-worker.service").read_text())
    assert compose is not None
    assert unit is not None
    assert min(int(compose[1]), int(unit[1])) > needed_s


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
@pytest.mark.parametrize(
    "unit",
    [f"didflow-{part}.service" for part in ("worker", "requests", "http", "webhooks", "redis")],
)
def test_the_units_are_ones(tmp_path: Path, unit: str) -> None:
    text = (DEPLOY / "systemd" / unit).read_text()
    # The programs aren't installed on the machine that tests; everything else is checked as it stands.
    copy = tmp_path / unit
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    checked = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
    assert [line for line in checked.stderr.splitlines() if unit in line] == []
    assert checked.returncode == 0, checked.stderr


def test_health_counts_the_workers_of_this_host_only(real_ledger: Ledger) -> None:
    assert living(real_ledger, "here") == 0
    real_ledger.worker_alive("here:1:abc")
    real_ledger.worker_alive("elsewhere:1:abc")
    assert living(real_ledger, "here") == 1


def test_compose_acts_on_business_events_as_up_and_the_procfile_do() -> None:
    services = (DEPLOY / "compose.yaml").read_text().split("\nservices:\n")[1]
    requests = re.split(r"^  (?=\w+:$)", services, flags=re.MULTILINE)
    (consumer,) = [one for one in requests if one.startswith("requests:")]
    assert "profiles:" not in consumer
    assert '["requests", "consume"]' in consumer
    assert "requests consume" in (DEPLOY.parent / "Procfile").read_text()


def test_http_is_served_by_compose_systemd_and_the_procfile() -> None:
    services = (DEPLOY / "compose.yaml").read_text().split("\nservices:\n")[1]
    (http,) = [one for one in re.split(r"^  (?=\w+:$)", services, flags=re.MULTILINE) if one.startswith("http:")]
    assert '["serve", "--host", "0.0.0.0"' in http
    assert "WAVIX_API_KEY" not in http, "it needs no key of the provider"
    assert "env_file" not in http
    assert "didflow serve" in (DEPLOY / "systemd/didflow-http.service").read_text()
    assert "didflow serve" in (DEPLOY.parent / "Procfile").read_text()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("requests", {"namespace", "log_level"}),
        ("webhooks", {"namespace", "log_level", "webhook_networks", "webhook_proxy"}),
        ("http", {"namespace", "log_level", "webhook_networks", "second_person_usd"}),
    ],
)
def test_compose_gives_settings_of_the_env_file_to_processes_without_the_provider_s_key(name: str, settings: set[str]) -> None:
    """A namespace that only the workers have splits the ledger; networks that only they have let no delivery out."""
    services = (DEPLOY / "compose.yaml").read_text().split("\nservices:\n")[1]
    (service,) = [one for one in re.split(r"^  (?=\w+:$)", services, flags=re.MULTILINE) if one.startswith(f"{name}:")]
    passed_on = re.findall(r"^      DIDFLOW_(\w+):(?: \$\{DIDFLOW_\1:-didflow\})?$", service, re.MULTILINE)
    assert {one.lower() for one in passed_on} == settings <= set(Settings.model_fields)
    assert "WAVIX" not in service


def test_the_image_has_every_package_of_the_wheel() -> None:
    wheel = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = re.findall(r"^COPY (\w+) \w+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert set(wheel["packages"]) <= set(copied)
    sent = set(re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE))
    assert {*wheel["packages"], "requirements.lock", "requirements-otel.lock"} <= sent, "what isn't sent to the builder can't be copied"
