"""Everything the sandbox knows, and what its calls do to it. Every method is called with the lock held."""

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from worker.wavix.sandbox.accounts import AccountState, Destinations, LedgerEntry, Record, month_later, now_utc
from worker.wavix.sandbox.documents import Paper, Upload, content_type
from worker.wavix.sandbox.options import SandboxOptions
from worker.wavix.sandbox.stock import StockNumber, build_stock
from worker.wavix.sandbox.timeline import Timeline
from worker.wavix.sandbox.transactions import charges_of

#: The SIP trunks of every account: id, label, system-generated login.
_TRUNKS = ((144, "Main PBX", "32882"), (145, "Backup PBX", "32883"), (146, "Lab", "32884"))


def trunks_of(options: SandboxOptions) -> tuple[tuple[int, str, str], ...]:
    """Those of every sandbox, and those that its options name."""
    known = {trunk_id for trunk_id, _, _ in _TRUNKS}
    return _TRUNKS + tuple((one, f"Trunk {one}", str(one)) for one in options.more_trunks if one not in known)


#: What a number can be set to that has no effect here but to be shown.
SETTINGS = ("call_recording_enabled", "transcription_enabled", "transcription_threshold", "call_status_url")


class Refusal(Exception):
    """The call is refused: nothing was changed, or only what `body` says."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def refusal(status: int, message: str) -> Refusal:
    return Refusal(status, {"success": False, "message": message})


class World:
    """Stock, accounts and money. `lock` is never held while anybody sleeps."""

    def __init__(self, options: SandboxOptions) -> None:
        self.lock = threading.RLock()
        self.options = options
        self.stock = build_stock(options.numbers_per_city, options.seed, toll_free=options.toll_free)
        self._by_city: dict[int, list[StockNumber]] = defaultdict(list)
        for stocked in self.stock.values():
            self._by_city[stocked.city.id].append(stocked)
        self.accounts = {name: AccountState(name, key, options.balance_usd) for name, key in options.accounts.items()}
        self.ledger: list[LedgerEntry] = []
        self.begin_ids()

    def begin_ids(self, records: int = 47_000_001, transactions: int = 90_000_001, papers: int = 101) -> None:
        """The ids of what is new from now on."""
        self._record_ids, self.transaction_ids, self._paper_ids = map(itertools.count, (records, transactions, papers))

    def stock_of(self, city_id: int) -> Sequence[StockNumber]:
        """The city's numbers, for sale or not."""
        return self._by_city[city_id]

    def numbers_of(self, ids: Iterable[str]) -> tuple[str, ...]:
        """The numbers (digits) that are meant by numbers and record ids, whosever they are and were."""
        found = {}
        for one in ids:
            records = (account.records.get(int(one)) for account in self.accounts.values())
            record = next((record for record in records if record is not None), None)
            if record is not None:
                found[record.number] = True
            elif one in self.stock:
                found[one] = True
        return tuple(found)

    def account_of(self, key: str | None) -> AccountState | None:
        name = self.options.more_keys.get(key or "")
        return next((one for one in self.accounts.values() if (one.key == key or one.name == name) and one.key_valid), None)

    def put_in_cart(self, account: AccountState, numbers: Sequence[str], *, at_most: int | None = None) -> list[StockNumber]:
        """Add what is for sale; the answer lists what was added."""
        now = time.monotonic()
        found = [self.stock[number] for number in numbers if number in self.stock and self.stock[number].for_sale.at(now)]
        if not found:
            raise refusal(404, "Numbers not found")
        for stocked in found[:at_most]:
            account.put_in_cart(stocked.number, now)
        return found[:at_most]

    def take_from_cart(self, account: AccountState, numbers: Sequence[str]) -> None:
        """All of them or none, as the options say."""
        now = time.monotonic()
        not_there = refusal(404, "At least one of the numbers is not in the cart")
        if not all(account.in_cart(number, now) for number in numbers):
            raise not_there
        if self.options.cart_removal == "ignored":
            return
        for number in numbers:
            account.take_from_cart(number, now + self.options.cart_removal_late_s)
        if self.options.cart_removal == "refused":
            raise not_there

    def check_out(self, account: AccountState, numbers: Sequence[str]) -> None:
        """Buy all of them or none, unless the options say that unavailable ones don't stop the others."""
        now = time.monotonic()
        if not numbers or not all(account.in_cart(number, now) for number in numbers):
            raise refusal(404, "At least one of the numbers is not in the cart")
        sold = [number for number in numbers if not self.stock[number].for_sale.at(now)]
        wanted = [self.stock[number] for number in numbers if number not in sold]
        if sold and not self.options.partial_checkout:
            raise Refusal(422, {"error": "Some numbers are no longer available", "error_dids": sold})
        if not self.options.card_linked and sum((stocked.total_usd for stocked in wanted), Decimal(0)) > account.balance_usd:
            raise self._no_funds(numbers)
        for stocked in wanted:
            self._buy(account, stocked, now)
        bought = [(stocked.number, stocked.setup_usd, stocked.monthly_usd) for stocked in wanted]
        account.list_charges(charges_of(bought, self.options.charges), self.transaction_ids)
        if sold:
            raise Refusal(422, {"error": "Some numbers are no longer available", "error_dids": sold})

    def _no_funds(self, numbers: Sequence[str]) -> Refusal:
        words, status = "Insufficient funds", self.options.funds_status
        match self.options.funds_words_in:
            case "message":
                return refusal(status, words)
            case "error":
                return Refusal(status, {"error": words})
            case "error_dids":
                return Refusal(status, {"error": words, "error_dids": list(numbers)})
            case "nothing":
                return Refusal(status, {"success": False})

    def _buy(self, account: AccountState, stocked: StockNumber, now_s: float) -> None:
        account.take_from_cart(stocked.number, now_s)
        record = self.own(account, stocked, now_s)
        if account.balance_usd >= stocked.total_usd or not self.options.card_linked:
            account.balance_usd -= stocked.total_usd
        self.ledger.append(
            LedgerEntry(
                record.added.isoformat(),
                account.name,
                stocked.number,
                record.id,
                str(stocked.setup_usd),
                str(stocked.monthly_usd),
                str(stocked.total_usd),
            )
        )

    def own(
        self, account: AccountState, stocked: StockNumber, now_s: float, destinations: Destinations = (), *, record_id: int | None = None
    ) -> Record:
        """Make the number the account's, without money: checkout takes that. `record_id`: another one than the next."""
        stocked.for_sale.set(now_s, False)
        ours = Timeline(False)
        ours.set(now_s, True)
        added = now_utc()
        record = Record(
            next(self._record_ids) if record_id is None else record_id,
            stocked,
            stocked.setup_usd,
            stocked.monthly_usd,
            added,
            month_later(added),
            ours,
            Timeline(destinations),
            approved=not stocked.country.documents,
            sms_enabled=stocked.sms_enabled and not self.options.sms_off_at_first,
        )
        account.records[record.id] = record
        return record

    def owned_records(self, account: AccountState, ids: Sequence[int]) -> list[Record]:
        """The records with these ids. One that isn't the account's refuses the whole call."""
        now = time.monotonic()
        records = [account.records.get(record_id) for record_id in ids]
        found = [record for record in records if record is not None and record.ours.at(now)]
        if not ids or len(found) != len(ids):
            raise refusal(404, "At least one DID with ID specified in the request was not found")
        return found

    def patch(self, records: Sequence[Record], changes: dict[str, Any]) -> None:
        """Change the fields that are given and no others, of all records or of none. Given destinations replace the whole list of each."""
        destinations = changes.get("destinations")
        for destination in destinations or ():
            self._check_destination(destination)
        if changes.get("sms_enabled") is not None:
            self.set_sms_enabled(records, changes["sms_enabled"] is True)
        effective_s = time.monotonic() + self.options.apply_late_s
        for record in records:
            if destinations is not None:
                record.destinations.set(effective_s, tuple(destinations))
            if "sms_relay_url" in changes:
                record.sms_relay_url = changes["sms_relay_url"]
            if destinations is not None and self.options.destinations_drop_callback:
                record.sms_relay_url = None
            record.settings |= {name: changes[name] for name in SETTINGS if changes.get(name) is not None}

    def _check_destination(self, destination: dict[str, Any]) -> None:
        if destination.get("transport") not in (1, 4, 5) or not destination.get("destination"):
            raise refusal(400, "Destination is invalid")
        if self.options.destination_flags == "refused" and destination.keys() & {"callhunt", "active"}:
            raise refusal(400, "Unknown field in destination")
        if destination["transport"] == 5:
            login = next((login for trunk_id, _, login in trunks_of(self.options) if trunk_id == destination.get("trunk_id")), None)
            if login is None or (self.options.trunk_needs_login and str(destination["destination"]) != login):
                raise refusal(400, "SIP trunk not found")

    def set_sms_enabled(self, records: Sequence[Record], enabled: bool) -> None:
        if not all(record.stock.country.short_name in ("US", "CA") and record.stock.sms_enabled for record in records):
            raise refusal(422, "Inbound SMS can only be activated on US and CA phone numbers")
        for record in records:
            record.sms_enabled = enabled

    def upload(self, records: Sequence[Record], upload: Upload) -> list[tuple[Record, Paper]]:
        """Add the document to each number. One that is approved or under review can't be replaced."""
        now = time.monotonic()
        added = []
        for record in records:
            if any(paper.kind == upload.kind and paper.status.at(now) in ("pending", "approved") for paper in record.papers):
                raise refusal(400, "The document can't be replaced")
        for record in records:
            kind = content_type(upload.content) or ""
            paper = Paper(upload.kind, upload.file_name, kind, len(upload.content), Timeline("", float("-inf")), next(self._paper_ids))
            paper.status.set(now, "pending")
            record.papers = [one for one in record.papers if one.kind != upload.kind] + [paper]
            added.append((record, paper))
        return added

    def review(self, record: Record, verdict: str, kind: int | None) -> int:
        """The staff decides on what is pending; with all that it needs approved a number becomes active."""
        now = time.monotonic()
        reviewed = [one for one in record.papers if one.status.at(now) == "pending" and kind in (None, one.kind)]
        for paper in reviewed:
            paper.status.set(now, verdict)
        approved = {paper.kind for paper in record.papers if paper.status.at(now) == "approved"}
        record.approved = record.approved or approved >= set(record.stock.country.documents)
        return len(reviewed)

    def release(self, records: Sequence[Record], came_s: float) -> None:
        now = time.monotonic()
        for record in records:
            record.release_came_s = came_s
            record.ours.set(now, False)
            record.stock.for_sale.set(now + self.options.restock_s, True)

    def sell_to_other(self, number: str) -> None:
        """Another customer buys it."""
        self.stock[number].for_sale.set(time.monotonic(), False)

    def reconfigure(self, **changes: Any) -> None:
        self.options = replace(self.options, **changes)
