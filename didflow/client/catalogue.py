"""Questions to the catalogue, from the names that a caller gives to the looks that workers keep. Commands, which the sync and the async
client share.

Names of places are looked up in lists of any age, because places seldom change. A name that isn't there is looked up once more, in a list
that is young enough, before it is refused.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from didflow.client.freshness import check_freshness
from didflow.contract.catalogue import MAX_AGE_S, CatalogueAnswer, CatalogueCity, CatalogueOffer, CatalogueOffers, Look
from didflow.contract.errors import CatalogueTimeout, InvalidRequest, LookFailed, UnknownAccount, UnknownPlace, WaitTimeout
from didflow.contract.jobs import JobView
from didflow.contract.offer_criteria import reason_against
from didflow.contract.place_names import country_named, unknown_place
from didflow.contract.provider import Country, Offer, Region
from didflow.contract.requests import CatalogueLook, SearchAndBuy
from didflow.contract.states import JobState
from didflow.contract.time_values import about
from didflow.ledger.catalogue import AskReply, ask, kept_look, living_workers
from didflow.ledger.client import AccountState
from didflow.ledger.commands import Command, Commands, RedisCommand
from didflow.ledger.reservations import reserved
from didflow.ledger.worker_settings import running_accounts

#: How long a caller waits for a new look.
TIMEOUT_S = 30.0
#: The most cities of one question.
MOST_CITIES = 20
#: The criteria of a purchase that are about one number.
CRITERIA = (
    "area_code",
    "prefix",
    "pattern",
    "number_type",
    "sms",
    "min_channels",
    "max_setup_usd",
    "max_monthly_usd",
    "documents",
)

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Asking:
    """How a caller wants to be answered.

    max_age_s  an answer that is no older is taken as it is; infinity: of any age
    fresh      only a look that begins after the question will do
    ends_s     when the caller's patience ends, on `clock`
    """

    commands: Commands
    account: str
    max_age_s: float
    fresh: bool
    timeout_s: float
    ends_s: float
    clock: Callable[[], float]


@dataclass(frozen=True)
class Seen:
    """A look, and the ledger's clock when it was read."""

    look: Look
    now_ms: int

    @property
    def age_s(self) -> float:
        return max(0, self.now_ms - self.look.began_ms) / 1000


def asking(commands: Commands, account: str, max_age_s: float, *, fresh: bool, timeout_s: float) -> Asking:
    """Raises InvalidRequest with every fault."""
    check_freshness(account, max_age_s, timeout_s)
    return Asking(commands, account, max_age_s, fresh, timeout_s, time.monotonic() + timeout_s, time.monotonic)


def countries(how: Asking) -> Command[CatalogueAnswer[Country]]:
    seen = yield from _look(how, CatalogueLook(what="countries"))
    return _answer(how, seen.look.countries, (seen,))


def regions(how: Asking, country: str) -> Command[CatalogueAnswer[Region]]:
    """Raises UnknownCountry."""
    found = yield from _country(how, country)
    seen = yield from _look(how, CatalogueLook(what="regions", country_id=found.id))
    return _answer(how, seen.look.regions, (seen,))


def cities(how: Asking, country: str, region: str | None) -> Command[CatalogueAnswer[CatalogueCity]]:
    """Raises UnknownCountry, UnknownRegion."""
    found = yield from _country(how, country)
    seen, known = yield from _cities(how, found, region, how)
    return _answer(how, known, (seen,))


def offers(how: Asking, country: str, city: Sequence[str], region: str | None, criteria: dict[str, Any]) -> Command[CatalogueOffers]:
    """Raises UnknownCountry, UnknownRegion, UnknownCity; InvalidRequest with every fault of the criteria."""
    request = _criteria(country, region, city, criteria)
    found = yield from _country(how, country)
    wanted = yield from _cities_named(how, found, request)
    looks: list[Seen] = []
    for one in wanted:
        looks.append((yield from _look(how, CatalogueLook(what="offers", country_id=found.id, city_id=one.id))))
    every = {offer.number: (offer, seen.look) for seen in looks for offer in seen.look.offers}
    taken = yield from reserved(how.commands.keys, how.account, sorted(every), besides="", now_ms=max(seen.now_ms for seen in looks))
    return _offers(how, looks, every, taken, request)


