"""A person says that a waiting purchase bought a number that no job claims: it keeps the number, and buys one less."""

from didflow.contract.errors import AlreadyDecided, InvalidRequest
from didflow.contract.history import Happened, Happening
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import SearchAndBuy
from didflow.ledger import script_calls
from didflow.ledger.client import LedgerClient
from didflow.ledger.replies import DecidedBefore, KeepsAll, NumberGiven, ReservedFor, Unchanged
from didflow.ledger.script_calls import follower_args
from worker.jobs.purchase.state import ItemStatus, PurchaseItem


def give(ledger: LedgerClient, account: str, job_id: str, owned: OwnedNumber, actor: str) -> None:
    """`owned`: as the provider shows it. One script decides: of several people, and of repeated calls, one gives it.

    Raises InvalidRequest, JobNotFound; AlreadyDecided if another purchase has it, or if it was accepted as no job's.
    """
    view = ledger.get(job_id)
    if not isinstance(view.request, SearchAndBuy) or view.account != account or view.request.dry_run:
        raise refused_gift(f"job {job_id} is not a purchase of this account")
    pick = PurchaseItem(status=ItemStatus.KEPT, setup_usd=owned.setup_usd, monthly_usd=owned.monthly_usd, owned=owned)
    happened = Happened(
        what=Happening.BOUGHT if owned.is_active else Happening.BOUGHT_INACTIVE,
        record_id=owned.record_id,
        setup_usd=pick.setup_usd,
        monthly_usd=pick.monthly_usd,
        by="person",
        actor=actor or None,
    )
    follower = () if owned.is_active else follower_args(job_id, account)
    number, quantity = owned.number, view.request.quantity
    reply = ledger.run(script_calls.give(job_id, number, owned.record_id, quantity, pick.model_dump_json(), happened, actor, follower))
    match reply:
        case NumberGiven():
            return
        case DecidedBefore():
            raise AlreadyDecided(number, reply.job_id)
        case KeepsAll():
            raise refused_gift(f"job {job_id} already has all {reply.kept} numbers")
        case ReservedFor():
            raise refused_gift(f"{number} is reserved for job {reply.job_id}, which may be buying it")
        case Unchanged():
            raise refused_gift(f"job {job_id} is {reply}: only a waiting job can be given a number")


def refused_gift(what: str) -> InvalidRequest:
    return InvalidRequest(f"give: {what}", (("give", what),))
