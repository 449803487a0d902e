"""Which dialect a server takes is detected by reads alone, for every combination of path, place of the key, and way to refuse."""

import threading
from collections.abc import Callable
from itertools import product
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from didflow.contract.provider import Barred, NotNow, NotNowReason, NotThere, ReadFailed, Yes
from didflow.settings import Settings
from worker.wavix.client import WavixClient
from worker.wavix.dialect_detection import BELIEVED_S, DialectFinder, Remembered
from worker.wavix.dialects import Dialect, candidates

KEY = "k-5d41402abc4b2a76"
AUTO = candidates("auto", "auto")
PATHS, PLACES = ("mydids", "numbers", "both"), ("query", "bearer", "both")
NO_ROUTES: dict[str, Callable[[], httpx.Response]] = {
    "a page": lambda: httpx.Response(404, html="<h1>404 Not Found</h1>"),
    "a router's JSON": lambda: httpx.Response(404, json={"status": 404, "error": "Not Found"}),
    "JSON as for a record": lambda: httpx.Response(404, json={"success": False, "message": "Not found"}),
}
EMPTY = {"items": [], "pagination": {"current_page": 1, "per_page": 100, "total": 0, "total_pages": 1}}


class Server(httpx.BaseTransport):
    """Takes some paths and places of the key, and refuses as configured. `auth_first`: it looks at the key before the path."""

    def __init__(
        self, path: str, key_place: str, *, no_route: str = "a page", key_status: int = 401, auth_first: bool = False, key: str = KEY
    ) -> None:
        self.path, self.key_place, self.key = path, key_place, key
        self.no_route, self.key_status, self.auth_first = NO_ROUTES[no_route], key_status, auth_first
        self.down: set[str] = set()  #: places of the key for which it answers 502
        self.sent: list[tuple[str, str, str]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        place = "query" if "appid" in request.url.params else "bearer"
        given = request.url.params.get("appid") or request.headers["Authorization"].removeprefix("Bearer ")
        family = request.url.path.split("/")[2]
        self.sent.append((request.method, family, place))
        if place in self.down:
            return httpx.Response(502, html="<h1>Bad Gateway</h1>")
        refused = httpx.Response(self.key_status, json={"success": False, "message": "Unauthorized"})
        is_valid = given == self.key and self.key_place in (place, "both")
        if self.auth_first and not is_valid:
            return refused
        if family in ("mydids", "numbers") and self.path not in (family, "both"):
            return self.no_route()
        if not is_valid:
            return refused
        if request.method != "GET":
            return httpx.Response(201, json={"success": True})
        if request.url.path.count("/") > 2:
            return httpx.Response(404, json={"success": False, "message": "DID not found"})
        return httpx.Response(200, json=EMPTY)


def client_on(server: Server, finder: DialectFinder | None = None) -> WavixClient:
    source = finder or DialectFinder(AUTO)
    return WavixClient("https://api.example.net", SecretStr(KEY), source, transport=server, read_backoff_s=0.001)


@pytest.mark.parametrize(
    ("path", "key_place", "no_route", "key_status", "auth_first"),
    [*product(PATHS, PLACES, NO_ROUTES, (401, 403), (False, True))],
)
def test_every_combination_is_found(path: str, key_place: str, no_route: str, key_status: int, auth_first: bool) -> None:
    server = Server(path, key_place, no_route=no_route, key_status=key_status, auth_first=auth_first)
    client = client_on(server)
    assert client.check_out(["+1213"]) == Yes(None)
    found = client.dialect()
    assert path in (found.path, "both")
    assert key_place in (found.key_in, "both")
    *reads, checkout = server.sent
    assert checkout == ("POST", "buy", found.key_in)
    assert {method for method, _, _ in reads} == {"GET"}
    assert reads[-1] == ("GET", found.path, found.key_in), "the owned list was read in the dialect before anything was bought in it"
    if key_place != "query":
        assert "query" not in {place for _, _, place in server.sent}, "a key in a URL only where nothing else is taken"


@pytest.mark.parametrize(("path", "key_in"), [*product(("auto", "mydids", "numbers"), ("auto", "query", "bearer"))])
def test_a_setting_is_kept_to_and_confirmed_by_a_read(path: str, key_in: str) -> None:
    allowed = candidates(path, key_in)  # type: ignore[arg-type]
    for served, place in product(("mydids", "numbers"), ("query", "bearer")):
        server = Server(served, place)
        answer = client_on(server, DialectFinder(allowed)).check_out(["+1213"])
        tried = {(family, sent_in) for _, family, sent_in in server.sent if family != "buy"}
        assert tried <= {(one.path, one.key_in) for one in allowed}
        if Dialect(served, place) in allowed:  # type: ignore[arg-type]
            assert answer == Yes(None)
        else:
            assert not isinstance(answer, Yes)
            assert ("POST", "buy", place) not in server.sent


def test_a_path_that_is_nowhere_buys_nothing_and_says_what_was_tried() -> None:
    server = Server("elsewhere", "both")
    client = client_on(server)
    answer = client.check_out(["+1213"])
    assert isinstance(answer, NotNow)
    assert (
        "/v1/numbers with a Bearer token: 404; /v1/mydids with a Bearer token: 404; /v1/numbers with the key in the query" in answer.words
    )
    assert "POST" not in {method for method, _, _ in server.sent}
    assert KEY not in answer.words
    with pytest.raises(ReadFailed, match="check WAVIX_BASE_URL and WAVIX_DIALECT"):
        client.owned(page=1)


@pytest.mark.parametrize("key_status", [401, 403])
@pytest.mark.parametrize("path", PATHS)
def test_a_key_that_is_wrong_everywhere_is_refused_as_such(path: str, key_status: int) -> None:
    server = Server(path, "both", key_status=key_status, key="another")
    assert client_on(server).check_out(["+1213"]) == Barred(key_status, "Unauthorized")
    assert "POST" not in {method for method, _, _ in server.sent}


def test_the_key_goes_into_no_url_while_it_is_unknown_whether_a_token_is_taken() -> None:
    server = Server("mydids", "both")
    server.down = {"bearer"}
    with pytest.raises(ReadFailed) as failed:
        client_on(server).owned(page=1)
    assert isinstance(failed.value.answer, NotNow)
    assert failed.value.answer.reason is NotNowReason.UNAVAILABLE
    assert {place for _, _, place in server.sent} == {"bearer"}


@pytest.mark.parametrize("no_route", NO_ROUTES)
@pytest.mark.parametrize(("before", "after"), [(one, other) for one in AUTO for other in AUTO if one != other])
def test_a_change_is_noticed_by_a_read_of_the_owned_list(before: Dialect, after: Dialect, no_route: str) -> None:
    server = Server(before.path, before.key_in, no_route=no_route)
    client = client_on(server)
    assert client.owned(page=1).items == ()
    server.path, server.key_place = after.path, after.key_in
    assert client.owned(page=1).items == ()
    assert client.dialect() == after
    assert client.check_out(["+1213"]) == Yes(None)


@pytest.mark.parametrize("no_route", NO_ROUTES)
def test_a_path_that_was_given_up_makes_no_record_look_gone(no_route: str) -> None:
    clock = [0.0]
    server = Server("mydids", "bearer", no_route=no_route)
    client = client_on(server, DialectFinder(AUTO, clock=lambda: clock[0]))
    client.owned(page=1)
    clock[0] = 60.0
    server.path = "nowhere"
    with pytest.raises(ReadFailed):
        client.owned_one(47)
    server.path = "numbers"
    with pytest.raises(NotThere):
        client.owned_one(47)
    assert client.dialect() == Dialect("numbers", "bearer")


def test_one_thread_asks_and_the_others_wait_for_it() -> None:
    server, together = Server("mydids", "query"), threading.Barrier(8)
    finder = DialectFinder(AUTO)
    found: list[Dialect] = []

    def ask() -> None:
        client = client_on(server, finder)
        together.wait()
        found.append(client.dialect())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Dialect("mydids", "query")] * 8
    assert len(server.sent) == 4, "one after the other, once: two paths with a token, then two with the key in the URL"


