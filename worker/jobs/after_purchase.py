"""After the purchase, in the same job: SMS on, destinations, the SMS callback.

All of it is absolute, so repeating it is harmless; none of it buys. However it fails, the numbers stay bought, and a later attempt
begins here and not at the cart.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from worker.contract.errors import JobError
from worker.contract.provider import Barred, No, NotNow, Unclear, Yes
from worker.contract.requests import SearchAndBuy
from worker.contract.states import WaitReason
from worker.contract.writes import Write
from worker.jobs.answers import waiting_for
from worker.jobs.happened import routed_after_purchase
from worker.jobs.ports import AccountBarred, AttemptFailed, JobPage, Provider, Rules, Wait
from worker.jobs.purchase_state import Pick, PurchaseRecord

SUPERSEDED = JobError(code="superseded", message="a newer job routes this number: its route was left to that one")


def set_up(purchase: PurchaseRecord, page: JobPage, provider: Provider, rules: Rules) -> dict[str, JobError]:
    """Make the bought numbers what the request says. Returns what was refused, by number.

    SMS goes first: the provider takes no callback for a number without it. A number whose SMS is refused is routed all the same.
    Raises Wait, AccountBarred or AttemptFailed as the answers demand; what was done by then needn't be done again.
    """
    without_sms = turn_sms_on(purchase, page, provider, rules)
    return set_routes(purchase, page, provider, rules) | without_sms


def turn_sms_on(purchase: PurchaseRecord, page: JobPage, provider: Provider, rules: Rules) -> dict[str, JobError]:
    """For those that were asked for with SMS and came without."""
    refused: dict[str, JobError] = {}
    if not purchase.request.sms:
        return refused
    todo = sorted((number, pick) for number, pick in purchase.kept.items() if pick.owned and not pick.owned.sms_enabled)
    for start in range(0, len(todo), rules.batch_size):
        page.pause_point()
        with _written(purchase, page) as on:
            for number, pick in todo[start : start + rules.batch_size]:
                if error := _sms_refused(pick, provider):
                    refused[number] = error
                else:
                    on[number] = pick
    return refused


@contextmanager
def _written(purchase: PurchaseRecord, page: JobPage) -> Iterator[dict[str, Pick]]:
    """Whatever answer stops it: those that are on are written, so that a later attempt doesn't ask for them again."""
    on: dict[str, Pick] = {}
    try:
        yield on
    except (Wait, AccountBarred, AttemptFailed):
        _write_on(on, purchase, page)
        raise
    _write_on(on, purchase, page)


def _write_on(on: dict[str, Pick], purchase: PurchaseRecord, page: JobPage) -> None:
    picks = {number: pick.kept(pick.owned.model_copy(update={"sms_enabled": True})) for number, pick in on.items() if pick.owned}
    if picks:
        stored = {number: pick.model_dump_json() for number, pick in picks.items()}
        page.save(Write("sms_on", detail=f"{len(picks)} numbers", numbers=stored))
        purchase.picks |= picks


def _sms_refused(pick: Pick, provider: Provider) -> JobError | None:
    answer = provider.set_sms_enabled(pick.owned.record_id if pick.owned else 0, True)
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


def set_routes(purchase: PurchaseRecord, page: JobPage, provider: Provider, rules: Rules) -> dict[str, JobError]:
    """Point the bought numbers where the request says; absolute, so safe to repeat. Returns the refusals by number.

    A number that a newer job routes is left to that one.
    """
    return _set_routes(purchase.kept, purchase.request, page, provider, rules, pause=page.pause_point)


def unpark(purchase: PurchaseRecord, page: JobPage, provider: Provider, rules: Rules) -> dict[str, JobError]:
    """The same of what releases lent, also where the job is called off: it has them, and nobody else knows that they are parked."""
    lent = {number: pick for number, pick in purchase.kept.items() if pick.loan}
    return _set_routes(lent, purchase.request, page, provider, rules, pause=lambda: None) if lent else {}


def _set_routes(
    picks: Mapping[str, Pick], request: SearchAndBuy, page: JobPage, provider: Provider, rules: Rules, *, pause: Callable[[], None]
) -> dict[str, JobError]:
    refused: dict[str, JobError] = {}
    if not request.destinations and request.sms_relay_url is None:
        return refused
    kept = sorted(picks.items())
    size = rules.batch_size if request.destinations else 1
    for start in range(0, len(kept), size):
        pause()
        batch = kept[start : start + size]
        if ours_before := [number for number, pick in batch if pick.reused]:  # A call that routed it then, or parked it, may still act.
            calm_ms = max(page.claim_routes(ours_before, calling=False).disturbed_ms.values(), default=0) + int(rules.settle_s * 1000)
            if (left_ms := calm_ms - page.now_ms()) > 0:
                raise Wait(WaitReason.SETTLING, left_ms / 1000)
        newer = page.claim_routes([number for number, _ in batch]).newer
        refused |= dict.fromkeys(newer, SUPERSEDED)
        if ours := [(number, pick) for number, pick in batch if number not in newer]:
            refused |= _route_batch(ours, request, provider)
            told = {number: routed_after_purchase(pick.owned, request.destinations) for number, pick in ours if number not in refused}
            answered = [number for number, _ in ours]
            page.save(Write("routed", detail=f"{len(ours)} numbers", answered=answered, history=told if request.destinations else {}))
    return refused


def _route_batch(batch: list[tuple[str, Pick]], request: SearchAndBuy, provider: Provider) -> dict[str, JobError]:
    ids = [pick.owned.record_id for _, pick in batch if pick.owned]
    if request.destinations:
        answer = provider.set_route(ids, request.destinations, request.sms_relay_url)
    else:
        answer = provider.set_sms_relay_url(ids[0], request.sms_relay_url or "")
    match answer:
        case Yes():
            return {}
        case No() if len(batch) > 1:
            half = len(batch) // 2
            return _route_batch(batch[:half], request, provider) | _route_batch(batch[half:], request, provider)
        case No(code=code, message=message):
            return {batch[0][0]: JobError(code=f"routing_{code}", message=f"bought, but its route could not be set: {message}")}
        case Unclear(reason):
            raise AttemptFailed(
                JobError(code="routing_unclear", message=f"setting the routes had no clear answer ({reason})", retryable=True)
            )
        case NotNow() | Barred():
            raise waiting_for(answer)
