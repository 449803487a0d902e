"""What a job's write tells the inventory: pure, from a number's record before and after. Only what was read back counts."""

from collections.abc import Iterable, Mapping

from didflow.contract.inventory import NumberShown, RouteShown
from didflow.contract.states import Outcome
from worker.jobs.purchase.state import ItemStatus, PurchaseItem
from worker.jobs.reroute.route_change import RouteChange


def routes_shown(before: Mapping[str, RouteChange], now: Iterable[RouteChange]) -> dict[str, RouteShown]:
    """Routes that were confirmed with this write."""
    return {
        change.number: RouteShown(change.record_id, change.target, change.sms_relay_url)
        for change in now
        if change.outcome is Outcome.CONFIRMED and (change.number not in before or before[change.number].outcome is not Outcome.CONFIRMED)
    }


def purchases_shown(before: Mapping[str, PurchaseItem], now: Mapping[str, PurchaseItem]) -> dict[str, NumberShown]:
    """Numbers that are ours as this write says, with the record as it was read last."""
    return {
        number: NumberShown(item.owned)
        for number, item in now.items()
        if item.status == ItemStatus.KEPT and item.owned is not None and _is_news(before.get(number), item)
    }


def _is_news(before: PurchaseItem | None, now: PurchaseItem) -> bool:
    return before is None or before.status != ItemStatus.KEPT or before.owned != now.owned
