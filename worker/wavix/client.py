"""The Wavix Numbers API, both dialects: reads that are retried, mutating calls that are sent once.

Paths and bodies follow the published OpenAPI descriptions; where those and the provider's overview differ it is said here.
Numbers are E.164 with the plus on our side and digits on the wire.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Literal, TypeVar

import httpx
import stamina
import structlog
from pydantic import SecretStr

from didflow.contract.destinations import Route, SeenDestination, Transport
from didflow.contract.document_file import DOCUMENT_IDS, Paper
from didflow.contract.ids_form import IdsForm
from didflow.contract.numbers import NumberType, to_provider
from didflow.contract.provider import (
    Answer,
    Barred,
    City,
    Country,
    No,
    NotNow,
    NotNowReason,
    NotThere,
    Offer,
    OwnedAsk,
    OwnedNumber,
    Page,
    ReadFailed,
    Region,
    Trunk,
    Unclear,
    Yes,
    answer_class,
)
from didflow.contract.transactions import Transaction
from worker.wavix import parsing
from worker.wavix.answers import Mutation, Said, classify, not_now
from worker.wavix.calls_in_flight import CallsUnderWay
from worker.wavix.dialect_detection import DialectFinder, DialectSource, FixedDialect, meaning_of
from worker.wavix.dialects import PUBLISHED, Dialect, candidates
from worker.wavix.locations import LocationCache
from worker.wavix.parsing import DocumentForm, Fields, Unreadable
from worker.wavix.request_gate import Admission, Free, NotAdmitted
from worker.wavix.subject import Subject, is_about_another
from worker.wavix.transport import Params, Wire, fingerprint
from worker.wavix.trunks import TrunkNames

T = TypeVar("T")

#: The provider's maximum.
PER_PAGE = 100
#: A million records.
MAX_PAGES = 10_000
#: All of an account's trunks are kept in memory; a longer list isn't believed.
MAX_TRUNKS = 10_000
READ_ATTEMPTS = 4
#: What the overview calls the types of numbers.
TYPE_FILTERS: dict[NumberType, str] = {"geographic": "geo", "toll_free": "toll-free", "all": "all"}
#: Under this it is remembered whether the server refused the filter.
_NO_TYPE_FILTER = "no type_filter"
READ_WITHIN_S = 20.0
#: A read that the provider wants repeated later than this isn't waited for here: the job waits, without holding a thread.
READ_WAIT_MAX_S = 5.0
#: After a 429 that asks for no longer a pause than this, a read in the middle of an attempt waits in its thread.
LIMITED_MAX_S = 120.0

#: What a 403 to a read under these paths is about. The published contract gives keys scopes, and each call names the one that it needs.
RIGHTS = (("/v1/buy/", "search and buy numbers"), ("/v1/trunks", "read SIP trunks"), ("/v1/profile/", "read the balance"))
#: The same for the calls that change something.
RIGHT_TO = {
    Mutation.CART_PUT: "buy numbers",
    Mutation.CART_DELETE: "buy numbers",
    Mutation.CHECKOUT: "buy numbers",
    Mutation.ROUTE: "change destinations",
    Mutation.UPDATE: "change numbers",
    Mutation.SMS: "change numbers",
    Mutation.PAPERS: "hand in documents",
    Mutation.RELEASE: "release numbers",
}

log = structlog.stdlib.get_logger("didflow.wavix")


class _Again(Exception):
    """A read that may work when it is repeated."""

    def __init__(self, answer: NotNow) -> None:
        super().__init__(answer.reason.value)
        self.answer = answer


class _NoSuchRoute(Exception):
    """The server doesn't know the path."""


def _again_after(error: Exception) -> bool | float:
    """When stamina may repeat a read: as the provider says, else after its own backoff."""
    if not isinstance(error, _Again):
        return False
    wait_s = error.answer.retry_after_s or 0.0
    return wait_s <= READ_WAIT_MAX_S and (wait_s or True)