class Memory:
    """What the processes of an account share."""

    def __init__(self, kept: Remembered | None = None) -> None:
        self.kept, self.noted = kept, list[Dialect]()

    def recall(self) -> Remembered | None:
        return self.kept

    def remember(self, dialect: Dialect) -> None:
        self.noted.append(dialect)


def test_what_another_process_has_confirmed_lately_needs_no_read() -> None:
    server = Server("mydids", "query")
    finder = DialectFinder(AUTO, Memory(Remembered(Dialect("mydids", "query"), 60.0)))
    assert client_on(server, finder).check_out(["+1213"]) == Yes(None)
    assert server.sent == [("POST", "buy", "query")]


def test_what_was_confirmed_long_ago_is_confirmed_once_more_before_money_moves() -> None:
    server = Server("mydids", "bearer")
    memory = Memory(Remembered(Dialect("mydids", "bearer"), BELIEVED_S + 1))
    assert client_on(server, DialectFinder(AUTO, memory)).check_out(["+1213"]) == Yes(None)
    assert server.sent == [("GET", "mydids", "bearer"), ("POST", "buy", "bearer")], "what was known last is tried first"
    assert memory.noted == [Dialect("mydids", "bearer")]


def test_what_is_remembered_and_not_allowed_by_the_settings_is_not_used() -> None:
    server = Server("both", "both")
    memory = Memory(Remembered(Dialect("numbers", "bearer"), 1.0))
    assert client_on(server, DialectFinder(candidates("mydids", "query"), memory)).check_out(["+1213"]) == Yes(None)
    assert server.sent == [("GET", "mydids", "query"), ("POST", "buy", "query")]


