"""Webhooks: endpoints, what became of their deliveries, and their secrets, each shown once."""

import hashlib
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from didflow.client.webhook_endpoints import changed, made, rotated
from didflow.contract.api_keys import ApiScope
from didflow.contract.webhooks import OVERLAP, Endpoint, EndpointChange, EndpointState, NewEndpoint
from didflow.ledger.webhooks import delivery_log, endpoints
from producers.console.moments import past_moment
from producers.console.screen import Screen
from producers.console.visit import Posted, Visit, Visiting
from producers.http.cursors import cursor_of, parts_of
from producers.http.problems import Refused

router = APIRouter()
SCREEN = Screen("/webhooks", "Webhooks", "hook", router, scopes=(ApiScope.ADMIN,))
PER_PAGE = 50
LONGEST_OVERLAP = timedelta(days=365)


@router.get("/webhooks")
async def show(visit: Visiting) -> Response:
    """Each endpoint: what it gets, whether it works, what waits."""
    _need(visit)
    ledger = visit.services.didflow.ledger
    return visit.page("webhooks.html", endpoints=await ledger.perform(endpoints.every(ledger.commands)))


@router.post("/webhooks")
async def create(visit: Visiting, form: Posted) -> Response:
    """The answer is the page with the secret: it has no address, so nothing can show it again."""
    _need(visit)
    fields = {name: form[name] for name in ("name", "url", "account", "reference_prefix") if form[name]}
    new = NewEndpoint.model_validate({**fields, "types": tuple(form["types"].split())})
    ledger = visit.didflow.ledger
    found, secret = await ledger.perform(made(ledger.commands, new, visit.services.webhook_networks))
    return visit.page("webhook_secret.html", endpoint=found, secret=secret, is_new=True)


@router.get("/webhooks/{name}")
async def show_one(visit: Visiting, name: str, cursor: Annotated[str, Query(max_length=200)] = "") -> Response:
    """An endpoint and its deliveries, the newest first."""
    _need(visit)
    before = "{}-{}".format(*parts_of(cursor, int, int)) if cursor else None
    ledger = visit.services.didflow.ledger
    found = await ledger.perform(endpoints.view(ledger.commands, name))
    attempts = await ledger.perform(delivery_log.attempts(ledger.commands, name, PER_PAGE, before))
    rest = cursor_of(*map(int, attempts[-1].place.split("-"))) if len(attempts) == PER_PAGE else None
    return visit.page("webhook.html", endpoint=found, attempts=attempts, rest=rest, is_first=not cursor, seen=_seen(found))


@router.post("/webhooks/{name}/change")
async def change(visit: Visiting, name: str, form: Posted) -> Response:
    """Its URL and its filters. A form that was opened before somebody else's change is refused."""
    _need(visit)
    ledger = visit.didflow.ledger
    before = await ledger.perform(endpoints.view(ledger.commands, name))
    if form["seen"] != _seen(before):
        raise Refused(409, "webhook_changed", "the endpoint was changed meanwhile: compare what it is now with what you typed")
    account, prefix = form["account"] or None, form["reference_prefix"] or None
    typed = {"url": form["url"], "types": tuple(form["types"].split()), "account": account, "reference_prefix": prefix}
    differs = {field: value for field, value in typed.items() if value != getattr(before, field)}
    await ledger.perform(changed(ledger.commands, name, EndpointChange.model_validate(differs), visit.services.webhook_networks))
    return visit.goes_to(f"/webhooks/{name}", done="webhook_changed" if differs else "nothing_changed")


@router.post("/webhooks/{name}/switch")
async def switch(visit: Visiting, name: str, form: Posted) -> Response:
    _need(visit)
    state = EndpointState.ENABLED if form["state"] == "enabled" else EndpointState.DISABLED
    ledger = visit.didflow.ledger
    await ledger.perform(endpoints.switch(ledger.commands, name, state))
    return visit.goes_to(f"/webhooks/{name}", done="webhook_enabled" if state is EndpointState.ENABLED else "webhook_disabled")


@router.post("/webhooks/{name}/test")
async def send_test(visit: Visiting, name: str) -> Response:
    _need(visit)
    ledger = visit.didflow.ledger
    await ledger.perform(delivery_log.test(ledger.commands, name))
    return visit.goes_to(f"/webhooks/{name}", done="webhook_tested")


@router.post("/webhooks/{name}/redeliver")
async def redeliver(visit: Visiting, name: str, form: Posted) -> Response:
    """An event by its id, or everything since a time."""
    _need(visit)
    if bool(form["event"]) == bool(form["since"]):
        raise Refused(422, "invalid_request", "give an event's id, or the time since when")
    ledger = visit.didflow.ledger
    if (since := past_moment(form["since"], "since")) is not None:
        await ledger.perform(delivery_log.redeliver_since(ledger.commands, name, since))
    else:
        await ledger.perform(delivery_log.redeliver(ledger.commands, name, form["event"]))
    return visit.goes_to(f"/webhooks/{name}", done="webhook_redelivered")


@router.post("/webhooks/{name}/rotate")
async def rotate(visit: Visiting, name: str, form: Posted) -> Response:
    """Another secret, shown once. Until the overlap ends, deliveries carry both signatures. A form that was sent before is refused."""
    _need(visit)
    visit.need_reason()
    hours = form["overlap_hours"] or str(int(OVERLAP.total_seconds() // 3600))
    if not hours.isdecimal() or len(hours) > 6 or timedelta(hours=int(hours)) > LONGEST_OVERLAP:
        raise Refused(422, "invalid_request", "overlap: is a whole number of hours, a year at most")
    ledger = visit.didflow.ledger
    signing = (await ledger.perform(endpoints.view(ledger.commands, name))).secrets
    if form["signing"] not in ("", str(signing)):
        raise Refused(409, "secret_changed", "the secret was rotated meanwhile: open the page again, and rotate it if needed")
    found, secret = await ledger.perform(rotated(ledger.commands, name, timedelta(hours=int(hours))))
    return visit.page("webhook_secret.html", endpoint=found, secret=secret, is_new=False)


@router.post("/webhooks/{name}/delete")
async def delete(visit: Visiting, name: str) -> Response:
    _need(visit)
    visit.need_reason()
    ledger = visit.didflow.ledger
    await ledger.perform(endpoints.delete(ledger.commands, name))
    return visit.goes_to("/webhooks", done="webhook_deleted")


def _seen(endpoint: Endpoint) -> str:
    """What the form to change it rests on."""
    return hashlib.sha256(endpoint.model_dump_json(include={"url", "types", "account", "reference_prefix"}).encode()).hexdigest()


def _need(visit: Visit) -> None:
    visit.caller.need(ApiScope.ADMIN)
    visit.caller.need_all_seen()
