"""Who gets a page: with a key, with a proxy's header, on this machine; how a session ends, and what it never shows."""

import re
import socket
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from didflow.contract.api_keys import ApiScope, digest
from didflow.contract.errors import InvalidSettings
from didflow.contract.exit_codes import ExitCode
from didflow.ledger import api_keys, console_sessions
from didflow.ledger.ledger import Ledger
from producers.http.proxy_login import ProxyLogin, proxy_login
from tests.console.conftest import As
from tests.support.console_visitor import text_of, visiting
from tests.support.http_server import WITHIN_S, Api, serving
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey

PAGES = ("/", "/jobs", "/jobs/x", "/dead-letters", "/spend", "/accounts", "/keys", "/charts", "/live")


@pytest.mark.parametrize("path", PAGES)
def test_without_a_key_there_is_no_page(api: Api, path: str) -> None:
    answer = httpx.get(f"{api.url}/console{path}", trust_env=False, timeout=WITHIN_S)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console/login")
    assert answer.content == b""


def test_a_browser_is_led_to_the_console_and_a_program_is_not(api: Api) -> None:
    browser = httpx.get(api.url, headers={"Accept": "text/html,*/*"}, trust_env=False, timeout=WITHIN_S)
    assert (browser.status_code, browser.headers["location"]) == (303, "/console/")
    assert httpx.get(api.url, trust_env=False, timeout=WITHIN_S).status_code == 404


def test_a_login_leads_to_the_page_that_was_asked_for(api: Api, secrets: dict[str, str]) -> None:
    with visiting(api.url) as visitor:
        asked = visitor.get("/jobs?state=failed")
        assert (asked.status_code, "Log in" in asked.text) == (200, True)
        onward = re.search(r'name="next" value="([^"]+)"', asked.text)
        assert onward is not None
        page = visitor.log_in(secrets["viewer"], onward[1])
    assert (page.status_code, page.url.path, page.url.query) == (200, "/console/jobs", b"state=failed")


@pytest.mark.parametrize(
    "onward", ["https://evil.example/", "//evil.example", "/\\evil.example", "/console/..//evil.example", "/v1/jobs", "javascript:x"]
)
def test_a_login_leads_nowhere_else(api: Api, secrets: dict[str, str], onward: str) -> None:
    with visiting(api.url) as visitor:
        assert visitor.log_in(secrets["viewer"], onward).url == f"{api.url}/console/"


@pytest.mark.parametrize("key", ["", "abc", "dfk_" + "a" * 43])
def test_a_wrong_key_opens_nothing_and_is_not_shown(api: Api, key: str) -> None:
    with visiting(api.url) as visitor:
        page = visitor.log_in(key)
        assert (page.status_code, 'role="alert"' in page.text) == (401, True)
        assert "set-cookie" not in page.headers
        assert not key or key not in page.text


def test_the_cookie_is_for_this_host_only_and_no_script_reads_it(api: Api, secrets: dict[str, str]) -> None:
    headers = {"Origin": api.url}
    answer = httpx.post(f"{api.url}/console/login", data={"key": secrets["viewer"]}, headers=headers, trust_env=False, timeout=WITHIN_S)
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert "Domain" not in cookie