def test_a_process_that_reads_the_list_all_the_time_is_not_asked_to_confirm_it_again() -> None:
    clock = [0.0]
    server = Server("numbers", "bearer")
    client = client_on(server, DialectFinder(AUTO, clock=lambda: clock[0]))
    for hour in range(1, 5):
        client.owned(page=1)
        clock[0] = hour * (BELIEVED_S - 1)
    assert len(server.sent) == 1 + 4, "the first finding, and the reads themselves"


def test_a_refused_change_is_followed_by_a_read_before_the_next_one() -> None:
    server = Server("mydids", "query")
    client = client_on(server)
    client.owned(page=1)
    server.key_place = "bearer"
    assert client.check_out(["+1213"]) == Barred(401, "Unauthorized"), "it is sent once, whatever it is answered"
    server.sent.clear()
    assert client.check_out(["+1213"]) == Yes(None)
    assert [method for method, _, _ in server.sent] == ["GET"] * (len(server.sent) - 1) + ["POST"]


def test_each_account_says_for_itself_what_may_be_tried(tmp_path: Path) -> None:
    (tmp_path / "accounts.toml").write_text('[reseller]\napi_key = "r-1"\ndialect = "mydids"\nkey_in = "query"\n[plain]\napi_key = "p-1"\n')
    settings = Settings(_env_file=None, WAVIX_API_KEY=SecretStr(KEY), WAVIX_KEY_IN="bearer", accounts=tmp_path / "accounts.toml")
    allowed = {name: candidates(account.dialect, account.key_in) for name, account in settings.all_accounts().items()}
    assert allowed == {
        "reseller": (Dialect("mydids", "query"),),
        "plain": AUTO,
        "default": (Dialect("numbers", "bearer"), Dialect("mydids", "bearer")),
    }
