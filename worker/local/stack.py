"""All of didflow on one machine, as child processes of `didflow up`, the demo, and tests."""

import os
import select
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from didflow.contract.errors import ServiceUnavailable
from didflow.contract.exit_codes import ExitCode
from didflow.module_command import module_command
from didflow.parent_process import PARENT_VARIABLE
from didflow.settings import SANDBOX_KEY
from worker.local.embedded_valkey import EmbeddedValkey

START_WITHIN_S = 20.0
STOP_WITHIN_S = 45.0
#: The child that serves HTTP.
HTTP = "HTTP API"


@dataclass
class LocalStack:
    """What to start. `start` fills in `redis_url` and `sandbox_url`.

    state_dir     where the embedded Valkey keeps its data; None: a folder that goes with the stack
    redis_url     a server that is there already; then no embedded one is started
    sandbox       arguments of the sandbox; None: no sandbox, the environment names a real account
    with_requests also start the consumer of business events
    with_webhooks also start the process that delivers webhooks
    http_ports    also serve the HTTP API on the first of these ports that can be had; 0: any that is free; (): not
    environment   for the workers and that consumer, over this process's own
    namespace     of the ledger, for an embedded server that continues from a clean end
    log           file that takes the children's log lines; None: they go where ours go
    """

    processes: int = 2
    threads: int = 8
    state_dir: Path | None = None
    redis_url: str | None = None
    sandbox: Sequence[str] | None = ()
    with_requests: bool = False
    with_webhooks: bool = False
    http_ports: Sequence[int] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    namespace: str | None = None
    log: Path | None = None
    sandbox_url: str | None = None
    http_url: str | None = None
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _valkey: EmbeddedValkey | None = None
    _log_file: IO[bytes] | None = None

    def start(self) -> Self:
        """Raises ServiceUnavailable if a part doesn't come up; what had started is stopped again."""
        try:
            self._log_file = self.log.open("ab") if self.log else None
            if self.redis_url is None:
                self._valkey = EmbeddedValkey(self.state_dir, sandbox=self.sandbox is not None, namespace=self.namespace)
                self._valkey.start()
                self.redis_url = self._valkey.url
            if self.sandbox is not None:
                self._start_sandbox(self.sandbox)
            if self.processes:
                self.start_workers()
            if self.with_requests:
                self._start_requests()
            if self.with_webhooks:
                self._start("webhooks", ["producers.cli", "webhooks", "run"], self.worker_environment())
            if self.http_ports:
                self._start_http(self.http_ports)
        except BaseException:
            self.stop()
            raise
        return self

    def worker_environment(self) -> dict[str, str]:
        """What the workers see. The key is in the environment only: a command line can be read by everybody."""
        environment = {**os.environ, "DIDFLOW_REDIS_URL": self.redis_url or ""}
        if self.sandbox_url:
            environment |= {"WAVIX_API_KEY": SANDBOX_KEY, "WAVIX_BASE_URL": self.sandbox_url}
        return {**environment, **self.environment}

    def start_workers(self) -> None:
        command = ["worker.process.supervisor", "--processes", str(self.processes), "--threads", str(self.threads)]
        self._start("workers", command, self.worker_environment())

    def _start_requests(self) -> None:
        """Under a consumer's name of its own: another `didflow requests consume` on this host may run beside it."""
        command = ["producers.cli", "requests", "consume", "--consumer", f"{socket.gethostname()}-up"]
        self._start("consumer of business events", command, self.worker_environment())

    def _start_http(self, ports: Sequence[int]) -> None:
        for port in ports:
            child = self._start(HTTP, ["producers.cli", "serve", "--port", str(port)], self.worker_environment(), stdout=subprocess.PIPE)
            line = _first_line(child, 3 * START_WITHIN_S)  # It loads more than any other part.
            if line.startswith("http listening on "):
                self.http_url = line.split()[3]
                return
            self._stop_child(HTTP)
        raise ServiceUnavailable("the HTTP API doesn't start: is its port taken? Take another one with --http-port, 0 for any")

    def _start_sandbox(self, arguments: Sequence[str]) -> None:
        child = self._start("sandbox", ["worker.wavix.sandbox", *arguments], dict(os.environ), stdout=subprocess.PIPE)
        line = _first_line(child)
        if not line.startswith("sandbox listening on "):
            raise ServiceUnavailable("the sandbox doesn't start: is its port taken? Take another one with --sandbox-port, 0 for any")
        self.sandbox_url = line.split()[3]

    def _start(self, name: str, command: list[str], environment: dict[str, str], stdout: int | None = None) -> subprocess.Popen[bytes]:
        """A child in a session of its own, so that Ctrl-C is for us alone. It ends by itself if this process is killed."""
        child = self.children[name] = subprocess.Popen(
            module_command(*command),
            env=environment | {PARENT_VARIABLE: str(os.getpid())},
            stdout=stdout,
            stderr=self._log_file,
            start_new_session=True,
            pass_fds=self._valkey.parts_lock if self._valkey is not None else (),
        )
        return child

    @property
    def refused(self) -> bool:
        """Whether the workers ended because of their settings: no restart can help."""
        workers = self.children.get("workers")
        return workers is not None and workers.poll() == ExitCode.INPUT

    def dead(self) -> str | None:
        """The name of a part that has ended by itself."""
        if self._valkey is not None and self._valkey.died:
            return "embedded Valkey"
        return next((name for name, child in self.children.items() if child.poll() is not None), None)

    def stop(self) -> None:
        """Who submits first, then workers, so that they can return what they hold; then what they stand on."""
        for name in (HTTP, "consumer of business events", "workers", "webhooks", "sandbox"):
            self._stop_child(name)
        if self._valkey is not None:
            self._valkey.stop()
        if self._log_file is not None:
            self._log_file.close()

    def _stop_child(self, name: str) -> None:
        child = self.children.pop(name, None)
        if child is None:
            return
        child.terminate()
        try:
            child.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout:
            child.stdout.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _first_line(child: subprocess.Popen[bytes], within_s: float = START_WITHIN_S) -> str:
    """What the child says first, or nothing if it ends or stays silent."""
    stdout = child.stdout
    if stdout is None:
        return ""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        readable, _, _ = select.select([stdout], [], [], 0.1)
        if readable:
            return stdout.readline().decode(errors="replace").strip()
    return ""
