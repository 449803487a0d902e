"""One request from its bytes to its fate: who asks, may they, what goes wrong, what is answered. No sockets here."""

import json
import random
import threading
import time
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from worker.wavix.sandbox.accounts import AccountState
from worker.wavix.sandbox.call_log import Entry, Journal, named_ids, shown
from worker.wavix.sandbox.calls import Request, Route, routes
from worker.wavix.sandbox.documents import form
from worker.wavix.sandbox.faults import Fault, Faults
from worker.wavix.sandbox.hostile_answers import packed, refusal_with, with_field
from worker.wavix.sandbox.options import SandboxOptions
from worker.wavix.sandbox.saved_world import StateFile
from worker.wavix.sandbox.traffic import Bucket, Traffic
from worker.wavix.sandbox.world import Refusal, World, refusal

HTML_ERROR = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
HTML_REFUSED = b"<html><head><title>Request refused</title></head><body><h1>Request refused</h1></body></html>"
HTML_NO_ROUTE = b"<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1></body></html>"


@dataclass(frozen=True)
class Reply:
    """What goes out. `payload` None: nothing does, and the connection is closed. `hang_s`: wait before that.

    `byte_every_s`: the body goes out byte by byte (`trickled_head`: the head too). `again_after_s`: all of it is sent once more.
    """

    status: int = 0
    payload: bytes | None = None
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    hang_s: float = 0.0
    byte_every_s: float = 0.0
    trickled_head: bool = False
    again_after_s: float | None = None


LOST = Reply()


class Service:
    """All that the sandbox does between a request and its reply."""

    def __init__(self, options: SandboxOptions, state: Path | None = None) -> None:
        """`state`: the file that keeps what was sold. Raises UnreadableState."""
        self.world = World(options)
        self.faults = Faults(options.seed)
        self.traffic = Traffic()
        self.journal = Journal()
        self.stopping = threading.Event()
        self._routes = routes(options.city_route)
        self._buckets: dict[str, Bucket] = {}
        self._rng = random.Random(options.seed)
        self.state = StateFile(self.world, state) if state is not None else None

    def changed(self) -> None:
        """What is kept in a file isn't what it was."""
        if self.state is not None:
            self.state.changed()

    def name_of(self, method: str, path: str) -> str:
        """The name by which faults and counts know the call; "" for a path that isn't one."""
        return next((route.call for route in self._routes if route.method == method and route.path.fullmatch(path)), "")

    def serve(self, method: str, target: str, authorization: str, body: bytes, content_type: str = "") -> Reply:
        """Answer one API call."""
        url = urlsplit(target)
        query = parse_qs(url.query)
        for route in self._routes:
            match = route.path.fullmatch(url.path)
            if match and route.method == method and self._serves(route):
                given = form(content_type, body) if content_type.startswith("multipart/form-data") else _json(body)
                return self._call(route, Request(query, given, match.groups(), authorization.startswith("Bearer ")), authorization)
        return self._no_route()

    def _serves(self, route: Route) -> bool:
        """Whether this server has the route's family of paths."""
        return route.family is None or self.world.options.path in (route.family, "both")

    def _no_route(self) -> Reply:
        match self.world.options.unknown_route:
            case "html":
                return Reply(404, HTML_NO_ROUTE, "text/html")
            case "json":
                return _json_reply(404, {"status": 404, "error": "Not Found"})
            case "record_json":
                return _json_reply(404, {"success": False, "message": "Not found"})

    def _call(self, route: Route, request: Request, authorization: str) -> Reply:
        with self.world.lock:
            self.traffic.came(route.call)
        reply = LOST
        try:
            reply = self._admitted(route, request, authorization)
            return reply
        finally:
            with self.world.lock:
                self.traffic.left(reply.status or "lost")
                self._record(route, request, reply)

    def _record(self, route: Route, request: Request, reply: Reply, *, fault: str = "") -> None:
        numbers = self.world.numbers_of(named_ids(request.query, request.body, request.path))
        came_s, ended_s, path = request.came_s, time.time(), route.path.pattern.replace(r"(\d+)", "{}")
        entry = Entry(
            came_s,
            ended_s,
            request.account,
            route.call,
            route.method,
            path.format(*request.path),
            numbers,
            fault or request.fault,
            request.acted,
            reply.status or None,
            shown(reply.payload),
        )
        self.journal.add(entry)
        if route.method != "GET":
            self.changed()

    def _admitted(self, route: Route, request: Request, authorization: str) -> Reply:
        self._delay()
        with self.world.lock:
            account = self._account(route, request, authorization)
            if account is None:
                return _json_reply(self.world.options.key_status, {"success": False, "error": True, "message": "Unauthorized"})
            if not account.flex_pro:
                return _json_reply(403, {"success": False, "message": "Numbers API is available for Flex Pro accounts only"})
            if not self._permits(account, route):
                return _json_reply(403, {"success": False, "message": f"The API key lacks the scope {route.scope}"})
            if (wait_s := self._over_limit(account)) > 0:
                return _too_many(wait_s if self.world.options.retry_after else 0)
            named = _named(request)
            fault = self.faults.take(route.call, named)
            request.account, request.fault = account.name, fault.kind if fault else ""
            request.as_of_s = time.monotonic() - self.world.options.read_lag_s
            if fault is None:
                return self._act(route, account, request)
            if fault.kind != "slow":
                return self._faulty(fault, route, account, request, named)
        self.stopping.wait(fault.seconds)
        with self.world.lock:
            request.as_of_s += fault.seconds
            return self._act(route, account, request)

    def _faulty(self, fault: Fault, route: Route, account: AccountState, request: Request, named: list[str]) -> Reply:
        match fault.kind:
            case "refuse":
                return _refused(fault)
            case "rate_limit":
                return _too_many(fault.seconds)
            case "hang":
                return Reply(hang_s=fault.seconds)
            case "drop":
                return LOST
            case "html_error":
                return Reply(502, HTML_ERROR, "text/html")
            case "status_500_before":
                return _json_reply(500, {"success": False, "message": "Internal Server Error"})
            case "act_late":
                self._act_later(fault.seconds, route, account, request)
                return LOST
            case "sell_to_other":
                for number in [fault.number] if fault.number else named[:1]:
                    self.world.sell_to_other(number)
            case "price_change":
                for number in named:
                    self.world.stock[number].monthly_usd += Decimal(fault.usd)
            case "lag":
                request.as_of_s -= fault.seconds
            case "partial":
                request.at_most = len(named) // 2
            case "echo_key":
                return Reply(fault.status, refusal_with(account.key, fault.form))
            case "act_and_drop" | "act_and_hang" | "act_then_refuse" | "cut_json" | "act_then_html" | "status_500_after" | "slow":
                pass
            case "trickle" | "trickle_head" | "answer_twice" | "gzip" | "set_field":
                pass
        return _spoiled(fault, self._act(route, account, request))

    def _act(self, route: Route, account: AccountState, request: Request) -> Reply:
        try:
            request.acted, body = route.answer(self.world, account, request)
        except Refusal as refused:
            request.acted, body = refused.status, refused.body
        return _json_reply(request.acted, body)

    def _act_later(self, after_s: float, route: Route, account: AccountState, request: Request) -> None:
        def act() -> None:
            with self.world.lock:
                request.as_of_s = time.monotonic()
                self._act(route, account, request)
                self._record(route, request, LOST, fault="acted_late")
                self.faults.injected[f"{route.call}:acted_late"] += 1

        timer = threading.Timer(after_s, act)
        timer.daemon = True
        timer.start()

    def _account(self, route: Route, request: Request, authorization: str) -> AccountState | None:
        bearer = authorization.removeprefix("Bearer ") if authorization.startswith("Bearer ") else None
        appid = request.query.get("appid", [None])[0] if "appid" in request.query else None
        both = (appid, bearer)
        published = {"mydids": (appid,), "numbers": (bearer,), None: both}[route.family]
        keys = {"query": (appid,), "bearer": (bearer,), "both": both, "published": published}[self.world.options.key_place]
        return next((account for key in keys if key and (account := self.world.account_of(key))), None)

    def _permits(self, account: AccountState, route: Route) -> bool:
        """Whether the account's key has the scope that the route needs."""
        scopes = self.world.options.scopes.get(account.name)
        return scopes is None or route.scope in scopes or route.scope.partition(":")[0] in scopes

    def _over_limit(self, account: AccountState) -> float:
        rate = self.world.options.rate_limit
        if rate is None:
            return 0.0
        return self._buckets.setdefault(account.name, Bucket(rate)).wait_s()

    def _delay(self) -> None:
        options = self.world.options
        if options.latency_ms or options.jitter_ms:
            self.stopping.wait((options.latency_ms + self._rng.random() * options.jitter_ms) / 1000)