class WavixClient:
    """One account, for one thread at a time. Reads raise `ReadFailed` or `NotThere`; mutating calls return an `Answer`.

    `dialect` is a name, taken as it was published (``auto``: this client detects it alone), or who finds it out for all of an account's
    clients.

    `timeout_s` is that of one request, from the connection to the last byte of the answer. A list of more than `max_pages` pages isn't
    believed. `calls` knows what is under way. `admission` says when each may go; without one all go at once. `locations` remembers
    countries, regions and cities; give the same to all clients of an account.
    """

    def __init__(
        self,
        base_url: str,
        key: SecretStr,
        dialect: Literal["auto", "mydids", "numbers"] | DialectSource,
        *,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        admission: Admission | None = None,
        locations: LocationCache | None = None,
        read_backoff_s: float = 0.2,
        max_pages: int = MAX_PAGES,
        calls: CallsUnderWay | None = None,
    ) -> None:
        self._dialects, self._max_pages = _source(dialect), max_pages
        self._http = Wire(base_url, key, timeout_s=timeout_s, transport=transport, admission=admission or Free(), calls=calls)
        self._locations = locations or LocationCache()
        self._trunk_names = TrunkNames(self._locations, self.trunks)
        self._read_backoff_s = read_backoff_s
        self._city_word: Literal["cities", "city"] = "cities"
        self._city_word_known = False
        self._titles: dict[str, str] = {}
        self._document_form: DocumentForm | None = None
        self._upload_form_is_known = False  #: an upload in that form was taken; lists may name types in another one

    def close(self) -> None:
        self._http.close()

    # Stock

    def countries(self) -> tuple[Country, ...]:
        return self._locations.get("countries", lambda: self._list("/v1/buy/countries", "countries", parsing.country))

    def regions(self, country_id: int) -> tuple[Region, ...]:
        """Raises NotThere for a country without regions."""
        path = f"/v1/buy/countries/{country_id}/regions"
        return self._locations.get(path, lambda: self._list(path, "regions", parsing.region))

    def cities(self, country_id: int, region_id: int | None) -> tuple[City, ...]:
        region = f"/regions/{region_id}" if region_id is not None else ""
        path = f"/v1/buy/countries/{country_id}{region}/cities"
        return self._locations.get(path, lambda: self._list(path, "cities", parsing.city))

    def offers(self, country_id: int, city_id: int, *, sms_only: bool, page: int, number_type: NumberType = "all") -> Page[Offer]:
        """Numbers in stock. `number_type` only narrows what is listed, on servers that know the filter: check each number.

        ``type_filter`` stands in the overview and was dropped from the contracts. A server that refuses it is asked without it, from
        then on for all numbers.
        """
        params: dict[str, str | int] = {"text_enabled_only": "true" if sms_only else "false", "page": page, "per_page": PER_PAGE}
        if number_type == "all" or self._locations.get(_NO_TYPE_FILTER, lambda: False):
            return self._offers(country_id, city_id, params, page)
        try:
            return self._offers(country_id, city_id, {**params, "type_filter": TYPE_FILTERS[number_type]}, page)
        except (NotThere, ReadFailed) as refused:
            if isinstance(refused, ReadFailed) and not isinstance(refused.answer, No):
                raise
            found = self._offers(country_id, city_id, params, page)
            log.warning("wavix.type_filter_refused", error=str(refused))
            self._locations.get(_NO_TYPE_FILTER, lambda: True, kept_s=0.0)
            return found

    def _offers(self, country_id: int, city_id: int, params: Params, page: int) -> Page[Offer]:
        """The overview writes ``city`` in this path, the OpenAPI descriptions ``cities``: whichever the server knows."""

        def offers(raw: Fields) -> Page[Offer]:
            return parsing.offers_page(raw, page, self._max_pages)

        def read(word: str) -> Page[Offer]:
            return self._read(f"/v1/buy/countries/{country_id}/{word}/{city_id}/dids", params, offers)

        try:
            found = read(self._city_word)
        except (_NoSuchRoute, NotThere) as missing:
            # A server may answer a path that it doesn't have as it answers a city that it doesn't have.
            if isinstance(missing, NotThere) and self._city_word_known:
                raise
            other: Literal["cities", "city"] = "city" if self._city_word == "cities" else "cities"
            try:
                found = read(other)
            except _NoSuchRoute:
                if isinstance(missing, NotThere):
                    raise missing from None
                log.error("wavix.route_unknown", path=f"/v1/buy/countries/{country_id}/{other}/{city_id}/dids")
                raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE)) from None
            self._city_word = other
        self._city_word_known = True
        return found

    # Cart and checkout

    def put_in_cart(self, numbers: Sequence[str]) -> Answer[tuple[Offer, ...]]:
        """The answer lists what was really added, with the fees that will be charged."""
        answer = self._mutate(Mutation.CART_PUT, Subject.of(numbers), lambda _: ("PUT", "/v1/buy/cart"), body=_ids(numbers))
        if not isinstance(answer, Yes):
            return answer
        try:
            return Yes(tuple(offer for offer in parsing.offers(answer.value) if offer.number in set(numbers)), request=answer.request)
        except Unreadable:
            return Unclear("unreadable answer", request=answer.request)

    def remove_from_cart(self, numbers: Sequence[str]) -> Answer[None]:
        """`No(not_in_cart)`: at least one wasn't there; which ones are left must be looked up."""
        return _bare(self._mutate(Mutation.CART_DELETE, Subject.of(numbers), lambda _: ("DELETE", "/v1/buy/cart"), body=_ids(numbers)))

    def cart(self) -> tuple[Offer, ...]:
        def read(raw: Fields) -> tuple[Offer, ...]:
            self._learn_titles(raw)
            return parsing.cart(raw)

        return self._read_known("/v1/buy/cart", {}, read)

    def document_titles(self) -> Mapping[str, str]:
        """What the provider calls its types of documents, by name; empty where it doesn't say. The lists bring it along."""
        if not self._titles:
            with suppress(ReadFailed):
                self.cart()
        return dict(self._titles)

    def check_out(self, numbers: Sequence[str]) -> Answer[None]:
        """Takes money at once, and can't be undone."""
        return _bare(self._mutate(Mutation.CHECKOUT, Subject.of(numbers), lambda _: ("POST", "/v1/buy/cart/checkout"), body=_ids(numbers)))

    # Owned numbers

    def owned(self, *, page: int, search: str | None = None, label: str | None = None, per_page: int = PER_PAGE) -> Page[OwnedNumber]:
        params: dict[str, str | int] = {"page": page, "per_page": per_page}
        if search is not None:
            params["search"] = to_provider(search)
        if label is not None:
            params["label"] = label

        def read(raw: Fields) -> Page[OwnedNumber]:
            shown = parsing.owned_page(raw, page, self._max_pages)
            self._learn_titles(raw)
            self._learn_document_form(raw.get("items"))
            return replace(shown, items=tuple(parsing.with_titles(one, self._titles) for one in shown.items))

        found, dialect = self._read_owned(lambda dialect: dialect.owned_path, params, read)
        self._dialects.confirm(dialect)
        return replace(found, items=tuple(map(self._trunk_names.identified, found.items)))

    def owned_many(self, asks: Iterable[OwnedAsk]) -> Iterator[Page[OwnedNumber]]:
        """One after the other; a worker's client asks several at once."""
        for ask in asks:
            yield self.owned(page=ask.page, search=ask.search, label=ask.label)

    def owned_one(self, record_id: int) -> OwnedNumber:
        """Raises NotThere if the account doesn't have that record."""

        def read(raw: Fields) -> OwnedNumber:
            self._learn_document_form([raw])
            return parsing.with_titles(parsing.owned_record(raw, record_id), self._titles)

        found, _ = self._read_owned(lambda dialect: f"{dialect.owned_path}/{record_id}", {}, read)
        return self._trunk_names.identified(found)

    def await_turn(self) -> None:
        try:
            self._http.await_turn()
        except NotAdmitted as held:
            raise ReadFailed(held.answer) from None

    def set_route(self, record_ids: Sequence[int], route: Route, sms_relay_url: str | None) -> Answer[None]:
        """Replace the whole list of destinations of every record. One unknown id refuses the whole call.

        `sms_relay_url` is sent only where there is one: the older dialect's description calls it required, but an overview of the
        same version leaves it out, and an empty one would switch the callback off. A SIP trunk is sent with its login, as the
        contracts ask; with its id where the key may not read trunks.
        """
        try:
            route = self._trunk_names.with_logins(route)
        except ReadFailed as failed:
            return failed.answer  # Nothing was sent.
        body: dict[str, object] = {"ids": list(record_ids), "destinations": [_destination(one) for one in route]}
        if sms_relay_url is not None:
            body["sms_relay_url"] = sms_relay_url
        return _bare(self._mutate(Mutation.ROUTE, Subject.of(record_ids=record_ids), lambda dialect: dialect.route, body=body))

    def set_sms_relay_url(self, record_id: int, url: str) -> Answer[None]:
        subject = Subject.of(record_ids=[record_id])
        return _bare(self._mutate(Mutation.UPDATE, subject, lambda dialect: _update(dialect, record_id), body={"sms_relay_url": url}))

    def set_sms_enabled(self, record_id: int, enabled: bool) -> Answer[None]:
        """Inbound SMS on or off. The provider has it for US and Canadian numbers only, and refuses the others."""

        def change(dialect: Dialect) -> httpx.Request:
            if dialect.sms_path is not None:
                return self._http.request("PUT", dialect.sms_path, body={"id": record_id, "sms_enabled": enabled})
            return self._http.request(*_update(dialect, record_id), body={"sms_enabled": enabled})

        return _bare(self._change(Mutation.SMS, Subject.of(record_ids=[record_id]), change))

    def upload_paper(
        self, record_ids: Sequence[int], paper: Paper, *, other_form: bool = False, numbers: Sequence[str] = ()
    ) -> Answer[None]:
        """Hand a document in for these records. What became of it is read from the numbers: their `documents`.

        `numbers`: the phone numbers of these records, if they are known: an answer that names another number is unclear.

        `doc_id` is an id until summer 2026, and a name in the newest contract: it is sent in the form that the lists, or the last upload,
        showed; with `other_form` in the other one.
        """
        form: DocumentForm = self._document_form or "ids"
        if other_form:
            form = "names" if form == "ids" else "ids"
        fields = {"did_ids": ",".join(map(str, record_ids)), "doc_id": paper.kind if form == "names" else str(DOCUMENT_IDS[paper.kind])}
        file = (paper.file_name, paper.content, paper.content_type)

        def upload(dialect: Dialect) -> httpx.Request:
            return self._http.upload(f"{dialect.owned_path}/papers", fields, "doc_attachment", file)

        answer = _bare(self._change(Mutation.PAPERS, Subject.of(numbers, record_ids), upload))
        if isinstance(answer, Yes):
            self._document_form, self._upload_form_is_known = form, True
        return answer

    def release(self, record_ids: Sequence[int], form: IdsForm = "repeat") -> Answer[None]:
        """Release records permanently. One unknown id refuses the whole call.

        A yes is a claim: a server that doesn't know the `form` may take one of the ids, and say yes. Raises ValueError for several ids
        in the form `single`.
        """
        subject = Subject.of(record_ids=record_ids)
        return _bare(
            self._mutate(Mutation.RELEASE, subject, lambda dialect: ("DELETE", dialect.owned_path), params=_ids_query(record_ids, form))
        )

    # Account

    def balance_usd(self, *, insist: bool = True) -> Decimal:
        """`insist`: else it is requested once, and a refusal for the rate isn't waited out."""
        return self._read_known("/v1/profile/config", {}, parsing.balance_usd, insist=insist)

    def transactions(
        self,
        *,
        since: date,
        until: date,
        kind: int | None = None,
        details_contains: str | None = None,
        page: int = 1,
        insist: bool = True,
    ) -> Page[Transaction]:
        """What the account was charged on these days, both included, of this type alone. A server may ignore the filters.

        `insist`: else it is requested once, and a refusal for the rate isn't waited out.
        Raises ReadFailed, with `Barred` for a key that lacks the scope `billing`.
        """
        params: dict[str, str | int] = {"from_date": since.isoformat(), "to_date": until.isoformat(), "page": page, "per_page": PER_PAGE}
        if kind is not None:
            params["type"] = kind
        if details_contains is not None:
            params["details_contains"] = details_contains

        def read(raw: Fields) -> Page[Transaction]:
            return parsing.transactions_page(raw, page, self._max_pages)

        return self._read_known("/v1/billing/transactions", params, read, insist=insist)

    def trunks(self) -> tuple[Trunk, ...]:
        found: dict[int, Trunk] = {}
        page = pages = 1
        while page <= pages:
            shown = self._trunks_page(page)
            if shown.items and not any(trunk.id not in found for trunk in shown.items):
                log.error("wavix.page_repeated", path="/v1/trunks", page=page)
                raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE))
            found |= {trunk.id: trunk for trunk in shown.items}
            if len(found) > MAX_TRUNKS:
                log.error("wavix.too_many_trunks", most=MAX_TRUNKS)
                raise ReadFailed(NotNow(NotNowReason.UNAVAILABLE))
            page, pages = page + 1, shown.total_pages
        return tuple(found.values())

    def _trunks_page(self, page: int) -> Page[Trunk]:
        params: dict[str, str | int] = {"page": page, "per_page": PER_PAGE}
        return self._read_known("/v1/trunks", params, lambda raw: parsing.trunks_page(raw, page, self._max_pages))

    def _mutate(
        self,
        call: Mutation,
        subject: Subject,
        where: Callable[[Dialect], tuple[str, str]],
        *,
        body: object = None,
        params: Params | None = None,
    ) -> Answer[object]:
        return self._change(call, subject, lambda dialect: self._http.request(*where(dialect), params=params, body=body))

    def _change(self, call: Mutation, subject: Subject, build: Callable[[Dialect], httpx.Request]) -> Answer[object]:
        """Send it once, in a dialect that reads have confirmed; nothing is sent where there is none.

        An answer that names another number or record than the call is unclear, whatever it says. Logged before as well: what a worker that
        dies may have had under way is in its log.
        """
        try:
            dialect = self.dialect()
        except ReadFailed as failed:
            return failed.answer
        request = build(dialect)
        told = log.bind(call=call.value, request=fingerprint(request))
        told.info("wavix.asked")
        try:
            said = self._http.send(request)
        except NotAdmitted as held:
            answer: Answer[object] = held.answer
        else:
            answer = classify(call, said) if isinstance(said, Said) else said
            if isinstance(said, Said) and is_about_another(call, said.json(), subject):
                self._http.distrust()
                answer = Unclear("an answer about another number")
            if isinstance(answer, Barred):
                answer = self._barred(answer.status, answer.message, RIGHT_TO[call])
            if isinstance(said, Said) and (said.status == 401 or (said.status == 404 and not said.is_about_a_record)):
                self._dialects.doubt(dialect)  # Detect the dialect before the next call.
        told.log(logging.WARNING if isinstance(answer, Unclear) else logging.INFO, "wavix.answered", answer=answer_class(answer))
        return replace(answer, request=fingerprint(request))

    def _learn_titles(self, raw: Fields) -> None:
        for kind, title in parsing.document_titles(raw).items():
            if kind in self._titles or len(self._titles) < parsing.MAX_TITLES:
                self._titles[kind] = title

    def _learn_document_form(self, records: object) -> None:
        if self._upload_form_is_known or not isinstance(records, list):
            return
        forms = (parsing.document_form(raw) for raw in records if isinstance(raw, dict))
        self._document_form = next((form for form in forms if form), self._document_form)

    def _list(self, path: str, name: str, parse: Callable[[Fields], T]) -> tuple[T, ...]:
        return self._read_known(path, {}, lambda raw: tuple(parse(one) for one in parsing.listed(raw, name)))

    def _read_known(self, path: str, params: Params, parse: Callable[[Fields], T], *, insist: bool = True) -> T:
        """A read whose path both dialects' servers know; a server that doesn't isn't the provider."""
        try:
            return self._read(path, params, parse, insist=insist)
        except _NoSuchRoute:
            raise _unknown(path) from None

    def dialect(self) -> Dialect:
        """The one that reads have confirmed, and the next requests have the key where it wants it. Raises ReadFailed: there is none."""
        dialect = self._dialects.current(self._probe)
        self._http.put_key_in(dialect.key_in)
        return dialect

    def _probe(self, dialect: Dialect) -> Said | NotNow | Unclear:
        """Ask for one record of the owned list in this dialect."""
        self._http.put_key_in(dialect.key_in)

        def ask() -> Said:
            said = self._http.send(self._http.request("GET", dialect.owned_path, params={"page": 1, "per_page": 1}))
            if isinstance(said, NotNow):
                raise _Again(said)
            if isinstance(said, Unclear):
                raise _Again(NotNow(NotNowReason.UNAVAILABLE, words=said.reason))
            if said.status >= 500 or not_now(said) is not None:
                raise _Again(not_now(said) or NotNow(NotNowReason.UNAVAILABLE, words=f"HTTP {said.status}"))
            return said

        try:
            return self._repeated(ask)
        except ReadFailed as failed:
            return failed.answer if isinstance(failed.answer, NotNow) else NotNow(NotNowReason.UNAVAILABLE)

    def _read_owned(self, path_in: Callable[[Dialect], str], params: Params, parse: Callable[[Fields], T]) -> tuple[T, Dialect]:
        """Read what lies under the path of the owned list, and the dialect that it was read in.

        Where the server refuses the dialect, it is detected once more. A server that has given the path up may answer as for an unknown
        record: NotThere is raised only where the list is there.
        """
        dialect = self.dialect()
        try:
            return self._read(path_in(dialect), params, parse), dialect
        except NotThere:
            if path_in(dialect) != dialect.owned_path and self._dialects.is_surely_there(dialect, self._probe):
                raise
            if not self._dialects.doubt(dialect):
                raise
        except ReadFailed as failed:
            if not (isinstance(failed.answer, Barred) and failed.answer.status == 401 and self._dialects.doubt(dialect)):
                raise
        except _NoSuchRoute:
            if not self._dialects.doubt(dialect):
                raise _unknown(path_in(dialect)) from None
        dialect = self.dialect()
        return self._read_known(path_in(dialect), params, parse), dialect

    def _read(self, path: str, params: Params, parse: Callable[[Fields], T], *, insist: bool = True) -> T:
        """What `parse` makes of the answer. What can't be read, or answers another question, must not look like what isn't there."""
        self.dialect()
        if insist:
            return self._repeated(lambda: self._parsed(self._read_once(path, params), parse))
        try:
            return self._parsed(self._read_once(path, params), parse)
        except (NotAdmitted, _Again) as error:
            raise ReadFailed(error.answer) from None

    def _repeated(self, ask: Callable[[], T]) -> T:
        """What it returns in the end. Raises ReadFailed where it raised _Again each time, or wasn't admitted.

        A refusal for the rate isn't counted where the gate makes the next try wait: what was read so far of a list would be lost.
        """
        while True:
            try:
                return self._tried(ask)
            except NotAdmitted as error:
                raise ReadFailed(error.answer) from None
            except _Again as error:
                limited = error.answer.reason is NotNowReason.RATE_LIMITED
                if not (limited and (error.answer.retry_after_s or 0.0) <= LIMITED_MAX_S and self._http.waits()):
                    raise ReadFailed(error.answer) from None

    def _tried(self, ask: Callable[[], T]) -> T:
        """What it returns. Raises what it raised the last time; only the time that the requests take is limited."""
        before_s = self._http.under_way_s

        def again_after(error: Exception) -> bool | float:
            return self._http.under_way_s - before_s < READ_WITHIN_S and _again_after(error)

        for attempt in stamina.retry_context(
            on=again_after,
            attempts=READ_ATTEMPTS,
            timeout=None,
            wait_initial=self._read_backoff_s,
            wait_max=2.0,
            wait_jitter=5 * self._read_backoff_s,
        ):
            with attempt:
                return ask()
        raise AssertionError("stamina ends by returning or raising")

    def _parsed(self, raw: Fields, parse: Callable[[Fields], T]) -> T:
        try:
            return parse(raw)
        except Unreadable as error:
            log.warning("wavix.answer_unreadable", field=str(error))
            self._http.distrust()
            raise _Again(NotNow(NotNowReason.UNAVAILABLE)) from None

    def _read_once(self, path: str, params: Params) -> Fields:
        said = self._http.send(self._http.request("GET", path, params=params))
        if isinstance(said, NotNow):
            raise _Again(said)
        if isinstance(said, Unclear):
            raise _Again(NotNow(NotNowReason.UNAVAILABLE))
        body = said.json()
        match said.status:
            case 200 if isinstance(body, dict):
                return body
            case 401 | 403 if not said.is_page:
                raise ReadFailed(self._barred(said.status, said.message, _right(path)))
            case 404 if not said.is_about_a_record:
                raise _NoSuchRoute(path)
            case 404 | 422 if said.is_record_answer:
                raise NotThere(said.message)
            case status if 300 <= status < 500 and status not in (408, 429):
                # The same question would get the same answer. Only the API's own word counts; a gateway's ends with its trouble.
                refused = No("read_refused", f"{path}: {said.status} {said.message}")
                raise ReadFailed(refused if said.is_record_answer else NotNow(NotNowReason.UNAVAILABLE))
        raise _Again(not_now(said) or NotNow(NotNowReason.UNAVAILABLE))

    def _barred(self, status: int, message: str, right: str) -> Barred:
        """What a 401 or 403 is about. A 403 is about the call, if the account's owned list can be read all the same."""
        if status == 401 or not right:
            return Barred(status, message)
        try:
            owned = meaning_of(self._probe(self.dialect()))
        except ReadFailed:
            return Barred(status, message)
        return Barred(status, message, "" if owned == "refused" else right)


