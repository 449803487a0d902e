"""Log in, log out, and how the console looks."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from didflow.contract.api_keys import SECRET, ApiKey
from didflow.ledger import api_keys, console_sessions
from didflow.ledger.api_keys import Known, NoKey
from producers.console.cookies import Theme, give_theme, give_token, take_token, theme_in, token_in
from producers.console.forms import Form, login_form_of
from producers.console.notices import notice
from producers.console.origin import check_origin
from producers.console.rendering import render
from producers.console.visit import ROOT, Posted, Visiting, is_ours, session_of, without_session
from producers.http.problems import Refused
from producers.http.services import Services, Serving

router = APIRouter()
_WHY = {
    NoKey.EXPIRED: "This key has expired or was rotated. Use the new one: didflow keys rotate makes it.",
    NoKey.UNKNOWN: "This key isn't known, or was revoked. didflow keys list shows the valid ones.",
}
_NO_KEY = "Paste a key that didflow keys create has made. It begins with dfk_."


async def _from_here(request: Request) -> Form:
    """A form before there is a session. Raises Refused (403)."""
    check_origin(request)
    return await login_form_of(request)


@router.get("/login")
async def ask(services: Serving, request: Request, next: str = "", done: str = "") -> Response:  # noqa: A002 - as the query has it
    """The form; straight on for a browser that is logged in, on a server that needs no login, or behind a proxy that has done it."""
    onward = RedirectResponse(_safe(next), 303)
    token = token_in(request)
    if token is not None and await session_of(services, request, token) is not None:
        return onward
    login = services.proxy_login
    if login is not None and (person := login.person(request)) is not None:
        if (key := await _key_for(services, person, login.key)) is None:
            raise Refused(403, "no_key_for_person", f"no key allows {person!r} anything here: make one of that name, `didflow keys create`")
        ledger = services.didflow.ledger
        give_token(onward, request, await ledger.perform(console_sessions.create(ledger.commands, key, name=person)))
        return onward
    try:
        await without_session(services, request)
    except Refused as refused:
        if refused.status_code != 401:
            raise
        return _form(request, next, said=notice(done))
    return onward


@router.post("/login")
async def log_in(services: Serving, request: Request, form: Annotated[Form, Depends(_from_here)]) -> Response:
    """By a key's secret, which stands in no URL, no log and no page."""
    secret, onward = form["key"], form["next"]
    ledger = services.didflow.ledger
    if not SECRET.fullmatch(secret):
        return _form(request, onward, fault=_NO_KEY)
    found = await ledger.perform(api_keys.find(ledger.commands, secret))
    if not isinstance(found, Known):
        return _form(request, onward, fault=_WHY.get(found, _NO_KEY))
    if (before := token_in(request)) is not None:
        await ledger.perform(console_sessions.end(ledger.commands, before))
    answer = RedirectResponse(_safe(onward), 303)
    give_token(answer, request, await ledger.perform(console_sessions.create(ledger.commands, found.key, secret=secret)))
    return answer


@router.post("/logout")
async def log_out(visit: Visiting) -> Response:
    ledger = visit.services.didflow.ledger
    await ledger.perform(console_sessions.end(ledger.commands, visit.token))
    answer = RedirectResponse(f"{ROOT}/login?done=logged_out", 303)
    take_token(answer, visit.request)
    return answer


@router.post("/appearance")
async def choose_appearance(visit: Visiting, form: Posted) -> Response:
    """Light, dark, or as the browser wishes."""
    answer = RedirectResponse(_safe(form["next"]), 303)
    give_theme(answer, visit.request, cast("Theme", form["theme"] if form["theme"] in ("light", "dark") else "auto"))
    return answer


async def _key_for(services: Services, person: str, otherwise: str | None) -> ApiKey | None:
    """The key of the person's own name, or the one that is for all others."""
    ledger = services.didflow.ledger
    by_name = {one.key.name: one.key for one in await ledger.perform(api_keys.kept(ledger.commands))}
    return by_name.get(person) or by_name.get(otherwise or "")


def _form(request: Request, onward: str, *, fault: str | None = None, said: str | None = None) -> Response:
    page = render("login.html", next=onward, fault=fault, notice=said, theme=theme_in(request))
    return HTMLResponse(page, 200 if fault is None else 401)


def _safe(onward: str) -> str:
    """Only to a page of the console: a link mustn't lead elsewhere through a login."""
    return onward if is_ours(onward) else f"{ROOT}/"
