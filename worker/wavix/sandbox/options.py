"""How a sandbox behaves when no fault is scripted."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal, Self

from didflow.settings import SANDBOX_KEY as SANDBOX_KEY
from worker.wavix.sandbox.profiles import changes_of
from worker.wavix.sandbox.transactions import Charges

#: How several record ids may be written into a release.
ReleaseIds = Literal["any", "repeat", "brackets", "comma", "first", "last"]

#: How a list counts and shows its pages.
ListPages = Literal["right", "too_few", "first_only", "repeated", "last_again", "end_refused"]

#: What a filter of a list does: it works, is ignored (everything is listed), or is silent (it finds nothing).
ListFilter = Literal["works", "ignored", "silent"]


@dataclass(frozen=True)
class SandboxOptions:
    """`accounts` maps a name to its key. `rate_limit` is requests a second per account; None: none.

    more_keys       further keys of these accounts: a key to the name of its account
    read_lag_s      lists show the past by this much
    apply_late_s    a change of destinations shows this much later
    restock_s       a released number is for sale again after this much
    city_route      the path under which a city's numbers are listed: the provider's papers disagree
    short_names     countries are listed with their ISO code; no published contract since October 2025 has it
    more_trunks     ids of further SIP trunks, beside those that every sandbox has
    trunk_needs_login  a destination that is a SIP trunk is refused if it isn't given by the trunk's login, as the contracts ask
    trunk_shown     how a number's list shows a SIP trunk: as it was `given`, by its `login` or `id` beside `trunk_id`, or by either alone
    destinations_drop_callback  a change of destinations takes the SMS callback from the number, also one that is sent along
    destination_flags  `callhunt` and `active` of a destination: taken and `hidden`, taken and `shown`, or `refused` as unknown fields
    type_filter     `type_filter` in a search of the stock: works, is ignored, or refused (400), as the contracts dropped it
    offers_leave_out  fields that no offer has, as if the server didn't know them
    most_per_page   the most entries that a page of a list has, whatever is asked for
    place_lists     countries, regions and cities are listed `whole`, as published; `paged`, two at a time unless another size is asked
                    for; `said_to_be_one`: the same, and it is said that there is one page; or `cut`: the first two, whichever page is
                    asked for, and it is said that there are more
    stock_pages     the pages of a city's numbers: as published, the first one for whichever is asked for (`repeated`), all of them and one
                    more that isn't there (`one_more`), or said to be one page with as many numbers as it shows (`said_to_be_one`)
    toll_free       the stock has toll-free numbers: in the USA, in a city of their own without area code
    search          the owned list's filter `search`: works, is ignored (all numbers are listed), or is `silent` (it finds nothing)
    label_filter    the same for its filter `label`
    owned_pages     the owned list's pages: `right`; `too_few`: it says that it has one page and no more records, and shows the others to
                    whom asks for them; `first_only`: the same, and the others are empty; `repeated`: each page shows the first one;
                    `last_again`: a page behind the last one shows the last one; `end_refused`: it is refused (422)
    trunk_pages     the pages of the list of SIP trunks: `right` or `too_few`, as above
    charge_pages    the same of the list of transactions
    charge_filter   the filter of transactions by their words: works, is ignored, or is silent
    sms_off_at_first  a number that can receive SMS doesn't before that is turned on
    cart_answers    what an addition to the cart answers: the numbers that were `added`, or `all` that are in the cart then
    cart_removal    a removal from the cart works, is `ignored` (the answer is yes, and nothing was removed), or is `refused` (the answer is
                    404, and all of it was removed)
    cart_removal_late_s  a removal from the cart is answered at once, and done this much later
    cart_lag_s      the cart shows the past by this much, besides `read_lag_s`
    partial_checkout  a checkout with unavailable numbers still buys the others (and answers 422)
    card_linked     a card pays for what the balance doesn't cover
    funds_status    the status of a checkout that the balance doesn't cover: published as 403 and as 422
    path            under which path the account's numbers are: `/v1/mydids`, `/v1/numbers`, or both
    key_place       where the key is taken: as `appid` in the query, as a Bearer token, or both; `published`: in the query under
                    `/v1/mydids`, as a Bearer token under `/v1/numbers`, both elsewhere
    key_status      the status of a request without a valid key in its place
    unknown_route   what a path that isn't there answers with its 404: a page, JSON of a router, or JSON as for an unknown record
    scopes          what an account's key may do, by account: `numbers`, `buy`, `trunks`, `account`, or one with `:read` or `:write` only;
                    not named: everything
    document_types  whether types of documents are ids (until summer 2026) or names (the newest contract), in lists and uploads;
                    or names in one of both alone
    funds_words_in  where such a refusal says why: `message`, `error`, `error` beside `error_dids` that name all numbers, or nowhere
    release_ids     which ids of a release it sees: those in any form, in one form, or one value of a repeated `ids`; it says yes to these
    charges         how the list of transactions shows a checkout: an activation and a monthly fee for each number (types 2 and 3), one
                    order for all of them (44), or not at all
    """

    accounts: dict[str, str] = field(default_factory=lambda: {"default": SANDBOX_KEY})
    more_keys: dict[str, str] = field(default_factory=dict)
    balance_usd: Decimal = Decimal("1000.00")
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    rate_limit: float | None = None
    retry_after: bool = True
    read_lag_s: float = 0.0
    apply_late_s: float = 0.0
    restock_s: float = 0.0
    numbers_per_city: int = 200
    more_trunks: tuple[int, ...] = ()
    city_route: Literal["cities", "city"] = "cities"
    cart_answers: Literal["added", "all"] = "added"
    cart_removal: Literal["works", "ignored", "refused"] = "works"
    cart_removal_late_s: float = 0.0
    cart_lag_s: float = 0.0
    partial_checkout: bool = False
    short_names: bool = True
    trunk_needs_login: bool = False
    trunk_shown: Literal["given", "login", "id", "login_alone", "id_alone"] = "given"
    destinations_drop_callback: bool = False
    destination_flags: Literal["hidden", "shown", "refused"] = "hidden"
    type_filter: Literal["works", "ignored", "refused"] = "works"
    offers_leave_out: tuple[str, ...] = ()
    most_per_page: int = 100
    place_lists: Literal["whole", "paged", "said_to_be_one", "cut"] = "whole"
    stock_pages: Literal["published", "repeated", "one_more", "said_to_be_one"] = "published"
    toll_free: bool = False
    search: ListFilter = "works"
    label_filter: ListFilter = "works"
    owned_pages: ListPages = "right"
    trunk_pages: Literal["right", "too_few"] = "right"
    charge_pages: Literal["right", "too_few"] = "right"
    charge_filter: ListFilter = "works"
    sms_off_at_first: bool = False
    funds_status: Literal[400, 402, 403, 422] = 403
    card_linked: bool = False
    funds_words_in: Literal["message", "error", "error_dids", "nothing"] = "message"
    path: Literal["mydids", "numbers", "both"] = "both"
    key_place: Literal["query", "bearer", "both", "published"] = "published"
    key_status: Literal[401, 403] = 401
    unknown_route: Literal["html", "json", "record_json"] = "html"
    scopes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    document_types: Literal["ids", "names", "names_in_lists", "names_in_uploads"] = "ids"
    release_ids: ReleaseIds = "any"
    charges: Charges = "fees"
    seed: int = 1

    def with_profiles(self, *names: str) -> Self:
        """These options, changed as the profiles in `worker.wavix.sandbox.profiles` say. Raises ValueError as `changes_of` does."""
        return replace(self, **changes_of(names))
