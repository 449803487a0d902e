"""A request of the console: who asks, what it may do, and the page that it gets."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from didflow.client.aio.client import AsyncDidflow
from didflow.contract.api_keys import ApiScope
from didflow.contract.errors import ServiceUnavailable
from didflow.contract.freezes import Freeze
from didflow.ledger import console_sessions
from didflow.ledger.api_keys import count_request
from didflow.ledger.console_sessions import USED_EVERY_MS, Session
from producers.console.cookies import Theme, give_token, new_token, theme_in, token_in
from producers.console.forms import CSRF_FIELD, REASON_FIELD, Form, form_of
from producers.console.notices import notice
from producers.console.origin import check_csrf, check_origin, csrf_of
from producers.console.refused_form import RefusedForm, with_refused
from producers.console.rendering import render
from producers.http.access import Caller, check_rate
from producers.http.problems import Refused
from producers.http.services import REASON, Services, Serving

#: Where the console is.
ROOT = "/console"
SAFE_METHODS = frozenset({"GET", "HEAD"})
LOGIN_NEEDED = "login_needed"


@dataclass(frozen=True)
class Visit:
    """`token`: of the browser's cookie; `is_new`: the browser has no such cookie yet. `session` None: the server needs no login.

    `freezes`: those in force, which every page shows; () for a change.
    """

    request: Request
    services: Services
    caller: Caller
    session: Session | None
    token: str
    is_new: bool
    freezes: tuple[Freeze, ...] = ()

    @property
    def didflow(self) -> AsyncDidflow:
        """A client whose changes are the visitor's."""
        return self.services.acting_for(self.caller)

    @property
    def csrf(self) -> str:
        return csrf_of(self.token)

    @property
    def theme(self) -> Theme:
        return theme_in(self.request)

    @property
    def freezable(self) -> str | None:
        """The account that the visitor may freeze; None: all of them."""
        return None if self.caller.key is None else self.caller.key.account

    @property
    def is_frozen(self) -> bool:
        """Whether a freeze holds for all that the visitor may freeze."""
        return any(one.account in (None, self.freezable) for one in self.freezes)

    @property
    def here(self) -> str:
        """The page's address, without the notice of a change."""
        given = [(name, value) for name, value in self.request.query_params.multi_items() if name != "done"]
        return self.request.url.path + (f"?{urlencode(given)}" if given else "")

    @property
    def refused(self) -> RefusedForm | None:
        """The form of this page that was sent and refused."""
        return getattr(self.request.state, "refused", None)

    @property
    def is_part(self) -> bool:
        """Whether the page refetches a part of itself."""
        return "hx-request" in self.request.headers

    def may(self, *scopes: ApiScope | str) -> bool:
        """Whether it has one of these scopes."""
        return any(self.caller.allows(ApiScope(scope)) for scope in scopes)

    def need_reason(self) -> None:
        """What can't be undone needs a reason, which the audit keeps. Raises Refused (422)."""
        if REASON.get() is None:
            raise Refused(422, "reason_missing", "this can't be undone, so the audit keeps why it was done: give a reason")

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """A page of this template. When a part of it is refetched the same template answers, and the browser takes what it needs."""
        refused = self.refused
        done = "" if refused else self.request.query_params.get("done", "")
        text = render(template, visit=self, notice=notice(done), **context)
        text = with_refused(text, refused) if refused else text
        response = HTMLResponse(text, status)
        if self.is_new:
            give_token(response, self.request, self.token)
        return response

    def url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """The URL of a page, with what the query has."""
        return console_url(path, query)

    def goes_to(self, path: str, **query: str) -> Response:
        """To another page of the console, after a change. `done`: the notice to show there, see `notices`."""
        return RedirectResponse(console_url(path, query), 303)


def console_url(path: str, query: Mapping[str, Any] | None = None) -> str:
    """A URL of the console. `path` has no special characters but those that `quote` makes safe; empty values are left out."""
    given = {name: value for name, value in (query or {}).items() if value not in (None, "", [], ())}
    return ROOT + quote(path, safe="/:@+,") + (f"?{urlencode(given, doseq=True)}" if given else "")


def is_ours(address: str) -> bool:
    """Whether it is the address of a page of the console, and of no other server."""
    is_plain = address.isprintable() and address.isascii() and "\\" not in address and "//" not in address
    return address.startswith(f"{ROOT}/") and is_plain


async def _visit(services: Serving, request: Request) -> Visit:
    """Raises Refused: 401 without a session where one is needed, 403 for a change that isn't from a page of this server."""
    if request.method not in SAFE_METHODS:
        check_origin(request)
    visit = await visitor(services, request)
    request.state.caller = visit.caller
    if request.method not in SAFE_METHODS:
        form = await form_of(request)
        check_csrf(visit.token, form[CSRF_FIELD])
        REASON.set(form[REASON_FIELD] or None)  # For the audit, with everything that this request changes.
        return visit
    return replace(visit, freezes=tuple(one for one in await services.didflow.freezes() if _sees(visit.caller, one)))


def _sees(caller: Caller, freeze: Freeze) -> bool:
    return freeze.account is None or caller.sees_all or caller.sees(freeze.account, "")


async def visitor(services: Services, request: Request) -> Visit:
    """Raises Refused (401, 403)."""
    token = token_in(request)
    if token is not None and (session := await session_of(services, request, token)) is not None:
        await _count(services, session)
        await _note_use(services, token, session)
        return Visit(request, services, Caller(session.name, session.key), session, token, is_new=False)
    return Visit(request, services, await without_session(services, request), None, token or new_token(), is_new=token is None)


async def session_of(services: Services, request: Request, token: str) -> Session | None:
    """The session, if it still holds: one by a proxy's header needs that header, of the same person, with every request."""
    ledger = services.didflow.ledger
    session = await ledger.perform(console_sessions.find(ledger.commands, token))
    if session is None or session.via == "key":
        return session
    login = services.proxy_login
    return session if login is not None and login.person(request) == session.name else None


async def without_session(services: Services, request: Request) -> Caller:
    """The person on this machine, as long as no key was made. Raises Refused (401, 403)."""
    if "authorization" not in request.headers:
        try:
            return await services.access.caller(request)
        except Refused as refused:
            if refused.status_code != 401:
                raise
    raise Refused(401, LOGIN_NEEDED, "log in first")


async def _count(services: Services, session: Session) -> None:
    """A request of the session is one of its key. Raises Refused (429)."""
    ledger = services.didflow.ledger
    with suppress(ServiceUnavailable):  # As for requests of the API: one that takes no writes can still be read.
        check_rate(session.key, await ledger.perform(count_request(ledger.commands, session.key)))


async def _note_use(services: Services, token: str, session: Session) -> None:
    if time.time() * 1000 - session.used_ms < USED_EVERY_MS:
        return
    ledger = services.didflow.ledger
    with suppress(ServiceUnavailable):  # A ledger that is full can still be read.
        await ledger.perform(console_sessions.note_use(ledger.commands, token, session))


Visiting = Annotated[Visit, Depends(_visit)]
#: The form of a change. That it comes from a page of this server was checked.
Posted = Annotated[Form, Depends(form_of)]
