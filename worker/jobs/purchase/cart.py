"""The cart before the fence: numbers that are given up are taken out of it, or stay reserved."""

from collections.abc import Collection, Mapping, Set
from contextlib import suppress
from decimal import Decimal

from didflow.contract.provider import NotThere, ReadFailed
from didflow.contract.spending import Spend
from worker.jobs.purchase.state import ItemStatus, Phase, PurchaseItem
from worker.jobs.purchase.written_purchase import WrittenPurchase, listed


class Cart:
    """What this attempt has put into the account's cart. None of it was checked out, as long as its numbers are bound.

    `added`: numbers that it asked to be put into the cart; True: the provider confirmed it.
    """

    def __init__(self, purchase: WrittenPurchase) -> None:
        self._purchase = purchase
        self.added: dict[str, bool] = {}

    def put_back(self, numbers: Collection[str]) -> None:
        """Give up some of what is bound. It was never checked out, so others may have it as soon as it is out of the cart."""
        if not numbers:
            return
        items, taint, free = self._given_up(numbers)
        self._purchase.write("put_back", listed(items), items, taint=taint, free=free)

    def abandon(self, refused: Spend | None = None, short_usd: Decimal | None = None) -> None:
        """Give up what is bound. None of it was checked out, so others may have the numbers as soon as they are out of the cart.

        `refused`: what a spend limit didn't allow. `short_usd`: what the balance didn't cover.
        """
        if bound := self._purchase.with_status(ItemStatus.BOUND):
            items, taint, free = self._given_up(bound)
            self._purchase.write(
                "abandon", listed(items), items, taint=taint, free=free, phase=Phase.NEW, refused=refused, short_usd=short_usd
            )

    def burn_bound(self, step: str, detail: str) -> None:
        """Burn what is bound: whether it is in the cart isn't known."""
        bound = {number: item.as_status(ItemStatus.BURNED) for number, item in self._purchase.with_status(ItemStatus.BOUND).items()}
        self._purchase.write(step, f"{detail}: {listed(bound)}", bound, taint=bound, phase=Phase.NEW)
        self._remove(bound)

    def tidy(self) -> None:
        """Take numbers out of the cart that a late add, of any job, may have brought there. Best effort."""
        if strays := self._purchase.context.reservations.strays():
            self._remove(self._shown(strays) or ())

    def _given_up(self, numbers: Collection[str]) -> tuple[dict[str, PurchaseItem], Collection[str], Collection[str]]:
        """Take bound numbers out of the cart: their new items, those that may still be in it, and those that others may have.

        A number in the cart that the ledger keeps for no job would keep the gate closed after the next restart of Redis.
        """
        left = self.take_out({number: self.added[number] for number in numbers if number in self.added})
        items = {n: self._purchase.items[n].as_status(ItemStatus.BURNED if n in left else ItemStatus.FREE) for n in numbers}
        return items, sorted(left), [number for number in numbers if number not in left]

    def take_out(self, added: Mapping[str, bool]) -> Set[str]:
        """Take these out of the cart; return those that may still be in it. `added`: True for those whose adding was confirmed.

        No answer is believed. A number is out when a read has shown it in the cart and a later one, begun after the removal was answered,
        doesn't. A list that never showed one whose adding was confirmed may be older than its adding (A3).
        """
        if not added:
            return frozenset()
        confirmed = {number for number, is_confirmed in added.items() if is_confirmed}
        seen = self._shown(added)
        likely = confirmed.union(added if seen is None else seen)
        self._remove(likely)
        self._remove(added.keys() - likely)  # A call that names one which isn't there removes none: so these by themselves.
        left = self._shown(added)
        if left:  # A refusal may have removed none, because one of them wasn't there.
            self._remove(left)
            seen, left = {*left, *(seen or ())}, self._shown(left)
        if seen is None or left is None:
            return added.keys()
        return left | (confirmed - seen)

    def _shown(self, numbers: Collection[str]) -> Set[str] | None:
        """Those of them that the cart shows. None: it couldn't be read."""
        with suppress(ReadFailed, NotThere):
            return {offer.number for offer in self._purchase.provider.cart()} & set(numbers)
        return None

    def _remove(self, numbers: Collection[str]) -> None:
        """Ask for their removal. What came of it is read, whatever the answer is."""
        if numbers:
            self._purchase.provider.remove_from_cart(sorted(numbers))
