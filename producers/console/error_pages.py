"""Errors as pages: what is wrong, its code, and what to do next. A refused form comes back on its page, with what was typed."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Message, Scope

from didflow.contract.errors import DidflowError, InvalidRequest
from producers.console.cookies import theme_in
from producers.console.forms import CSRF_FIELD, Form, login_form_of
from producers.console.origin import check_origin
from producers.console.refused_form import PAGE_FIELD, SEEN_FIELDS, RefusedForm
from producers.console.rendering import render
from producers.console.visit import LOGIN_NEEDED, ROOT, is_ours
from producers.http.problems import AWAY_S, REQUEST_ID, TITLES, Refused, status_of

#: A navigation from another site brings no cookie that is `SameSite=Strict`; one from a page of ours does.
_FROM_ELSEWHERE = ("cross-site", "same-site")
#: Pages whose filters are a form.
_FILTERED = tuple(f"{ROOT}{path}" for path in ("/audit", "/numbers/routes", "/jobs"))
#: The same may work later: the key's rate, Redis is away. Both are found before the form is read.
_LATER = (429, 503)


@dataclass(frozen=True)
class Shown:
    """An error for a person. `faults`: where, what."""

    status: int
    code: str
    detail: str
    faults: tuple[tuple[str, str], ...] = ()
    request_id: str | None = None

    @property
    def title(self) -> str:
        return TITLES.get(self.status, "Something went wrong")


async def on_error(request: Request, error: Exception) -> Response:
    """The page of an error; to the login where that is what is missing."""
    found = shown(error)
    if found.code == LOGIN_NEEDED:
        return _to_login(request)
    headers = {"Retry-After": str(AWAY_S)} if found.status == 503 else {"Connection": "close"} if found.status == 408 else {}
    if found.status == 429 and isinstance(error, Refused):
        headers = dict(error.headers or {})
    if found.status in _LATER:
        await _read_form(request)
    return await _page_of_form(request, found) or _page(request, found, headers)


async def on_fault(request: Request, _: Exception) -> Response:
    """The page of a fault of ours; the log has it."""
    request.state.is_fault_shown = True
    found = Shown(500, "internal_error", "didflow failed on this page: report it with its request id", (), REQUEST_ID.get())
    return _page(request, found)


def _page(request: Request, found: Shown, headers: dict[str, str] | None = None) -> Response:
    """The error alone, with what was typed."""
    form: Form | None = getattr(request.state, "form", None)
    fields = form.fields if form else ()
    typed = [(name, value) for name, value in fields if value.strip() and name not in {CSRF_FIELD, PAGE_FIELD, *SEEN_FIELDS}]
    again = {"action": request.url.path, "fields": fields} if form and found.status in _LATER else None
    back = _page_before(request)
    page = render("error.html", error=found, theme=theme_in(request), typed=typed, again=again, back=back)
    return HTMLResponse(page, found.status, headers)


async def _read_form(request: Request) -> None:
    """A form of this server that wasn't read yet. It is kept if it is short, as it may be anybody's."""
    if request.method == "POST" and request.url.path != f"{ROOT}/login":
        with suppress(Refused):
            check_origin(request)
            await login_form_of(request)


def _page_before(request: Request) -> str:
    """The page that the reader comes from, as the form or the browser says; '' for any that isn't the console's."""
    form: Form | None = getattr(request.state, "form", None)
    if form and form[PAGE_FIELD]:  # It may have the address that its form is sent to.
        return form[PAGE_FIELD] if is_ours(form[PAGE_FIELD]) else ""
    named = ""
    with suppress(ValueError):  # The header may hold anything.
        came = urlsplit(request.headers.get("referer", ""))
        if came.netloc.lower() == request.headers.get("host", "").lower():
            named = came.path + (f"?{came.query}" if came.query else "")
    return named if is_ours(named) and named != request.url.path else ""


async def _page_of_form(request: Request, found: Shown) -> Response | None:
    """The page of a refused form as it is now, with the form as it was typed; None if there is no such page any more."""
    form: Form | None = getattr(request.state, "form", None)
    page = urlsplit(_page_before(request))
    if request.method == "GET" and request.url.query and found.status == 422 and request.url.path in _FILTERED:
        # The page as it is without its filters.
        form, page = Form(tuple(parse_qsl(request.url.query, keep_blank_values=True))), urlsplit(request.url.path)
    if form is None or not page.path:
        return None
    refused = _refused(request, form, found)
    status, headers, body = await _fetched(request, page.path, page.query, refused)
    if status != 200 or (request.method == "GET" and b"data-typed" not in body):
        return None
    response = Response(body, found.status)
    response.raw_headers = [(name, value) for name, value in headers if name != b"content-length"] + [
        (b"content-length", str(len(body)).encode())
    ]
    return response


def refused_form(request: Request, form: Form, error: Exception) -> RefusedForm:
    """For a page that shows its form again by itself, because it has no address."""
    return _refused(request, form, shown(error))


def _refused(request: Request, form: Form, found: Shown) -> RefusedForm:
    wrong = frozenset(_field_of(where) for where, _ in found.faults)
    return RefusedForm(request.url.path, form, wrong, found, is_change=request.method != "GET")


def _field_of(where: str) -> str:
    """The field that a fault is in: `types` for `types.0`."""
    return next((part for part in reversed(where.split(".")) if not part.isdecimal()), "")


async def _fetched(request: Request, path: str, query: str, refused: RefusedForm) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """The answer of another page of the console to the same visitor. A file or a stream is left at once: 415."""
    kept = ("type", "asgi", "http_version", "server", "client", "scheme", "root_path", "app_root_path", "extensions")
    scope: dict[str, Any] = {name: request.scope[name] for name in kept if name in request.scope}
    dropped = (b"content-length", b"content-type", b"hx-request", b"accept-encoding")
    headers = [(name, value) for name, value in request.scope["headers"] if name.lower() not in dropped]
    place = {"method": "GET", "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode()}
    scope |= {**place, "headers": headers, "state": {"refused": refused}}
    status, answered, body = 500, list[tuple[bytes, bytes]](), bytearray()

    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:  # The visitor is there until the answer is.
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, answered
        if message["type"] == "http.response.start":
            status, answered = message["status"], list(message["headers"])
            if not dict(answered).get(b"content-type", b"").startswith(b"text/html"):
                status = 415
                answering.cancel()
                await asyncio.Event().wait()
        elif message["type"] == "http.response.body":
            body.extend(message.get("body", b""))

    answering = asyncio.create_task(request.app(scope, receive, send))
    await asyncio.wait([answering])
    if not answering.cancelled() and answering.exception() is not None:
        status = 500
    return status, answered, bytes(body)


def is_shown(scope: Scope) -> bool:
    """Whether the page of a fault was sent."""
    return bool(scope.get("state", {}).get("is_fault_shown"))


def shown(error: Exception) -> Shown:
    """What a person is shown of an error of ours. Any other is raised again."""
    request_id = REQUEST_ID.get()
    if isinstance(error, InvalidRequest):
        faults = tuple((fault.path, fault.message) for fault in error.faults)
        # A list of faults stands below it, and no fault is there twice.
        detail = str(error) if len(faults) < 2 else "several fields can't be used"
        return Shown(status_of(error), error.code, detail, faults, request_id)
    if isinstance(error, DidflowError):
        return Shown(status_of(error), error.code, str(error), (), request_id)
    if isinstance(error, Refused):
        faults = tuple((fault.parameter or fault.pointer or "", fault.detail) for fault in error.faults)
        return Shown(error.status_code, error.code, error.detail, faults, request_id)
    if isinstance(error, RequestValidationError):
        faults = tuple((".".join(map(str, fault["loc"][1:])), str(fault["msg"])) for fault in error.errors())
        return Shown(422, "invalid_request", "the address of the page has a value that can't be used", faults, request_id)
    status: Any = getattr(error, "status_code", None)
    if status in (404, 405):
        return Shown(404, "no_such_page", "there is no such page: choose one in the menu", (), request_id)
    raise error


def _to_login(request: Request) -> Response:
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    is_read = request.method == "GET"
    onward = asked if is_read else _page_before(request)
    login = f"{ROOT}/login" + (f"?next={quote(onward, safe='')}" if onward not in ("", f"{ROOT}/") else "")
    if "hx-request" in request.headers or request.headers.get("accept") == "text/event-stream":
        return Response(status_code=401, headers={"HX-Redirect": f"{ROOT}/login"})
    if is_read and request.headers.get("sec-fetch-site") in _FROM_ELSEWHERE:
        # Asked for again by this page, the browser sends the cookie, if it has one. The answer then isn't from elsewhere.
        return HTMLResponse(render("again.html", url=asked))
    return RedirectResponse(login, 303)
