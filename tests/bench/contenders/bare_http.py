"""A bare FastAPI app that does one XADD for each request: what `didflow serve` stands on, without what it adds.

`python -m tests.bench.contenders.bare_http`; prints its port. The same server, loop and HTTP parser as `didflow serve` has.
"""

import socket
import uuid
from typing import Literal

import redis.asyncio
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from tests.bench.contenders.contender import server_url


class Wanted(BaseModel):
    country: str
    city: str
    quantity: int
    max_monthly_usd: str
    policy: Literal["all_or_nothing", "best_effort"]


class Order(BaseModel):
    request: Wanted
    reference: str


app = FastAPI()
client = redis.asyncio.Redis.from_url(server_url())


@app.post("/v1/jobs/search-and-buy", status_code=202)
async def order(order: Order) -> dict[str, str]:
    job = uuid.uuid4().hex
    await client.xadd("bench:requests", {"id": job, "data": order.model_dump_json()})
    return {"id": job, "state": "queued"}


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as taken:
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # As `uvicorn` on the command line has it.
        print(f"http://127.0.0.1:{taken.getsockname()[1]}", flush=True)
        config = uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
        uvicorn.Server(config).run(sockets=[taken])
