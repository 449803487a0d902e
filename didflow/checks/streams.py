"""The doctor's checks of the streams: their groups, consumers and lag."""

from collections.abc import Iterator

from didflow.checks.check import Check, Verdict
from didflow.contract.time_values import about
from didflow.ledger.client import LedgerClient
from didflow.ledger.group_progress import ACTING_GROUP, Group, StreamGroups, all_groups
from didflow.ledger.webhooks.queues import GROUP as DELIVERING_GROUP

CONSUME = "start `didflow requests consume`"
DELIVER = "start `didflow webhooks run`; if webhooks aren't used any more, `didflow webhooks delete` each"


def check_streams(ledger: LedgerClient) -> Iterator[Check]:
    """One check for each group, and one for a stream without groups."""
    for stream in ledger.perform(all_groups(ledger.keys)):
        yield from _stream(stream)


def _stream(stream: StreamGroups) -> Iterator[Check]:
    if stream.stream == "requests" and stream.entries and ACTING_GROUP not in [group.name for group in stream.groups]:
        unacted = f"{stream.entries} business events, and no consumer reads them: {CONSUME}"
        yield Check(f"group {stream.stream}/{ACTING_GROUP}", "fail", unacted)
    elif not stream.groups:
        yield Check(f"stream {stream.stream}", "ok", f"{stream.entries} entries, no consumer group")
    for group in stream.groups:
        yield _group(group)


def _group(group: Group) -> Check:
    held = f" (the oldest for {about(group.held_s)})" if group.held_s is not None else ""
    facts = f"{group.unread} not read, {group.pending} delivered and not acknowledged{held}; {_seen(group)}"
    verdict: Verdict = "ok"
    if group.waits and not group.lives:
        acts = group.stream == "requests" and group.name == ACTING_GROUP
        verdict = "fail" if acts else "warn"
        facts += f": no consumer: {_remedy(group, acts=acts)}"
    if group.lost:
        verdict = "fail" if verdict == "fail" else "warn"
        facts += f"; {group.lost} entries were trimmed before it read them"
    return Check(f"group {group.stream}/{group.name}", verdict, facts)


def _remedy(group: Group, *, acts: bool) -> str:
    if acts:
        return CONSUME
    if group.name == DELIVERING_GROUP and group.stream in ("results", "events"):
        return DELIVER
    return f"start its consumer; if the group is unused, {_delete(group)}"


def _delete(group: Group) -> str:
    stream = "" if group.stream == "results" else f" --stream {group.stream}"
    return f"`didflow results delete-group {group.name}{stream}`"


def _seen(group: Group) -> str:
    return "no consumer was ever seen" if group.seen_s is None else f"a consumer was seen {about(group.seen_s)} ago"
