"""Which of the provider's lists of places and offers a client has read as a whole, for the catalogue.

A purchase stops when it has found enough, and may list only numbers with SMS: half a list is none.
"""

import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from didflow.contract.catalogue import CatalogueCity, Look
from didflow.contract.provider import Offer, Page
from worker.jobs.catalogue.job import MOST_OFFERS

#: Takes a whole list, without the moment at which its reading began, and that moment (s on `time.monotonic`).
SawList = Callable[[Look, float], object]
_PLACES = re.compile(r"/v1/buy/countries(?:/(?P<country>\d+)(?:/regions/(?P<region>\d+))?/(?P<what>regions|cities))?")


@dataclass(frozen=True)
class _Begun:
    """A list of which pages were read, one after the other."""

    asked_s: float
    pages: int
    total: int
    items: dict[Hashable, Any]


class ListsRead:
    """Of one client. A list is whole if its pages were read in their order, agree on the total, and have that many entries, or more."""

    def __init__(self, account: str, saw: SawList) -> None:
        self._account, self._saw = account, saw
        self._name, self._begun = "", _Begun(0.0, 0, 0, {})

    def places(self, path: str, shown: Page[Any], asked_s: float) -> None:
        """A page of countries, regions or cities."""
        found = _PLACES.fullmatch(path)
        if found is None or (items := self._whole(path, shown, asked_s, lambda one: one.id)) is None:
            return
        what = found["what"] or "countries"
        question = ".".join([what, *(one for one in (found["country"], found["region"]) if one)])
        if what == "cities":
            items = tuple(CatalogueCity(id=one.id, name=one.name, area_code=one.area_code) for one in items)
        self._give(question, {what: items})

    def offers(self, country_id: int, city_id: int, shown: Page[Offer], asked_s: float, titles: Mapping[str, str]) -> None:
        """A page of all numbers of a city."""
        question = f"offers.{country_id}.{city_id}"
        items = self._whole(question, shown, asked_s, lambda one: one.number)
        if items is not None and len(items) <= MOST_OFFERS:
            needed = {kind for one in items for kind in one.documents}
            self._give(question, {"offers": items, "document_titles": {kind: titles[kind] for kind in sorted(needed & titles.keys())}})

    def _whole(self, name: str, shown: Page[Any], asked_s: float, key: Callable[[Any], Hashable]) -> tuple[Any, ...] | None:
        """All of the list, if this was its last page and nothing is missing."""
        begun = _Begun(asked_s, 0, shown.total, {}) if shown.page == 1 else self._begun
        follows = shown.page == 1 or (self._name == name and shown.page == begun.pages + 1)
        self._name = ""
        if not follows or shown.unread or shown.total != begun.total:
            return None
        items = begun.items | {key(one): one for one in shown.items}
        if shown.page < shown.total_pages:
            self._name, self._begun = name, _Begun(begun.asked_s, shown.page, begun.total, items)
            return None
        self._begun = begun
        return tuple(items.values()) if len(items) >= shown.total and not shown.is_full else None

    def _give(self, question: str, fields: dict[str, Any]) -> None:
        job_id = str(structlog.contextvars.get_contextvars().get("job_id", ""))
        look = Look(account=self._account, question=question, job_id=job_id, began_ms=0, **fields)
        self._saw(look, self._begun.asked_s)
