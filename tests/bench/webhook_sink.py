"""How fast one process delivers webhooks to a sink on this machine that answers at once."""

import asyncio
import time
import uuid

from didflow import Didflow, SearchAndBuy
from didflow.contract.webhooks import Endpoint, new_secret
from didflow.ledger.connection import connect
from didflow.ledger.script_calls import Submission
from didflow.ledger.webhooks import endpoints
from tests.bench.child import started

#: Events that wait when the process starts, and what of the beginning isn't counted.
DELIVERIES, WARM = 3_000, 500
GIVE_UP_S = 120.0
ANSWER = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


async def webhooks(redis_url: str) -> float:
    """Deliveries a second, each over a connection of its own."""
    namespace = f"bench-{uuid.uuid4().hex[:6]}"
    client = connect(redis_url)
    arrived: list[float] = []
    every = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
        arrived.append(time.perf_counter())
        writer.write(ANSWER)
        writer.close()
        if len(arrived) >= DELIVERIES:
            every.set()

    server = await asyncio.start_server(take, "127.0.0.1", 0, backlog=100)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    await asyncio.to_thread(_fill, Didflow(client, namespace), url)
    variables = {"DIDFLOW_REDIS_URL": redis_url, "DIDFLOW_NAMESPACE": namespace, "DIDFLOW_WEBHOOK_NETWORKS": "127.0.0.0/8"}
    with started("producers.cli", ["webhooks", "run"], variables, says=False):
        async with asyncio.timeout(GIVE_UP_S):
            await every.wait()
    server.close()
    return (DELIVERIES - WARM) / (arrived[DELIVERIES - 1] - arrived[WARM - 1])


def _fill(didflow: Didflow, url: str) -> None:
    """An endpoint, and an event of each of many jobs."""
    made = Endpoint(id=endpoints.new_endpoint_id(), name="sink", url=url)
    didflow.ledger.perform(endpoints.create(didflow.ledger.commands, made, new_secret()))
    for start in range(0, DELIVERIES, 500):
        didflow.submit_many([Submission(SearchAndBuy(country="US"), idempotency_key=f"{start}-{place}") for place in range(500)])
