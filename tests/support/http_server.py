"""The HTTP API on a real socket: uvicorn in a thread, over a real Valkey."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from didflow import AsyncDidflow, Didflow
from didflow.contract.api_keys import ApiKey, ApiScope, new_key_id
from didflow.ledger import api_keys
from didflow.ledger.ledger import Ledger
from producers.http.app import application
from producers.http.connections import HEAD_WITHIN_S
from producers.http.proxy_login import ProxyLogin
from producers.http.server import Listen, server_of
from producers.http.services import HEARTBEAT_S, ReviewRules
from producers.http.strict_json import PAUSE_S
from tests.support.described_answers import check_answer

#: Long enough for a busy machine.
WITHIN_S = 60.0


@dataclass
class Api:
    """A running server, and a client of it with a key that may do everything."""

    url: str
    ledger: Ledger
    http: httpx.Client

    def client(self, secret: str | None = None) -> httpx.Client:
        """Another client, with another key or none. Each answer is held against the description."""
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        hooks = {"response": [check_answer]}
        return httpx.Client(base_url=self.url, headers=headers, timeout=WITHIN_S, trust_env=False, event_hooks=hooks)

    def key(self, name: str, *scopes: ApiScope, **limits: Any) -> str:
        """The secret of a new key."""
        key = ApiKey(id=new_key_id(), name=name, scopes=frozenset(scopes), **limits)
        return self.ledger.perform(api_keys.create(self.ledger.commands, key))

    def buy(self, key: str, **beside: object) -> httpx.Response:
        """Submit a purchase."""
        body = {"request": {"country": "US"}, **beside}
        return self.http.post("/v1/jobs/search-and-buy", json=body, headers={"Idempotency-Key": key})


@contextmanager
def serving(
    ledger: Ledger,
    redis_url: str,
    *,
    open_to: str | None = None,
    heartbeat_s: float = HEARTBEAT_S,
    head_within_s: float = HEAD_WITHIN_S,
    body_pause_s: float = PAUSE_S,
    proxies: tuple[str, ...] = (),
    proxy_login: ProxyLogin | None = None,
    review: ReviewRules = ReviewRules(),  # noqa: B008 - frozen
) -> Iterator[str]:
    """Serve this ledger's namespace; the URL."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ready, loops = threading.Event(), list[Any]()

        async def serve() -> None:
            didflow = AsyncDidflow.from_url(redis_url, ledger.keys.namespace, actor="server")
            blocking = Didflow.from_url(redis_url, ledger.keys.namespace)
            times: dict[str, Any] = {"heartbeat_s": heartbeat_s, "body_pause_s": body_pause_s}
            app = application(didflow, blocking, open_to=open_to, proxy_login=proxy_login, review=review, **times)
            server = server_of(app, Listen(proxies=proxies), head_within_s=head_within_s)
            loops[:] = [asyncio.get_running_loop(), server]
            ready.set()
            try:
                await server.serve(sockets=[taken])
            finally:
                await didflow.aclose()

        thread = threading.Thread(target=lambda: asyncio.run(serve()), name=f"http {taken.getsockname()[1]}")
        thread.start()
        ready.wait(WITHIN_S)
        try:
            yield f"http://127.0.0.1:{taken.getsockname()[1]}"
        finally:
            loop, server = loops
            loop.call_soon_threadsafe(setattr, server, "should_exit", True)
            thread.join(WITHIN_S)


@contextmanager
def api_of(ledger: Ledger, redis_url: str, **how: Any) -> Iterator[Api]:
    """A server, with a client that may do everything."""
    with serving(ledger, redis_url, **how) as url:
        api = Api(url, ledger, httpx.Client())
        api.http.close()
        with api.client(api.key("ops", ApiScope.ADMIN)) as http:
            api.http = http
            yield api


@contextmanager
def served(redis_url: str, namespace: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`didflow serve` as a process, and the URL that it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DIDFLOW_", "WAVIX_"))}
    environment |= {"DIDFLOW_REDIS_URL": redis_url, "DIDFLOW_NAMESPACE": namespace, "DIDFLOW_ACTOR": "ann"}
    command = [sys.executable, "-m", "producers.cli", "serve", "--port", "0", *options]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("http listening on "), process.stderr and process.stderr.read()
            yield process, line.split()[-1]
        finally:
            if process.poll() is None:
                process.kill()
