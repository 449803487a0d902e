"""A call whose time is over before anything was sent is a connection that wasn't made: never an error in didflow itself."""

import httpx
import pytest

from didflow.contract.provider import NotNow, NotNowReason
from worker.wavix.answers import classify_failure
from worker.wavix.transport import OneDeadlineTransport


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_process_that_stood_still_before_it_connected_sent_nothing(method: str) -> None:
    request = httpx.Request(method, "http://127.0.0.1:9/v1/buy/cart/checkout")
    with pytest.raises(httpx.ConnectTimeout) as late:
        OneDeadlineTransport(0.0).handle_request(request)
    answer = classify_failure(late.value)
    assert answer == NotNow(NotNowReason.UNREACHABLE)
