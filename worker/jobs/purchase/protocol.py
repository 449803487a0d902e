"""The purchase protocol. `tests/model` holds it as an executable specification; the steps here bear its names.

    bind          choose numbers that no earlier attempt used; write them down first                  (durable)
    put_in_cart   add them. An unclear answer spends them: they are never checked out
    fence         is the lease still mine, and do the spend limits allow it? then write phase=carted
                  with the confirmed numbers and hold what they may cost                              (durable)
    check_out     once, with explicit numbers
    recover       after an unclear checkout or a crash: REMOVE the numbers from the cart (this revokes a checkout still in
                  flight), READ the cart until it shows none of them, then LOOK at the owned list: owned ones are kept, the
                  others are burned; bind new ones for the rest
    doubt         before that, if the ledger may have lost its last writes: bound numbers may have been checked out

bind and put_in_cart are in `cart_filling`, fence and check_out in `checkout`, recover and doubt in `recovery`; `cart` gives numbers up.

Rests on the assumptions A1-A4 of the README: an owned number can't be bought, a checkout refuses what isn't in the cart, cart
and owned list show our own writes within the settle time, no other party changes what we put into the cart.
"""

from collections.abc import Collection

from didflow.contract.requests import SearchAndBuy
from didflow.contract.results import SearchReport
from didflow.contract.spending import LimitReached, Spend
from worker.jobs.ports.context import PurchaseContext
from worker.jobs.ports.endings import SpendLimitReached, Wait
from worker.jobs.ports.provider import PurchasePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.purchase import recovery
from worker.jobs.purchase.cart import Cart
from worker.jobs.purchase.cart_filling import CartFilling
from worker.jobs.purchase.checkout import check_out, fence, heed
from worker.jobs.purchase.spend_limits import fitting_now, wait_for, worth_asking
from worker.jobs.purchase.state import Phase
from worker.jobs.purchase.stock_search import StockSearch
from worker.jobs.purchase.written_purchase import WrittenPurchase, listed


class Purchase(WrittenPurchase):
    """One job's purchase: the steps of the protocol."""

    def __init__(self, request: SearchAndBuy, context: PurchaseContext, provider: PurchasePorts, rules: Rules) -> None:
        super().__init__(request, context, provider, rules)
        self._cart = Cart(self)

    def buy(self, search: StockSearch) -> None:
        """One round: fill the cart as the policy wants, check it out once, determine what came of it.

        Raises OutOfStock if the cart can't be filled; Wait if a spend limit is reached, Refused if one can never be kept; Wait,
        AttemptFailed, AccountBarred or UnsettledPurchase as the provider's answers demand.
        """
        filling = CartFilling(self, self._cart, search)
        want = filling.want()
        if reached := self.reached_limit():
            raise wait_for(reached, self.context.now_ms())
        if not (in_cart := filling.fill(want)):
            return
        try:
            in_cart = self._fence_what_fits(in_cart, search)
        except Wait:  # Nothing was written, so nothing is sent.
            self._cart.abandon()
            raise
        check_out(self, sorted(in_cart))
        self.recover()

    def _fence_what_fits(self, in_cart: set[str], search: StockSearch) -> set[str]:
        """Fence them, or the cheapest of them that a spend limit leaves room for now; the others go back to the stock first.

        Raises Wait, with nothing left in the cart, if those are fewer than the floor.
        """
        while True:
            try:
                fence(self, in_cart)
                return in_cart
            except SpendLimitReached as stopped:
                costs = {number: self.items[number].total_usd for number in in_cart}
                fewer = set(fitting_now(stopped.reached, costs))
                if len(fewer) < self.floor or fewer == in_cart:
                    self._cart.abandon(refused=Spend.of(sorted(costs.values())[: self.floor]))
                    raise wait_for(stopped.reached, self.context.now_ms()) from None
                search.refuse("spend_limit", in_cart - fewer)
                self._cart.put_back(in_cart - fewer)
                in_cart = fewer

    def reached_limit(self) -> LimitReached | None:
        """The spend limit that leaves too little room for any further checkout now."""
        return (
            self.context.money.limit_against(worth_asking(self.checkpoint.refused, self.limits, self.floor), self.limits)
            if self.limits
            else None
        )

    def recover(self) -> None:
        """Bring an open round to an end, as `recovery.recover` does."""
        recovery.recover(self, self._cart)

    def heed(self) -> None:
        """Act on a refusal once it is settled what the refused checkout did. Raises Wait or AttemptFailed, as it says."""
        heed(self)

    def tidy(self) -> None:
        """Take numbers out of the cart that a late add, of any job, may have brought there. Nothing rests on it."""
        self._cart.tidy()

    def looked(self, report: SearchReport) -> None:
        """A standing order has found too few; nothing of it is in the cart."""
        self.write("looked", f"{report.seen} seen", search=report, looks=self.checkpoint.looks + 1)

    def close(self, report: SearchReport, worse: Collection[str] = ()) -> None:
        """All that will be bought is bought. `worse`: what a quote promised and the stock doesn't keep."""
        self.write("bought", listed(self.kept), phase=Phase.BOUGHT, search=report, worse=tuple(worse))
