"""Keys of the API, and the sessions of the console. The secret of a key is in one answer, which no address shows again."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from didflow.contract.api_keys import ApiKey, ApiScope, KeptKey, new_key_id
from didflow.contract.errors import ApiKeyNotFound, Fault, InvalidRequest
from didflow.ledger import api_keys, console_sessions
from didflow.terminal import options as given
from producers.console.forms import Form
from producers.console.screen import Screen
from producers.console.visit import Posted, Visit, Visiting
from producers.http.access import made_key
from producers.http.problems import Refused
from producers.key_spans import OVERLAP, expiry, overlap

router = APIRouter()
SCREEN = Screen("/keys", "Keys and sessions", "key", router, scopes=(ApiScope.ADMIN,))
#: What each scope allows, for the form.
SCOPE_WORDS = (
    (ApiScope.READ, "look at jobs, numbers, events and spending; changes nothing"),
    (ApiScope.BUY, "quotes, purchases, documents"),
    (ApiScope.REROUTE, "reroutes, failovers and their plans"),
    (ApiScope.RELEASE, "releases and churn"),
    (ApiScope.OPERATE, "freeze, cancel and retry, dead letters, findings of a gate"),
    (ApiScope.RESOLVE, "end a parked job with a finding"),
    (ApiScope.ADMIN, "all of these, keys, webhooks and the audit"),
)


@router.get("/keys")
async def show(visit: Visiting) -> Response:
    _need(visit)
    ledger = visit.services.didflow.ledger
    keys = await ledger.perform(api_keys.kept(ledger.commands))
    names = {one.key.id: one.key.name for one in keys}
    return visit.page(
        "keys.html",
        keys=[(one, _seen(one)) for one in keys],
        sessions=await visit.services.didflow.console.sessions(),
        names=names,
        scopes=SCOPE_WORDS,
        overlap=OVERLAP,
    )


@router.post("/keys/create")
async def create(visit: Visiting, form: Posted) -> Response:
    """The answer is the page with the secret. Sent again it is refused, because the name is taken."""
    _need(visit)
    visit.need_reason()
    key, valid_for = given.together(lambda: _key(form), lambda: expiry(form["expires"] or None))
    secret = await made_key(visit.didflow.ledger, visit.caller, key, valid_for)
    return visit.page("key_secret.html", key=key, secret=secret, is_new=True)


@router.post("/keys/rotate")
async def rotate(visit: Visiting, form: Posted) -> Response:
    """Another secret, shown once. A form that was sent before is refused: the reader may have kept the secret that it gave."""
    _need(visit)
    visit.need_reason()
    overlaps, valid_for = given.together(lambda: overlap(form["overlap"] or OVERLAP), lambda: expiry(form["expires"] or None))
    found = await _kept(visit, form["key"])
    if form["seen"] != _seen(found):
        raise Refused(409, "key_changed", f"the key {found.key.name!r} was rotated meanwhile: open the page again, and rotate it if needed")
    ledger = visit.didflow.ledger
    key, secret = await ledger.perform(api_keys.rotate(ledger.commands, found.key.id, overlap=overlaps, valid_for=valid_for))
    return visit.page("key_secret.html", key=key, secret=secret, is_new=False)


@router.post("/keys/revoke")
async def revoke(visit: Visiting, form: Posted) -> Response:
    """The key is valid no more, and its sessions end."""
    _need(visit)
    visit.need_reason()
    found = await _kept(visit, form["key"])
    ledger = visit.didflow.ledger
    await ledger.perform(api_keys.revoke(ledger.commands, found.key.id))
    return visit.goes_to("/keys", done="key_revoked")


@router.post("/keys/sessions/end")
async def end_session(visit: Visiting, form: Posted) -> Response:
    """End one session, or all sessions of a key."""
    _need(visit)
    ledger = visit.didflow.ledger
    if form.has("session"):
        await ledger.perform(console_sessions.end_named(ledger.commands, form["session"]))
    else:
        await ledger.perform(console_sessions.end_of_key(ledger.commands, form["key"]))
    return visit.goes_to("/keys", done="session_ended")


def _need(visit: Visit) -> None:
    visit.caller.need(ApiScope.ADMIN)
    visit.caller.need_all_seen()


def _key(form: Form) -> ApiKey:
    """Raises InvalidRequest with every fault."""
    limits: dict[str, Any] = {name: form[name] for name in ("account", "reference_prefix") if form[name]}
    limits |= {"rate_per_s": _number(form["rate_per_s"])} if form["rate_per_s"] else {}
    scopes = frozenset(form.all("scope"))
    try:
        return ApiKey.model_validate({"id": new_key_id(), "name": form["name"], "scopes": scopes, **limits})
    except InvalidRequest as error:
        if scopes:
            raise
        faults = tuple(Fault("scope", "choose a scope") if one.path == "scopes" else one for one in error.faults)
        raise InvalidRequest(str(error), faults) from None


def _number(text: str) -> float | str:
    """A text that is none is left for the model to name."""
    try:
        return float(text)
    except ValueError:
        return text


async def _kept(visit: Visit, key_id: str) -> KeptKey:
    """Raises ApiKeyNotFound."""
    ledger = visit.services.didflow.ledger
    found = next((one for one in await ledger.perform(api_keys.kept(ledger.commands)) if one.key.id == key_id), None)
    if found is None:
        raise ApiKeyNotFound(key_id)
    return found


def _seen(kept: KeptKey) -> str:
    """When its newest secret was made: differs once it was rotated."""
    return kept.created_at.isoformat() if kept.created_at else ""
