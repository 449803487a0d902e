"""The commands that come next for a job, ready to be pasted."""

import shlex
from collections.abc import Iterator

from didflow.contract.document_file import described
from didflow.contract.follow_ups import DOCUMENTS
from didflow.contract.job_kinds import buys
from didflow.contract.jobs import JobView
from didflow.contract.requests import Release, Reroute
from didflow.contract.states import Outcome

#: Of a number whose calls a reroute sent elsewhere.
_MOVED = frozenset({Outcome.CONFIRMED, Outcome.ACCEPTED})


def next_commands(view: JobView) -> tuple[tuple[str, str], ...]:
    """What each is for, and the command."""
    return (*_expecting(view), *_bringing_back(view), *_documents(view))


def bring_back(view: JobView) -> str:
    """The failback of a reroute, by its incident where it has one."""
    prefix, colon, incident = (view.idempotency_key or "").partition(":")
    named = incident if colon and prefix == "failover" else view.id
    return f"didflow failback {shlex.quote(named)}{_of_account(view)}"


def _expecting(view: JobView) -> Iterator[tuple[str, str]]:
    request, result = view.request, view.result
    if isinstance(request, Reroute | Release) and request.selector is not None and request.dry_run and result and result.quote:
        yield "to act on this count of numbers only, add", f"--expected-count {result.totals.requested}"


def _bringing_back(view: JobView) -> Iterator[tuple[str, str]]:
    if not isinstance(view.request, Reroute) or view.request.dry_run or view.result is None:
        return
    if view.request.after is not None:  # A sweep comes back with its incident.
        return
    outcomes = {number.outcome for number in view.result.numbers}
    outcomes |= {Outcome(name) for name in view.result.summary.outcomes if name in set(Outcome)} if view.result.summary else set()
    if outcomes & _MOVED:
        yield "bring them back with", bring_back(view)


def _documents(view: JobView) -> Iterator[tuple[str, str]]:
    inactive = [number for number in (view.result.numbers if view.result else ()) if number.outcome is Outcome.BOUGHT_INACTIVE]
    kinds = {kind: number.document_titles for number in inactive for kind in number.documents_needed}
    for kind, titles in sorted(kinds.items()):
        command = f"didflow documents upload --type {shlex.quote(kind)} --file FILE --job {view.id}{_of_account(view)}"
        yield f"upload {described([kind], titles)} with", command
    if inactive and buys(view.kind):
        yield "what is still missing is followed by", f"didflow status {view.id}-{DOCUMENTS}"


def _of_account(view: JobView) -> str:
    return "" if view.account == "default" else f" --account {shlex.quote(view.account)}"
