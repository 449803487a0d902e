"""Deliveries against real servers that answer badly, and names that resolve to where they mustn't."""

import asyncio
import gzip
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from pathlib import Path

import pytest

from didflow.contract.errors import InvalidSettings
from producers.webhooks import egress
from producers.webhooks.egress import FAILURES, Answer, Egress
from tests.support.receiver import Receiver, receiving, replies, says

TLS = Path(__file__).parents[1] / "contract" / "tls"
LOOPBACK = (ip_network("127.0.0.1/32"),)
PUBLIC = "93.184.216.34"
#: For a limit that must be reached. Everything else has the default of 15 s, which no test needs.
SHORT_S = 0.3


def resolving(*answers: list[str]) -> Callable[[str], Awaitable[list[str]]]:
    """A resolver that gives these answers, one for each lookup."""
    left = list(answers)

    async def resolve(host: str) -> list[str]:
        return left.pop(0)

    return resolve


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    return context


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(TLS / "server.pem"))


async def post(url: str, **options: object) -> Answer:
    async with Egress(**{"allowed_networks": LOOPBACK, "tls": trusting(), **options}) as out:  # type: ignore[arg-type]
        return await out.post(url, {"webhook-id": "job:1", "Content-Type": "application/json"}, b'{"a": 1}')


def answered(answer: Callable[[asyncio.StreamWriter], Awaitable[None]], **options: object) -> tuple[Answer, Receiver]:
    """One delivery to a receiver that answers so."""

    async def scenario() -> tuple[Answer, Receiver]:
        async with receiving(answer) as receiver:
            return await post(f"http://127.0.0.1:{receiver.port}/hook?x=1", **options), receiver

    return asyncio.run(scenario())


def test_a_delivery_is_one_post_with_its_headers_and_body() -> None:
    answer, receiver = answered(replies(200, "taken"))
    assert (answer.status, answer.beginning, answer.failure, answer.retry_after_s) == (200, "taken", None, None)
    assert answer.duration_ms >= 0
    [request] = receiver.requests
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /hook?x=1 HTTP/1.1"
    assert set(lines[1:]) == {
        f"Host: 127.0.0.1:{receiver.port}",
        "webhook-id: job:1",
        "Content-Type: application/json",
        "Content-Length: 8",
        "Accept-Encoding: identity",
        "Connection: close",
    }
    assert body == b'{"a": 1}'


@pytest.mark.parametrize("status", [204, 400, 410, 500, 503])
def test_any_status_is_an_answer(status: int) -> None:
    answer, _ = answered(replies(status))
    assert (answer.status, answer.failure) == (status, None)


