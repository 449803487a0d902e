"""Fills the cart: binds numbers, puts them in, and keeps those that the provider confirms at fees that the request allows."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal

from didflow.contract.errors import JobError
from didflow.contract.provider import Barred, No, NotNow, Offer, ReadFailed, Unclear, Yes
from worker.jobs.halving import halves
from worker.jobs.ports.endings import AccountBarred, AttemptFailed, CancelRequested, HandBack, NumbersTaken, Refused, Wait
from worker.jobs.provider_answers import waiting_for
from worker.jobs.purchase.cart import Cart
from worker.jobs.purchase.criteria import affordable
from worker.jobs.purchase.funds import balance_usd, covered, shared_balance_usd, wait_for_funds
from worker.jobs.purchase.quote_terms import differences, quote_worse
from worker.jobs.purchase.spend_limits import most_affordable, most_numbers, within_limits
from worker.jobs.purchase.standing_order import is_over
from worker.jobs.purchase.state import Phase, PurchaseItem
from worker.jobs.purchase.stock_search import StockSearch
from worker.jobs.purchase.written_purchase import WrittenPurchase, listed


class OutOfStock(Exception):
    """The stock has too few numbers that fit, or the time of a standing order is over; nothing of this round is left in the cart."""


class CartFilling:
    """One round's way from the stock into the cart."""

    def __init__(self, purchase: WrittenPurchase, cart: Cart, search: StockSearch) -> None:
        self._purchase, self._cart, self._search = purchase, cart, search
        self._balance: Decimal | None = None  #: as it was read before this round; None: not known

    def fill(self, want: int) -> set[str]:
        """What is in the cart now and may be checked out; empty if numbers of ours were enough.

        Raises OutOfStock, Wait, AccountBarred, AttemptFailed, Refused, ReadFailed, CancelRequested or HandBack. Then all numbers of this
        round are given up.
        """
        purchase = self._purchase
        self._read_balance()
        in_cart: set[str] = set()
        chosen: dict[str, Offer] = {}
        try:
            while len(in_cart) < want and (offers := self.bind(want - len(in_cart), in_cart)):
                chosen |= {offer.number: offer for offer in offers}
                for start in range(0, len(offers), purchase.rules.batch_size):
                    purchase.context.check_interrupts()
                    in_cart |= self.put_in_cart(offers[start : start + purchase.rules.batch_size])
            filled = in_cart
            in_cart = self._within_budget(in_cart)
            costs = {number: purchase.items[number].total_usd for number in in_cart}
            allowed = set(within_limits(purchase.limits, costs, purchase.floor))
            self._search.refuse("spend_limit", in_cart - allowed)
            in_cart = allowed
            self._keep_terms(in_cart)
            purchase.context.check_interrupts()
        except (HandBack, CancelRequested, Wait, AccountBarred, AttemptFailed, Refused, ReadFailed):
            self._cart.abandon()
            raise
        if purchase.missing <= 0 and not in_cart:  # Numbers of ours were enough.
            self._cart.abandon()
            return in_cart
        if len(in_cart) < purchase.floor or is_over(purchase.request, purchase.context):
            self._cart.abandon()
            raise OutOfStock
        payable = self._payable(in_cart)
        self._cart.put_back(filled - payable)
        # It still wants the others, and waits until they can be paid.
        self._search.give_back(chosen[number] for number in sorted(in_cart - payable))
        return payable

    def _read_balance(self) -> None:
        """Read what can be paid. Raises Wait before stock and cart are troubled, if that is still less than what was too much before."""
        purchase = self._purchase
        if purchase.rules.card_linked:
            return
        short_usd = purchase.checkpoint.short_usd
        unknown = short_usd is None
        self._balance = balance_usd(purchase.provider) if unknown else shared_balance_usd(purchase.provider, purchase.context)
        if short_usd is not None and self._balance is not None and self._balance < short_usd:
            raise wait_for_funds(self._balance, short_usd)

    def want(self) -> int:
        """How many numbers this round is to put into the cart. Raises Refused if a spend limit can never be kept."""
        purchase = self._purchase
        whole = purchase.request.policy == "all_or_nothing"
        want = purchase.missing if whole else max(purchase.floor, min(purchase.missing, purchase.rules.batch_size))
        return most_numbers(purchase.limits, want, purchase.floor)

    def _payable(self, in_cart: set[str]) -> set[str]:
        """The cheapest of them that the balance covers. Raises Wait, with nothing left in the cart, if those are fewer than the floor."""
        if self._balance is None:
            return in_cart
        costs = {number: self._purchase.items[number].total_usd for number in in_cart}
        payable = set(affordable(costs, self._balance))
        if len(payable) < self._purchase.floor:
            short_usd = sum(sorted(costs.values())[: self._purchase.floor], Decimal(0))
            self._cart.abandon(short_usd=short_usd)
            raise wait_for_funds(self._balance, short_usd)
        return payable

    def bind(self, count: int, in_cart: Collection[str] = ()) -> Sequence[Offer]:
        """Choose numbers and store them, reserved against all other jobs, before any call to the provider.

        Not more than the spend limits can ever allow beside those in the cart: what isn't bought then is lost to all jobs for a day.
        None if even all of them are too few to be checked out: then the cart is left alone.
        """
        purchase = self._purchase
        while True:
            self._search.taken = Counter(purchase.items[number].rung for number in (*purchase.kept, *in_cart))
            # Numbers of ours that the search assigned meanwhile aren't missing any more.
            found = self._search.next(min(count, purchase.missing - len(in_cart)), purchase.used)
            if len(in_cart) + len(found) < purchase.floor:
                self._search.give_back(found)
                return ()
            costs = [offer.total_usd for offer in found]
            beside_usd, least = purchase.cost_of(in_cart).usd, purchase.floor - len(in_cart)
            allowed = most_affordable(purchase.limits, costs, beside_usd, least)
            room = min(allowed, covered(self._balance, costs, beside_usd, max(least, 1 - len(in_cart))))
            offers = found[:room]
            self._search.give_back(found[room:])
            self._search.refuse("spend_limit", (offer.number for offer in found[allowed:]))
            if not offers:
                return ()
            items = {offer.number: PurchaseItem.of(offer, self._search.rung_of(offer.number)) for offer in offers}
            try:
                purchase.write("bind", listed(items), items, reserve=items, phase=Phase.BOUND, search=self._search.report)
                return offers
            except NumbersTaken as taken:
                self._search.give_back(offer for offer in offers if offer.number not in taken.numbers)
                self._search.refuse("reserved", taken.numbers)

    def put_in_cart(self, offers: Sequence[Offer]) -> set[str]:
        """Add bound numbers; return those that the provider confirmed with fees that still fit.

        A batch refused as a whole is halved until the bad number stands alone. An unclear answer spends all that is bound and
        fails the attempt: they may come into the cart later, so they must never be checked out.
        """
        numbers = [offer.number for offer in offers]
        fresh = [number for number in numbers if number not in self._cart.added]
        self._cart.added |= dict.fromkeys(numbers, False)
        answer = self._purchase.provider.put_in_cart(numbers)
        match answer:
            case Yes(added):
                return self._confirmed(added, numbers)
            case No() if len(offers) > 1:
                first, second = halves(offers)
                return self.put_in_cart(first) | self.put_in_cart(second)
            case No():
                self._search.refuse("taken", numbers)
                return set()
            case Unclear(reason):
                self._cart.burn_bound("put_unclear", reason)
                raise AttemptFailed(
                    JobError(code="cart_unclear", message=f"adding to the cart had no clear answer ({reason})", retryable=True)
                )
            case NotNow() | Barred():
                if isinstance(answer, NotNow) and not answer.answered:  # Not a byte was sent.
                    for number in fresh:
                        del self._cart.added[number]
                raise waiting_for(answer)

    def _confirmed(self, added: Iterable[Offer], asked: Collection[str]) -> set[str]:
        found = {offer.number: offer for offer in added if offer.number in asked}
        self._search.refuse("taken", set(asked) - set(found))
        self._cart.added |= dict.fromkeys(found, True)
        fitting = set()
        for number, offer in found.items():
            self._purchase.items[number] = self._purchase.items[number].as_in_cart(offer)
            if reason := self._search.reason_against(offer):
                self._search.refuse(f"{reason}_in_cart", [number])
            else:
                fitting.add(number)
        return fitting

    def _within_budget(self, in_cart: set[str]) -> set[str]:
        purchase = self._purchase
        if purchase.request.max_total_usd is None:
            return in_cart
        left = purchase.request.max_total_usd - sum((item.total_usd for item in purchase.kept.values()), Decimal(0))
        chosen = set(affordable({number: purchase.items[number].total_usd for number in in_cart}, left))
        self._search.refuse("budget", in_cart - chosen)
        return chosen

    def _keep_terms(self, in_cart: Collection[str]) -> None:
        """Raises Refused if the cart, with what is ours already, is worse than a quote promised."""
        purchase = self._purchase
        whole = purchase.kept | {number: purchase.items[number] for number in in_cart}
        if purchase.request.terms and (worse := differences(whole, purchase.request.terms)):
            raise Refused(quote_worse(worse))
