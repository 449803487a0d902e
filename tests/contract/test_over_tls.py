"""The client over TLS and over IPv6, as in production: certificates are checked, and one deadline holds for the handshake too.

`tls/` holds a key and a certificate that nobody trusts but these tests.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from didflow.contract.provider import NotNow, NotNowReason, ReadFailed, Yes
from worker.wavix import transport
from worker.wavix.client import WavixClient
from worker.wavix.sandbox import Sandbox
from worker.wavix.sandbox.options import SANDBOX_KEY

TLS = Path(__file__).parent / "tls"
TIMEOUT_S = 2.0


class Front:
    """Takes connections on loopback and passes them on to the sandbox; with `handshake`, by TLS."""

    def __init__(self, host: str, sandbox_port: int, handshake: Callable[[socket.socket], socket.socket]) -> None:
        self._port, self._handshake = sandbox_port, handshake
        self._listening = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port: int = self._listening.getsockname()[1]
        self.passed_on = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listening.accept()[0],), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with suppress(OSError), closing(self._handshake(raw)) as near, socket.create_connection(("127.0.0.1", self._port)) as far:
            self.passed_on += 1
            back = threading.Thread(target=_pipe, args=(far, near), daemon=True)
            back.start()
            _pipe(near, far)


def _pipe(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while received := source.recv(65536):
            target.sendall(received)
        target.shutdown(socket.SHUT_WR)


def by_tls(raw: socket.socket) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    return context.wrap_socket(raw, server_side=True)


def never(raw: socket.socket) -> socket.socket:
    """Takes the connection and says nothing."""
    time.sleep(10 * TIMEOUT_S)  # In a thread of the server: the client gives up first.
    raise OSError


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.create_default_context(cafile=str(TLS / "server.pem"))
    monkeypatch.setattr(transport, "_trusted", lambda: context)


@pytest.fixture
def front(sandbox: Sandbox) -> Iterator[Callable[..., Front]]:
    opened: list[Front] = []

    def open_(host: str = "127.0.0.1", handshake: Callable[[socket.socket], socket.socket] = by_tls) -> Front:
        opened.append(Front(host, int(sandbox.url.rpartition(":")[2]), handshake))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def client_at(url: str) -> WavixClient:
    return WavixClient(url, SecretStr(SANDBOX_KEY), "mydids", timeout_s=TIMEOUT_S, read_backoff_s=0.001)


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_reads_and_changes_go_over_tls(front: Callable[..., Front], sandbox: Sandbox, host: str) -> None:
    listening = front("::1" if host == "[::1]" else "127.0.0.1")
    client = client_at(f"https://{host}:{listening.port}")
    number = client.offers(8652, 200, sms_only=False, page=1).items[0].number
    assert isinstance(client.put_in_cart([number]), Yes)
    assert isinstance(client.check_out([number]), Yes)
    assert [one.number for one in client.owned(page=1).items] == [number] == [f"+{one}" for one in sandbox.owned()]
    client.close()


def test_a_certificate_that_is_not_trusted_is_no_connection_and_nothing_is_sent(front: Callable[..., Front], sandbox: Sandbox) -> None:
    listening = front()
    client = client_at(f"https://127.0.0.1:{listening.port}")
    assert client.check_out(["+12135550100"]) == NotNow(NotNowReason.UNREACHABLE)
    with pytest.raises(ReadFailed):
        client.balance_usd()
    assert listening.passed_on == 0
    assert not sandbox.state()["calls"]
    client.close()


@pytest.mark.usefixtures("trusting")
def test_a_certificate_of_another_host_is_no_connection(front: Callable[..., Front]) -> None:
    listening = front("127.0.0.2")
    client = client_at(f"https://127.0.0.2:{listening.port}")
    assert client.check_out(["+12135550100"]) == NotNow(NotNowReason.UNREACHABLE)
    assert listening.passed_on == 0
    client.close()


@pytest.mark.usefixtures("trusting")
def test_a_handshake_that_never_ends_is_given_up_in_time_and_nothing_was_sent(front: Callable[..., Front]) -> None:
    client = client_at(f"https://127.0.0.1:{front(handshake=never).port}")
    began_s = time.monotonic()
    assert client.check_out(["+12135550100"]) == NotNow(NotNowReason.UNREACHABLE)
    assert time.monotonic() - began_s < TIMEOUT_S + 10
    client.close()


def test_plain_ipv6_works(front: Callable[..., Front]) -> None:
    client = client_at(f"http://[::1]:{front('::1', lambda raw: raw).port}")
    assert client.balance_usd() > 0
    client.close()
