"""What a sweep makes of a number that the provider shows: pure. What a job confirmed after the sweep began, or shortly before, stays."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from didflow.contract.destinations import Route, same_route
from didflow.contract.provider import OwnedNumber
from didflow.ledger.inventory_rows import Row

#: Past months whose seconds are kept.
MONTHS_KEPT = 12
#: A month's last seconds count as all of them if the sweep before was at most this long before its end.
END_OF_MONTH_MS = 2 * 3600 * 1000

#: Fields of a number that a group of its parts holds.
_FIELDS = {
    "r": ("route", "sms_relay_url"),
    "s": ("sms_enabled",),
    "d": ("status", "required_documents", "documents", "document_titles"),
}


@dataclass(frozen=True)
class SweepTimes:
    """On the ledger's clock, ms. `settle_ms`: how long the provider's lists may lag; `before_ms`: when the last complete sweep began."""

    began_ms: int
    settle_ms: int
    before_ms: int | None


@dataclass(frozen=True)
class FieldChange:
    """A field that isn't as it was."""

    field: str
    before: object
    after: object


def merged(old: Row | None, shown: OwnedNumber, times: SweepTimes) -> Row:
    """The number as it is to be kept."""
    if old is None or old.owned.record_id != shown.record_id:
        return Row(shown, times.began_ms, _unused_since(None, shown, times), _month(times.began_ms))
    confirmed = {group: at_ms for group, at_ms in (old.confirmed or {}).items() if at_ms + times.settle_ms >= times.began_ms}
    kept = {name: getattr(old.owned, name) for group in confirmed for name in _FIELDS.get(group, ())}
    month = _month(times.began_ms)
    months = dict(old.months or {})
    if old.month and old.month != month and not old.owned.seconds_unread and old.first_seen_ms:
        months[old.month] = old.owned.seconds
    return replace(
        old,
        owned=shown.model_copy(update=kept),
        first_seen_ms=old.first_seen_ms or times.began_ms,
        unused_since_ms=_unused_since(old, shown, times),
        month=month,
        months=dict(sorted(months.items())[-MONTHS_KEPT:]),
        confirmed=confirmed,
    )


def _unused_since(old: Row | None, shown: OwnedNumber, times: SweepTimes) -> int:
    """Since when no call came, as far as the monthly seconds show; 0: not known."""
    if shown.seconds_unread:
        return 0
    month_ms = _month_begins(times.began_ms)
    ours_ms = int(shown.added.timestamp() * 1000) if shown.added else 0
    no_call_this_month = max(month_ms, ours_ms)
    if old is None or not old.first_seen_ms or old.owned.seconds_unread or not old.unused_since_ms:
        return times.began_ms if shown.seconds else no_call_this_month
    if old.month == _month(times.began_ms):
        return old.unused_since_ms if shown.seconds == old.owned.seconds else times.began_ms
    if shown.seconds:
        return times.began_ms
    watched = times.before_ms is not None and times.before_ms >= month_ms - END_OF_MONTH_MS
    return old.unused_since_ms if watched else no_call_this_month


def changes(old: OwnedNumber, new: OwnedNumber) -> list[FieldChange]:
    """What another party changed: not what changes by itself, such as the seconds and `paid_until`."""
    found = [] if same_route(old.route, new.route) else [FieldChange("route", _texts(old.route), _texts(new.route))]
    for name in ("label", "sms_enabled", "sms_relay_url", "status", "channels"):
        if getattr(old, name) != getattr(new, name):
            found.append(FieldChange(name, getattr(old, name), getattr(new, name)))
    if old.monthly_usd != new.monthly_usd:
        found.append(FieldChange("monthly_usd", str(old.monthly_usd), str(new.monthly_usd)))
    return found


def is_newer(one: OwnedNumber, other: OwnedNumber) -> bool:
    """Whether `one` is the later purchase of the number: a list may show both."""
    return (_added(one), one.record_id) > (_added(other), other.record_id)


def renewal_due(row: Row, now_ms: int, due_ms: int) -> int | None:
    """The `paid_until`, in s, that is near and of which no event was emitted; None: there is none."""
    paid_until = row.owned.paid_until
    if paid_until is None or not due_ms:
        return None
    ends_s = int(paid_until.timestamp())
    near = now_ms < ends_s * 1000 <= now_ms + due_ms
    return ends_s if near and row.renewal_reported != ends_s else None


def _texts(route: Route) -> list[str]:
    return [str(one) for one in route]


def _added(owned: OwnedNumber) -> float:
    return owned.added.timestamp() if owned.added else 0.0


def _month(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m}"


def _month_begins(at_ms: int) -> int:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return int(moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)
