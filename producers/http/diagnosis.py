"""What `didflow doctor` and `didflow settings` show, as far as it needs no provider: this server has no key of one."""

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from didflow.checks.check import Check
from didflow.checks.ledger import check_ledger
from didflow.client.sync.client import Didflow
from didflow.contract.api_keys import ApiScope
from didflow.ledger.worker_settings import RunningWith, running_workers
from didflow.settings import load_settings
from producers.http.access import Asking, needs
from producers.http.problems import problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving
from producers.shown_settings import ShownSetting, shown_settings

router = APIRouter(tags=["operations"], route_class=StrictRoute, dependencies=[needs(ApiScope.OPERATE)])


@dataclass(frozen=True)
class CheckList:
    """`ok`: none of them failed."""

    ok: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class SettingList:
    """Without secrets. `server`: of this process; `workers`: what each living worker process runs with."""

    server: tuple[ShownSetting, ...]
    workers: dict[str, RunningWith]


@router.get("/checks", response_model=CheckList, responses=problems(), summary="Check the installation")
async def run_checks(services: Serving, caller: Asking) -> Response:
    """What the ledger shows of workers, queues, streams, gates, limits and inventories, and what to fix."""
    caller.need_all_seen()

    def check(didflow: Didflow) -> CheckList:
        checks = tuple(check_ledger(didflow.ledger, load_settings()))
        return CheckList(all(one.verdict != "fail" for one in checks), checks)

    return answer(await services.blocked(caller, check))


@router.get("/settings", response_model=SettingList, responses=problems(), summary="List settings")
async def list_settings(services: Serving, caller: Asking) -> Response:
    """Every setting with its value and where that comes from; and what the workers run with."""
    caller.need_all_seen()
    found = await services.blocked(caller, lambda didflow: SettingList(shown_settings(), running_workers(didflow.ledger)))
    return answer(found)