def _right(path: str) -> str:
    """What a 403 to a read says that the key may not do. Every job reads the owned list, so there it is nothing in particular."""
    return next((right for begins, right in RIGHTS if path.startswith(begins)), "")


def _source(dialect: Literal["auto", "mydids", "numbers"] | DialectSource) -> DialectSource:
    if dialect == "auto":
        return DialectFinder(candidates("auto", "auto"))
    return FixedDialect(PUBLISHED[dialect]) if isinstance(dialect, str) else dialect


def _unknown(path: str) -> ReadFailed:
    """A server that doesn't have a path that every server has isn't the provider."""
    log.error("wavix.route_unknown", path=path)
    return ReadFailed(NotNow(NotNowReason.UNAVAILABLE, words=f"the server has no {path} (404): check WAVIX_BASE_URL and WAVIX_DIALECT"))


def _update(dialect: Dialect, record_id: int) -> tuple[str, str]:
    """Method and path that change one record."""
    return dialect.update_method, f"{dialect.owned_path}/{record_id}"


def _ids(numbers: Sequence[str]) -> dict[str, list[str]]:
    return {"ids": [to_provider(number) for number in numbers]}


def _ids_query(record_ids: Sequence[int], form: IdsForm) -> Params:
    match form:
        case "repeat":
            return {"ids": list(record_ids)}
        case "brackets":
            return {"ids[]": list(record_ids)}
        case "comma":
            return {"ids": ",".join(map(str, record_ids))}
        case "single":
            (record_id,) = record_ids
            return {"ids": record_id}


def _destination(one: SeenDestination) -> dict[str, object]:
    body: dict[str, object] = {"transport": int(one.transport), "destination": one.destination, "priority": one.priority}
    if one.transport == Transport.SIP_TRUNK:
        body["trunk_id"] = one.trunk_id
    # The published contracts don't list these two, and a strict server refuses what it doesn't know: only what isn't the default is sent.
    if one.callhunt:
        body["callhunt"] = True
    if one.active is False:
        body["active"] = False
    return body


def _bare(answer: Answer[object]) -> Answer[None]:
    return Yes(None, request=answer.request) if isinstance(answer, Yes) else answer
