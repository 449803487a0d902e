"""The API key is on the wire and nowhere else: not in logs at any level, not in errors, not in what the ledger keeps."""

import base64
import html
import logging
import socket
import threading
import traceback
import urllib.parse
from collections.abc import Iterator
from typing import get_args

import httpx
import pytest
import structlog
from pydantic import SecretStr
from structlog.testing import capture_logs

from didflow.contract.provider import NotThere, ReadFailed, Unclear
from didflow.settings import Account, Settings
from worker.wavix.client import WavixClient
from worker.wavix.sandbox import Sandbox, SandboxOptions
from worker.wavix.sandbox.faults import KeyForm

KEY = "k-5d41402abc4b2a76"


@pytest.fixture(params=["mydids", "numbers"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def answers(request: httpx.Request) -> httpx.Response:
    """Every kind of trouble, the key quoted back among it."""
    assert KEY in str(request.url) + request.headers.get("Authorization", "")
    match request.url.path:
        case "/v1/buy/countries":
            return httpx.Response(500, text=f"bad key {KEY}")
        case "/v1/profile/config":
            return httpx.Response(401, json={"success": False, "message": f"unknown appid {KEY}"})
        case "/v1/buy/cart/checkout":
            raise httpx.ReadTimeout("timed out", request=request)
        case "/v1/trunks":
            return httpx.Response(302, headers={"Location": str(request.url)})
    return httpx.Response(404, json={"success": False, "message": f"{request.url} not found"})


def test_no_log_line_and_no_error_holds_the_key(dialect: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    client = WavixClient("https://api.example.net", SecretStr(KEY), dialect, transport=httpx.MockTransport(answers), read_backoff_s=0.001)  # type: ignore[arg-type]
    with capture_logs() as events:
        for read in (client.countries, client.balance_usd, client.trunks, lambda: client.owned_one(1)):
            try:
                read()
            except (ReadFailed, NotThere) as error:
                seen += [str(error), repr(error), "".join(traceback.format_exception(error)), repr(getattr(error, "answer", ""))]
        seen.append(repr(client.check_out(["+1213"])))
        seen.append(repr(client.release([1])))
    client.close()
    assert len(seen) > 10
    everything = "\n".join([*seen, caplog.text, repr(events), repr(client), repr(vars(client))])
    assert KEY not in everything
    assert "/v1/profile/config" in caplog.text, "httpx does log its requests here"


def test_no_log_line_holds_the_key_over_a_real_socket(dialect: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with one_shot_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as (url, requests):
        client = WavixClient(url, SecretStr(KEY), dialect)  # type: ignore[arg-type]
        assert isinstance(client.check_out(["+1213"]), Unclear)
        client.close()
    assert KEY.encode() in requests[0]
    assert "httpx" in {record.name.split(".")[0] for record in caplog.records}
    assert KEY not in caplog.text


@pytest.mark.parametrize("form", get_args(KeyForm))
def test_a_key_that_is_quoted_is_masked_in_whatever_form(form: str) -> None:
    """In what a read raises, in what a change answers, and so in results, the ledger and the terminal."""
    key = "k-5d41/402a<bc&4b2a+76"
    with Sandbox(SandboxOptions(accounts={"default": key})) as quoting:
        client = WavixClient(quoting.url, SecretStr(key), "numbers", read_backoff_s=0.001)
        seen: list[str] = []
        for call in ("checkout", "release", "profile"):
            quoting.add_fault(call, "echo_key", form=form, status=422)
        seen.append(repr(client.check_out(["+1213"])))
        seen.append(repr(client.release([1])))
        with pytest.raises((ReadFailed, NotThere)) as failed:
            client.balance_usd()
        seen += [str(failed.value), repr(failed.value)]
        client.close()
    assert sum("***" in one for one in seen) >= 3, seen
    for one in seen:
        undone = html.unescape(urllib.parse.unquote(one)).replace("\\/", "/")
        assert key not in undone
        assert key[2:10] not in undone
        assert base64.b64encode(key.encode())[4:12].decode() not in one


def test_settings_and_accounts_hide_their_secrets() -> None:
    settings = Settings(_env_file=None, WAVIX_API_KEY=SecretStr(KEY), redis_url=SecretStr(f"redis://:{KEY}@localhost"))
    shown = (
        repr(settings) + str(settings) + settings.model_dump_json() + repr(settings.all_accounts()) + repr(Account(api_key=SecretStr(KEY)))
    )
    assert KEY not in shown


class one_shot_server:  # noqa: N801 - reads as a context manager
    """Answers each connection's first request with the same bytes, and keeps what it was sent."""

    def __init__(self, answer: bytes) -> None:
        self._answer, self._requests = answer, list[bytes]()
        self._socket = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> tuple[str, list[bytes]]:
        threading.Thread(target=self._serve, daemon=True).start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}", self._requests

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self._requests.append(connection.recv(65536))
                connection.sendall(self._answer)

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@pytest.fixture(autouse=True)
def plain_structlog() -> Iterator[None]:
    yield
    structlog.reset_defaults()
