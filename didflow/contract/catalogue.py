"""The catalogue: what can be bought, as a worker's look at the provider's lists saw it, with the age of that look.

A `Look` is what is stored. The other models are what callers get. A field that the provider doesn't state is None, and never guessed.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from didflow.contract.money import Usd
from didflow.contract.numbers import NumberType, is_of_type
from didflow.contract.provider import City, Country, Offer, Region

#: An answer that is no older than this is given without a new look, unless the caller or the settings say otherwise.
MAX_AGE_S = 3600.0


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class CatalogueCity(City):
    """A city, and the region that it lies in ("" in a country without regions)."""

    region: str = ""


class Look(_Frozen):
    """One list of the provider's, as a job read it.

    question   which list: see `CatalogueLook.question`
    job_id     the job that read it
    began_ms   when it began to read, on the ledger's clock: nothing here is older
    gaps       why the list may lack something; empty: it is complete
    document_titles  what the provider calls the types of documents that the offers need
    """

    v: Literal[1] = 1
    account: str
    question: str
    job_id: str
    began_ms: int
    gaps: str = ""
    countries: tuple[Country, ...] = ()
    regions: tuple[Region, ...] = ()
    cities: tuple[CatalogueCity, ...] = ()
    offers: tuple[Offer, ...] = ()
    document_titles: dict[str, str] = {}


class DocumentNeeded(_Frozen):
    """A type of document that activation needs. `title`: what the provider calls it; None: it doesn't say."""

    kind: str
    title: str | None = None


class CatalogueOffer(_Frozen):
    """A number that can be bought. None stands for what the provider doesn't state.

    number_type    by the number's own digits; None: neither geographic nor toll-free
    documents      that activation needs; empty: none
    per_minute_usd price of an inbound minute, after `free_minutes` a month
    sms_usd        price of an inbound SMS segment
    cnam           CNAM can be activated on it
    domestic_cli   it can be the caller ID of local calls
    """

    number: str
    number_type: NumberType | None
    city: str | None
    country_iso_code: str | None
    sms: bool | None
    setup_usd: Usd
    monthly_usd: Usd
    channels: int | None
    per_minute_usd: Usd | None
    sms_usd: Usd | None
    free_minutes: int | None
    cnam: bool | None
    domestic_cli: bool | None
    documents: tuple[DocumentNeeded, ...] | None

    @classmethod
    def of(cls, offer: Offer, titles: Mapping[str, str]) -> "CatalogueOffer":
        kinds: tuple[NumberType, ...] = ("toll_free", "geographic")
        needed = tuple(DocumentNeeded(kind=kind, title=titles.get(kind)) for kind in offer.documents)
        return cls(
            number=offer.number,
            number_type=next((kind for kind in kinds if is_of_type(offer.number, kind)), None),
            city=offer.city or None,
            country_iso_code=offer.country_iso_code or None,
            sms=None if offer.sms_unstated else offer.sms_enabled,
            setup_usd=offer.setup_usd,
            monthly_usd=offer.monthly_usd,
            channels=offer.channels,
            per_minute_usd=offer.per_minute_usd,
            sms_usd=offer.sms_usd,
            free_minutes=offer.free_minutes,
            cnam=offer.cnam,
            domestic_cli=offer.domestic_cli,
            documents=None if offer.documents_unstated else needed,
        )


T = TypeVar("T")


class CatalogueAnswer(_Frozen, Generic[T]):
    """A list of the catalogue.

    looked_at  when the look at it began, on the clock of Redis; `age_s`: how long ago that was, in seconds
    complete   whether the list surely lacks nothing; if not, `gaps` says why
    jobs       the ids of the looks that it comes from; where there are several, the times are those of the oldest
    """

    account: str
    items: tuple[T, ...]
    looked_at: datetime
    age_s: float
    complete: bool
    gaps: str | None
    jobs: tuple[str, ...]


class CatalogueOffers(CatalogueAnswer[CatalogueOffer]):
    """The offers that fit, the cheapest first. `seen`: how many the look saw; `refused`: how many of them don't fit, by reason, as in the
    search report of a purchase."""

    seen: int
    refused: dict[str, int]
