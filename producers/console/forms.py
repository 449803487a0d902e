"""Forms as a browser sends them, without files."""

import asyncio
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from producers.http.problems import Refused
from producers.http.strict_json import WITHIN_S, client_gone

#: Enough for the text of a CSV with some 100,000 lines.
MOST_BYTES = 10_000_000
MOST_FIELDS = 20_000
#: Of the login: a key, and the page to go on to, which was in the head of a request.
MOST_LOGIN_BYTES = 100_000
#: Of every form that changes something, and of those that say why.
CSRF_FIELD, REASON_FIELD = "csrf", "reason"


@dataclass(frozen=True)
class Form:
    """The fields of a form, in their order."""

    fields: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> str:
        """Its first value without spaces around it; '' for a field that isn't there."""
        return next((value.strip() for key, value in self.fields if key == name), "")

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a field that may be there several times, such as ticked boxes."""
        return tuple(value.strip() for key, value in self.fields if key == name)

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.fields)


async def form_of(request: Request) -> Form:
    """Raises Refused: 408, 413, 415, 422."""
    return await _once(request, MOST_BYTES)


async def login_form_of(request: Request) -> Form:
    """The form of somebody who isn't known yet. Raises as `form_of`."""
    return await _once(request, MOST_LOGIN_BYTES)


async def _once(request: Request, most_bytes: int) -> Form:
    if not hasattr(request.state, "form"):
        request.state.form = _read(request, await _body(request, most_bytes))
    found: Form = request.state.form
    return found


async def _body(request: Request, most_bytes: int) -> bytes:
    pause_s: float = request.app.state.services.body_pause_s
    chunks, size = [], 0
    try:
        async with asyncio.timeout(WITHIN_S), asyncio.timeout(pause_s) as pause:
            async for chunk in request.stream():
                pause.reschedule(asyncio.get_running_loop().time() + pause_s)
                size += len(chunk)
                if size > most_bytes:
                    raise Refused(413, "body_too_large", f"the form is longer than {most_bytes} bytes: send less at once")
                chunks.append(chunk)
    except TimeoutError:
        raise Refused(408, "body_too_slow", f"the form may pause for {pause_s:g} and take {WITHIN_S:g} seconds", retryable=True) from None
    except ClientDisconnect:
        client_gone()
    return b"".join(chunks)


def _read(request: Request, body: bytes) -> Form:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Refused(415, "wrong_type", "send the form as application/x-www-form-urlencoded, as a browser does")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Refused(422, "invalid_request", "the form can't be read: it isn't UTF-8, or has too many fields") from None
    return Form(tuple(fields))