def _offers(
    how: Asking, looks: Sequence[Seen], every: dict[str, tuple[Offer, Look]], taken: frozenset[str], request: SearchAndBuy
) -> CatalogueOffers:
    refused: Counter[str] = Counter()
    fitting: list[tuple[Offer, Look]] = []
    for offer, look in every.values():
        reason = reason_against(offer, request) or ("reserved" if offer.number in taken else None)
        if reason is None:
            fitting.append((offer, look))
        else:
            refused[reason] += 1
    fitting.sort(key=lambda one: (one[0].total_usd, one[0].number))
    items = tuple(CatalogueOffer.of(offer, look.document_titles) for offer, look in fitting)
    plain = _answer(how, items, looks)
    return CatalogueOffers(**dict(plain), seen=len(every), refused=dict(refused))


def _criteria(country: str, region: str | None, city: Sequence[str], criteria: dict[str, Any]) -> SearchAndBuy:
    """As a purchase reads them, with numbers that need documents unless they are refused."""
    if unknown := sorted(criteria.keys() - set(CRITERIA)):
        faults = tuple((name, f"is no criterion: there are {', '.join(CRITERIA)}") for name in unknown)
        raise InvalidRequest("; ".join(f"{where}: {what}" for where, what in faults), faults)
    given = {name: value for name, value in criteria.items() if value is not None}
    request = SearchAndBuy.model_validate(
        {"documents": "allow_inactive", **given, "country": country, "region": region, "city": tuple(city)}
    )
    if not 1 <= len(request.city) <= MOST_CITIES:
        what = f"name 1 to {MOST_CITIES} cities: `catalogue cities` lists them"
        raise InvalidRequest(f"city: {what}", (("city", what),))
    return request


def _answer(how: Asking, items: tuple[T, ...], looks: Sequence[Seen]) -> CatalogueAnswer[T]:
    oldest = max(looks, key=lambda seen: seen.age_s)
    gaps = "; ".join(dict.fromkeys(seen.look.gaps for seen in looks if seen.look.gaps))
    return CatalogueAnswer[T](
        account=how.account,
        items=items,
        looked_at=datetime.fromtimestamp(oldest.look.began_ms / 1000, UTC),
        age_s=oldest.age_s,
        complete=not gaps,
        gaps=gaps or None,
        jobs=tuple(dict.fromkeys(seen.look.job_id for seen in looks)),
    )


def _country(how: Asking, wanted: str) -> Command[Country]:
    """A name is looked up in a list of any age; one that isn't there, in a list that is young enough."""
    if not isinstance(wanted, str) or not wanted:
        raise InvalidRequest("country: needs an ISO code or a name", (("country", "needs an ISO code or a name"),))
    request = CatalogueLook(what="countries")
    seen = yield from _look(_any_age(how), request)
    try:
        return country_named(seen.look.countries, wanted)
    except UnknownPlace:
        if _is_young(how, seen):
            raise
    seen = yield from _look(how, request)
    return country_named(seen.look.countries, wanted)


def _cities_named(how: Asking, country: Country, request: SearchAndBuy) -> Command[tuple[CatalogueCity, ...]]:
    """The cities of these names; there may be several of one name."""
    for asked in (_any_age(how), how):
        seen, known = yield from _cities(how, country, request.region, asked)
        folded = {name.casefold(): name for name in request.city}
        missing = [name for name in folded if name not in {one.name.casefold() for one in known}]
        if not missing:
            return tuple(one for one in known if one.name.casefold() in folded)
        if _is_young(how, seen):
            break
    raise unknown_place("city", folded[missing[0]], [one.name for one in known])


def _cities(how: Asking, country: Country, region: str | None, asked: Asking) -> Command[tuple[Seen, tuple[CatalogueCity, ...]]]:
    """The look at the cities of the country or of the region, and those cities."""
    if region is None:
        seen = yield from _look(asked, CatalogueLook(what="cities", country_id=country.id))
        return seen, seen.look.cities
    found = yield from _region(how, country, region)
    seen = yield from _look(asked, CatalogueLook(what="cities", country_id=country.id, region_id=found.id))
    # The look at one region doesn't know its name.
    return seen, tuple(one.model_copy(update={"region": found.name}) for one in seen.look.cities)


def _region(how: Asking, country: Country, wanted: str) -> Command[Region]:
    for asked in (_any_age(how), how):
        seen = yield from _look(asked, CatalogueLook(what="regions", country_id=country.id))
        if found := next((one for one in seen.look.regions if one.name.casefold() == wanted.casefold()), None):
            return found
        if _is_young(how, seen):
            break
    raise unknown_place("region", wanted, [one.name for one in seen.look.regions])


def _any_age(how: Asking) -> Asking:
    return replace(how, max_age_s=float("inf"), fresh=False)


