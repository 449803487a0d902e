"""Tests of the tests: what the receiver of webhooks takes for a request."""

import socket
from urllib.parse import urlsplit

import httpx

from tests.support.webhook_receiver import receiving


def test_a_request_whose_sender_died_before_its_body_is_none() -> None:
    with receiving() as receiver:
        address = urlsplit(receiver.url)
        with socket.create_connection((address.hostname, address.port), 60) as doomed:
            doomed.sendall(b'POST /hook HTTP/1.1\r\nhost: shop\r\nwebhook-id: job:1\r\ncontent-length: 9\r\n\r\n{"a":')
            doomed.shutdown(socket.SHUT_WR)
            assert doomed.recv(1) == b"", "no answer"
        assert httpx.post(receiver.url, content=b'{"a": 1}', headers={"webhook-id": "job:1"}, trust_env=False).status_code == 204
        assert [one.event for one in receiver.got] == [{"a": 1}]
