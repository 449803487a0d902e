"""The one way out: a POST to an address that was checked, with an end to its time and to what is read.

A receiver names the URL, so it is as hostile as any input. Nothing of it may reach what only this host can reach, and no answer may
hold up other deliveries. Therefore:

- names are resolved at each delivery, one address that isn't public refuses it, and the connection goes to a checked address. TLS
  verifies the certificate for the host of the URL. Each delivery has a connection of its own;
- redirects aren't followed, and bodies aren't decompressed;
- all of a delivery ends within `limit_s`, and of an answer only the first bytes are read.

With an egress proxy the proxy resolves the names, so it must refuse private addresses itself. Then only the URL is checked here: its form,
literal addresses, and names that no public name server knows. The proxy's own address is the operator's, and isn't checked.
"""

import asyncio
import ssl
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from ipaddress import ip_address
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

import httpcore
import httpx

from didflow.client.webhook_addresses import Address, Network, Reach, reach_of
from didflow.client.webhook_url import PORTS, EndpointUrl, check_url, parse
from didflow.contract.errors import InvalidRequest, InvalidSettings
from didflow.contract.printable import printable
from didflow.contract.webhooks import FAILURES
from producers.webhooks.resolver import Resolve, Resolver

__all__ = ["FAILURES", "Answer", "Egress", "check_url"]

# httpcore tries to import this optional package at each lock. Where it isn't installed, the search through all folders took a third of the
# processor time of a delivery; so it fails at once.
if find_spec("sniffio") is None:
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

#: Of an answer's body, in bytes; and how long it may take to come. The status has decided by then, the body is for the log.
READ_BYTES, READ_WITHIN_S = 4096, 2.0
#: Characters of the body that are kept.
KEPT_CHARACTERS = 1_000
#: Addresses of a name that are tried, one after the other; each has this part of the limit.
TRIED_ADDRESSES, PART_FOR_EACH = 4, 1 / 4
#: A receiver can't ask for a longer pause.
MOST_RETRY_AFTER_S = 86_400.0


@dataclass(frozen=True)
class Answer:
    """How a delivery ended.

    status         of the answer; None if none came
    beginning      of the body, at most 1,000 printable characters
    failure        one of FAILURES; None if there was a status
    retry_after_s  what the receiver asks for, at most a day
    """

    status: int | None
    duration_ms: int
    beginning: str
    failure: str | None
    retry_after_s: float | None


class Failed(Exception):
    """A delivery that got no answer."""

    def __init__(self, failure: str) -> None:
        super().__init__(failure)
        self.failure = failure


class Egress:
    """Sends deliveries; for one event loop.

    allowed_networks  private networks that deliveries may go to, also by plain HTTP and to any port
    proxy             an HTTP proxy for all deliveries, such as `http://user:password@proxy:3128`
    limit_s           for the whole of a delivery, with name resolution and TLS
    resolve, tls      instead of the system's resolver and trusted certificates
    """

    def __init__(
        self,
        *,
        allowed_networks: Sequence[Network] = (),
        proxy: str | None = None,
        limit_s: float = 15.0,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Raises InvalidSettings for a proxy that can't be used."""
        self._allowed = tuple(allowed_networks)
        self._tls = tls or httpx.create_ssl_context()
        self._proxy = None if proxy is None else _proxy(proxy, self._tls)
        self._limit_s = limit_s
        self._resolve = resolve or Resolver()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing is kept open between deliveries."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send once. Any error is in the answer. A failure doesn't mean that the receiver got nothing."""
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(self._limit_s):
                status, retry_after_s, beginning = await self._exchange(url, headers, body, began_s + self._limit_s)
        except TimeoutError:
            return Answer(None, _ms_since(began_s), "", "timed_out", None)
        except Failed as failed:
            return Answer(None, _ms_since(began_s), "", failed.failure, None)
        return Answer(status, _ms_since(began_s), beginning, None, retry_after_s)

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes, until_s: float) -> tuple[int, float | None, str]:
        target = self._target(url)
        backend = None if self._proxy else _Checked(await self._addresses(target), self._limit_s * PART_FOR_EACH)
        async with httpcore.AsyncConnectionPool(ssl_context=self._tls, proxy=self._proxy, network_backend=backend) as pool:
            try:
                async with pool.stream("POST", _url(target), headers=_headers(target, headers, body), content=body) as response:
                    return response.status, _retry_after_s(_header(response, b"retry-after")), await _beginning(response, until_s)
            except httpcore.TimeoutException:
                raise Failed("timed_out") from None
            except (httpcore.ProxyError, httpcore.NetworkError) as error:
                raise Failed(self._reason(error)) from None
            except (httpcore.ProtocolError, httpcore.UnsupportedProtocol):
                raise Failed("not_http") from None

    def _target(self, url: str) -> EndpointUrl:
        try:
            target = parse(url, self._allowed)
        except InvalidRequest:
            raise Failed("invalid_url") from None
        if self._proxy and target.scheme == "http" and target.address is None:
            raise Failed("address_not_public")  # Where the proxy finds this name isn't known here.
        return target

    async def _addresses(self, target: EndpointUrl) -> list[Address]:
        """The addresses to connect to. One that may not be used refuses them all: an honest name has no private one beside it."""
        found = [target.address] if target.address else await self._resolved(target.host)
        needed = (Reach.NAMED,) if target.scheme == "http" or not target.has_usual_port else (Reach.NAMED, Reach.PUBLIC)
        if any(reach_of(address, self._allowed) not in needed for address in found):
            raise Failed("address_not_public")
        return found

    async def _resolved(self, host: str) -> list[Address]:
        try:
            found = await self._resolve(host)
        except OSError:
            raise Failed("name_not_found") from None
        if not found:
            raise Failed("name_not_found")
        try:
            return [ip_address(address) for address in found]
        except ValueError:
            raise Failed("address_not_public") from None

    def _reason(self, error: Exception) -> str:
        if _is_of_tls(error):
            return "tls_failed"
        is_of_proxy = isinstance(error, httpcore.ProxyError) or (self._proxy and isinstance(error, httpcore.ConnectError))
        return "proxy_failed" if is_of_proxy else "connection_failed"


