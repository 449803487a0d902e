"""A page hears that something has changed, and nothing else; what it hears ends with its session and with the server."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from didflow.contract.api_keys import ApiScope
from didflow.ledger import api_keys
from didflow.ledger.ledger import Ledger
from tests.console.conftest import As
from tests.support.console_visitor import Visitor, visiting
from tests.support.http_server import Api, serving
from tests.support.ledger_roles import submitted
from worker.local.embedded_valkey import EmbeddedValkey


def heard(answer: httpx.Response) -> Iterator[str]:
    """Its lines that say something, without heartbeats."""
    return (line for line in answer.iter_lines() if line not in ("", ":"))


def is_listened_to(lines: Iterator[str]) -> None:
    """From here on it hears of every change. What came before that, the page fetches."""
    assert [next(lines) for _ in range(3)] == ["retry: 1000", "event: listening", "data: "]


def test_it_hears_of_changes_and_never_what_they_are(as_: As, api: Api) -> None:
    with as_("viewer").http.stream("GET", "/console/live") as answer:
        lines = heard(answer)
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        is_listened_to(lines)
        submitted(api.ledger, reference="a secret of a customer")
        assert [next(lines), next(lines)] == ["event: changed", "data: "]


def test_a_page_of_a_job_hears_of_that_job_only(as_: As, api: Api) -> None:
    one = submitted(api.ledger)
    with as_("viewer").http.stream("GET", f"/console/live?job={one.id}") as answer:
        lines = heard(answer)
        is_listened_to(lines)
        submitted(api.ledger)
        api.http.post(f"/v1/jobs/{one.id}/cancel")
        assert next(lines) == "event: changed"


def test_a_limited_key_hears_of_its_own_jobs_only(api: Api) -> None:
    with visiting(api.url, api.key("hears", ApiScope.READ, reference_prefix="shop-")) as visitor:
        counts = []
        for reference in ("other-1", "shop-1"):
            with visitor.http.stream("GET", "/console/live", timeout=1.5) as answer:
                lines = heard(answer)
                is_listened_to(lines)
                submitted(api.ledger, reference=reference)
                try:
                    counts.append(next(lines))
                except httpx.ReadTimeout:
                    counts.append("nothing")
        assert counts == ["nothing", "event: changed"]


def test_it_ends_with_its_key(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    with serving(real_ledger, valkey.url, heartbeat_s=0.05) as url:
        secret = Api(url, real_ledger, httpx.Client()).key("leaver", ApiScope.READ)
        with visiting(url, secret) as visitor, visitor.http.stream("GET", "/console/live") as answer:
            lines = heard(answer)
            is_listened_to(lines)
            real_ledger.perform(api_keys.revoke(real_ledger.commands, "leaver"))
            assert list(lines) == []
            assert_sent_to_the_login(visitor)


def assert_sent_to_the_login(visitor: Visitor) -> None:
    """A page that fetches a part of itself goes to the login as a whole."""
    part = visitor.http.get("/console/jobs", headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/console/login")
    assert visitor.http.get("/console/live", headers={"Accept": "text/event-stream"}).status_code == 401


def test_it_ends_with_the_server(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    with visiting("http://127.0.0.1") as visitor:
        ended = threading.Event()

        def listen(url: str, opened: threading.Event) -> None:
            with visitor.http.stream("GET", f"{url}/console/live") as answer:
                opened.set()
                answer.read()
            ended.set()

        with serving(real_ledger, valkey.url, open_to="ann") as url:
            opened = threading.Event()
            thread = threading.Thread(target=listen, args=(url, opened))
            thread.start()
            assert opened.wait(60)
        assert ended.wait(60)
        thread.join(60)


@pytest.mark.parametrize("path", ["/live", "/live?job=nothing"])
def test_it_needs_the_right_to_read(api: Api, path: str) -> None:
    with visiting(api.url, api.key(f"buys {path}", ApiScope.BUY)) as visitor:
        assert visitor.get(path).status_code == 403
