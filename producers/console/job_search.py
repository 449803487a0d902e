"""Finds jobs by what a person has at hand: an id, an idempotency key, a reference, a number, an incident."""

from contextlib import suppress

from didflow.client.job_numbers import number_named
from didflow.contract.errors import IncidentNotFound, InvalidRequest, JobNotFound
from didflow.ledger.commands import RedisCommand
from didflow.ledger.job_pages import JobLine, job_lines, jobs_page
from producers.async_incidents import AsyncIncidents
from producers.console.visit import Visit
from producers.http.jobs import job_id_in

#: Jobs of one reference, or of one number, that are shown.
MOST = 200


async def search(visit: Visit, text: str) -> tuple[JobLine, ...]:
    """The visitor's jobs that have this id, key, reference, number or incident; the newest first."""
    ledger = visit.services.didflow.ledger
    ids = [*_as_id(text), *await _by_key(visit, text)]
    if visit.caller.sees_all:  # Histories and incidents aren't for a limited key, as in the API.
        ids += [*await _of_number(visit, text), *await _of_incident(visit, text)]
    found = await ledger.perform(job_lines(ledger.commands, tuple(dict.fromkeys(ids))[:MOST]))
    page = await ledger.perform(jobs_page(ledger.commands, wanted=lambda _: True, reference=text, limit=MOST))
    lines = {line.id: line for line in (*found, *page.jobs) if visit.caller.sees(line.account, line.reference)}
    return tuple(sorted(lines.values(), key=lambda line: line.created_at, reverse=True))


def _as_id(text: str) -> tuple[str, ...]:
    with suppress(JobNotFound):
        return (job_id_in(text),)
    return ()


async def _by_key(visit: Visit, text: str) -> tuple[str, ...]:
    ledger = visit.services.didflow.ledger
    job_id = await ledger.send(RedisCommand("hget", (ledger.keys.idempotency, text)))
    return (job_id,) if job_id else ()


async def _of_number(visit: Visit, text: str) -> tuple[str, ...]:
    """The jobs in the number's history."""
    try:
        number = number_named(text)
    except InvalidRequest:
        return ()
    history = await visit.services.didflow.history(number)
    return tuple(dict.fromkeys(entry.job for entry in reversed(history.entries) if entry.job))


async def _of_incident(visit: Visit, text: str) -> tuple[str, ...]:
    try:
        incident = await AsyncIncidents(visit.services.didflow).get(text)
    except (IncidentNotFound, InvalidRequest):
        return ()
    return tuple(job.id for job in incident.jobs)
