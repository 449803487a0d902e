"""Pool numbers in a search: on each rung they come before the stock, and after the numbers that a quote names.

Without a ladder there is one rung. A number of a later rung isn't touched before the rungs above it have given what they can.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection
from decimal import Decimal

from didflow.contract.provider import OwnedNumber
from didflow.contract.quote_terms import Terms
from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import NumberResult
from didflow.contract.states import Outcome
from worker.jobs.ports.context import PurchaseContext
from worker.jobs.ports.provider import PurchasePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.purchase.ladder import Step, steps_of
from worker.jobs.purchase.pool import Fits, Spare, fitting, hand_out, waiting
from worker.jobs.purchase.standing_order import is_over
from worker.jobs.purchase.state import Phase, PurchaseRecord


class PoolSearch(ABC):
    """The pool as one attempt sees it: listed once, and each number offered once."""

    def __init__(self, request: SearchAndBuy, context: PurchaseContext, provider: PurchasePorts, rules: Rules) -> None:
        self._request, self._context, self._provider, self._rules = request, context, provider, rules
        self._left: list[Spare] | None = None
        self._known: dict[int, Fits] = {}

    def __call__(self, step: Step, most: int) -> int:
        """Give up to `most` that fit the rung; how many there were. Raises Refused if there is no pool, ReadFailed, LostLease."""
        return self._given(step, most, None)

    def _given(self, step: Step, most: int, named: Collection[str] | None) -> int:
        given = 0
        while given < most and (offered := self._offered(step, most - given, named)):
            given += self._give(offered, step)
        return given

    def _offered(self, step: Step, most: int, named: Collection[str] | None) -> list[Spare]:
        if self._left is None:
            self._left = waiting(self._request, self._context, self._provider, self._rules)
        found = [one for one in self._left if (named is None or one.owned.number in named) and self.fits(step)(one)]
        found.sort(key=lambda one: step.prefers_sms and not one.owned.sms_enabled)
        offered = found[:most]
        self._left = [one for one in self._left if one not in offered]
        return offered

    def fits(self, step: Step) -> Fits:
        """What the rung asks for; of an order by a quote, what may also stand in for one of its numbers."""
        if step.number not in self._known:
            of_rung, terms = fitting(step.criteria, self._provider, self._rules), self._request.terms
            self._known[step.number] = lambda one: of_rung(one) and (terms is None or _keeps(one.owned, terms))
        return self._known[step.number]

    @abstractmethod
    def _give(self, offered: list[Spare], step: Step) -> int:
        """How many of them it was."""


def _keeps(owned: OwnedNumber, terms: Terms) -> bool:
    """Whether it is no worse than quoted, whichever number it stands in for: now it costs nothing, and a month no more than any of them.

    One that was quoted as ours has no fee in the quote, so its successor's isn't compared with it.
    """
    paid = [one.monthly_usd for one in terms.numbers if not one.reused]
    return any(one.reused and one.number == owned.number for one in terms.numbers) or owned.monthly_usd <= min(paid, default=Decimal("Inf"))


class PoolHandOut(PoolSearch):
    """Assigns them to a purchase in the ledger: no other job gets them."""

    def __init__(self, purchase: PurchaseRecord, context: PurchaseContext, provider: PurchasePorts, rules: Rules) -> None:
        super().__init__(purchase.request, context, provider, rules)
        self._purchase = purchase

    def begin(self) -> None:
        """Before anything is bought: what fits the first rung; of an order by a quote, those that it names, on whatever rung.

        Raises as a call does, and Wait while money may not move: who has which number may be forgotten as well.
        """
        if self._purchase.missing <= 0 or self._purchase.checkpoint.phase is not Phase.NEW:
            return
        self._context.money.check()
        steps, terms = steps_of(self._request), self._request.terms
        named = {one.number for one in terms.numbers if one.reused} if terms else None
        for step in steps if terms else steps[:1]:
            self._given(step, self._room(step), named)

    def rest(self) -> int:
        """When there is nothing more to buy on any rung: what fits them, in their order. How many there were."""
        if is_over(self._request, self._context):
            return 0
        return sum(self(step, self._room(step)) for step in steps_of(self._request))

    def _room(self, step: Step) -> int:
        taken = Counter(item.rung for item in self._purchase.kept.values())[step.number]
        return self._purchase.missing if step.at_most is None else min(self._purchase.missing, step.at_most - taken)

    def _give(self, offered: list[Spare], step: Step) -> int:
        used = self._purchase.used
        fresh = [one for one in offered if one.owned.number not in used]
        return hand_out(fresh, step.number, self.fits(step), self._purchase, self._context, self._provider) if fresh else 0


class PoolQuote(PoolSearch):
    """Assigns nothing: `told` lists what would be assigned if no other job is quicker."""

    def __init__(self, request: SearchAndBuy, context: PurchaseContext, provider: PurchasePorts, rules: Rules) -> None:
        super().__init__(request, context, provider, rules)
        self.told: tuple[NumberResult, ...] = ()

    def _give(self, offered: list[Spare], step: Step) -> int:
        for owned in (one.owned for one in offered):
            told = NumberResult(number=owned.number, outcome=Outcome.REUSED, record_id=owned.record_id, paid_until=owned.paid_until)
            self.told += (told.model_copy(update={"rung": step.number or None}),)
        return len(offered)
