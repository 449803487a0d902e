"""What can't be read never looks like what isn't there: a purchase rests on what the lists do *not* show."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from didflow.contract.destinations import Destination
from didflow.contract.provider import Answer, No, NotNow, NotNowReason, NotThere, ReadFailed, Unclear
from worker.wavix.client import WavixClient
from worker.wavix.locations import MOST_KEPT, LocationCache
from worker.wavix.parsing import MAX_RECORDS, MAX_TITLES
from worker.wavix.reads import READ_ATTEMPTS
from worker.wavix.trunk_calls import MAX_TRUNKS

Read = Callable[[WavixClient], object]
Answers = Callable[[httpx.Request], httpx.Response]

REFUSED = {"success": False, "message": "no"}
ONE_PAGE = {"current_page": 1, "per_page": 100, "total": 1, "total_pages": 1}


@contextmanager
def client_of(answers: Answers) -> Iterator[tuple[WavixClient, list[httpx.Request]]]:
    """A client in the newer dialect, and what it sends."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return answers(request)

    client = WavixClient(
        "https://api.example.net", SecretStr("k-3f9a"), "numbers", transport=httpx.MockTransport(answer), read_backoff_s=0.001
    )
    yield client, sent
    client.close()


def unavailable(read: Read, answers: Answers) -> int:
    """How often was asked until the read was abandoned."""
    with client_of(answers) as (client, sent):
        with pytest.raises(ReadFailed) as failed:
            read(client)
        assert failed.value.answer == NotNow(NotNowReason.UNAVAILABLE)
        return len(sent)


@pytest.mark.parametrize(
    "body",
    [
        REFUSED,
        {},
        {"items": None, "pagination": ONE_PAGE},
        {"items": "12565378257", "pagination": ONE_PAGE},
        {"items": {"id": 1, "number": "12565378257"}, "pagination": ONE_PAGE},
        {"items": []},
        {"items": [], "pagination": {"total": 5}},
    ],
)
def test_an_owned_list_that_cannot_be_read_whole_is_no_empty_list(body: Any) -> None:
    unavailable(lambda client: client.owned(page=1), lambda _: httpx.Response(200, json=body))


@pytest.mark.parametrize("body", [REFUSED, {}, {"dids": None}, {"dids": [{"number": "12565378257", "activation_fee": None}]}])
def test_a_cart_that_cannot_be_read_whole_is_no_empty_cart(body: Any) -> None:
    unavailable(lambda client: client.cart(), lambda _: httpx.Response(200, json=body))


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (lambda client: client.countries(), REFUSED),
        (lambda client: client.offers(1, 2, sms_only=False, page=1), REFUSED),
        (lambda client: client.offers(1, 2, sms_only=False, page=1), {"dids": "none"}),
        (lambda client: client.trunks(), {"sip_trunks": [{"name": "32882"}]}),
        (lambda client: client.balance_usd(), {}),
    ],
)
def test_no_other_read_takes_a_refusal_for_an_answer(read: Read, body: Any) -> None:
    unavailable(read, lambda _: httpx.Response(200, json=body))


def test_locations_that_could_not_be_read_are_not_remembered() -> None:
    bodies: list[Any] = [*[REFUSED] * READ_ATTEMPTS, {"countries": [{"id": 8652, "name": "United States"}]}]
    with client_of(lambda _: httpx.Response(200, json=bodies.pop(0))) as (client, _):
        with pytest.raises(ReadFailed):
            client.countries()
        assert [country.id for country in client.countries()] == [8652]


ROUTERS = [
    httpx.Response(404, html="<h1>404 Not Found</h1>"),
    httpx.Response(404, json={"status": 404, "error": "Not Found"}),
    httpx.Response(404, json={"message": "no Route matched with those values"}),
]


@pytest.mark.parametrize("no_route", ROUTERS)
def test_a_route_that_is_unknown_is_asked_for_by_its_other_name(no_route: httpx.Response) -> None:
    def only_city(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"dids": []}) if "/city/" in request.url.path else httpx.Response(404, content=no_route.content)

    with client_of(only_city) as (client, sent):
        for _ in range(2):
            assert client.offers(1, 2, sms_only=False, page=1).items == ()
        assert [request.url.path.split("/")[5] for request in sent] == ["cities", "city", "city"]


def test_a_city_that_is_unknown_is_asked_for_once_by_each_name_and_once_where_the_name_is_known() -> None:
    def only_city_2(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"dids": []}) if "/cities/2/" in request.url.path else httpx.Response(404, json=REFUSED)

    with client_of(only_city_2) as (client, sent):
        with pytest.raises(NotThere):
            client.offers(1, 3, sms_only=False, page=1)
        client.offers(1, 2, sms_only=False, page=1)
        with pytest.raises(NotThere):
            client.offers(1, 3, sms_only=False, page=1)
        assert [request.url.path.split("/")[5] for request in sent] == ["cities", "city", "cities", "cities"]


@pytest.mark.parametrize("no_route", ROUTERS)
def test_a_gateways_404_is_no_answer_to_a_checkout(no_route: httpx.Response) -> None:
    with client_of(lambda _: httpx.Response(404, content=no_route.content)) as (client, _):
        assert isinstance(client.check_out(["+12565378257"]), Unclear)


