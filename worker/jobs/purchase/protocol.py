"""The purchase protocol. `tests/model` holds it as an executable specification; the steps here bear its names.

    bind          choose numbers that no earlier attempt used; write them down first                  (durable)
    put_in_cart   add them. An unclear answer spends them: they are never checked out
    fence         is the lease still mine, and do the spend limits allow it? then write phase=carted
                  with the confirmed numbers and hold what they may cost                              (durable)
    check_out     once, with explicit numbers
    recover       after an unclear checkout or a crash: REMOVE the numbers from the cart (this revokes a checkout still in
                  flight), then LOOK at the owned list: owned ones are kept, the others are burned; bind new ones for the rest
    doubt         before that, if the ledger may have lost its last writes: bound numbers may have been checked out

Rests on the assumptions A1-A4 of the README: an owned number can't be bought, a checkout refuses what isn't in the cart, cart
and owned list show our own writes within the settle time, no other party changes what we put into the cart.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence, Set
from contextlib import suppress
from decimal import Decimal

from didflow.contract.errors import JobError
from didflow.contract.follow_ups import DOCUMENTS, FIRST_LOOK_S
from didflow.contract.provider import Barred, No, NotNow, NotThere, Offer, ReadFailed, Unclear, Yes
from didflow.contract.requests import FollowDocuments
from didflow.contract.results import SearchReport
from didflow.contract.spending import LimitReached, Spend
from didflow.contract.states import WaitReason
from worker.jobs.halving import halves
from worker.jobs.owned_numbers import find_owned, find_surely
from worker.jobs.ports.endings import (
    AccountBarred,
    AttemptFailed,
    CancelRequested,
    HandBack,
    NumbersTaken,
    Refused,
    SpendLimitReached,
    Wait,
)
from worker.jobs.provider_answers import waiting_for
from worker.jobs.purchase.charges import charged_numbers, charges_seen
from worker.jobs.purchase.criteria import affordable
from worker.jobs.purchase.funds import balance_usd, covered, shared_balance_usd, wait_for_funds
from worker.jobs.purchase.quote_terms import differences, quote_worse
from worker.jobs.purchase.refusal import is_put_off, next_step, refusal_of, what_is_known
from worker.jobs.purchase.settlement import LookAgain, Settled, Unsettled, judge
from worker.jobs.purchase.spend_limits import fitting_now, most_affordable, most_numbers, wait_for, within_limits, worth_asking
from worker.jobs.purchase.standing_order import is_over
from worker.jobs.purchase.state import Checkout, ItemStatus, Phase, PurchaseItem
from worker.jobs.purchase.stock_search import StockSearch
from worker.jobs.purchase.store import WrittenPurchase, listed


class OutOfStock(Exception):
    """The stock has too few numbers that fit, or the time of a standing order is over; nothing of this round is left in the cart."""


class UnsettledPurchase(Exception):
    """What became of a checkout can't be detected: `why`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Purchase(WrittenPurchase):
    """One job's purchase: the steps of the protocol."""

    @property
    def floor(self) -> int:
        """How many numbers must be in the cart before any is checked out. Once some are bought, the rest is bought as it comes."""
        match self.request.policy:
            case "all_or_nothing":
                return 1 if self.bought else self.missing
            case "at_least":
                return max(1, (self.request.at_least or 1) - len(self.kept))
            case "best_effort":
                return 1

    def buy(self, search: StockSearch) -> None:
        """One round: fill the cart as the policy wants, check it out once, determine what came of it.

        Raises OutOfStock if the cart can't be filled; Wait if a spend limit is reached, Refused if one can never be kept; Wait,
        AttemptFailed, AccountBarred or UnsettledPurchase as the provider's answers demand.
        """
        want = self._want()
        if reached := self.reached_limit():
            raise wait_for(reached, self._context.now_ms())
        self._read_balance()
        if not (in_cart := self._fill_cart(search, want)):
            return
        try:
            in_cart = self._fence_what_fits(in_cart, search)
        except Wait:  # Nothing was written, so nothing is sent.
            self.abandon()
            raise
        self.check_out(sorted(in_cart))
        self.recover()

    def _fence_what_fits(self, in_cart: set[str], search: StockSearch) -> set[str]:
        """Fence them, or the cheapest of them that a spend limit leaves room for now; the others go back to the stock first.

        Raises Wait, with nothing left in the cart, if those are fewer than the floor.
        """
        while True:
            try:
                self.fence(in_cart)
                return in_cart
            except SpendLimitReached as stopped:
                costs = {number: self.items[number].total_usd for number in in_cart}
                fewer = set(fitting_now(stopped.reached, costs))
                if len(fewer) < self.floor or fewer == in_cart:
                    self.abandon(refused=Spend.of(sorted(costs.values())[: self.floor]))
                    raise wait_for(stopped.reached, self._context.now_ms()) from None
                search.refuse("spend_limit", in_cart - fewer)
                self._put_back(in_cart - fewer)
                in_cart = fewer

    def _read_balance(self) -> None:
        """Read what can be paid. Raises Wait before stock and cart are troubled, if that is still less than what was too much before."""
        self._balance = None
        if self._rules.card_linked:
            return
        short_usd = self.checkpoint.short_usd
        self._balance = balance_usd(self._provider) if short_usd is None else shared_balance_usd(self._provider, self._context)
        if short_usd is not None and self._balance is not None and self._balance < short_usd:
            raise wait_for_funds(self._balance, short_usd)

    def reached_limit(self) -> LimitReached | None:
        """The spend limit that leaves too little room for any further checkout now."""
        return (
            self._context.money.limit_against(worth_asking(self.checkpoint.refused, self._limits, self.floor), self._limits)
            if self._limits
            else None
        )

    def _want(self) -> int:
        whole = self.request.policy == "all_or_nothing"
        want = self.missing if whole else max(self.floor, min(self.missing, self._rules.batch_size))
        return most_numbers(self._limits, want, self.floor)

    def _cost_of(self, numbers: Iterable[str]) -> Spend:
        return Spend.of(self.items[number].total_usd for number in numbers)

    def _fill_cart(self, search: StockSearch, want: int) -> set[str]:
        in_cart: set[str] = set()
        chosen: dict[str, Offer] = {}
        try:
            while len(in_cart) < want and (offers := self.bind(search, want - len(in_cart), in_cart)):
                chosen |= {offer.number: offer for offer in offers}
                for start in range(0, len(offers), self._rules.batch_size):
                    self._context.check_interrupts()
                    in_cart |= self.put_in_cart(offers[start : start + self._rules.batch_size], search)
            filled = in_cart
            in_cart = self._within_budget(in_cart, search)
            allowed = set(within_limits(self._limits, {number: self.items[number].total_usd for number in in_cart}, self.floor))
            search.refuse("spend_limit", in_cart - allowed)
            in_cart = allowed
            self._keep_terms(in_cart)
            self._context.check_interrupts()
        except (HandBack, CancelRequested, Wait, AccountBarred, AttemptFailed, Refused, ReadFailed):
            self.abandon()
            raise
        if self.missing <= 0 and not in_cart:  # Numbers of ours were enough.
            self.abandon()
            return in_cart
        if len(in_cart) < self.floor or is_over(self.request, self._context):
            self.abandon()
            raise OutOfStock
        payable = self._payable(in_cart)
        self._put_back(filled - payable)
        search.give_back(chosen[number] for number in sorted(in_cart - payable))  # It still wants them, and waits until they can be paid.
        return payable

    def _payable(self, in_cart: set[str]) -> set[str]:
        """The cheapest of them that the balance covers. Raises Wait, with nothing left in the cart, if those are fewer than the floor."""
        if self._balance is None:
            return in_cart
        costs = {number: self.items[number].total_usd for number in in_cart}
        payable = set(affordable(costs, self._balance))
        if len(payable) < self.floor:
            short_usd = sum(sorted(costs.values())[: self.floor], Decimal(0))
            self.abandon(short_usd=short_usd)
            raise wait_for_funds(self._balance, short_usd)
        return payable

    def bind(self, search: StockSearch, count: int, in_cart: Collection[str] = ()) -> Sequence[Offer]:
        """Choose numbers and store them, reserved against all other jobs, before any call to the provider.

        Not more than the spend limits can ever allow beside those in the cart: what isn't bought then is lost to all jobs for a day.
        None if even all of them are too few to be checked out: then the cart is left alone.
        """
        while True:
            search.taken = Counter(self.items[number].rung for number in (*self.kept, *in_cart))
            # Numbers of ours that the search assigned meanwhile aren't missing any more.
            found = search.next(min(count, self.missing - len(in_cart)), self.used)
            if len(in_cart) + len(found) < self.floor:
                search.give_back(found)
                return ()
            costs = [offer.total_usd for offer in found]
            beside_usd, least = self._cost_of(in_cart).usd, self.floor - len(in_cart)
            allowed = most_affordable(self._limits, costs, beside_usd, least)
            room = min(allowed, covered(self._balance, costs, beside_usd, max(least, 1 - len(in_cart))))
            offers = found[:room]
            search.give_back(found[room:])
            search.refuse("spend_limit", (offer.number for offer in found[allowed:]))
            if not offers:
                return ()
            items = {offer.number: PurchaseItem.of(offer, search.rung_of(offer.number)) for offer in offers}
            try:
                self._write("bind", listed(items), items, reserve=items, phase=Phase.BOUND, search=search.report)
                return offers
            except NumbersTaken as taken:
                search.give_back(offer for offer in offers if offer.number not in taken.numbers)
                search.refuse("reserved", taken.numbers)

    def put_in_cart(self, offers: Sequence[Offer], search: StockSearch) -> set[str]:
        """Add bound numbers; return those that the provider confirmed with fees that still fit.

        A batch refused as a whole is halved until the bad number stands alone. An unclear answer spends all that is bound and
        fails the attempt: they may come into the cart later, so they must never be checked out.
        """
        numbers = [offer.number for offer in offers]
        self._added |= dict.fromkeys(numbers, False)
        answer = self._provider.put_in_cart(numbers)
        match answer:
            case Yes(added):
                return self._confirmed(added, numbers, search)
            case No() if len(offers) > 1:
                first, second = halves(offers)
                return self.put_in_cart(first, search) | self.put_in_cart(second, search)
            case No():
                search.refuse("taken", numbers)
                return set()
            case Unclear(reason):
                self._burn_bound("put_unclear", reason)
                raise AttemptFailed(
                    JobError(code="cart_unclear", message=f"adding to the cart had no clear answer ({reason})", retryable=True)
                )
            case NotNow() | Barred():
                raise waiting_for(answer)

    def _confirmed(self, added: Iterable[Offer], asked: Collection[str], search: StockSearch) -> set[str]:
        found = {offer.number: offer for offer in added if offer.number in asked}
        search.refuse("taken", set(asked) - set(found))
        self._added |= dict.fromkeys(found, True)
        fitting = set()
        for number, offer in found.items():
            self.items[number] = self.items[number].as_in_cart(offer)
            if reason := search.reason_against(offer):
                search.refuse(f"{reason}_in_cart", [number])
            else:
                fitting.add(number)
        return fitting

    def _within_budget(self, in_cart: set[str], search: StockSearch) -> set[str]:
        if self.request.max_total_usd is None:
            return in_cart
        left = self.request.max_total_usd - sum((item.total_usd for item in self.kept.values()), Decimal(0))
        chosen = set(affordable({number: self.items[number].total_usd for number in in_cart}, left))
        search.refuse("budget", in_cart - chosen)
        return chosen

    def _keep_terms(self, in_cart: Collection[str]) -> None:
        """Raises Refused if the cart, with what is ours already, is worse than a quote promised."""
        whole = self.kept | {number: self.items[number] for number in in_cart}
        if self.request.terms and (worse := differences(whole, self.request.terms)):
            raise Refused(quote_worse(worse))

    def fence(self, in_cart: Collection[str]) -> None:
        """The durable token check before money moves, with what may be spent held. Numbers that are bound and not confirmed are burned.

        Raises SpendLimitReached; then nothing has changed.
        """
        bound = self.with_status(ItemStatus.BOUND)
        rest = {number: item.as_status(ItemStatus.BURNED) for number, item in bound.items() if number not in in_cart}
        carted = {number: item.as_status(ItemStatus.CARTED) for number, item in bound.items() if number in in_cart}
        self._write(
            "fence",
            listed(carted),
            carted | rest,
            taint=rest,
            hold=self._cost_of(carted),
            refused=None,
            refusal=None,
            short_usd=None,
            phase=Phase.CARTED,
            checkout=Checkout.UNKNOWN,
            fenced_ms=self._context.now_ms(),
            revoked_ms=None,
            first_look_ms=None,
            checkouts=self.checkpoint.checkouts + 1,
        )
        if rest:
            self._provider.remove_from_cart(sorted(rest))  # Tidiness only, whatever it answers: these are never checked out.

    def check_out(self, numbers: Sequence[str]) -> None:
        """Send the one checkout, and store what it answered. What came of it is looked up, whatever that says."""
        answer = self._provider.check_out(numbers)
        known, detail = what_is_known(answer)
        refusal = refusal_of(answer)
        checkouts = self.checkpoint.checkouts - is_put_off(refusal)
        self._write(f"checkout_{known.value}", detail, checkout=known, refusal=refusal, checkouts=checkouts)

    def heed(self) -> None:
        """Act on a refusal once it is settled what the refused checkout did. Raises Wait or AttemptFailed, as it says."""
        refusal = self.checkpoint.refusal
        if refusal is None:
            return
        self._context.check_interrupts()
        self._write("refusal_heeded", f"{refusal.code}: {refusal.message}", refusal=None)
        if step := next_step(refusal, self.checkpoint):
            raise step

    def recover(self) -> None:
        """Bring an open round to an end: afterwards every number is kept, burned or free, and the phase is `new`.

        Raises Wait while the provider's lists need time, UnsettledPurchase past the settle limit.
        """
        if self.checkpoint.epoch != self._context.money.epoch:
            self.doubt()
        match self.checkpoint.phase:
            case Phase.BOUND:
                self._burn_bound("recover_bound", "an earlier attempt's cart add was never confirmed")
            case Phase.CARTED:
                try:
                    if self.checkpoint.checkout is not Checkout.YES:
                        self.revoke()
                    self.look()
                except ReadFailed as failed:
                    if not isinstance(failed.answer, Barred) and self._past_settle_limit():
                        raise UnsettledPurchase("the provider's lists couldn't be read for the whole settle limit") from None
                    raise
            case Phase.NEW | Phase.BOUGHT:
                pass

    def doubt(self) -> None:
        """After the ledger's server changed: what is written may be older than what was done.

        Bound numbers may have been fenced and checked out. A checkout that wasn't sent, or the time of the revoking, may be of an earlier
        round with the same numbers. Only a clear yes stays true. So all open numbers are taken for carted, and nothing is known of their
        checkout.
        """
        if self.checkpoint.phase not in (Phase.BOUND, Phase.CARTED):
            return
        accepted = self.checkpoint.phase is Phase.CARTED and self.checkpoint.checkout is Checkout.YES
        items = {
            number: item.as_status(ItemStatus.CARTED) for number, item in self.with_status(ItemStatus.BOUND, ItemStatus.CARTED).items()
        }
        self._write(
            "doubt",
            f"{self.checkpoint.phase.value} when Redis restarted: {listed(items)}",
            items,
            phase=Phase.CARTED,
            checkout=Checkout.YES if accepted else Checkout.UNKNOWN,
            fenced_ms=self._context.now_ms(),
            revoked_ms=None,
            first_look_ms=None,
        )

    def _past_settle_limit(self) -> bool:
        return self._context.now_ms() - self.checkpoint.fenced_ms >= self._rules.settle_limit_s * 1000

    def revoke(self) -> None:
        """Take the carted numbers out of the cart, so that a checkout still in flight finds nothing to buy.

        A refusal ("not all of these are in the cart") may have removed none: what the cart still shows is removed by itself.
        Every number found in the cart restarts the settle time. A cart that shows none of them proves something only when
        it can't be the cart from before they were added (A3).
        """
        carted = sorted(self.with_status(ItemStatus.CARTED))
        if self.checkpoint.revoked_ms is None:
            answer = self._provider.remove_from_cart(carted)
            if isinstance(answer, NotNow):
                raise waiting_for(answer)
            gone = isinstance(answer, Yes)
        else:
            gone = False
        if not gone:
            shows_the_adding = self._context.now_ms() - self.checkpoint.fenced_ms >= self._rules.settle_s * 1000
            left = sorted({offer.number for offer in self._provider.cart()} & set(carted))
            gone = (not left or isinstance(self._provider.remove_from_cart(left), Yes)) and shows_the_adding
            if left or not gone:
                self._write("revoke_again", listed(left), revoked_ms=None)
        if gone and self.checkpoint.revoked_ms is None:
            self._write("revoke", listed(carted), revoked_ms=self._context.now_ms())

    def look(self) -> None:
        """Look at the owned list and draw the conclusion that it allows."""
        carted = self.with_status(ItemStatus.CARTED)
        # The time before the read: a list that took long to arrive is as old as its request.
        now_ms = self._context.now_ms()
        owned = find_owned(self._provider, carted)
        if self.checkpoint.first_look_ms is None:
            self.checkpoint = self.checkpoint.model_copy(update={"first_look_ms": now_ms})
        verdict = judge(carted.keys(), owned.keys(), self.checkpoint, now_ms, self._rules)
        if isinstance(verdict, Settled) and verdict.in_flight:
            # Before a number counts as not ours it is looked up by a second read of another kind, which neither a filter that doesn't work
            # nor pages that shift can mislead.
            owned |= find_surely(self._provider, verdict.absent)
            charged = charged_numbers(self._provider, carted.keys() - owned.keys(), self.checkpoint.fenced_ms, self._context.now_ms())
            verdict = judge(carted.keys(), owned.keys(), self.checkpoint, now_ms, self._rules, charged=charged)
            if charged and not isinstance(verdict, Settled):
                self._write("charged_not_shown", listed(charged))
        elif self.checkpoint.checkout is Checkout.YES and now_ms - self.checkpoint.fenced_ms >= self._rules.settle_s * 1000:
            # It was accepted, and a search doesn't show it: the search may be at fault.
            owned |= find_surely(self._provider, carted.keys() - owned.keys())
            verdict = judge(carted.keys(), owned.keys(), self.checkpoint, now_ms, self._rules)
        match verdict:
            case Settled(kept, absent, in_flight, witness):
                items = {number: carted[number].kept(owned[number]) for number in kept}
                items |= {number: carted[number].as_status(ItemStatus.BURNED if in_flight else ItemStatus.FREE) for number in absent}
                taint, free = (absent, ()) if in_flight else ((), absent)
                if not all(owned[number].is_active for number in kept):  # Before they are ours for certain: then it can't be forgotten.
                    request = FollowDocuments(job_id=self._context.job_id)
                    self._context.jobs.follow_up(DOCUMENTS, request, after_s=min(FIRST_LOOK_S, self._rules.documents_every_s))
                detail = f"ours: {listed(kept)}; not ours: {listed(absent)}"
                cost = self._cost_of(kept)
                refusals = self.checkpoint.refusals + 1 if self.checkpoint.refusal and not kept else 0
                self._write(
                    "settled",
                    detail,
                    items,
                    witness=witness,
                    taint=taint,
                    free=free,
                    keep=kept,
                    settle=cost,
                    phase=Phase.NEW,
                    refusals=refusals,
                    refusal=self.checkpoint.refusal if absent else None,
                )
            case LookAgain(after_s):
                self._write("look_again", f"{len(owned)} of {len(carted)} shown")
                raise Wait(WaitReason.SETTLING, after_s)
            case Unsettled(why):
                self._write("unsettled", why)
                self._write("transactions", charges_seen(self._provider, carted, self.checkpoint.fenced_ms, self._context.now_ms()))
                raise UnsettledPurchase(why)

    def _put_back(self, numbers: Collection[str]) -> None:
        """Give up some of what is bound. It was never checked out, so others may have it as soon as it is out of the cart."""
        if not numbers:
            return
        items, taint, free = self._given_up(numbers)
        self._write("put_back", listed(items), items, taint=taint, free=free)

    def abandon(self, refused: Spend | None = None, short_usd: Decimal | None = None) -> None:
        """Give up what is bound. None of it was checked out, so others may have the numbers as soon as they are out of the cart.

        `refused`: what a spend limit didn't allow. `short_usd`: what the balance didn't cover.
        """
        if bound := self.with_status(ItemStatus.BOUND):
            items, taint, free = self._given_up(bound)
            self._write("abandon", listed(items), items, taint=taint, free=free, phase=Phase.NEW, refused=refused, short_usd=short_usd)

    def _given_up(self, numbers: Collection[str]) -> tuple[dict[str, PurchaseItem], Collection[str], Collection[str]]:
        """Take bound numbers out of the cart: their new items, those that may still be in it, and those that others may have.

        A number in the cart that the ledger keeps for no job would keep the gate closed after the next restart of Redis.
        """
        left = self._maybe_in_cart(numbers)
        items = {n: self.items[n].as_status(ItemStatus.BURNED if n in left else ItemStatus.FREE) for n in numbers}
        return items, sorted(left), [number for number in numbers if number not in left]

    def _maybe_in_cart(self, numbers: Collection[str]) -> Set[str]:
        """Those that couldn't be taken out for certain. A list that shows a number not at all may be older than its adding (A3)."""
        if isinstance(self._provider.remove_from_cart(sorted(numbers)), Yes):
            return frozenset()
        # One of them was perhaps never in the cart, so none was removed.
        shown = self._take_out(numbers)
        return (self._added.keys() & set(numbers)) if shown is None else ({n for n in numbers if self._added.get(n)} - shown)

    def tidy(self) -> None:
        """Take numbers out of the cart that a late add, of any job, may have brought there. Nothing rests on it."""
        if strays := self._context.reservations.strays():
            self._take_out(strays)

    def _take_out(self, numbers: Collection[str]) -> Set[str] | None:
        """Take those out that the cart shows. None: it couldn't be read, or they couldn't be removed."""
        with suppress(ReadFailed, NotThere):
            shown = {offer.number for offer in self._provider.cart()} & set(numbers)
            if not shown or isinstance(self._provider.remove_from_cart(sorted(shown)), Yes):
                return shown
        return None

    def looked(self, report: SearchReport) -> None:
        """A standing order has found too few; nothing of it is in the cart."""
        self._write("looked", f"{report.seen} seen", search=report, looks=self.checkpoint.looks + 1)

    def close(self, report: SearchReport, worse: Collection[str] = ()) -> None:
        """All that will be bought is bought. `worse`: what a quote promised and the stock doesn't keep."""
        self._write("bought", listed(self.kept), phase=Phase.BOUGHT, search=report, worse=tuple(worse))

    def _burn_bound(self, step: str, detail: str) -> None:
        bound = {number: item.as_status(ItemStatus.BURNED) for number, item in self.with_status(ItemStatus.BOUND).items()}
        self._write(step, f"{detail}: {listed(bound)}", bound, taint=bound, phase=Phase.NEW)
        if bound:
            self._provider.remove_from_cart(sorted(bound))
