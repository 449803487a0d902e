"""The process behind `didflow serve`: a socket, TLS, trusted proxies, and an end that lets requests finish."""

import asyncio
import gc
import ipaddress
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from didflow.client.aio.client import AsyncDidflow
from didflow.client.sync.client import Didflow
from didflow.contract.errors import InvalidSettings, ServiceUnavailable
from didflow.ledger.api_keys import any_made
from didflow.parent_process import end_with_parent
from didflow.settings import Settings
from producers.http.app import application
from producers.http.connections import HEAD_WITHIN_S, MOST_HEAD_BYTES, GuardedProtocol
from producers.http.middleware import Gateway
from producers.http.proxy_login import NamedProxies, ProxyLogin
from producers.http.services import ReviewRules

log = structlog.stdlib.get_logger("didflow.http")

DEFAULT_PORT = 8780
#: How long requests may take after SIGTERM.
END_WITHIN_S = 20
#: How long a connection that nothing is asked on may take to end, by TLS's rules.
GOODBYE_S = 0.5
#: Between two looks for a Redis that isn't there yet.
AGAIN_S = 0.5
#: A collection of garbage starts after this many new objects; Python's default is 700.
YOUNG_OBJECTS = 10_000


@dataclass(frozen=True)
class Listen:
    """Where and how to listen.

    port             0: any that is free
    tls_cert, tls_key  PEM files; none: plain HTTP
    proxies          addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed
    proxy_login      how one of them names the person whom it has logged in to the console
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    tls_cert: Path | None = None
    tls_key: Path | None = None
    proxies: tuple[str, ...] = ()
    proxy_login: ProxyLogin | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class Server(uvicorn.Server):
    """Ends without a signal's exit code, since a stop is no failure, and without waiting for those who listen."""

    def __init__(self, app: Gateway, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._services = app.services

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._services.stop()
        idle = asyncio.create_task(self._end_idle())
        try:
            await super().shutdown(sockets)
        finally:
            idle.cancel()
        await self._services.feed.aclose()
        await self._services.files.aclose()

    async def _end_idle(self) -> None:
        """End connections that nothing is asked on. With TLS a client that keeps one may not answer the goodbye for half a minute."""
        while True:
            await asyncio.sleep(GOODBYE_S)
            for connection in list(self.server_state.connections):
                cycle = getattr(connection, "cycle", None)
                if cycle is None or cycle.response_complete:
                    connection.transport.abort()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self.handle_exit, number, None)
        yield


def run(settings: Settings, listen: Listen, listening: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C. `listening` gets the URL once requests are taken.

    Raises InvalidSettings for files, addresses and a port that can't be used, and without any key on anything but loopback.
    """
    _check(listen)
    asyncio.run(_serve(settings, listen, listening))


async def _serve(settings: Settings, listen: Listen, listening: Callable[[str], None]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with listening_socket(listen) as taken:
        didflow = await _as_soon_as_known(stopping)
        if didflow is None:
            return
        try:
            if not listen.is_loopback and not await _has_keys(didflow, stopping):
                return
            open_to = settings.acting if listen.is_loopback else None
            app = application(
                didflow,
                Didflow.from_env(),
                open_to=open_to,
                webhook_networks=settings.webhook_networks,
                proxy_login=listen.proxy_login,
                review=ReviewRules(settings.second_person_usd, settings.settle_seconds),
            )
            server = server_of(app, listen)
            _collect_rarely()
            listening(_url(listen, taken))
            await server.serve(sockets=[taken])
        finally:
            await didflow.aclose()


def _collect_rarely() -> None:
    """Modules, models and routes are never freed, so no collection has to go through them. A request makes some hundreds of objects, which
    nearly all go without a collection: by default there was one for every request, which took a tenth of its processor time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def server_of(app: Gateway, listen: Listen, *, head_within_s: float = HEAD_WITHIN_S) -> Server:
    """What serves the application, on a socket that is given later. `head_within_s`: how long a request's headers may take."""
    protocol = type("Protocol", (GuardedProtocol,), {"head_within_s": head_within_s})
    return Server(
        app,
        uvicorn.Config(
            _behind(app, listen.proxies),
            interface="asgi3",
            http=protocol,
            h11_max_incomplete_event_size=MOST_HEAD_BYTES,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # See `_behind`.
            timeout_graceful_shutdown=END_WITHIN_S,
            ssl_certfile=str(listen.tls_cert) if listen.tls_cert else None,
            ssl_keyfile=str(listen.tls_key) if listen.tls_key else None,
        ),
    )


def _behind(app: Gateway, proxies: Sequence[str]) -> ASGIApp:
    """The application behind these proxies. Which requests are theirs is noted before their X-Forwarded-For is believed."""
    return NamedProxies(ProxyHeadersMiddleware(app, list(proxies)), proxies) if proxies else app  # type: ignore[arg-type]


async def _as_soon_as_known(stopping: asyncio.Event) -> AsyncDidflow | None:
    """A server that starts beside its Redis may be the quicker one. None: it is to stop."""
    said = False
    while not stopping.is_set():
        try:
            return AsyncDidflow.from_env()
        except ServiceUnavailable as error:
            if not said:
                log.warning("http.no_redis", error=str(error))
            said = True
        await _pause(stopping)
    return None


async def _has_keys(didflow: AsyncDidflow, stopping: asyncio.Event) -> bool:
    """Raises InvalidSettings if no key was ever made. False: it is to stop."""
    while not stopping.is_set():
        try:
            if await didflow.ledger.perform(any_made(didflow.ledger.commands)):
                return True
        except ServiceUnavailable as error:
            log.warning("http.no_redis", error=str(error))
            await _pause(stopping)
            continue
        raise InvalidSettings("without any key the server listens on loopback only, as 127.0.0.1: make a key first (`didflow keys create`)")
    return False


async def _pause(stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(AGAIN_S):
            await stopping.wait()
    except TimeoutError:
        return


def _check(listen: Listen) -> None:
    """Raises InvalidSettings."""
    if (listen.tls_cert is None) != (listen.tls_key is None):
        raise InvalidSettings("--tls-cert and --tls-key go together: give both")
    if listen.tls_cert is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(listen.tls_cert, listen.tls_key)
        except (OSError, ssl.SSLError) as error:
            raise InvalidSettings(
                f"--tls-cert and --tls-key can't be used ({type(error).__name__}): give PEM files of a certificate and of its key"
            ) from None
    if listen.proxy_login is not None and not listen.proxies:
        raise InvalidSettings("--login-header needs --trusted-proxy: name the proxy that sends the header")
    for proxy in listen.proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError:
            raise InvalidSettings(f"--trusted-proxy {proxy[:60]!r} is no address: give one such as 10.0.0.7 or 10.0.0.0/24") from None


def listening_socket(listen: Listen) -> socket.socket:
    """Raises InvalidSettings if the address can't be taken."""
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        taken = socket.create_server(address[:2], family=family, backlog=2048)
        # Connections inherit it. asyncio sets it only where a socket names its protocol, and these don't. Without it the second packet of
        # an answer, or the next event of a stream, waits for the acknowledgement of the one before, which a client may delay by 40 ms.
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return taken
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise InvalidSettings(f"can't listen on {listen.host[:100]!r} port {listen.port} ({why}): choose with --host and --port") from None


def _url(listen: Listen, taken: socket.socket) -> str:
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    return f"{'https' if listen.tls_cert else 'http'}://{host}:{taken.getsockname()[1]}"
