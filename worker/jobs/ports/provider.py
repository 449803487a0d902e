"""The Numbers API, as jobs see it. Numbers are E.164. Reads raise `ReadFailed` or `NotThere`; mutating calls return an `Answer`.

A mutating call is sent once.

`worker.wavix.client` has all of it. Each job asks for the ports of its kind, each function for the ones that it calls.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Protocol

from didflow.contract.destinations import Route
from didflow.contract.document_file import Paper
from didflow.contract.ids_form import IdsForm
from didflow.contract.numbers import NumberType
from didflow.contract.provider import Answer, City, Country, Offer, OwnedAsk, OwnedNumber, Page, Region, Trunk
from didflow.contract.transactions import Transaction
from worker.pages import PER_PAGE


class StockPort(Protocol):
    """Places, and the numbers that can be bought there."""

    def countries(self) -> tuple[Country, ...]: ...
    def regions(self, country_id: int) -> tuple[Region, ...]: ...
    def cities(self, country_id: int, region_id: int | None) -> tuple[City, ...]: ...
    def offers(self, country_id: int, city_id: int, *, sms_only: bool, page: int, number_type: NumberType = "all") -> Page[Offer]: ...


class PlacesPort(Protocol):
    """Places, asked now and page by page: an answer may be one of several, and one that is remembered has no age."""

    def countries_page(self, page: int) -> Page[Country]: ...
    def regions_page(self, country_id: int, page: int) -> Page[Region]: ...
    def cities_page(self, country_id: int, region_id: int | None, page: int) -> Page[City]: ...


class CartPort(Protocol):
    """The account's one cart, and its checkout."""

    def put_in_cart(self, numbers: Sequence[str]) -> Answer[tuple[Offer, ...]]: ...
    def remove_from_cart(self, numbers: Sequence[str]) -> Answer[None]: ...
    def cart(self) -> tuple[Offer, ...]: ...
    def check_out(self, numbers: Sequence[str]) -> Answer[None]: ...


class OwnedPort(Protocol):
    """The numbers that the account owns."""

    def owned(self, *, page: int, search: str | None = None, label: str | None = None, per_page: int = PER_PAGE) -> Page[OwnedNumber]: ...
    def owned_many(self, asks: Iterable[OwnedAsk]) -> Iterator[Page[OwnedNumber]]:
        """The answer to each question, in their order; several may be asked side by side."""
        ...

    def owned_one(self, record_id: int) -> OwnedNumber: ...


class RoutePort(Protocol):
    """Where calls and SMS of owned numbers go."""

    def await_turn(self) -> None:
        """Wait until the next call may go. Raises ReadFailed: it may not, and nothing was sent."""
        ...

    def set_route(self, record_ids: Sequence[int], route: Route, sms_relay_url: str | None) -> Answer[None]: ...
    def set_sms_relay_url(self, record_id: int, url: str) -> Answer[None]: ...
    def set_sms_enabled(self, record_id: int, enabled: bool) -> Answer[None]: ...


class ReleasePort(Protocol):
    """Giving numbers back."""

    def release(self, record_ids: Sequence[int], form: IdsForm = "repeat") -> Answer[None]: ...


class DocumentUploadPort(Protocol):
    """Handing in documents."""

    def upload_paper(
        self, record_ids: Sequence[int], paper: Paper, *, other_form: bool = False, numbers: Sequence[str] = ()
    ) -> Answer[None]:
        """`other_form`: the type of document is written the other way, because the provider refused the first one.

        `numbers`: those of the records, with which the answer is compared.
        """
        ...


class DocumentTitlePort(Protocol):
    """What types of documents are called."""

    def document_titles(self) -> Mapping[str, str]:
        """What the provider calls its types of documents, by name; best effort."""
        ...


class BalancePort(Protocol):
    """The account's money."""

    def balance_usd(self, *, insist: bool = True) -> Decimal:
        """`insist`: else it is requested once, and a refusal for the rate isn't waited out."""
        ...


class TransactionPort(Protocol):
    """What the account was charged."""

    def transactions(
        self, *, since: date, until: date, kind: int | None = None, details_contains: str | None = None, page: int, insist: bool = True
    ) -> Page[Transaction]:
        """Both days count; `kind` is the transaction type; `insist` as above. A key that lacks the scope for it raises `ReadFailed`."""
        ...


class TrunkPort(Protocol):
    """The account's SIP trunks."""

    def trunks(self) -> tuple[Trunk, ...]: ...


class RouteChangePorts(OwnedPort, RoutePort, Protocol):
    """What changing routes and reading them back calls."""


class PurchasePorts(StockPort, CartPort, RouteChangePorts, DocumentTitlePort, BalancePort, TransactionPort, TrunkPort, Protocol):
    """What a purchase calls: it also looks among our own numbers, and sets routes."""


class ReroutePorts(RouteChangePorts, TrunkPort, Protocol):
    """What a reroute and a failback call."""


class ReleasePorts(RouteChangePorts, ReleasePort, Protocol):
    """What a release calls: it may park numbers first."""


class UploadPorts(OwnedPort, DocumentUploadPort, Protocol):
    """What uploading a document calls."""


class CataloguePorts(PlacesPort, StockPort, DocumentTitlePort, Protocol):
    """What a look for the catalogue calls."""


class Provider(PurchasePorts, ReroutePorts, ReleasePorts, UploadPorts, CataloguePorts, Protocol):
    """All of it."""
