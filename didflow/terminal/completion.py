"""What a shell is offered for an argument or option: jobs, incidents and plans of the ledger, countries, words.

Completion never shows an error and never keeps the shell waiting: without an answer from Redis within `WITHIN_S` there is nothing to offer.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import iso3166
import redis
import typer

from didflow.contract.catalogue import CatalogueCity
from didflow.contract.errors import DidflowError
from didflow.contract.place_names import country_named
from didflow.contract.provider import Country
from didflow.ledger.address import redis_url
from didflow.ledger.catalogue import kept_look
from didflow.ledger.client import LedgerClient
from didflow.ledger.connection import connect
from didflow.ledger.failover_plans import FailoverPlans
from didflow.ledger.job_summaries import newest
from didflow.settings import load_settings

T = TypeVar("T")

#: How long Redis may take for a connection, and for each answer.
WITHIN_S = 0.15
Completions = list[tuple[str, str]]


def jobs(incomplete: str) -> Completions:
    """Ids of the newest jobs, with what they are."""
    return _of_ledger(lambda ledger: _jobs(ledger, incomplete))


def incidents(incomplete: str) -> Completions:
    """Names of the newest failovers."""
    return [(name, job) for name, job in _of_ledger(_incidents) if name.startswith(incomplete)]


def jobs_and_incidents(incomplete: str) -> Completions:
    """What a failback takes."""
    return [*incidents(incomplete), *_of_ledger(lambda ledger: _jobs(ledger, incomplete, kind="reroute"))]


def plans(incomplete: str) -> Completions:
    """Names of the failover plans, with their counts."""
    found = _of_ledger(lambda ledger: [(plan.name, f"{plan.count} numbers") for plan in FailoverPlans(ledger).all()])
    return [(name, what) for name, what in found if name.startswith(incomplete)]


def countries(incomplete: str, ctx: typer.Context | None = None) -> Completions:
    """ISO codes with the countries' names: those of the catalogue, where workers have looked, else all."""
    seen = _of_ledger(lambda ledger: list(_countries(ledger, ctx)))
    known = [(one.iso_code, one.name) for one in seen if one.iso_code] or [(one.alpha2, one.name) for one in iso3166.countries]
    return [(code, name) for code, name in known if code.startswith(incomplete.upper())]


def cities(ctx: typer.Context, incomplete: str) -> Completions:
    """Cities of the country that stands before, as far as the catalogue has them."""
    begins = incomplete.casefold()
    return [(one.name, one.region) for one in _of_ledger(lambda ledger: _cities(ledger, ctx)) if one.name.casefold().startswith(begins)]


def one_of(*words: str) -> Callable[[str], list[str]]:
    """For an option that takes one of these words."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def _countries(ledger: LedgerClient, ctx: typer.Context | None) -> tuple[Country, ...]:
    look = ledger.perform(kept_look(ledger.keys, _account(ctx), "countries"))
    return look.countries if look else ()


def _cities(ledger: LedgerClient, ctx: typer.Context) -> list[CatalogueCity]:
    country = country_named(_countries(ledger, ctx), str(ctx.params.get("country") or ""))
    look = ledger.perform(kept_look(ledger.keys, _account(ctx), f"cities.{country.id}"))
    return list(look.cities) if look else []


def _account(ctx: typer.Context | None) -> str:
    return str((ctx and ctx.params.get("account")) or "default")


def _jobs(ledger: LedgerClient, prefix: str, kind: str = "") -> Completions:
    found = [brief for brief in ledger.perform(newest(ledger.keys, prefix)) if brief.kind.startswith(kind)]
    return [(one.id, " ".join(part for part in (one.kind, one.state, one.reference) if part)) for one in found]


def _incidents(ledger: LedgerClient) -> Completions:
    return list(dict(_named(ledger)).items())


def _named(ledger: LedgerClient) -> Iterator[tuple[str, str]]:
    for brief in ledger.perform(newest(ledger.keys)):
        prefix, colon, incident = (brief.idempotency_key or "").partition(":")
        if colon and prefix == "failover":
            yield incident, f"job {brief.id} {brief.state}"


def _of_ledger(ask: Callable[[LedgerClient], list[T]]) -> list[T]:
    """Nothing if the ledger can't be asked, for whatever reason: an error message would end up in the command line."""
    try:
        settings = load_settings()
        client = connect(redis_url(settings), timeout_s=WITHIN_S, connect_timeout_s=WITHIN_S, retries=0)
        return ask(LedgerClient(client, settings.namespace))
    except (DidflowError, redis.RedisError, OSError, ValueError):
        return []
