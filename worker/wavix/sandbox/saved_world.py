"""What a sandbox has sold, in a file: so that the next sandbox still has the numbers that the ledger's jobs bought.

Accounts, carts, records, documents and charges are kept, as they are when the file is written. Delayed changes, faults, fees that an
admin changed and the log of calls are not.
"""

import os
import sys
import threading
import time
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from worker.wavix.sandbox.accounts import AccountState, LedgerEntry, Record
from worker.wavix.sandbox.documents import Paper
from worker.wavix.sandbox.timeline import Timeline
from worker.wavix.sandbox.transactions import Transaction
from worker.wavix.sandbox.world import World

#: The file is written at most this often while the sandbox runs, and when it stops.
WRITE_EVERY_S = 0.2


class SavedPaper(BaseModel):
    kind: int
    file_name: str
    content_type: str
    size: int
    status: str
    id: int


class SavedRecord(BaseModel):
    """`ours`: whether the account still has it."""

    id: int
    number: str
    setup_usd: Decimal
    monthly_usd: Decimal
    added: datetime
    paid_until: date
    ours: bool
    destinations: tuple[dict[str, Any], ...]
    approved: bool
    label: str | None
    seconds: int
    sms_relay_url: str | None
    sms_enabled: bool
    papers: tuple[SavedPaper, ...]
    settings: dict[str, Any]


class SavedAccount(BaseModel):
    balance_usd: Decimal
    cart: tuple[str, ...]
    records: tuple[SavedRecord, ...]
    transactions: tuple[Transaction, ...]


class SavedWorld(BaseModel):
    """`stock`: the options that made the stock; the file fits no other one. `sold`: numbers that aren't for sale."""

    stock: tuple[int, int, bool]
    accounts: dict[str, SavedAccount]
    sold: tuple[str, ...]
    ledger: tuple[LedgerEntry, ...]


class UnreadableState(ValueError):
    """The file is damaged, or of a sandbox with another stock."""


def saved(world: World) -> SavedWorld:
    """What there is now; called with the world's lock held."""
    now_s = time.monotonic()
    return SavedWorld(
        stock=_stock_of(world),
        accounts={name: _saved_account(account, now_s) for name, account in world.accounts.items()},
        sold=tuple(number for number, stocked in world.stock.items() if not stocked.for_sale.at(now_s)),
        ledger=tuple(world.ledger),
    )


def restore(world: World, state: SavedWorld) -> None:
    """Give a new world what the file has. Raises UnreadableState if its stock is another one."""
    numbers = {record.number for account in state.accounts.values() for record in account.records}
    if state.stock != _stock_of(world) or not numbers.union(state.sold) <= world.stock.keys():
        raise UnreadableState("it is of a sandbox with another stock (--seed, --numbers-per-city, --profile)")
    for number in state.sold:
        world.stock[number].for_sale = Timeline(False)
    for name, one in state.accounts.items():
        account = world.accounts.get(name)
        if account is not None:
            account.balance_usd = one.balance_usd
            account.cart = {number: Timeline(True) for number in one.cart}
            account.records = {record.id: _record(world, record) for record in one.records}
            account.transactions = list(one.transactions)
    world.ledger = list(state.ledger)
    _continue_ids(world, list(state.accounts.values()))


class StateFile:
    """Reads the world from `path` if the file is there, and writes it after changes. Raises UnreadableState.

    Any number of threads may say that something changed. A file that can't be written, such as on a full disk, is tried again.
    """

    def __init__(self, world: World, path: Path) -> None:
        self._world, self._path = world, path
        self._changed, self._stopping = threading.Event(), threading.Event()
        self._trouble = ""  #: why the file isn't written
        self._thread = threading.Thread(target=self._write_changes, name="sandbox-state", daemon=True)
        self._load()

    def _load(self) -> None:
        try:
            text = self._path.read_text(encoding="utf-8")
            state = SavedWorld.model_validate_json(text)
        except FileNotFoundError:
            return
        except OSError as error:
            raise UnreadableState(error.strerror or type(error).__name__) from None
        except (UnicodeDecodeError, ValidationError):
            raise UnreadableState("it is damaged") from None
        with self._world.lock:
            restore(self._world, state)

    def start(self) -> None:
        self._thread.start()

    def changed(self) -> None:
        self._changed.set()

    def stop(self) -> None:
        """Write what is new, and end."""
        self._stopping.set()
        self._changed.set()
        self._thread.join()

    def _write_changes(self) -> None:
        while not self._stopping.is_set():
            self._changed.wait()
            self._changed.clear()
            if not self._is_written():
                self._changed.set()
            self._stopping.wait(WRITE_EVERY_S)
        if self._changed.is_set():
            self._is_written()

    def _is_written(self) -> bool:
        """Write the file, and say why once if that fails."""
        trouble = ""
        try:
            self._write()
        except OSError as error:
            trouble = error.strerror or type(error).__name__
        if trouble and trouble != self._trouble:
            sys.stderr.write(f"the sandbox's state isn't written: {trouble}. It is tried again\n")
        self._trouble = trouble
        return not trouble

    def _write(self) -> None:
        with self._world.lock:
            state = saved(self._world)
        new = self._path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(state.model_dump_json())
        new.replace(self._path)


def _continue_ids(world: World, accounts: Sequence[SavedAccount]) -> None:
    """No id is given twice."""
    records = [record for account in accounts for record in account.records]
    used = {
        "records": [record.id for record in records],
        "transactions": [transaction.id for account in accounts for transaction in account.transactions],
        "papers": [paper.id for record in records for paper in record.papers],
    }
    world.begin_ids(**{name: max(ids) + 1 for name, ids in used.items() if ids})


def _stock_of(world: World) -> tuple[int, int, bool]:
    return world.options.numbers_per_city, world.options.seed, world.options.toll_free


def _saved_account(account: AccountState, now_s: float) -> SavedAccount:
    return SavedAccount(
        balance_usd=account.balance_usd,
        cart=tuple(account.cart_at(now_s)),
        records=tuple(_saved_record(record, now_s) for record in account.records.values()),
        transactions=tuple(account.transactions),
    )


def _saved_record(record: Record, now_s: float) -> SavedRecord:
    papers = (SavedPaper(**_paper_fields(paper), status=paper.status.at(now_s)) for paper in record.papers)
    return SavedRecord(
        id=record.id,
        number=record.number,
        setup_usd=record.setup_usd,
        monthly_usd=record.monthly_usd,
        added=record.added,
        paid_until=record.paid_until,
        ours=record.ours.at(now_s),
        destinations=record.destinations.at(now_s),
        approved=record.approved,
        label=record.label,
        seconds=record.seconds,
        sms_relay_url=record.sms_relay_url,
        sms_enabled=record.sms_enabled,
        papers=tuple(papers),
        settings=record.settings,
    )


def _record(world: World, one: SavedRecord) -> Record:
    papers = [Paper(**_paper_fields(paper), status=Timeline(paper.status)) for paper in one.papers]
    return Record(
        one.id,
        world.stock[one.number],
        one.setup_usd,
        one.monthly_usd,
        one.added,
        one.paid_until,
        Timeline(one.ours),
        Timeline(one.destinations),
        one.approved,
        one.label,
        one.seconds,
        one.sms_relay_url,
        one.sms_enabled,
        papers,
        one.settings,
    )


def _paper_fields(paper: Paper | SavedPaper) -> dict[str, Any]:
    return {"kind": paper.kind, "file_name": paper.file_name, "content_type": paper.content_type, "size": paper.size, "id": paper.id}
