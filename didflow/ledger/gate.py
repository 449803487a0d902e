"""The reconcile gate: a Redis that restarted may have lost its last writes, so money waits until the lost writes are accounted for.

Scripts notice a restart by themselves (`notice_restart` in `include/restarts.lua`); from then on no earlier attempt can write, and `save`
refuses what lets money move, account by account, until `let_through`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from didflow.contract.errors import AlreadyDecided
from didflow.contract.history import Happened, Happening
from didflow.ledger.client import LedgerClient
from didflow.ledger.connection import translated
from didflow.ledger.records import read_record
from didflow.ledger.replies import Vouched
from didflow.ledger.script_calls import Call
from didflow.ledger.stored_history import one_happened_text
from didflow.ledger.witness import Before

#: Numbers that are accepted with one script.
ACCEPTED_TOGETHER = 100


@dataclass(frozen=True)
class Turn:
    """This process looks, for one account. Times are the ledger's, ms.

    since_ms    when the restart was noticed
    after_ms    what was written before is there; what was written later may be lost
    open_jobs   purchases that have to settle first
    cart_ms     when the cart was seen with nothing unknown in it; 0: not yet
    """

    epoch: int
    since_ms: int
    after_ms: int
    open_jobs: int
    cart_ms: int = 0


@dataclass(frozen=True)
class Findings:
    """What keeps a gate closed until a person decides. Numbers in E.164, jobs by id.

    owned       record id by number: owned, and no job that the ledger knows bought it
    in_cart     in the cart, and no job that the ledger knows put it there
    candidates  unfinished purchases that may have bought them
    """

    account: str
    owned: dict[str, int]
    in_cart: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.owned or self.in_cart)

    def as_fields(self) -> dict[str, object]:
        """As the event and the log have them."""
        return asdict(self)


class Gift(BaseModel):
    """A person says that this purchase bought this record. A worker, which can ask the provider, gives it to the job.

    refused   why the job didn't get it; empty: no worker has tried it yet
    """

    model_config = ConfigDict(frozen=True)

    number: str
    record_id: int
    job: str
    actor: str
    refused: str = ""


class _Given(BaseModel):
    """As `scripts/include/gifts.lua` writes it; what else it has is for the scripts."""

    job: str


class Gate:
    """One ledger's gates."""

    def __init__(self, ledger: LedgerClient) -> None:
        self._ledger = ledger

    def take_turn(self, account: str, checker: str, *, turn_ms: int) -> Turn | None:
        """The account's gate is closed and this process is to look. None: it is open, or another process looks."""
        reply = self._script("gate_check", account, checker, turn_ms, "")
        return Turn(*map(int, reply[1:])) if reply[0] == "check" else None

    def saw_cart(self, turn: Turn, account: str, checker: str, *, turn_ms: int) -> None:
        """This process read a cart without unknown numbers; the process with the next turn continues from there."""
        self._script("gate_check", account, checker, turn_ms, turn.epoch)

    def record(self, turn: Turn, findings: Findings) -> bool:
        """Record what keeps it closed. True if that is new."""
        text = json.dumps(findings.as_fields(), sort_keys=True) if findings else ""
        return bool(self._script("gate_findings", findings.account, turn.epoch, text) == "changed")

    def let_through(self, turn: Turn, account: str) -> bool:
        """Open it. False if it was open, if the server changed again, or if a purchase is open after all."""
        return bool(self._script("gate_open", account, turn.epoch) == "changed")

    def vouch(self, account: str, worker: str, before: Before) -> Vouched:
        """Vouch that the server misses nothing of what it acknowledged to this process."""
        return Vouched(self._script("vouch", account, worker, before.epoch, before.count, before.after))

    def accept(self, account: str, owned: Mapping[str, int], in_cart: Iterable[str] = ()) -> int:
        """A person says that these are no job's: owned numbers, with their record ids, and numbers in the cart.

        It stands in their histories from then on. Returns how many were new. Raises AlreadyDecided for a number that was given to a
        purchase, or will be: of a hundred numbers with such a one, none is accepted.
        """
        by = self._ledger.commands.actor or None
        entries = [
            (str(record), number, one_happened_text(Happened(what=Happening.ACCEPTED, record_id=record, by="person", actor=by)))
            for number, record in owned.items()
        ]
        in_cart_text = one_happened_text(Happened(what=Happening.ACCEPTED_IN_CART, by="person", actor=by))
        entries += [(number, number, in_cart_text) for number in in_cart]
        return sum(self._accept(account, entries[start : start + ACCEPTED_TOGETHER]) for start in range(0, len(entries), ACCEPTED_TOGETHER))

    def _accept(self, account: str, entries: Iterable[tuple[str, str, str]]) -> int:
        match self._script("gate_accept", account, *chain.from_iterable(entries)):
            case ["decided", number, job_id]:
                raise AlreadyDecided(number, job_id)
            case [_, count]:
                return int(count)
        raise AssertionError("gate_accept has two replies")

    def accepted(self, account: str) -> frozenset[str]:
        """What was accepted so far."""
        with translated():
            return frozenset(cast("set[str]", self._ledger.client.smembers(self._ledger.keys.accepted(account))))

    def keep_gift(self, account: str, gift: Gift) -> bool:
        """Keep the gift, in place of one that was refused. True if it is kept, or was carried out before; False if that record is not
        among the findings. Raises AlreadyDecided."""
        match self._script("gate_gift", account, gift.model_dump_json()):
            case ["decided", job_id]:
                raise AlreadyDecided(gift.number, job_id)
            case [word]:
                return bool(word == "kept")
        raise AssertionError("gate_gift has three replies")

    def refuse_gift(self, account: str, gift: Gift, why: str) -> bool:
        """The purchase can't have it. False if the gift, as it was read, isn't there any more."""
        return bool(self._script("gate_gift_end", account, gift.number, gift.model_dump_json(), why) == "changed")

    def forget_gift(self, account: str, gift: Gift) -> None:
        """Forget a gift as it was read."""
        self._script("gate_gift_end", account, gift.number, gift.model_dump_json(), "")

    def gifts(self, account: str) -> dict[str, Gift]:
        """The gifts that no worker has carried out, by number."""
        with translated():
            texts = cast("dict[str, str]", self._ledger.client.hgetall(self._ledger.keys.gifts(account)))
        read = (read_record(Gift, text) for text in texts.values())
        return {gift.number: gift for gift in read if gift is not None}

    def given_to(self, account: str, number: str) -> str | None:
        """The purchase that has the number by a person's decision."""
        with translated():
            text = cast("str | None", self._ledger.client.hget(self._ledger.keys.given(account), number))
        given = read_record(_Given, text)
        return given.job if given else None

    def closed(self, account: str) -> bool:
        """Whether this account's money waits."""
        with translated():
            number = self._ledger.client.hget(self._ledger.keys.epoch, "number")
            passed = self._ledger.client.hget(self._ledger.keys.gate(account), "epoch")
        return number not in (None, "1") and passed != number

    def findings(self, account: str) -> Findings:
        """What was last found to keep it closed."""
        with translated():
            text = cast("str | None", self._ledger.client.hget(self._ledger.keys.gate(account), "findings"))
        told = json.loads(text or "{}")
        return Findings(account, told.get("owned", {}), tuple(told.get("in_cart", ())), tuple(told.get("candidates", ())))

    def went_on(self, before: str) -> bool:
        """This server has all that the server of that name had when it ended: there was no restart. False if the ledger was last written
        on another one."""
        return bool(self._script("same_server", before) != "other")

    def _script(self, name: str, *args: str | int) -> Any:
        return self._ledger.run(Call(name, args, lambda reply: reply))
