"""The sandbox without its sockets: the real client's bytes go straight into the real service, and a request can stay under way."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.simulation.clock import Clock
from worker.wavix.sandbox import SandboxAdmin, SandboxOptions
from worker.wavix.sandbox.admin import administer
from worker.wavix.sandbox.service import Reply, Service

#: The calls that change something, under the sandbox's names for them.
CHANGES = ("cart_put", "cart_delete", "checkout", "destinations", "papers", "sms_enabled", "update_one", "release")


@dataclass(frozen=True)
class Flight:
    """A request that its sender has abandoned and that the provider hasn't got yet."""

    call: str
    method: str
    target: str
    authorization: str
    body: bytes
    content_type: str = ""


class NearSandbox(SandboxAdmin, httpx.BaseTransport):
    """The admin's verbs and the client's transport in one. `lag_ms`: how old the lists are, by `clock`."""

    def __init__(self, options: SandboxOptions, clock: Clock) -> None:
        super().__init__("http://near.sandbox")
        self.service = Service(options)
        self.clock = clock
        self.lag_ms = 0
        self.flights: list[Flight] = []
        #: Calls that changed something or tried to, in the order in which they came: name and body.
        self.arrived: list[tuple[str, bytes]] = []
        self._to_fly: Counter[str] = Counter()
        self._without_connection: Counter[str] = Counter()

    def disconnect(self, call: str, times: int = 1) -> None:
        """The next such calls find no connection: not a byte is sent."""
        self._without_connection[call] += times

    def fly(self, call: str) -> None:
        """The next such call gets no answer and stays under way until `land`."""
        self._to_fly[call] += 1

    def land(self, place: int) -> None:
        """A request that was under way arrives; nobody hears the answer."""
        flight = self.flights.pop(place)
        self._serve(flight.call, flight.method, flight.target, flight.authorization, flight.body, flight.content_type)

    def calm(self) -> None:
        """The provider works as it should from here on. What is under way stays so, and lists that lag continue to lag."""
        self.clear_faults()
        self._to_fly.clear()
        self._without_connection.clear()
        self.order("set_balance", usd="1000.00")

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        target, authorization, body = request.url.raw_path.decode(), request.headers.get("Authorization", ""), request.read()
        call, content_type = self._call(request), request.headers.get("Content-Type", "")
        if self._without_connection[name := self.service.name_of(request.method, request.url.path)] > 0:
            self._without_connection[name] -= 1
            raise httpx.ConnectError("refused", request=request)
        if self._to_fly[call] > 0:
            self._to_fly[call] -= 1
            self.flights.append(Flight(call, request.method, target, authorization, body, content_type))
            raise httpx.ReadTimeout("under way", request=request)
        reply = self._serve(call, request.method, target, authorization, body, content_type)
        if reply.payload is None:
            raise httpx.ReadError("cut", request=request)
        headers = {"Content-Type": reply.content_type, **dict(reply.headers)}
        return httpx.Response(reply.status, headers=headers, content=reply.payload, request=request)

    def close(self) -> None:
        """Nothing is open."""

    def _call(self, request: httpx.Request) -> str:
        """The sandbox's name of the call; "" for one that changes nothing."""
        name = self.service.name_of(request.method, request.url.path)
        return name if name in CHANGES else ""

    def _serve(self, call: str, method: str, target: str, authorization: str, body: bytes, content_type: str = "") -> Reply:
        if call:
            self.arrived.append((call, body))
        self.service.world.reconfigure(read_lag_s=time.monotonic() - self.clock.moment_s(self.lag_ms))
        return self.service.serve(method, target, authorization, body, content_type)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        payload = b"" if body is None else httpx.Request(method, self.url, json=body).read()
        status, answer = administer(self.service, method, path, payload)
        if status != 200:
            raise ValueError(answer)
        return answer
