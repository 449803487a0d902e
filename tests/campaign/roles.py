"""The processes around the workers: one that serves HTTP, and those that deliver webhooks. They are killed and frozen as workers are."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from didflow import AsyncDidflow
from didflow.contract.errors import DidflowError
from didflow.fault_orders import orders_from_environment
from didflow.logs import configure_logs
from didflow.settings import load_settings
from tests.campaign.fleet import Fleet, Member, enter
from tests.support.forking import FORKING

SERVE = "serve"
ROLES = (SERVE, "webhooks-1", "webhooks-2")
#: As long as the leases of jobs here, and shorter than a frozen process sleeps: what it holds is delivered by another one meanwhile.
LEASE_S, LIMIT_S = 3.0, 1.0
#: Until a failed delivery is tried again.
WAITS_S = (0.3, 1.0, 4.0)
LOOPBACK = (ip_network("127.0.0.0/8"),)


@dataclass
class Roles(Fleet):
    """One process of each role, replaced when it dies. `port`: where HTTP is served, by whichever process does."""

    port: int = 0

    def _start(self) -> None:
        there = {member.name for member in self.members if not member.asked_to_stop}
        role = next(name for name in ROLES if name not in there)
        environment = {**self.environment, "DIDFLOW_REDIS_URL": self.urls[self.starts % len(self.urls)]}
        running = FORKING.Process(target=run, args=(role, self.port, environment, self.log), daemon=True)
        running.start()
        self.starts += 1
        self.members.append(Member(running, role))


def run(role: str, port: int, environment: Mapping[str, str], log: Path) -> None:
    """What `didflow serve` and `didflow webhooks run` do, with shorter times."""
    enter(environment, log)
    configure_logs(log_format="json", level="warning", serves=True)
    # Not at the top: the process that all others are forked from would have to load them.
    if role == SERVE:
        from producers.http import server

        server.run(load_settings(), server.Listen(port=port), lambda _: None)
    else:
        asyncio.run(_deliver(role))


async def _deliver(role: str) -> None:
    from producers.webhooks import schedule
    from producers.webhooks.egress import Egress
    from producers.webhooks.process import WebhookProcess

    schedule.WAITS_S = WAITS_S  # type: ignore[assignment]
    while True:
        try:
            didflow = AsyncDidflow.from_env()
            break
        except DidflowError:
            await asyncio.sleep(0.2)
    orders = orders_from_environment()
    assert orders is not None
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(15, stopping.set)
    async with Egress(allowed_networks=LOOPBACK, limit_s=LIMIT_S) as egress:
        process = WebhookProcess(didflow, egress, consumer=role, reached=orders.reached, lease_s=LEASE_S, limit_s=LIMIT_S)
        await process.run(stopping)
