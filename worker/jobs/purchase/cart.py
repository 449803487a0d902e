"""The cart before the fence: numbers that are given up are taken out of it, or stay reserved."""

from collections.abc import Collection, Set
from contextlib import suppress
from decimal import Decimal

from didflow.contract.provider import NotThere, ReadFailed, Yes
from didflow.contract.spending import Spend
from worker.jobs.purchase.state import ItemStatus, Phase, PurchaseItem
from worker.jobs.purchase.store import WrittenPurchase, listed


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
        if bound:
            self._purchase.provider.remove_from_cart(sorted(bound))

    def tidy(self) -> None:
        """Take numbers out of the cart that a late add, of any job, may have brought there. Nothing rests on it."""
        if strays := self._purchase.context.reservations.strays():
            self._take_out(strays)

    def _given_up(self, numbers: Collection[str]) -> tuple[dict[str, PurchaseItem], Collection[str], Collection[str]]:
        """Take bound numbers out of the cart: their new items, those that may still be in it, and those that others may have.

        A number in the cart that the ledger keeps for no job would keep the gate closed after the next restart of Redis.
        """
        left = self._maybe_in_cart(numbers)
        items = {n: self._purchase.items[n].as_status(ItemStatus.BURNED if n in left else ItemStatus.FREE) for n in numbers}
        return items, sorted(left), [number for number in numbers if number not in left]

    def _maybe_in_cart(self, numbers: Collection[str]) -> Set[str]:
        """Those that couldn't be taken out for certain. A list that shows a number not at all may be older than its adding (A3)."""
        if isinstance(self._purchase.provider.remove_from_cart(sorted(numbers)), Yes):
            return frozenset()
        # One of them was perhaps never in the cart, so none was removed.
        shown = self._take_out(numbers)
        return (self.added.keys() & set(numbers)) if shown is None else ({n for n in numbers if self.added.get(n)} - shown)

    def _take_out(self, numbers: Collection[str]) -> Set[str] | None:
        """Take those out that the cart shows. None: it couldn't be read, or they couldn't be removed."""
        with suppress(ReadFailed, NotThere):
            shown = {offer.number for offer in self._purchase.provider.cart()} & set(numbers)
            if not shown or isinstance(self._purchase.provider.remove_from_cart(sorted(shown)), Yes):
                return shown
        return None
