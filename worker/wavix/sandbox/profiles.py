"""Named variations of the provider: what published sources say in more than one way, and what a server may do without saying so.

A profile changes some options of the sandbox. Several can be combined as long as they don't set one option to two values.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Profile:
    """One variation. `says` is one sentence about what the server does.

    changes   options of the sandbox and their values
    settings  worker settings that the client needs with such a server, by field name of `Settings`
    fixed     options that no profile beside it may change
    any_job   every job ends the same way under it, so that tests of jobs may draw it for any scene
    """

    says: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    any_job: bool = True


PROFILES: Mapping[str, Profile] = {
    "numbers-dialect": Profile(
        "The account is spoken to as published in June 2026.", settings={"wavix_dialect": "numbers"}, fixed=frozenset({"path", "key_place"})
    ),
    "city-route": Profile("The numbers of a city are listed under `/city/` and not under `/cities/`.", {"city_route": "city"}),
    "cart-answers-all": Profile(
        "An addition to the cart is answered with all that is in the cart.", {"cart_answers": "all"}, any_job=False
    ),
    "cart-removal-ignored": Profile(
        "A removal from the cart is answered with yes, and nothing is removed.", {"cart_removal": "ignored"}, any_job=False
    ),
    "cart-removal-refused": Profile("A removal from the cart is done and answered with 404.", {"cart_removal": "refused"}, any_job=False),
    "cart-removal-late": Profile("A removal from the cart is done 0.15 s after its answer.", {"cart_removal_late_s": 0.15}, any_job=False),
    "cart-lags": Profile("The cart shows the state of 0.15 s ago.", {"cart_lag_s": 0.15}, any_job=False),
    "partial-checkout": Profile(
        "A checkout that names a sold number buys the others and answers 422.", {"partial_checkout": True}, any_job=False
    ),
    "sms-off": Profile("A number that can receive SMS doesn't until that is turned on.", {"sms_off_at_first": True}, any_job=False),
    "no-short-names": Profile("Countries are listed without `short_name`, their ISO code.", {"short_names": False}),
    "trunk-login": Profile("A SIP trunk as destination is taken by its login only.", {"trunk_needs_login": True}),
    "trunk-as-login": Profile("A number's SIP trunk is shown by its login.", {"trunk_shown": "login"}),
    "trunk-as-id": Profile("A number's SIP trunk is shown by its id.", {"trunk_shown": "id"}),
    "trunk-login-alone": Profile("A number's SIP trunk is shown by its login, and `trunk_id` is null.", {"trunk_shown": "login_alone"}),
    "trunk-id-alone": Profile(
        "A number's SIP trunk is shown by its id as `destination`, and `trunk_id` is null.", {"trunk_shown": "id_alone"}
    ),
    "callback-dropped": Profile(
        "A change of destinations takes the SMS callback from the number, also one that is sent along.",
        {"destinations_drop_callback": True},
        any_job=False,
    ),
    "flags-shown": Profile("Destinations are shown with `callhunt` and `active`.", {"destination_flags": "shown"}),
    "flags-refused": Profile("A destination with `callhunt` or `active` is refused.", {"destination_flags": "refused"}),
    "type-filter-ignored": Profile("A search of the stock ignores `type_filter`.", {"type_filter": "ignored"}),
    "type-filter-refused": Profile("A search of the stock with `type_filter` is refused.", {"type_filter": "refused"}),
    "offers-unstated": Profile(
        "Offers don't say whether they have SMS, nor which documents they need, nor the price of a minute.",
        {"offers_leave_out": ("sms_enabled", "require_docs", "per_min")},
        any_job=False,
    ),
    "places-paged": Profile("Countries, regions and cities are listed two at a time.", {"place_lists": "paged"}, any_job=False),
    "places-cut": Profile(
        "Of countries, regions and cities two are listed, and it is said that there are more.", {"place_lists": "cut"}, any_job=False
    ),
    "places-said-one": Profile(
        "Countries, regions and cities are listed two at a time, and said to have one page.",
        {"place_lists": "said_to_be_one"},
        any_job=False,
    ),
    "small-pages": Profile("A page of a list has 25 entries, also where 100 are asked for.", {"most_per_page": 25}, any_job=False),
    "stock-repeats": Profile("Every page of a city's numbers is the first one.", {"stock_pages": "repeated"}, any_job=False),
    "stock-one-more": Profile("A city's numbers are said to have one page more than there is.", {"stock_pages": "one_more"}, any_job=False),
    "stock-said-one": Profile(
        "A city's numbers are said to have one page, and have several.", {"stock_pages": "said_to_be_one"}, any_job=False
    ),
    "toll-free": Profile("The stock has toll-free numbers, in a city without area code.", {"toll_free": True}, any_job=False),
    "search-ignored": Profile("The owned list ignores `search` and shows all numbers.", {"search": "ignored"}, any_job=False),
    "search-silent": Profile("The owned list finds nothing when it is searched.", {"search": "silent"}, any_job=False),
    "label-ignored": Profile("The owned list ignores `label` and shows all numbers.", {"label_filter": "ignored"}, any_job=False),
    "label-silent": Profile("The owned list finds nothing when it is filtered by a label.", {"label_filter": "silent"}, any_job=False),
    "pages-too-few": Profile("The owned list says that it has one page, and has others.", {"owned_pages": "too_few"}, any_job=False),
    "pages-first-only": Profile("The owned list shows its first page alone.", {"owned_pages": "first_only"}, any_job=False),
    "pages-end-refused": Profile("A page behind the last one of the owned list is refused.", {"owned_pages": "end_refused"}, any_job=False),
    "pages-repeat": Profile("Each page of the owned list shows the first one.", {"owned_pages": "repeated"}, any_job=False),
    "pages-last-again": Profile("A page behind the last one of the owned list shows the last one.", {"owned_pages": "last_again"}),
    "trunk-pages-too-few": Profile(
        "The list of SIP trunks says that it has one page, and has others.", {"trunk_pages": "too_few"}, any_job=False
    ),
    "charge-pages-too-few": Profile(
        "The list of transactions says that it has one page, and has others.", {"charge_pages": "too_few"}, any_job=False
    ),
    "charge-filter-ignored": Profile(
        "The list of transactions ignores `details_contains` and shows all.", {"charge_filter": "ignored"}, any_job=False
    ),
    "charge-filter-silent": Profile(
        "The list of transactions finds nothing by `details_contains`.", {"charge_filter": "silent"}, any_job=False
    ),
    "lists-lag": Profile("Lists show the state of 0.15 s ago.", {"read_lag_s": 0.15}, any_job=False),
    "routes-late": Profile("A change of destinations shows 0.15 s after its answer.", {"apply_late_s": 0.15}, any_job=False),
    "no-retry-after": Profile("A 429 doesn't say when to come back.", {"retry_after": False}),
    "path-mydids": Profile("The account's numbers are under `/v1/mydids` alone.", {"path": "mydids"}, any_job=False),
    "path-numbers": Profile("The account's numbers are under `/v1/numbers` alone.", {"path": "numbers"}, any_job=False),
    "key-in-query": Profile("The key is taken as `appid` in the query alone.", {"key_place": "query"}, any_job=False),
    "key-in-header": Profile("The key is taken as a Bearer token alone.", {"key_place": "bearer"}, any_job=False),
    "key-anywhere": Profile("The key is taken in the query and as a Bearer token, under every path.", {"key_place": "both"}),
    "key-403": Profile("A key that is wrong, or in the wrong place, is answered with 403.", {"key_status": 403}),
    "no-route-json": Profile("A path that isn't there is answered with a router's JSON.", {"unknown_route": "json"}),
    "no-route-as-record": Profile("A path that isn't there is answered as an unknown record is.", {"unknown_route": "record_json"}),
    "key-scopes": Profile("The key may not read trunks, nor the balance.", {"scopes": {"default": ("numbers", "buy")}}, any_job=False),
    "documents-by-name": Profile("Types of documents are names, in lists and in uploads.", {"document_types": "names"}),
    "documents-listed-by-name": Profile(
        "Lists have names of types of documents, uploads ids.", {"document_types": "names_in_lists"}, any_job=False
    ),
    "documents-sent-by-name": Profile(
        "Lists have ids of types of documents, uploads names.", {"document_types": "names_in_uploads"}, any_job=False
    ),
    "ids-repeat": Profile("A release takes `ids=1&ids=2` and nothing else.", {"release_ids": "repeat"}),
    "ids-last": Profile("Of `ids=1&ids=2` a release takes the last and says yes.", {"release_ids": "last"}, any_job=False),
    "ids-first": Profile("Of `ids=1&ids=2` a release takes the first and says yes.", {"release_ids": "first"}, any_job=False),
    "ids-brackets": Profile("A release takes `ids[]=1&ids[]=2` and nothing else.", {"release_ids": "brackets"}, any_job=False),
    "ids-comma": Profile("A release takes `ids=1,2`; of a repeated `ids` the last.", {"release_ids": "comma"}, any_job=False),
    "charged-as-order": Profile("A checkout is one transaction of type 44 that names all numbers.", {"charges": "order"}),
    "charges-unlisted": Profile("A checkout isn't in the list of transactions.", {"charges": "unlisted"}),
    "funds-400": Profile("A checkout that the balance doesn't cover answers 400.", {"funds_status": 400}),
    "funds-402": Profile("A checkout that the balance doesn't cover answers 402.", {"funds_status": 402}),
    "funds-422": Profile("A checkout that the balance doesn't cover answers 422.", {"funds_status": 422}),
    "funds-in-error": Profile("A refusal for lack of funds says why in `error`.", {"funds_words_in": "error"}),
    "funds-name-numbers": Profile(
        "A refusal for lack of funds names all numbers in `error_dids`, as if they were sold.", {"funds_words_in": "error_dids"}
    ),
    "card-linked": Profile(
        "A card pays for what the balance doesn't cover.", {"card_linked": True}, settings={"linked_card": True}, any_job=False
    ),
    "funds-unsaid": Profile("A refusal for lack of funds says nothing of funds.", {"funds_words_in": "nothing"}, any_job=False),
}


def changes_of(names: Iterable[str]) -> dict[str, Any]:
    """The options that these profiles set. Raises ValueError for an unknown name and for two that contradict each other."""
    changes: dict[str, Any] = {}
    set_by: dict[str, str] = {}
    for name in names:
        if name not in PROFILES:
            raise ValueError(f"there is no profile {name!r}: {', '.join(PROFILES)}")
        for option, value in PROFILES[name].changes.items():
            if option in changes and changes[option] != value:
                raise ValueError(f"profiles {set_by[option]} and {name} set {option} to different values")
            changes[option], set_by[option] = value, name
    return changes


def settings_of(names: Iterable[str]) -> dict[str, Any]:
    """The worker settings that go with these profiles."""
    return {setting: value for name in names for setting, value in PROFILES[name].settings.items()}


def draw(rng: random.Random, count: int, among: Iterable[str] = PROFILES) -> tuple[str, ...]:
    """At most `count` profiles that can be combined, chosen at random, in the order of `PROFILES`."""
    left = [name for name in PROFILES if name in set(among)]
    drawn: list[str] = []
    while left and len(drawn) < count:
        drawn.append(left.pop(rng.randrange(len(left))))
        left = [name for name in left if not _contradict(name, drawn)]
    return tuple(sorted(drawn, key=list(PROFILES).index))


def _contradict(name: str, others: Iterable[str]) -> bool:
    return any(_collide(PROFILES[name], PROFILES[other]) for other in others)


def _collide(one: Profile, other: Profile) -> bool:
    changed, also_changed = one.changes.keys() | one.fixed, other.changes.keys() | other.fixed
    return bool(changed & also_changed or one.settings.keys() & other.settings.keys())
