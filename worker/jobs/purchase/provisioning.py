"""After the purchase, in the same job: SMS on, destinations, the SMS callback.

All of it is absolute, so repeating it is harmless; none of it buys. However it fails, the numbers stay bought, and a later attempt
begins here and not at the cart. No answer is believed: each number is read back, see `set_up_seen`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from didflow.contract.errors import JobError
from didflow.contract.provider import Barred, No, NotNow, Unclear, Yes
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import WaitReason
from worker.jobs.halving import halves
from worker.jobs.ports.context import PurchaseContext
from worker.jobs.ports.endings import AccountBarred, AttemptFailed, Wait
from worker.jobs.ports.provider import PurchasePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.provider_answers import waiting_for
from worker.jobs.purchase.provisioning_check import SUPERSEDED, read_back, write_items
from worker.jobs.purchase.state import PurchaseItem, PurchaseRecord, Setting

__all__ = ["SUPERSEDED", "set_up", "unpark"]


def set_up(purchase: PurchaseRecord, context: PurchaseContext, provider: PurchasePorts, rules: Rules) -> dict[str, JobError]:
    """Make the bought numbers what the request says. Returns why a number isn't so, by number.

    SMS goes first: the provider takes no callback for a number without it. A number whose SMS is refused is routed all the same.
    Raises Wait, AccountBarred or AttemptFailed as the answers demand; what was answered by then isn't asked again.
    """
    turn_sms_on(purchase, context, provider, rules)
    superseded = _set_routes(purchase, purchase.kept, context, provider, rules, pause=context.check_interrupts)
    return superseded | read_back(purchase, purchase.kept, context, provider, rules)


def unpark(purchase: PurchaseRecord, context: PurchaseContext, provider: PurchasePorts, rules: Rules) -> dict[str, JobError]:
    """Route borrowed numbers, also if the job is cancelled: it holds them, and no other job knows that they are parked."""
    lent = {number: item for number, item in purchase.kept.items() if item.loan}
    if not lent:
        return {}
    superseded = _set_routes(purchase, lent, context, provider, rules, pause=lambda: None)
    return superseded | read_back(purchase, {number: purchase.items[number] for number in lent}, context, provider, rules)


def turn_sms_on(purchase: PurchaseRecord, context: PurchaseContext, provider: PurchasePorts, rules: Rules) -> None:
    """For those that were requested with SMS and came without."""
    if not purchase.request.sms:
        return
    kept = purchase.kept.items()
    todo = sorted((number, item) for number, item in kept if item.owned and not item.owned.sms_enabled and item.sms is None)
    for start in range(0, len(todo), rules.batch_size):
        context.check_interrupts()
        with _written("sms_on", purchase, context) as answered:
            for number, item in todo[start : start + rules.batch_size]:
                refusal = _sms_refused(item, provider)
                answered[number] = item.model_copy(update={"sms": Setting(answered_ms=context.now_ms(), refusal=refusal)})


@contextmanager
def _written(step: str, purchase: PurchaseRecord, context: PurchaseContext) -> Iterator[dict[str, PurchaseItem]]:
    """Whatever answer stops it: those that were answered are written, so that a later attempt doesn't ask for them again."""
    answered: dict[str, PurchaseItem] = {}
    try:
        yield answered
    except (Wait, AccountBarred, AttemptFailed):
        write_items(step, answered, purchase, context)
        raise
    write_items(step, answered, purchase, context)


def _sms_refused(item: PurchaseItem, provider: PurchasePorts) -> JobError | None:
    answer = provider.set_sms_enabled(item.owned.record_id if item.owned else 0, True)
    match answer:
        case Yes():
            return None
        case No(code=code, message=message):
            return JobError(code=f"sms_{code}", message=f"bought, but SMS could not be turned on: {message}")
        case Unclear(reason):
            message = f"turning SMS on had no clear answer ({reason})"
            raise AttemptFailed(JobError(code="sms_unclear", message=message, retryable=True))
        case NotNow() | Barred():
            raise waiting_for(answer)


def _set_routes(
    purchase: PurchaseRecord,
    items: Mapping[str, PurchaseItem],
    context: PurchaseContext,
    provider: PurchasePorts,
    rules: Rules,
    *,
    pause: Callable[[], None],
) -> dict[str, JobError]:
    """Ask for the routes that the request names, where that isn't answered yet. Absolute, so safe to repeat.

    A number that a newer job routes is left to that one; returns those.
    """
    request = purchase.request
    superseded: dict[str, JobError] = {}
    if not request.destinations and request.sms_relay_url is None:
        return superseded
    todo = sorted((number, item) for number, item in items.items() if item.route is None)
    size = rules.batch_size if request.destinations else 1
    for start in range(0, len(todo), size):
        pause()
        batch = todo[start : start + size]
        if ours_before := [number for number, item in batch if item.reused]:  # A call that routed it then, or parked it, may still act.
            calm_ms = max(context.routes.claim(ours_before, calling=False).disturbed_ms.values(), default=0) + int(rules.settle_s * 1000)
            if (left_ms := calm_ms - context.now_ms()) > 0:
                raise Wait(WaitReason.SETTLING, left_ms / 1000)
        newer = context.routes.claim([number for number, _ in batch], wanted=request.destinations or None).newer
        superseded |= dict.fromkeys(newer, SUPERSEDED)
        if ours := [(number, item) for number, item in batch if number not in newer]:
            refused = _route_batch(ours, request, provider)
            now_ms = context.now_ms()
            asked = {n: item.model_copy(update={"route": Setting(answered_ms=now_ms, refusal=refused.get(n))}) for n, item in ours}
            write_items("routed", asked, purchase, context, answered=[number for number, _ in ours])
    return superseded


def _route_batch(batch: Sequence[tuple[str, PurchaseItem]], request: SearchAndBuy, provider: PurchasePorts) -> dict[str, JobError]:
    """The refusals by number."""
    ids = [item.owned.record_id for _, item in batch if item.owned]
    if request.destinations:
        answer = provider.set_route(ids, request.destinations, request.sms_relay_url)
    else:
        answer = provider.set_sms_relay_url(ids[0], request.sms_relay_url or "")
    match answer:
        case Yes():
            return {}
        case No() if len(batch) > 1:
            first, second = halves(batch)
            return _route_batch(first, request, provider) | _route_batch(second, request, provider)
        case No(code=code, message=message):
            return {batch[0][0]: JobError(code=f"routing_{code}", message=f"bought, but its route could not be set: {message}")}
        case Unclear(reason):
            raise AttemptFailed(
                JobError(code="routing_unclear", message=f"setting the routes had no clear answer ({reason})", retryable=True)
            )
        case NotNow() | Barred():
            raise waiting_for(answer)