@pytest.mark.parametrize("location", ["http://127.0.0.1:{port}/inside", "https://169.254.169.254/latest/meta-data/"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(status: int, location: str) -> None:
    async def scenario() -> tuple[Answer, Receiver]:
        async with (
            receiving(replies(200, "secret")) as inside,
            receiving(replies(status, "", "Location: " + location.format(port=inside.port))) as outer,
        ):
            return await post(f"http://127.0.0.1:{outer.port}/"), inside

    answer, inside = asyncio.run(scenario())
    assert (answer.status, answer.failure) == (status, None)
    assert inside.arrived == 0


@pytest.mark.parametrize(
    ("addresses", "allowed"),
    [
        (["127.0.0.1"], ()),
        ([PUBLIC, "127.0.0.1"], ()),
        (["127.0.0.1", PUBLIC], ()),
        (["::1"], ()),
        (["::ffff:127.0.0.1"], ()),
        (["::ffff:127.0.0.1"], LOOPBACK),
        (["::ffff:7f00:1"], LOOPBACK),
        (["64:ff9b::7f00:1"], ()),
        (["2002:7f00:1::"], LOOPBACK),
        (["169.254.169.254"], ()),
        (["0.0.0.0"], LOOPBACK),
        (["::"], LOOPBACK),
        (["fe80::1%lo"], LOOPBACK),
        (["127.0.0.2"], LOOPBACK),
        (["no address"], LOOPBACK),
    ],
)
def test_a_name_with_an_address_inside_is_refused_and_nothing_connects(addresses: list[str], allowed: tuple[object, ...]) -> None:
    async def scenario() -> tuple[Answer, Receiver]:
        async with receiving(replies(200)) as receiver:
            url = f"https://hooks.example.com:{receiver.port}/"
            return await post(url, allowed_networks=allowed, resolve=resolving(addresses)), receiver

    answer, receiver = asyncio.run(scenario())
    assert (answer.status, answer.failure) == (None, "address_not_public")
    assert receiver.arrived == 0


@pytest.mark.parametrize("url", ["http://hooks.example.com/", "https://hooks.example.com:22/"])
def test_plain_http_and_ports_of_other_protocols_need_an_allowed_network(url: str) -> None:
    assert asyncio.run(post(url, resolve=resolving([PUBLIC]))).failure == "address_not_public"


@pytest.mark.parametrize(
    "url", ["https://user@hooks.example.com/", "ftp://hooks.example.com/", "https://10.0.0.1/", "https://2130706433/", "x"]
)
def test_a_url_that_is_not_taken_at_creation_is_not_taken_at_delivery(url: str) -> None:
    assert asyncio.run(post(url, resolve=resolving([PUBLIC]))).failure == "invalid_url"


def test_a_name_that_is_rebound_meanwhile_is_connected_to_where_it_was_checked() -> None:
    """One lookup for each delivery: what is checked is what is connected to. The next delivery looks again."""

    async def scenario() -> tuple[list[Answer], Receiver]:
        resolve = resolving(["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"])
        async with receiving(replies(200)) as receiver, Egress(allowed_networks=LOOPBACK, resolve=resolve) as out:
            return [await out.post(f"http://rebinding.example.com:{receiver.port}/", {}, b"") for _ in range(3)], receiver

    answers, receiver = asyncio.run(scenario())
    assert [(one.status, one.failure) for one in answers] == [(200, None), (None, "address_not_public"), (200, None)]
    assert receiver.arrived == 2
    assert all(b"Host: rebinding.example.com:" in one for one in receiver.requests)


def test_the_next_address_is_tried_where_one_takes_no_connection() -> None:
    async def scenario() -> Answer:
        networks = (ip_network("127.0.0.0/8"),)
        async with receiving(replies(200)) as receiver:
            url = f"http://hooks.example.com:{receiver.port}/"
            return await post(url, allowed_networks=networks, resolve=resolving(["127.0.0.3", "127.0.0.1"]))

    assert asyncio.run(scenario()).status == 200


@pytest.mark.parametrize(
    ("host", "tls", "expected"),
    [
        ("localhost", "trusted", (200, None)),
        ("127.0.0.1", "trusted", (200, None)),
        ("hooks.example.com", "trusted", (None, "tls_failed")),
        ("localhost", "system", (None, "tls_failed")),
    ],
)
def test_tls_verifies_the_host_of_the_url_at_the_checked_address(host: str, tls: str, expected: tuple[int | None, str | None]) -> None:
    async def scenario() -> tuple[Answer, Receiver]:
        async with receiving(replies(200), tls=server_tls()) as receiver:
            chosen = trusting() if tls == "trusted" else None
            return await post(f"https://{host}:{receiver.port}/", tls=chosen, resolve=resolving(["127.0.0.1"])), receiver

    answer, receiver = asyncio.run(scenario())
    assert (answer.status, answer.failure) == expected
    assert len(receiver.requests) == (1 if expected[0] else 0)


def test_a_handshake_that_never_ends_is_given_up() -> None:
    async def scenario() -> Answer:
        async with receiving(replies(200)) as receiver:
            return await post(f"https://127.0.0.1:{receiver.port}/", limit_s=SHORT_S)

    assert asyncio.run(scenario()).failure == "timed_out"


def test_who_takes_no_connection_is_a_failure() -> None:
    async def scenario() -> Answer:
        async with receiving(replies(200)) as receiver:
            port = receiver.port
        return await post(f"http://127.0.0.1:{port}/")

    assert asyncio.run(scenario()).failure == "connection_failed"


@pytest.mark.parametrize("answer", ["", "HTTP/1.1 200 OK\r\nContent-Length: 5"], ids=["nothing", "half a head"])
def test_a_connection_that_ends_without_an_answer_is_a_failure(answer: str) -> None:
    assert answered(says(answer))[0].failure in ("not_http", "connection_failed")


@pytest.mark.parametrize(
    "answer", ["SSH-2.0-OpenSSH_9.7\r\n", "\x00" * 500, "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nX: " + "y" * 300_000]
)
def test_what_is_not_http_is_a_failure(answer: str) -> None:
    assert answered(says(answer))[0].failure == "not_http"


async def never(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def dripping(piece: bytes, before: bytes = b"") -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    """Sends a little every now and then, for ever."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(before)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(SHORT_S / 20)

    return answer


@pytest.mark.parametrize(
    "answer",
    [never, dripping(b"H"), dripping(b"X-Drip: 1\r\n", b"HTTP/1.1 200 OK\r\n"), dripping(b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["silent", "status", "headers", "interim answers"],
)
def test_one_limit_holds_for_the_whole_answer(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> None:
    got, _ = answered(answer, limit_s=SHORT_S)
    assert (got.status, got.failure) == (None, "timed_out")


def test_a_body_that_drips_ends_with_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "READ_WITHIN_S", SHORT_S)
    got, _ = answered(dripping(b"1\r\nz\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
    assert (got.status, got.failure) == (200, None)
    assert got.beginning.strip("z") == ""


def test_a_name_server_that_does_not_answer_ends_with_the_limit() -> None:
    async def resolve(host: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    got = asyncio.run(post("https://hooks.example.com/", resolve=resolve, limit_s=SHORT_S))
    assert (got.status, got.failure) == (None, "timed_out")


@pytest.mark.parametrize("found", [[], OSError("no such name")])
def test_a_name_without_an_address_is_a_failure(found: list[str] | OSError) -> None:
    async def resolve(host: str) -> list[str]:
        if isinstance(found, OSError):
            raise found
        return found

    assert asyncio.run(post("https://hooks.example.com/", resolve=resolve)).failure == "name_not_found"


def test_of_a_huge_answer_only_the_beginning_is_read() -> None:
    sent = 0

    async def huge(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 100_000)
            sent += 100_000
            await writer.drain()

    answer, _ = answered(huge)
    assert (answer.status, answer.beginning) == (200, "x" * 1000)
    assert sent < 20_000_000, "the rest stays with the sender, but for what the system's buffers hold"


def test_a_compressed_body_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    answer, _ = answered(says(head + bomb))
    assert (answer.status, answer.beginning) == (200, "(compressed: gzip)")


def test_the_beginning_of_a_body_is_printable() -> None:
    body = b"\x1b[2Jred\x00\xff\xfe\xe2\x80\xaeevil\r\nnext"
    answer, _ = answered(says(f"HTTP/1.1 500 No\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body))
    assert answer.beginning.isprintable()
    assert "evil" in answer.beginning


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [("120", 120.0), ("0", 0.0), ("9" * 400, 86_400.0), ("-5", None), ("soon", None), ("", None), ("1.5", None), ("٣", None)],
)
def test_retry_after_is_read(text: str, expected_s: float | None) -> None:
    assert answered(replies(503, "", f"Retry-After: {text}"))[0].retry_after_s == expected_s


def test_retry_after_may_be_a_date() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    waits_s = answered(replies(429, "", f"Retry-After: {at}"))[0].retry_after_s
    assert waits_s is not None
    assert 3000 < waits_s <= 3600
    assert answered(replies(429, "", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"))[0].retry_after_s == 0


@pytest.mark.parametrize(
    ("status", "host", "expected"),
    [
        (b"200 Connection established", "localhost", (200, None)),
        (b"200 Connection established", "hooks.example.com", (None, "tls_failed")),
        (b"403 Forbidden", "hooks.example.com", (None, "proxy_failed")),
    ],
)
def test_a_proxy_gets_the_name_and_the_tunnel_is_verified(status: bytes, host: str, expected: tuple[int | None, str | None]) -> None:
    """The proxy may be inside: its address is the operator's. What it connects to is its own to check."""

    async def scenario() -> tuple[Answer, Receiver]:
        async def tunnel(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 " + status + b"\r\n\r\n")
            await writer.drain()
            if status.startswith(b"200"):
                await writer.start_tls(server_tls())
                await says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")(writer)

        async with receiving(tunnel) as proxy:
            through = f"http://me:pass%20word@127.0.0.1:{proxy.port}"
            return await post(f"https://{host}/", proxy=through, resolve=resolving()), proxy

    answer, proxy = asyncio.run(scenario())
    assert (answer.status, answer.failure) == expected
    [asked] = proxy.requests
    assert asked.startswith(f"CONNECT {host}:443 HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic bWU6cGFzcyB3b3Jk\r\n" in asked
    assert b"webhook-id" not in asked


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "https://localhost/", "https://metadata.google.internal/", "http://hooks.example.com/"]
)
def test_a_proxy_gets_no_address_or_name_inside(url: str) -> None:
    async def scenario() -> tuple[Answer, Receiver]:
        async with receiving(replies(200)) as proxy:
            return await post(url, allowed_networks=(), proxy=f"http://127.0.0.1:{proxy.port}"), proxy

    answer, proxy = asyncio.run(scenario())
    assert answer.failure == "invalid_url"
    assert proxy.arrived == 0


def test_a_proxy_that_takes_no_connection_is_said_to_be_the_reason() -> None:
    async def scenario() -> Answer:
        async with receiving(replies(200)) as proxy:
            port = proxy.port
        return await post("https://hooks.example.com/", proxy=f"http://127.0.0.1:{port}")

    assert asyncio.run(scenario()).failure == "proxy_failed"


@pytest.mark.parametrize(
    "proxy", ["", "proxy:3128", "socks5://proxy:1080", "http://", "http://:3128", "http://proxy:x", "http://me:hunter2@"]
)
def test_a_proxy_that_can_not_be_used_is_refused_without_its_password(proxy: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        Egress(proxy=proxy)
    assert "hunter2" not in str(refused.value)


def test_every_failure_has_a_meaning() -> None:
    source = Path(egress.__file__).read_text()
    assert all(f'"{code}"' in source for code in FAILURES)
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    assert all(f"`{code}`" in page for code in FAILURES)