def _is_young(how: Asking, seen: Seen) -> bool:
    return seen.age_s <= min(MAX_AGE_S, how.max_age_s)


def _look(how: Asking, request: CatalogueLook) -> Command[Seen]:
    """A look that is good enough, or the one that a worker makes now. Raises CatalogueTimeout, LookFailed, UnknownAccount."""
    max_age_ms = None if how.fresh else int(min(how.max_age_s * 1000, 2**53))
    reply = yield from _ask(how, request, max_age_ms, submit=False)
    if reply.look is None:
        yield from _check_account(how, reply.now_ms)
        reply = yield from _ask(how, request, max_age_ms, submit=True)
    if reply.look is None and reply.verdict == "kept":  # It isn't what a worker wrote.
        reply = yield from _ask(how, request, None, submit=True)
    if reply.look is not None:
        return Seen(reply.look, reply.now_ms)
    if not how.fresh or reply.verdict == "new":
        return (yield from _made(how, request, reply))
    # A look that was under way when the question came may have read a page before. The next one is shared by all who want a fresh one.
    asked_ms = reply.now_ms
    with suppress(LookFailed):
        seen = yield from _made(how, request, reply)
        if seen.look.began_ms >= asked_ms:
            return seen
    return (yield from _made(how, request, (yield from _ask(how, request, None, submit=True))))


def _made(how: Asking, request: CatalogueLook, reply: AskReply) -> Command[Seen]:
    """The look of the job that is under way."""
    try:
        view = yield from how.commands.wait(reply.job_id, max(0.0, how.ends_s - how.clock()), how.clock)
    except WaitTimeout:
        raise (yield from _timeout(how, reply.job_id, reply.began_ms, reply.now_ms)) from None
    if view.state is not JobState.SUCCEEDED:
        why = view.error.message if view.error else f"it is {view.state.value}"
        raise LookFailed(view.id, view.error.code if view.error else view.state.value, why)
    look = yield from kept_look(how.commands.keys, how.account, request.question)
    if look is None:
        raise LookFailed(view.id, "not_kept", "its result was dropped at once: raise DIDFLOW_CATALOGUE_LOOKS, or ask again")
    seconds, microseconds = yield RedisCommand("time")
    return Seen(look, seconds * 1000 + microseconds // 1000)


def _ask(how: Asking, request: CatalogueLook, max_age_ms: int | None, *, submit: bool) -> Command[AskReply]:
    return (yield from how.commands.run(ask(how.account, request, max_age_ms=max_age_ms, submit=submit, actor=how.commands.actor)))


def _check_account(how: Asking, now_ms: int) -> Command[None]:
    """Raises UnknownAccount where workers run and none of them has the account. Without workers nothing is known."""
    workers = yield from living_workers(how.commands.keys, now_ms)
    known = yield from running_accounts(how.commands.keys, workers)
    if known is not None and how.account not in known:
        raise UnknownAccount(how.account, known)


def _timeout(how: Asking, job_id: str, began_ms: int | None, asked_ms: int) -> Command[CatalogueTimeout]:
    """What keeps the look, and what to do about it."""
    keys = how.commands.keys
    view = yield from how.commands.get(job_id)
    workers = yield from living_workers(keys, asked_ms)
    fields = yield RedisCommand("hgetall", (keys.account(how.account),))
    reason, what = _why_not_yet(view, bool(workers), AccountState.of(fields))
    old = f"; an answer that is {about((asked_ms - began_ms) / 1000)} old is there: accept it with a higher maximum age" if began_ms else ""
    return CatalogueTimeout(job_id, reason, f"no answer within {how.timeout_s:g} s: {what} (job {job_id} continues){old}")


def _why_not_yet(view: JobView, has_workers: bool, account: AccountState) -> tuple[str, str]:
    if not has_workers:
        return "no_worker", "no worker is running: start `didflow worker`, or `didflow up`"
    if account.paused:
        said = f"{account.status} {account.message}"
        return "account_paused", f"the account is paused, the provider said {said}: check its key with `didflow doctor`"
    match view.reason:
        case None:
            return "busy", f"the workers are busy, the look is {view.state.value}: ask again"
        case "provider_down":
            return "provider_down", "the provider doesn't answer: `didflow doctor` shows what it says; the look is repeated until it does"
        case "rate_limited":
            return "rate_limited", "the account's rate is used up, perhaps by an emergency: ask again"
        case reason:
            return reason, f"the look waits ({reason}): `didflow explain {view.id}` shows why"
