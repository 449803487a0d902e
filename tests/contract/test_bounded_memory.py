"""Whatever a server answers, a call takes a bounded amount of memory: measured in a process of its own, over real HTTP, at its peak."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hostile_server import Answering, HostileServer
from worker.wavix.connection import MAX_BODY_BYTES

pytestmark = pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's /proc")

#: What a call may take beyond what the process holds, in MiB.
MOST_MIB = 64
#: The same beyond what the process held at first: some of what calls have freed stays with it.
MOST_IN_ALL_MIB = 96
JSON = b"Content-Type: application/json\r\n"


def answer(body: bytes, headers: bytes = JSON) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n" + headers + b"Content-Length: %d\r\n\r\n" % len(body)
    yield body


def forever(head: bytes, piece: bytes) -> Answering:
    """`piece` again and again, until the client hangs up."""

    def answers(_: str) -> Iterator[bytes]:
        yield head
        while True:
            yield piece

    return answers


def always(body: bytes, headers: bytes = JSON) -> Answering:
    return lambda _: answer(body, headers)


def filled(item: bytes, before: bytes = b'{"items":[', after: bytes = b"]}", most: int = 1_000_000) -> bytes:
    """As many of these as fit into an answer that is read."""
    count = min(most, (MAX_BODY_BYTES - len(before) - len(after)) // (len(item) + 1))
    return before + b",".join([item] * count) + after


def page_of(target: str) -> int:
    return int(target.partition("page=")[2].partition("&")[0] or 1)


def paged(name: str, count: int, record: str, **more: object) -> Answering:
    """A list that has a billion records, `count` new ones on each page, and says that it has few pages."""

    def answers(target: str) -> Iterator[bytes]:
        page = page_of(target)
        pages = {"current_page": page, "per_page": 100, "total": count * 16, "total_pages": 16}
        records = ",".join(record % {"id": page * 100_000 + place} for place in range(count))
        yield from answer(f'{{"{name}":[{records}],"pagination":{json.dumps(pages)},"more":{json.dumps(more)}}}'.encode())

    return answers


def cookies(target: str) -> Iterator[bytes]:
    name = os.urandom(8).hex().encode()
    yield from answer(b'{"success":true}', JSON + b"".join(b"Set-Cookie: %s%d=%s\r\n" % (name, place, b"c" * 900) for place in range(60)))


OK_HEAD = b"HTTP/1.1 200 OK\r\n" + JSON
A_GIBIBYTE_PACKED = gzip.compress(bytes(8 * 1016 * 1016)) * 128
LONG = "x" * 3500
ANSWERS: dict[str, Answering] = {
    "fine": always(b'{"success":true,"balance":"1.00"}'),
    "cookies": cookies,
    "packed": always(A_GIBIBYTE_PACKED, JSON + b"Content-Encoding: gzip\r\n"),
    "packed on the way": forever(OK_HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", b"%x\r\n%s\r\n" % (8192, b"z" * 8192)),
    "a billion pages": always(
        b'{"items":[{"id":1,"number":"12135550100"}],"sip_trunks":[{"id":1}],"dids":[],"cities":[],'
        b'"pagination":{"current_page":1,"total":100000000000,"total_pages":1000000000}}'
    ),
    "large pages": paged("items", 550, '{"id":%(id)d,"number":"1%(id)010d","status":"active","label":"' + LONG + '"}'),
    "many records": paged("items", 30_000, '{"id":%(id)d,"number":"1%(id)010d"}'),
    "many trunks": paged("sip_trunks", 4_000, '{"id":%(id)d,"name":"%(id)d","label":"' + "t" * 400 + '"}'),
    "many cities": always(filled(b"{\"id\":1,\"name\":\"a\"}", b"{\"cities\":[", most=33_000)),
    "many offers": always(filled(b'{"id":1,"activation_fee":1,"monthly_fee":1}', b'{"dids":[')),
    "many in the cart": always(filled(b'{"id":12565378257,"activation_fee":1,"monthly_fee":1}', b"[", b"]")),
    "deep": always(b"[" * (MAX_BODY_BYTES - 10)),
    "deep and closed": always(b"[" * 500_000 + b"]" * 500_000),
    "deep objects": always(b'{"success":' * 90_000 + b"1" + b"}" * 90_000),
    "small objects": always(filled(b'{"a":1}', most=49_000)),
    "too many objects": always(filled(b'{"a":1}', most=99_000)),
    "many names": always(b'{"success":true,' + b",".join(b'"%d":1' % place for place in range(99_000)) + b"}"),
    "many texts": always(filled(b'"abcdef"', most=99_000)),
    "wide texts": always(('{"success":true,"message":"' + "\U0001f4de" * 500_000 + '"}').encode()),
    "escaped texts": always(b'{"success":true,"message":"' + b"\\u00e9" * 340_000 + b'"}'),
    "backslashes": always(b'{"success":true,"message":"' + b"\\\\" * 1_000_000 + b'"}'),
    "not JSON": always(b"<" * MAX_BODY_BYTES),
    "a long number": always(b'{"balance":' + b"9" * (MAX_BODY_BYTES - 20) + b"}"),
    "one header": forever(b"HTTP/1.1 200 OK\r\nX-Large: ", b"h" * 65536),
    "headers": forever(b"HTTP/1.1 200 OK\r\n", b"X-One: more\r\n" * 1000),
    "an endless status": forever(b"HTTP/1.1 200 ", b"O" * 65536),
    "an endless body": forever(OK_HEAD + b"\r\n", b" " * 65536),
    "a large body": forever(OK_HEAD + b"Content-Length: 99999999999\r\n\r\n", b" " * 65536),
    "endless chunks": forever(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "tiny chunks": forever(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 1000),
    "a chunk's size": forever(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536),
    "a chunk's extension": forever(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"e" * 65536),
    "endless trailers": forever(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"T: " + b"t" * 65536 + b"\r\n"),
    "never the answer": forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
}  # fmt: skip
#: Calls that a kind of answer is about, where it isn't about all.
CALLS = {
    "large pages": "whole list", "many records": "owned", "many trunks": "trunks",
    "many cities": "cities", "many offers": "offers,cart", "many in the cart": "cart_put", "cookies": "many changes",
    "small objects": "cart,checkout", "too many objects": "cart,checkout", "many names": "cart_put",
    "many texts": "papers", "wide texts": "checkout", "escaped texts": "checkout", "backslashes": "release", "tiny chunks": "checkout",
}  # fmt: skip
#: Answers that are large and say something all the same.
READABLE = {"fine", "large pages", "many names", "wide texts", "escaped texts", "backslashes", "cookies"}


def word(name: str) -> str:
    """The name as part of a path."""
    return name.replace(" ", "_").replace("'", "")


def test_an_answer_takes_a_bounded_amount_of_memory() -> None:
    """All in one process, because to start one takes the longest."""
    wanted = [f"{CALLS.get(name, 'owned,route')}@{word(name)}" for name in ANSWERS]
    with HostileServer({word(name): answers for name, answers in ANSWERS.items()}) as server:
        command = [sys.executable, "-m", "tests.contract.measured_client", server.url, *wanted]
        child = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    found = dict(zip(ANSWERS, json.loads(child.stdout).values(), strict=True))
    assert {name: one for name, one in found.items() if one[0] > MOST_IN_ALL_MIB * 1024 or one[1] > MOST_MIB * 1024} == {}
    outcomes = {name: {call: outcome.split("(")[0].split(" ")[0] for call, outcome in one[2].items()} for name, one in found.items()}
    believed = {name for name, by_call in outcomes.items() if not set(by_call.values()) <= {"ReadFailed", "Unclear"}}
    assert believed <= READABLE, outcomes