def _spoiled(fault: Fault, reply: Reply) -> Reply:
    """What of the reply is left after the fault."""
    match fault.kind:
        case "act_and_drop":
            return LOST
        case "act_and_hang":
            return Reply(hang_s=fault.seconds)
        case "act_then_html":
            return Reply(502, HTML_ERROR, "text/html")
        case "act_then_refuse":
            return _refused(fault)
        case "status_500_after":
            return _json_reply(500, {"success": False, "message": "Internal Server Error"})
        case "cut_json" if reply.payload is not None:
            return Reply(reply.status, reply.payload[: len(reply.payload) // 2], reply.content_type, reply.headers)
        case "trickle" | "trickle_head":
            return replace(reply, byte_every_s=fault.seconds, trickled_head=fault.kind == "trickle_head")
        case "answer_twice":
            return replace(reply, again_after_s=fault.seconds)
        case "gzip" if reply.payload is not None:
            headers = (*reply.headers, ("Content-Encoding", "gzip"))
            return replace(reply, payload=packed(reply.payload, fault.size), headers=headers)
        case "set_field" if reply.payload is not None:
            return replace(reply, payload=with_field(reply.payload, fault.field, fault.value, fault.record))
        case _:
            return reply


def _refused(fault: Fault) -> Reply:
    """The refusal that the fault asks for: the API's own, or a gateway's page."""
    headers = tuple(fault.headers.items())
    if fault.html:
        return Reply(fault.status, HTML_REFUSED, "text/html", headers)
    return _json_reply(fault.status, fault.body, headers)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def _named(request: Request) -> list[str]:
    """What the call names: the numbers in its body, or the ids in its query."""
    try:
        return request.ids()
    except Refusal:
        return [*request.query.get("ids", []), *request.query.get("ids[]", [])]


def _too_many(retry_after_s: float) -> Reply:
    headers = (("Retry-After", str(max(1, round(retry_after_s)))),) if retry_after_s > 0 else ()
    refused = refusal(429, "Too many requests")
    return _json_reply(429, refused.body, headers)


def _json_reply(status: int, body: Any, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return Reply(status, json.dumps(body).encode(), headers=headers)
