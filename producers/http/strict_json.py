"""Bodies: bounded, UTF-8, and JSON that means one thing only."""

import asyncio
import json
import math
from typing import Any, NoReturn, Self

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from producers.http.problems import Refused

#: More than a request may take up in the ledger.
MOST_BYTES = 10_000_000
#: A client that still sends wouldn't see the answer: so much is read, and forgotten, before it is given.
READ_AT_MOST = 4 * MOST_BYTES
#: A longer body is read in a thread, so that other requests are answered meanwhile.
LARGE_BYTES = 50_000
#: The longest pause within a body, and how long a whole one may take.
PAUSE_S, WITHIN_S = 15.0, 120.0
#: The parser would go as deep as Python's stack; no request is deeper than this.
DEEPEST = 64
#: Where in a request's scope its `StrictRequest` is, once it is read.
_BEGUN = "didflow.begun"


class StrictRequest(Request):
    """A request whose body is read with a limit, and whose JSON is refused where two readers could understand it differently."""

    @classmethod
    def of(cls, request: Request) -> Self:
        """This request; with its body, where that was read on the way here."""
        strict, begun = cls(request.scope, request.receive), request.scope.get(_BEGUN)
        if isinstance(begun, cls):
            strict._take_over(begun)
        return strict

    def pass_on(self) -> None:
        """Let the request's route go on with what is read so far: a body comes once."""
        self.scope[_BEGUN] = self

    def _take_over(self, begun: Self) -> None:
        for name in ("_body", "_json"):
            if hasattr(begun, name):
                setattr(self, name, getattr(begun, name))

    async def body(self) -> bytes:
        """Raises Refused: 408, 413, and 415 for a body that doesn't call itself JSON."""
        if not hasattr(self, "_body") and await self.file():
            _check_type(self.headers.get("content-type", ""))
        return self._body

    async def file(self) -> bytes:
        """The body, whatever it is. Raises Refused: 408, 413, and 400 where the client has gone, which the log then shows."""
        if not hasattr(self, "_body"):
            if self._declared() > READ_AT_MOST:
                _too_large()
            pause_s: float = self.app.state.services.body_pause_s
            try:
                async with asyncio.timeout(min(WITHIN_S, pause_s)) as limit:
                    self._body = await self._read(limit, pause_s)
            except TimeoutError:
                detail = f"the body didn't come: it may pause for {pause_s:g} and take {WITHIN_S:g} seconds"
                raise Refused(408, "body_too_slow", detail, headers={"Connection": "close"}, retryable=True) from None
            except ClientDisconnect:
                client_gone()
        return self._body

    async def _read(self, limit: asyncio.Timeout, pause_s: float) -> bytes:
        chunks, size, loop = [], 0, asyncio.get_running_loop()
        until_s, is_more = loop.time() + WITHIN_S, True
        while is_more and size <= READ_AT_MOST:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk, is_more = message.get("body", b""), message.get("more_body", False)
            size += len(chunk)
            if size <= MOST_BYTES:
                chunks.append(chunk)
            if is_more:  # Each time limit costs as much as all else here, and most bodies come in one piece.
                limit.reschedule(min(until_s, loop.time() + pause_s))
        if size > MOST_BYTES:
            _too_large()
        return b"".join(chunks)

    def _declared(self) -> int:
        declared = self.headers.get("content-length", "0")
        return int(declared[:20]) if declared.isdecimal() else 0

    async def json(self) -> Any:
        """Raises Refused: 400."""
        if not hasattr(self, "_json"):
            body = await self.body()
            self._json = parse(body) if len(body) <= LARGE_BYTES else await run_in_threadpool(parse, body)
        return self._json

    async def is_large(self) -> bool:
        """Whether reading and checking the body takes long."""
        return len(await self.body()) > LARGE_BYTES

    def replace_json(self, value: Any) -> None:
        """What `json` returns from now on: the same, checked."""
        self._json = value


def client_gone() -> NoReturn:
    """It is no fault of ours. Nobody gets the answer."""
    raise Refused(400, "client_gone", "the client hung up before its body was read: send it again") from None


def _too_large() -> NoReturn:
    detail = f"the body is longer than {MOST_BYTES} bytes: split a long list into several jobs, and make a file smaller"
    raise Refused(413, "body_too_large", detail, headers={"Connection": "close"})


def _check_type(content_type: str) -> None:
    kind, _, options = content_type.partition(";")
    charset = options.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != "application/json" or charset not in ("", "utf-8"):
        raise Refused(415, "unsupported_media_type", "the body is JSON in UTF-8: send it as Content-Type: application/json")


def parse(body: bytes) -> Any:
    """Raises Refused (400) for what isn't JSON, and for what is ambiguous: a field twice, NaN, no UTF-8, deep nesting."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        _unreadable(f"byte {error.start} of the body is not UTF-8: send JSON in UTF-8")
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_constant, parse_float=_finite)
        _check_depth(found, DEEPEST)
    except RecursionError:
        _unreadable(f"the body is nested deeper than {DEEPEST} levels: no request is")
    except json.JSONDecodeError as error:
        _unreadable(f"the body is not JSON, line {error.lineno} column {error.colno}: {error.msg}")
    except ValueError:  # A whole number of thousands of digits.
        _unreadable("the body has a number that is too long: no field takes it")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        _unreadable(f"the field {twice[:60]!a} is there twice: give it once")
    return found


def _constant(name: str) -> NoReturn:
    _unreadable(f"the body has {name}, which is not JSON: give a number, or null")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        _unreadable("the body has a number that is too large: no field takes it")
    return value


def _check_depth(value: Any, left: int) -> None:
    if not isinstance(value, dict | list):
        return
    if not left:
        raise RecursionError
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            _check_depth(inner, left - 1)


def _unreadable(detail: str) -> NoReturn:
    raise Refused(400, "not_json", detail)
