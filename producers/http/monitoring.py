"""What watches the service: metrics for Prometheus, and whether this process should get requests."""

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from didflow.contract.api_keys import ApiScope
from didflow.contract.errors import DidflowError
from didflow.ledger.commands import RedisCommand
from didflow.ledger.connection import translated
from didflow.ledger.metrics import measures
from producers.http.access import Asking, needs
from producers.http.open_metrics import CONTENT_TYPE, open_metrics
from producers.http.problems import problems
from producers.http.services import Serving

router = APIRouter(tags=["monitoring"])
#: A probe of whether this process lives must not wait for Redis.
FREEZE_WITHIN_S = 0.5
_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {CONTENT_TYPE.partition(";")[0]: {"schema": {"type": "string"}}}}}


@router.get("/metrics", dependencies=[needs(ApiScope.READ)], response_class=Response, responses={**_TEXT, **problems()}, summary="Metrics")
async def metrics(services: Serving, caller: Asking) -> Response:
    """OpenMetrics text of what all workers of all hosts do, from the ledger. No label names a job, a number or a reference."""
    caller.need_all_seen()
    ledger = services.didflow.ledger
    return Response(open_metrics(await ledger.perform(measures(ledger.commands))), media_type=CONTENT_TYPE)


@router.get("/healthz", include_in_schema=False)
async def alive(services: Serving) -> Response:
    """This process answers, whether or not Redis does: a restart wouldn't help there.

    `frozen`: whether purchases and releases of some account are frozen; null if Redis doesn't say so soon. Who froze them, and why, is for
    those who have a key.
    """
    frozen: bool | None = None
    with suppress(DidflowError, TimeoutError):
        async with asyncio.timeout(FREEZE_WITHIN_S):
            frozen = bool(await services.didflow.freezes())
    return JSONResponse({"status": "ok", "frozen": frozen})


@router.get("/readyz", include_in_schema=False)
async def ready(services: Serving) -> Response:
    """Whether requests can be answered: Redis can be reached."""
    try:
        with translated():
            await services.didflow.ledger.send(RedisCommand("time"))
    except DidflowError as error:
        return JSONResponse({"status": "unavailable", "code": error.code}, status_code=503, headers={"Retry-After": "2"})
    return JSONResponse({"status": "ok"})