class _Checked(httpcore.AnyIOBackend):
    """Connects to the addresses that were checked, whatever host the request names. TLS is begun by the caller, for that host."""

    def __init__(self, addresses: Sequence[Address], within_s: float) -> None:
        self._addresses, self._within_s = addresses[:TRIED_ADDRESSES], within_s

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        for address in self._addresses:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await super().connect_tcp(str(address), port, self._within_s, local_address, socket_options)
        raise httpcore.ConnectError


def _is_of_tls(error: BaseException | None) -> bool:
    """httpcore says of a failed handshake that there is no connection; why is in the errors that it came from."""
    return error is not None and (isinstance(error, ssl.SSLError) or _is_of_tls(error.__context__))


def _proxy(url: str, tls: ssl.SSLContext) -> httpcore.Proxy:
    """Raises InvalidSettings. The message repeats nothing of the URL, which may hold a password."""
    try:
        parts = urlsplit(url)
        usual_port = PORTS[parts.scheme]
        port = parts.port or usual_port
        host = (parts.hostname or "").encode("ascii")
    except (ValueError, KeyError):
        host, port = b"", 0
    if not host:
        raise InvalidSettings("the egress proxy isn't an http:// or https:// URL with a host: write http://proxy.example.com:3128")
    auth = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
    where = httpcore.URL(scheme=parts.scheme.encode(), host=host, port=port, target=b"/")
    return httpcore.Proxy(where, auth=auth, ssl_context=tls if parts.scheme == "https" else None)


def _url(target: EndpointUrl) -> httpcore.URL:
    return httpcore.URL(scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.target.encode())


def _headers(target: EndpointUrl, headers: Mapping[str, str], body: bytes) -> list[tuple[bytes, bytes]]:
    sent = {
        "Host": target.authority,
        **headers,
        "Content-Length": str(len(body)),
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in sent.items()]


async def _beginning(response: httpcore.Response, until_s: float) -> str:
    encoding = _header(response, b"content-encoding")
    if encoding not in ("", "identity"):
        return f"(compressed: {printable(encoding)[:40]})"
    read = b""
    with suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
        # Half of what is left: the status is worth more than a body that never ends.
        async with asyncio.timeout(min(READ_WITHIN_S, (until_s - time.monotonic()) / 2)):
            async for piece in response.aiter_stream():
                read += piece[:READ_BYTES]
                if len(read) >= READ_BYTES:
                    break
    return printable(read[:READ_BYTES].decode(errors="replace"))[:KEPT_CHARACTERS].strip()


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1").strip() for one, value in response.headers if one.lower() == name), "")


def _retry_after_s(text: str) -> float | None:
    """Seconds or a date, as RFC 9110 has it; None for anything else."""
    if text.isascii() and text.isdecimal():
        return min(MOST_RETRY_AFTER_S, float(text[:20]))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(MOST_RETRY_AFTER_S, max(0.0, (at - datetime.now(UTC)).total_seconds()))


def _ms_since(began_s: float) -> int:
    return round((time.monotonic() - began_s) * 1000)