@pytest.mark.parametrize(
    "change",
    [
        lambda client: client.set_route([1], (Destination.sip("pbx@example.net"),), None),
        lambda client: client.set_sms_relay_url(1, "https://example.net/sms"),
    ],
)
def test_a_success_false_is_no_yes_whatever_else_is_said(change: Callable[[WavixClient], Answer[None]]) -> None:
    with client_of(lambda _: httpx.Response(200, json={"success": False, "id": 1, "items": []})) as (client, _):
        assert isinstance(change(client), Unclear)


def test_only_numbers_are_named_as_unavailable() -> None:
    body = {"error": "gone", "error_dids": [None, 44, "1213", "+1214", {"number": "5"}]}
    with client_of(lambda _: httpx.Response(422, json=body)) as (client, _):
        assert client.check_out(["+44", "+1213", "+1214"]) == No("some_unavailable", "gone", ("+44", "+1213", "+1214"))


@pytest.mark.parametrize("status", [302, 400, 409, 418])
def test_a_read_that_was_refused_is_not_repeated(status: int) -> None:
    with client_of(lambda _: httpx.Response(status, json=REFUSED)) as (client, sent):
        with pytest.raises(ReadFailed) as failed:
            client.owned(page=1)
        assert isinstance(failed.value.answer, No), "the provider's own no is counted, so that nobody asks for ever"
        assert len(sent) == 1
    assert unavailable(lambda client: client.owned(page=1), lambda _: httpx.Response(status, html="<h1>no</h1>")) == 1


def test_a_long_retry_after_is_for_the_job_to_wait() -> None:
    with client_of(lambda _: httpx.Response(429, headers={"Retry-After": "60"})) as (client, sent):
        with pytest.raises(ReadFailed) as failed:
            client.owned(page=1)
        assert failed.value.answer == NotNow(NotNowReason.RATE_LIMITED, 60.0)
        assert len(sent) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_gateways_page_is_no_word_about_the_key(status: int) -> None:
    page = httpx.Response(status, html="<h1>403 Forbidden</h1>")
    assert unavailable(lambda client: client.balance_usd(), lambda _: httpx.Response(status, content=page.content)) == 1
    with client_of(lambda _: httpx.Response(status, content=page.content)) as (client, sent):
        assert isinstance(client.release([1, 2]), Unclear)
        assert len(sent) == 1


def test_titles_of_document_types_are_remembered_only_so_far_as_there_can_be_any() -> None:
    def answers(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params.get("page", "1"))
        types = [{"id": page * 1000 + place, "title": "t"} for place in range(300)]
        pages = {"current_page": page, "per_page": 100, "total": 3, "total_pages": 3}
        return httpx.Response(200, json={"items": [{"id": page, "number": "1213"}], "doc_types": types, "pagination": pages})

    with client_of(answers) as (client, _):
        for page in (1, 2, 3):
            client.owned(page=page)
        assert len(client.document_titles()) == MAX_TITLES


def test_places_that_are_remembered_make_room_for_newer_ones() -> None:
    cache, asked = LocationCache(), list[int]()

    def read(key: int) -> tuple[int, ...]:
        asked.append(key)
        return (0,) * (MOST_KEPT // 2)

    for key in (1, 2, 2, 3, 3, 1):
        cache.get(key, lambda key=key: read(key))  # type: ignore[misc]
    assert asked == [1, 2, 3, 1]
    cache.get("all", lambda: (0,) * (2 * MOST_KEPT))
    assert cache.get("all", lambda: ()) == (0,) * (2 * MOST_KEPT), "what is larger than all of it is there until the next one"


def test_a_cookie_is_not_sent_back() -> None:
    with client_of(lambda _: httpx.Response(200, json={"balance": "1"}, headers={"Set-Cookie": "a=b; Path=/"})) as (client, sent):
        client.balance_usd()
        client.balance_usd()
    assert len(sent) == 2
    assert not any("cookie" in request.headers for request in sent)


@pytest.mark.parametrize("more", [0, 1])
def test_an_answer_with_more_records_than_any_has_is_not_read(more: int) -> None:
    offers = [{"id": 12565378257, "activation_fee": 1, "monthly_fee": 1}] * (MAX_RECORDS + more)
    with client_of(lambda request: httpx.Response(200, json={"dids": offers} if request.method == "GET" else offers)) as (client, _):
        if more:
            with pytest.raises(ReadFailed):
                client.cart()
            assert client.put_in_cart(["+12565378257"]) == Unclear("unreadable answer")
        else:
            assert len(client.cart()) == MAX_RECORDS


def test_trunks_are_read_only_so_far_as_an_account_can_have_them() -> None:
    def answers(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params["page"])
        pages = {"current_page": page, "per_page": 100, "total": 1, "total_pages": 9}
        return httpx.Response(200, json={"sip_trunks": [{"id": page * 10_000 + one} for one in range(4_000)], "pagination": pages})

    with client_of(answers) as (client, sent):
        with pytest.raises(ReadFailed):
            client.trunks()
        assert len(sent) == MAX_TRUNKS // 4_000 + 1
