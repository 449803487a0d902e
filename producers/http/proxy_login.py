"""People whom a proxy in front has logged in: it names them in a header, and is itself one of those that are named to the server."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from didflow.contract.actors import fault_of
from didflow.contract.errors import InvalidSettings

_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
#: In a request's scope: whether it came from a proxy that is named.
_FROM_PROXY = "didflow.from_named_proxy"


@dataclass(frozen=True)
class ProxyLogin:
    """`header` names the person. It may do what the key of its own name may, or else what `key` (a key's name) may; None: nothing."""

    header: str
    key: str | None = None

    def person(self, connection: HTTPConnection) -> str | None:
        """Who the proxy says it is. None: it says nothing, or it isn't a named one."""
        given = connection.headers.getlist(self.header)
        if not connection.scope.get(_FROM_PROXY) or len(given) != 1:
            return None
        return None if fault_of(given[0]) else given[0]


def proxy_login(header: str | None, key: str | None) -> ProxyLogin | None:
    """Of these options. Raises InvalidSettings."""
    if header is None:
        if key is not None:
            raise InvalidSettings("--login-key goes with --login-header: give both")
        return None
    if not _HEADER.fullmatch(header) or header.lower() in ("authorization", "cookie", "host", "origin"):
        raise InvalidSettings(f"--login-header {header[:60]!r} can't name a person: give one of the proxy's own, such as X-Forwarded-User")
    return ProxyLogin(header, key)


class NamedProxies:
    """Notes which requests come from a named proxy. It must stand before what replaces a request's address by X-Forwarded-For."""

    def __init__(self, app: ASGIApp, proxies: Sequence[str]) -> None:
        self._app, self._networks = app, [ipaddress.ip_network(one) for one in proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[_FROM_PROXY] = self._is_named(scope.get("client"))
        await self._app(scope, receive, send)

    def _is_named(self, client: Sequence[object] | None) -> bool:
        try:
            address = ipaddress.ip_address(str(client[0])) if client else None
        except ValueError:
            return False
        return address is not None and any(address in network for network in self._networks)
