"""A webhook process in a thread of this one, over a real Valkey."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_network
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from didflow import AsyncDidflow
from didflow.contract.webhooks import Endpoint, EndpointView, new_secret
from didflow.fault_orders import Orders
from didflow.ledger.ledger import Ledger
from didflow.ledger.webhooks import endpoints
from producers.webhooks.deliverer import LEASE_S
from producers.webhooks.egress import Egress
from producers.webhooks.process import WebhookProcess
from tests.support.forking import FORKING

#: A test that lets something be due waits for a look.
LOOK_S = 0.05
LOOPBACK = (ip_network("127.0.0.0/8"),)


@contextmanager
def delivering(ledger: Ledger, redis_url: str, *, lease_s: float = LEASE_S, limit_s: float = 15.0) -> Iterator[WebhookProcess]:
    """Deliver this ledger's webhooks meanwhile."""
    ready, made, failed = threading.Event(), list[Any](), list[BaseException]()

    async def deliver() -> None:
        didflow = AsyncDidflow.from_url(redis_url, ledger.keys.namespace, actor="webhooks")
        stopping = asyncio.Event()
        try:
            async with Egress(allowed_networks=LOOPBACK, limit_s=limit_s) as egress:
                process = WebhookProcess(didflow, egress, lease_s=lease_s, limit_s=limit_s, look_s=LOOK_S)
                made[:] = [asyncio.get_running_loop(), stopping, process]
                ready.set()
                await process.run(stopping)
        finally:
            await didflow.aclose()

    def in_thread() -> None:
        try:
            asyncio.run(deliver())
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            ready.set()

    thread = threading.Thread(target=in_thread)
    thread.start()
    ready.wait()
    loop, stopping, process = made
    try:
        yield process
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
    assert not failed


def endpoint(ledger: Ledger, name: str, url: str, **filters: Any) -> str:
    """Store an endpoint; its secret."""
    secret = new_secret()
    made = Endpoint(id=endpoints.new_endpoint_id(), name=name, url=url, **filters)
    ledger.perform(endpoints.create(ledger.commands, made, secret))
    return secret


def shown(ledger: Ledger, name: str) -> EndpointView:
    return ledger.perform(endpoints.view(ledger.commands, name))


def rotated(ledger: Ledger, name: str, overlap: timedelta) -> str:
    secret = new_secret()
    ledger.perform(endpoints.rotate(ledger.commands, name, secret, overlap))
    return secret


@contextmanager
def forked(ledger: Ledger, redis_url: str, orders: Path, *, lease_s: float, limit_s: float) -> Iterator[BaseProcess]:
    """The same as a process of its own, which obeys these orders; killed in the end."""
    running = FORKING.Process(target=_become, args=(redis_url, ledger.keys.namespace, str(orders), lease_s, limit_s))
    running.start()
    try:
        yield running
    finally:
        running.kill()
        running.join()


def _become(redis_url: str, namespace: str, orders: str, lease_s: float, limit_s: float) -> None:
    asyncio.run(_run(redis_url, namespace, Path(orders), lease_s, limit_s))


async def _run(redis_url: str, namespace: str, orders: Path, lease_s: float, limit_s: float) -> None:
    didflow = AsyncDidflow.from_url(redis_url, namespace, actor="webhooks")
    async with Egress(allowed_networks=LOOPBACK, limit_s=limit_s) as egress:
        process = WebhookProcess(didflow, egress, reached=Orders(orders).reached, lease_s=lease_s, limit_s=limit_s, look_s=LOOK_S)
        await process.run(asyncio.Event())