def test_behind_a_named_proxy_with_tls_the_cookie_is_secure(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    with serving(real_ledger, valkey.url, proxies=("127.0.0.1",)) as url:
        secret = Api(url, real_ledger, httpx.Client()).key("viewer", ApiScope.READ)
        headers = {"Origin": url.replace("http:", "https:"), "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
        answer = httpx.post(f"{url}/console/login", data={"key": secret}, headers=headers, trust_env=False, timeout=WITHIN_S)
        assert answer.headers["set-cookie"].startswith("__Host-didflow_console=")
        assert "Secure" in answer.headers["set-cookie"].split("; ")


def test_only_the_digest_of_a_token_is_stored_and_no_secret(api: Api, secrets: dict[str, str]) -> None:
    with visiting(api.url, secrets["viewer"]) as visitor:
        token = visitor.token
        stored = str(api.ledger.client.hgetall(api.ledger.keys.console_sessions))
        assert len(token) >= 43, "256 bits"
        assert digest(token) in stored
        assert token not in stored
        assert secrets["viewer"] not in stored
        assert secrets["viewer"] not in visitor.get("/").text
        assert token not in visitor.get("/").text


def test_a_restart_of_the_server_keeps_a_session(api: Api, secrets: dict[str, str], valkey: EmbeddedValkey) -> None:
    with visiting(api.url, secrets["viewer"]) as visitor, serving(api.ledger, valkey.url) as other:
        again = httpx.get(f"{other}/console/jobs", cookies=dict(visitor.http.cookies), trust_env=False, timeout=WITHIN_S)
    assert again.status_code == 200


def test_a_revoked_key_ends_its_sessions(api: Api) -> None:
    with visiting(api.url, api.key("leaver", ApiScope.READ)) as visitor:
        assert visitor.get("/jobs").url.path == "/console/jobs"
        api.ledger.perform(api_keys.revoke(api.ledger.commands, "leaver"))
        assert visitor.get("/jobs").url.path == "/console/login"


def test_a_rotated_key_ends_the_sessions_of_its_old_secret(api: Api) -> None:
    with visiting(api.url, api.key("rotated", ApiScope.READ)) as visitor:
        _, new = api.ledger.perform(api_keys.rotate(api.ledger.commands, "rotated", overlap=timedelta(0)))
        assert visitor.get("/jobs").url.path == "/console/login"
        assert visitor.log_in(new).status_code == 200


@pytest.mark.parametrize("field", ["until_ms", "used"])
def test_a_session_ends_by_its_time_and_when_it_is_not_used(api: Api, secrets: dict[str, str], field: str) -> None:
    with visiting(api.url, secrets["viewer"]) as visitor:
        place = digest(visitor.token)
        keys, now_ms = api.ledger.keys, api.ledger.now_ms()
        if field == "used":
            api.ledger.client.hset(keys.console_sessions_used, place, now_ms - console_sessions.IDLE_MS)
        else:
            text = str(api.ledger.client.hget(keys.console_sessions, place))
            api.ledger.client.hset(keys.console_sessions, place, re.sub(r'("until_ms":)[0-9.e+]+', rf"\g<1>{now_ms}", text))
        assert visitor.get("/jobs").url.path == "/console/login"


def test_a_page_that_is_asked_for_keeps_the_session_alive(api: Api, secrets: dict[str, str]) -> None:
    with visiting(api.url, secrets["viewer"]) as visitor:
        place = digest(visitor.token)
        before_ms = api.ledger.now_ms() - console_sessions.IDLE_MS + 60_000
        api.ledger.client.hset(api.ledger.keys.console_sessions_used, place, before_ms)
        visitor.get("/jobs")
        assert int(str(api.ledger.client.hget(api.ledger.keys.console_sessions_used, place))) > before_ms


def test_after_a_logout_the_token_opens_nothing(as_: As, api: Api) -> None:
    visitor = as_("viewer")
    cookies = dict(visitor.http.cookies)
    assert "You are logged out." in text_of(visitor.post("/logout"))
    again = httpx.get(f"{api.url}/console/jobs", cookies=cookies, trust_env=False, timeout=WITHIN_S)
    assert again.status_code == 303


def test_sessions_are_listed_and_ended_one_by_one_and_by_key(api: Api, as_: As) -> None:
    admin = as_("admin")
    secret = api.key("guest", ApiScope.READ)
    with visiting(api.url, secret) as one, visiting(api.url, secret) as two, visiting(api.url, secret) as three:
        assert text_of(admin.get("/keys")).count("End the session of guest") == 3
        session = next(found for found in api.ledger.perform(console_sessions.kept(api.ledger.commands)) if found.name == "guest")
        admin.post("/keys/sessions/end", {"session": session.id})
        assert [visitor.get("/jobs").url.path for visitor in (one, two, three)].count("/console/login") == 1
        admin.post("/keys/sessions/end", {"key": session.key_id})
        assert [visitor.get("/jobs").url.path for visitor in (one, two, three)].count("/console/login") == 3
        assert one.log_in(secret).status_code == 200, "the key is still valid"


def test_on_this_machine_without_keys_it_is_open_as_the_api_is(valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
    with serving(real_ledger, valkey.url, open_to="ann") as url, visiting(url) as visitor:
        assert "this machine, no key yet" in text_of(visitor.get("/"))
        assert visitor.post("/appearance", {"theme": "dark", "next": "/console/jobs"}).status_code == 200
        assert 'data-theme="dark"' in visitor.get("/jobs").text
        foreign = visitor.http.get("/console/jobs", headers={"Host": "evil.example"})
        assert (foreign.status_code, "not_local" in foreign.text) == (403, True)
        Api(url, real_ledger, httpx.Client()).key("first", ApiScope.READ)
        assert visitor.get("/jobs").url.path == "/console/login", "from the first key on every page needs one"


class TestAProxysHeader:
    """The proxy here is the test: it comes from 127.0.0.1, which is named, or isn't."""

    def test_a_named_proxy_names_the_person_who_acts(self, valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
        login = ProxyLogin("X-Forwarded-User", "staff")
        with serving(real_ledger, valkey.url, proxies=("127.0.0.1",), proxy_login=login) as url, visiting(url) as visitor:
            made = Api(url, real_ledger, httpx.Client())
            made.key("staff", ApiScope.READ)
            made.key("eve", ApiScope.ADMIN)
            page = visitor.get("/jobs", **{"X-Forwarded-User": "ann"})
            assert (page.url.path, "ann" in text_of(page), "read" in text_of(page)) == ("/console/jobs", True, True)
            assert visitor.get("/jobs").url.path == "/console/login", "each request has to have the header"
            assert visitor.get("/jobs", **{"X-Forwarded-User": "bob"}).url.path == "/console/jobs"
            assert "admin" in text_of(visitor.get("/", **{"X-Forwarded-User": "eve"})), "a key of the person's own name goes first"
            real_ledger.perform(api_keys.revoke(real_ledger.commands, "staff"))
            assert visitor.get("/jobs", **{"X-Forwarded-User": "ann"}).status_code == 403

    def test_of_anybody_else_the_header_is_worth_nothing(self, valkey: EmbeddedValkey, real_ledger: Ledger) -> None:
        login = ProxyLogin("X-Forwarded-User", "staff")
        with serving(real_ledger, valkey.url, proxies=("192.0.2.1",), proxy_login=login) as url, visiting(url) as visitor:
            Api(url, real_ledger, httpx.Client()).key("staff", ApiScope.ADMIN)
            assert visitor.get("/jobs", **{"X-Forwarded-User": "ann", "X-Forwarded-For": "192.0.2.1"}).url.path == "/console/login"


@pytest.mark.parametrize(
    ("header", "key", "word"),
    [
        (None, "staff", "--login-header"),
        ("Cookie", None, "X-Forwarded-User"),
        ("a b", None, "X-Forwarded-User"),
        ("", None, "X-Forwarded-User"),
    ],
)
def test_options_that_can_name_nobody_are_refused(header: str | None, key: str | None, word: str) -> None:
    with pytest.raises(InvalidSettings, match=word):
        proxy_login(header, key)


def test_a_header_without_a_named_proxy_is_refused(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    refused = Shell(tmp_path, {"DIDFLOW_REDIS_URL": valkey.url})("serve", "--port", "0", "--login-header", "X-Forwarded-User")
    assert refused.code == ExitCode.INPUT
    assert "--trusted-proxy" in refused.err


def test_a_link_from_elsewhere_opens_the_page_of_somebody_who_is_logged_in(api: Api) -> None:
    """The browser keeps a `SameSite=Strict` cookie to itself on such a navigation; a page of ours asks again."""
    answer = httpx.get(f"{api.url}/console/jobs?q=%22%3E", headers={"Sec-Fetch-Site": "cross-site"}, trust_env=False, timeout=WITHIN_S)
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/console/jobs?q=%22%3E">' in answer.text


@pytest.mark.parametrize(("declared", "sent", "status"), [(1000, b"key=", 408), (10_000_000, b"key=" + b"a" * 150_000, 413)])
def test_who_isnt_known_holds_no_large_form_and_none_for_long(
    real_ledger: Ledger, valkey: EmbeddedValkey, declared: int, sent: bytes, status: int
) -> None:
    with serving(real_ledger, valkey.url, body_pause_s=0.2) as url:
        host = url.removeprefix("http://")
        head = f"POST /console/login HTTP/1.1\r\nHost: {host}\r\nOrigin: {url}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        name, _, port = host.partition(":")
        with socket.create_connection((name, int(port)), timeout=WITHIN_S) as raw:
            raw.sendall(f"{head}Content-Length: {declared}\r\n\r\n".encode() + sent)
            assert raw.recv(12) == f"HTTP/1.1 {status}".encode()


def test_a_session_counts_against_the_rate_of_its_key(api: Api) -> None:
    """Pages, forms and requests of the API share one rate."""
    secret = api.key("slow person", ApiScope.READ, rate_per_s=100)
    key_id = next(one.key.id for one in api.ledger.perform(api_keys.kept(api.ledger.commands)) if one.key.name == "slow person")
    with visiting(api.url, secret) as visitor, api.client(secret) as http:
        assert visitor.get("/jobs").status_code == 200
        assert float(api.ledger.client.hget(api.ledger.keys.api_keys_sent, key_id) or 0) > 0, "it was counted"
        # As many as it may were sent just now, so that the time that the test takes plays no part.
        api.ledger.client.hset(api.ledger.keys.api_keys_sent, key_id, 2**52)
        refused = visitor.get("/jobs")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "key_rate" in refused.text
        api.ledger.client.hset(api.ledger.keys.api_keys_sent, key_id, 2**52)
        assert visitor.post("/accounts/freeze", {"reason": "x"}).status_code == 429
        api.ledger.client.hset(api.ledger.keys.api_keys_sent, key_id, 2**52)
        assert http.get("/v1/jobs").status_code == 429
