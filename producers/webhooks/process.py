"""The webhook process: reads the streams into the queues, and delivers what is due. Any number may run."""

import asyncio
import os
import signal
import socket
from contextlib import suppress

import structlog

from didflow.client.aio.client import AsyncDidflow
from didflow.contract.errors import DidflowError, ServiceUnavailable
from didflow.fault_orders import Reached, orders_from_environment
from didflow.ledger.webhooks.queues import trim
from didflow.ledger.webhooks.targets import Targets, targets
from didflow.parent_process import end_with_parent
from didflow.settings import Settings
from producers.ended_tasks import end
from producers.webhooks.deliverer import LEASE_S, Deliverer, Posts
from producers.webhooks.egress import Egress
from producers.webhooks.fan_out import FanOut

log = structlog.stdlib.get_logger("didflow.webhooks")

#: How long one post takes at most, with the look-up of the address and the whole answer.
LIMIT_S = 15.0
#: How often a process looks for what is due, where it knows of nothing.
LOOK_S = 1.0
#: How often messages are trimmed that nothing needs.
TRIM_S = 30.0
#: How long a Redis that is away is left alone.
AGAIN_S = 0.5
#: How long a process waits after another one was first to read the streams.
OTHERS_S = 0.2


def _nothing(_: str) -> None:
    """No point is watched."""


class WebhookProcess:
    """The loops of one process, over one client."""

    def __init__(
        self,
        didflow: AsyncDidflow,
        posts: Posts,
        *,
        consumer: str | None = None,
        reached: Reached = _nothing,
        lease_s: float = LEASE_S,
        limit_s: float = LIMIT_S,
        look_s: float = LOOK_S,
    ) -> None:
        self._look_s = look_s
        self._ledger = didflow.ledger
        self._fan_out = FanOut(didflow, consumer or socket.gethostname(), reached)
        self.deliverer = Deliverer(didflow, posts, reached, limit_s=limit_s, lease_s=lease_s)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`; what is under way then is finished."""
        deliver = asyncio.create_task(self._deliver(stopping))
        others = [asyncio.create_task(loop()) for loop in (self._read, self.deliverer.settle, self._trim)]
        stopped = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait([deliver, *others, stopped], return_when=asyncio.FIRST_COMPLETED)
            stopping.set()
            self.deliverer.news.set()
            await deliver
            await self.deliverer.finish()
        finally:
            await end([deliver, *others, stopped])
            ended = await asyncio.gather(deliver, *others, stopped, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _read(self) -> None:
        while True:
            try:
                known = await self._ledger.perform(targets(self._ledger.commands.keys))
                if known.results is None or not known.by_id:
                    await asyncio.sleep(self._look_s)
                    continue
                queued = await self._fan_out.step(known)
            except ServiceUnavailable as error:
                log.warning("webhooks.ledger_away", error=error.code)
                await asyncio.sleep(AGAIN_S)
                continue
            if queued:
                self.deliverer.news.set()
            elif queued is None:
                await asyncio.sleep(OTHERS_S)

    async def _deliver(self, stopping: asyncio.Event) -> None:
        known: Targets | None = None
        while not stopping.is_set():
            self.deliverer.news.clear()
            try:
                if known is None:
                    known = await self._ledger.perform(targets(self._ledger.commands.keys))
                is_known, next_s = await self.deliverer.take(known)
            except ServiceUnavailable as error:
                log.warning("webhooks.ledger_away", error=error.code)
                await asyncio.sleep(AGAIN_S)
                continue
            if not is_known:
                known = None
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_s if next_s is None else min(self._look_s, next_s)):
                    await self.deliverer.news.wait()

    async def _trim(self) -> None:
        while True:
            with suppress(DidflowError):
                await self._ledger.perform(trim(self._ledger.commands))
            await asyncio.sleep(TRIM_S)


async def run_with(settings: Settings, consumer: str | None = None) -> None:
    """Deliver until SIGTERM or Ctrl-C."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    didflow = await _as_soon_as_known(stopping)
    if didflow is None:
        return
    log.info("webhooks.started")
    orders, proxy = orders_from_environment(), settings.webhook_proxy
    allowed, proxy_url = settings.webhook_networks, proxy.get_secret_value() if proxy else None
    try:
        async with Egress(allowed_networks=allowed, proxy=proxy_url, limit_s=LIMIT_S) as egress:
            process = WebhookProcess(didflow, egress, consumer=consumer, reached=orders.reached if orders else _nothing)
            await process.run(stopping)
    finally:
        await didflow.aclose()


async def _as_soon_as_known(stopping: asyncio.Event) -> AsyncDidflow | None:
    """A process that starts beside its Redis may be the quicker one. None: it is to stop. It is logged once."""
    said = False
    while not stopping.is_set():
        try:
            return AsyncDidflow.from_env()
        except ServiceUnavailable as error:
            if not said:
                log.warning("webhooks.no_redis", error=str(error))
            said = True
        with suppress(TimeoutError):
            async with asyncio.timeout(AGAIN_S):
                await stopping.wait()
    return None
