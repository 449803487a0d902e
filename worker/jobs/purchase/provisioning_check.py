"""Whether bought numbers are as requested: read back, because neither a yes nor a refusal is a proof.

What a read begun after the answer shows is so. What none shows within the settle time isn't: until then the list may be old, the
provider may still apply the change, and a duplicate of a call that was refused may still act.
"""

from collections.abc import Mapping, Sequence

from didflow.contract.attempt_write import Write
from didflow.contract.destinations import same_route
from didflow.contract.errors import JobError
from didflow.contract.history import Happened
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import WaitReason
from worker.jobs.history_entries import routed_after_purchase
from worker.jobs.owned_numbers import find_owned, find_records
from worker.jobs.ports.context import PurchaseContext
from worker.jobs.ports.endings import Wait
from worker.jobs.ports.provider import PurchasePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.purchase.state import PurchaseItem, PurchaseRecord, Setting
from worker.jobs.shown_numbers import purchases_shown

SUPERSEDED = JobError(code="superseded", message="a newer job routes this number: its route was left to that one")

#: How soon a job checks again whether what was said yes to shows.
LOOK_AGAIN_S = 0.5


def read_back(
    purchase: PurchaseRecord, items: Mapping[str, PurchaseItem], context: PurchaseContext, provider: PurchasePorts, rules: Rules
) -> dict[str, JobError]:
    """Returns why a number isn't as asked, by number. Raises Wait while it may yet turn out to be."""
    awaited = {number: item for number, item in items.items() if _open(item)}
    if awaited:
        asked_ms = context.now_ms()
        owned = _read(awaited, provider)
        seen = {number: _seen(item, owned.get(number), purchase.request) for number, item in awaited.items()}
        changed = {number: item for number, item in seen.items() if item != awaited[number]}
        write_items("set_up", changed, purchase, context, history=_history(awaited, seen, purchase.request))
        _wait_for([setting for item in seen.values() for setting in _open(item)], asked_ms, rules)
    left = {number: item for number, item in purchase.items.items() if number in items and _open(item)}
    unrouted = [number for number, item in left.items() if item.route and not item.route.seen]
    newer = context.routes.claim(unrouted, calling=False).newer if unrouted else frozenset()
    why = {number: _why_not(item, rules, superseded=number in newer) for number, item in left.items()}
    return {number: error for number, error in why.items() if error is not None}


def write_items(
    step: str,
    items: Mapping[str, PurchaseItem],
    purchase: PurchaseRecord,
    context: PurchaseContext,
    *,
    answered: Sequence[str] = (),
    history: Mapping[str, Happened] | None = None,
) -> None:
    """Write these, if there are any; `answered`: see `Write`."""
    if items:
        stored = {number: item.model_dump_json() for number, item in items.items()}
        shown = purchases_shown(purchase.items, items)
        context.save(Write(step, detail=f"{len(items)} numbers", numbers=stored, answered=answered, history=history or {}, shown=shown))
        purchase.items |= items


def _read(items: Mapping[str, PurchaseItem], provider: PurchasePorts) -> dict[str, OwnedNumber]:
    """The bought numbers as they are now, by number. A search may find nothing: those that it doesn't show are read by record id."""
    owned = find_owned(provider, items)
    record_ids = {number: item.owned.record_id for number, item in items.items() if item.owned}
    hidden = [record_id for number, record_id in record_ids.items() if number not in owned or owned[number].record_id != record_id]
    return owned | {one.number: one for one in find_records(provider, hidden)}


def _open(item: PurchaseItem) -> list[Setting]:
    """What was requested and isn't seen."""
    return [setting for setting in (item.sms, item.route) if setting is not None and not setting.seen]


def _seen(item: PurchaseItem, owned: OwnedNumber | None, request: SearchAndBuy) -> PurchaseItem:
    """As a read shows it; a setting that it doesn't show stays open."""
    if owned is None or item.owned is None or owned.record_id != item.owned.record_id:
        return item
    sms = item.sms.model_copy(update={"seen": True}) if item.sms and owned.sms_enabled else item.sms
    route = item.route.model_copy(update={"seen": True}) if item.route and _is_routed(owned, request) else item.route
    if (sms, route) == (item.sms, item.route):
        return item
    return item.kept(owned).model_copy(update={"sms": sms, "route": route})


def _is_routed(owned: OwnedNumber, request: SearchAndBuy) -> bool:
    called_back = request.sms_relay_url is None or owned.sms_relay_url == request.sms_relay_url
    return called_back and (not request.destinations or same_route(owned.route, request.destinations))


def _history(before: Mapping[str, PurchaseItem], now: Mapping[str, PurchaseItem], request: SearchAndBuy) -> dict[str, Happened]:
    """Routes that are seen for the first time."""
    if not request.destinations:
        return {}
    fresh = [number for number, item in now.items() if item.route and item.route.seen and item.route != before[number].route]
    return {number: routed_after_purchase(before[number].owned, request.destinations) for number in fresh}


def _wait_for(settings: Sequence[Setting], asked_ms: int, rules: Rules) -> None:
    """Raises Wait until the last of these can be judged."""
    until_ms = max((setting.answered_ms for setting in settings), default=0) + int(rules.settle_s * 1000)
    if settings and asked_ms < until_ms:
        left_s = (until_ms - asked_ms) / 1000
        # What was refused stays as it is; what was accepted may show at any moment.
        raise Wait(WaitReason.SETTLING, min(LOOK_AGAIN_S, left_s) if any(one.refusal is None for one in settings) else left_s)


def _why_not(item: PurchaseItem, rules: Rules, *, superseded: bool) -> JobError | None:
    if item.sms is not None and not item.sms.seen:
        return item.sms.refusal or _not_confirmed("sms", "SMS is off", rules)
    if superseded:
        return SUPERSEDED
    if item.route is not None and not item.route.seen:
        return item.route.refusal or _not_confirmed("routing", "its route or SMS callback isn't the one requested", rules)
    return None


def _not_confirmed(what: str, how_it_is: str, rules: Rules) -> JobError:
    message = f"bought, but {how_it_is}, although the provider accepted it {rules.settle_s:g} s ago: check it, or `didflow reroute`"
    return JobError(code=f"{what}_not_confirmed", message=message, retryable=True)
