"""A person's finding ends a parked job; where its open numbers cost much, only when a second person has found the same."""

import time
from collections.abc import Collection
from decimal import Decimal

from didflow.client.review import Finding, at_stake_usd, check_resolved, finding, resolving
from didflow.contract.errors import SecondPersonNeeded
from didflow.contract.jobs import JobView
from didflow.ledger.awaited_findings import AwaitedFinding, await_second, awaited_finding
from didflow.ledger.commands import Command, Commands


def needs_second(view: JobView, above_usd: Decimal | None) -> bool:
    """Whether two people decide on the job: its open numbers cost more than `above_usd`. Raises WrongJob as `open_numbers` does."""
    return above_usd is not None and at_stake_usd(view) > above_usd


def settled(commands: Commands, view: JobView, took_effect: Collection[str], actor: str, above_usd: Decimal | None) -> Command[None]:
    """End the job with the finding, or keep the finding for a day. `above_usd`: see `needs_second`.

    Raises SecondPersonNeeded if it was kept; WrongJob, InvalidRequest.
    """
    found = finding(view, took_effect, actor)
    if needs_second(view, above_usd):
        first = yield from awaited_finding(commands.keys, view.id)
        named = tuple(sorted(took_effect))
        if first is None or first.token != view.token or first.actor == actor or first.took_effect != named:
            yield from _keep(commands, found, named)
            raise SecondPersonNeeded(view.id, at_stake_usd(view))
    check_resolved(view.id, (yield from commands.run(resolving(found))))


def _keep(commands: Commands, found: Finding, named: tuple[str, ...]) -> Command[None]:
    at_ms = int(time.time() * 1000)
    kept = AwaitedFinding(actor=found.actor, token=found.token, took_effect=named, reason=commands.reason or "", at_ms=at_ms)
    check_resolved(found.job_id, (yield from await_second(commands, found.job_id, kept, found.detail)))
