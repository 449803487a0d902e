"""A mutating call reaches the provider once, whatever happens to its connection."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from pydantic import SecretStr

from didflow.contract.provider import NotNow, NotNowReason, Unclear, Yes
from worker.wavix.client import WavixClient

OK = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n" + b'{"success": true}'


def whole_request(connection: socket.socket) -> bytes:
    """Head and body, which come in packets of their own; nothing if the other side has closed."""
    received = b""
    while b"\r\n\r\n" not in received or len(received.partition(b"\r\n\r\n")[2]) < 16:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        received += chunk
    return received


@contextmanager
def server(script: list[bytes | None]) -> Iterator[tuple[str, list[bytes]]]:
    """Answers request after request as the script says; None closes the connection after the whole request was read."""
    listening = socket.create_server(("127.0.0.1", 0))
    requests: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, suppress(ConnectionError):
                while request := whole_request(connection):
                    requests.append(request)
                    answer = script.pop(0) if script else None
                    if answer is None:
                        break
                    connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", requests
    listening.close()


@pytest.mark.parametrize("before", [[], [OK], [OK, OK]])
def test_a_connection_closed_after_the_request_is_unclear_and_not_sent_again(before: list[bytes]) -> None:
    with server([*before, None, OK, OK]) as (url, requests):
        client = WavixClient(url, SecretStr("k"), "mydids", timeout_s=2.0)
        for _ in before:
            assert client.check_out(["+1213"]) == Yes(None)
        assert isinstance(client.check_out(["+1213"]), Unclear)
        client.close()
        assert len(requests) == len(before) + 1


@pytest.mark.parametrize(
    "status", ["408 Request Timeout", "409 Conflict", "429 Too Many Requests", "500 Internal Server Error", "503 Unavailable"]
)
def test_no_status_makes_it_go_again(status: str) -> None:
    with server([f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode(), OK]) as (url, requests):
        client = WavixClient(url, SecretStr("k"), "numbers", timeout_s=2.0)
        assert not isinstance(client.check_out(["+1213"]), Yes)
        client.close()
        assert len(requests) == 1


def test_a_refused_connection_means_that_nothing_happened() -> None:
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    client = WavixClient(f"http://127.0.0.1:{port}", SecretStr("k"), "mydids", timeout_s=2.0)
    assert client.check_out(["+1213"]) == NotNow(NotNowReason.UNREACHABLE)
    client.close()
