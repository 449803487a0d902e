"""The evidence about the open numbers of a parked job, and what it proves.

The rules are pure functions over what the ledger keeps; nothing here asks the provider. They are the purchase's own (docs/purchase.md):
owned is believed at once; not owned needs the number out of the cart, and two different reads after that; a yes to the checkout, or a
charge, forbids it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from didflow.client.review import at_stake_usd, open_numbers
from didflow.contract.errors import InvalidRequest
from didflow.contract.evidence import MOST_NUMBERS, FirstFinding, JobEvidence, NumberEvidence, Proposal, Reading
from didflow.contract.inventory import InventoryNumber, MirrorState
from didflow.contract.job_kinds import buys
from didflow.contract.jobs import JobView, Step
from didflow.contract.results import NumberResult
from didflow.ledger.awaited_findings import awaited_finding
from didflow.ledger.commands import Command, Commands
from didflow.ledger.inventory import one_number

#: How long the provider's lists may lag, by default.
SETTLE_S = 10.0
#: Steps that begin a round in which money may move.
_BEGINS = ("fence", "doubt")
#: Reads of the owned list by a search for the numbers, as a job's story has them.
_LOOKS = ("look_again", "charged_not_shown", "unsettled")


@dataclass(frozen=True)
class OwnedList:
    """What the inventory shows of one number: the last read of the owned list by a worker."""

    state: MirrorState
    shown: InventoryNumber | None

    @property
    def is_shown(self) -> bool:
        return self.shown is not None and self.shown.missing_since is None


class PurchaseStory:
    """What the steps of a parked purchase say, since money may have moved last."""

    def __init__(self, steps: Sequence[Step]) -> None:
        begins = max((at for at, step in enumerate(steps) if step.name in _BEGINS), default=None)
        self.round = tuple(steps[begins:]) if begins is not None else ()
        bound = [step.at for step in steps[: begins or 0] if step.name == "bind"]
        self.bound_at = bound[-1] if bound else (self.round[0].at if self.round else None)
        # After a restart of Redis all is doubted but a clear yes.
        fenced = max((at for at, step in enumerate(steps) if step.name == "fence"), default=begins)
        answers = [step for step in steps[fenced:] if step.name.startswith("checkout_")] if fenced is not None else []
        self.checkout = answers[-1] if answers else None
        #: The newest moment that a step gives for the checkout.
        self.sent_at = self.checkout.at if self.checkout is not None else (self.round[0].at if self.round else None)
        # A number that came back into the cart's list makes an older read of an empty cart void.
        cart = self._last("revoke", "revoke_again")
        self.cart, self.revoked_at = cart, cart.at if cart is not None and cart.name == "revoke" else None
        self.transactions = self._last("transactions")
        self.charged = self._last("charged_not_shown")

    def _last(self, *names: str) -> Step | None:
        return next((step for step in reversed(self.round) if step.name in names), None)

    @property
    def accepted(self) -> bool:
        return self.checkout is not None and self.checkout.name == "checkout_yes"

    def is_charged(self, number: str) -> bool:
        """Whether a charge may name it: one that a long line has cut off may, too."""
        listed = self.charged is not None and _may_name(self.charged.detail, number)
        seen = self.transactions.detail if self.transactions is not None else ""
        return listed or number.removeprefix("+") in seen

    def looked_at(self) -> datetime | None:
        """When a search of the owned list showed none of the numbers, after they were out of the cart."""
        if self.revoked_at is None:
            return None
        silent = [
            step.at
            for step in self.round
            if step.name in _LOOKS and step.at >= self.revoked_at and (step.name != "look_again" or step.detail.startswith("0 of "))
        ]
        return silent[-1] if silent else None


def purchase_evidence(number: str, story: PurchaseStory, owned: OwnedList, settle_s: float) -> NumberEvidence:
    """Of a number that a purchase may have bought. `settle_s`: how long the provider's lists may lag."""
    readings = (_checkout(story), _owned(owned, story.sent_at, "checkout"), _cart(number, story), _charges(number, story))
    record_id = owned.shown.record_id if owned.shown is not None and owned.is_shown else None
    return NumberEvidence(number, record_id, readings, _bought(number, story, owned, settle_s))


def release_evidence(number: str, record_id: int | None, steps: Sequence[Step], owned: OwnedList) -> NumberEvidence:
    """Of a number that a release may have given back."""
    last = steps[-1] if steps else None
    sent = next((step for step in reversed(steps) if step.name == "releasing"), None)
    said = Reading("release", "It was sent." if sent else "No step says that it was sent.", sent.at if sent else None)
    return NumberEvidence(number, record_id, (said, _owned(owned, said.at, "release")), _released(record_id, last, owned))


def evidence_of(
    commands: Commands, view: JobView, steps: Sequence[Step], settle_s: float, after: str | None, limit: int
) -> Command[JobEvidence]:
    """The evidence about a page of the job's open numbers. Raises WrongJob as `open_numbers` does, InvalidRequest."""
    every = open_numbers(view)
    begins = _place_after(every, after)
    page = every[begins : begins + max(1, min(limit, MOST_NUMBERS))]
    story, found = PurchaseStory(steps), list[NumberEvidence]()
    for one in page:
        looked, number = yield from one_number(commands.keys, view.account, one.number)
        owned = OwnedList(looked.state, number)
        found.append(
            purchase_evidence(one.number, story, owned, settle_s)
            if buys(view.kind)
            else release_evidence(one.number, one.record_id, steps, owned)
        )
    rest = page[-1].number if begins + len(page) < len(every) else None
    first = yield from first_finding(commands, view)
    return JobEvidence(view, len(every), at_stake_usd(view), first, tuple(found), rest)


def first_finding(commands: Commands, view: JobView) -> Command[FirstFinding | None]:
    """The finding that waits for a second person, if it is still about what the job shows."""
    found = yield from awaited_finding(commands.keys, view.id)
    if found is None or found.token != view.token:
        return None
    return FirstFinding(found.actor, datetime.fromtimestamp(found.at_ms / 1000, UTC), found.took_effect, found.reason)


def _place_after(numbers: Sequence[NumberResult], after: str | None) -> int:
    if after is None:
        return 0
    place = next((place for place, one in enumerate(numbers, 1) if one.number == after), None)
    if place is None:
        what = "is no open number of the job: begin at the first page again"
        raise InvalidRequest(f"after: {what}", (("after", what),))
    return place


def _bought(number: str, story: PurchaseStory, owned: OwnedList, settle_s: float) -> Proposal:
    if story.bound_at is None:
        return _unknown("no step says that a checkout was sent: look again")
    shown = owned.shown
    if shown is not None and owned.is_shown:
        if shown.first_seen_at > story.bound_at:
            return Proposal("yes", "the owned list shows it since the checkout, and nobody else can have bought it for this account")
        return _unknown("the account had this number before the checkout: find out which purchase it is of")
    if story.accepted:
        return _unknown("the provider accepted the checkout: a list that doesn't show the number yet is no proof against that")
    if story.is_charged(number):
        return _unknown("a charge names this number: the owned list may lag")
    if story.revoked_at is None:
        return _unknown("the cart wasn't seen without it, so a checkout still under way could buy it: look again")
    settled_at = story.revoked_at + timedelta(seconds=settle_s)
    if story.looked_at() is None:
        return _unknown("no search of the owned list is newer than the empty cart: look again")
    if not owned.state.complete or owned.state.swept_at is None or owned.state.swept_at < settled_at:
        return _unknown(f"the whole owned list wasn't read since the number was out of the cart for {settle_s:g} s: read it")
    return Proposal(
        "no",
        "two different reads after the cart was empty don't show it, a search for it and the whole owned list; no charge names it",
    )


def _released(record_id: int | None, last: Step | None, owned: OwnedList) -> Proposal:
    shown = owned.shown
    if shown is None or not owned.is_shown:
        return _unknown(
            "the whole owned list doesn't show it, but that is one kind of read: look again, which reads the record itself, too"
        )
    if record_id is not None and shown.record_id != record_id:
        return _unknown(f"the account has this number as record {shown.record_id}, and the release was of record {record_id}: look again")
    if last is None or shown.seen_at <= last.at:
        return _unknown("the owned list wasn't read since the job was parked: read it")
    return Proposal("no", "the owned list still shows the same record, read after the job was parked")


def _unknown(missing: str) -> Proposal:
    return Proposal("unknown", missing)


def _checkout(story: PurchaseStory) -> Reading:
    step = story.checkout
    if step is None:
        return Reading("checkout", "No answer is known.", story.round[0].at if story.round else None, "doubtful")
    says = {
        "checkout_yes": "The provider said yes.",
        "checkout_refused": "The provider refused it.",
        "checkout_not_sent": "It was not sent: no connection.",
    }.get(step.name, "No clear answer.")
    detail = f" {step.detail}" if step.detail else ""
    return Reading("checkout", says + detail, step.at, "owned" if story.accepted else "doubtful")


def _owned(owned: OwnedList, sent_at: datetime | None, call: str) -> Reading:
    """`sent_at`: when the call in question was sent. That an older read doesn't show the number is no evidence."""
    state, shown = owned.state, owned.shown
    if shown is not None and owned.is_shown:
        return Reading(
            "owned_list", f"Shows it: record {shown.record_id}, {shown.status}, {shown.monthly_usd} USD a month.", shown.seen_at, "owned"
        )
    if state.swept_at is None:
        return Reading("owned_list", "Wasn't read yet.", None)
    if sent_at is not None and state.swept_at <= sent_at:
        return Reading("owned_list", f"Wasn't read since the {call}.", None)
    trouble = f" The newest read wasn't complete: {state.trouble}" if state.trouble else ""
    return Reading("owned_list", "Doesn't show it." + trouble, state.swept_at, "none" if trouble else "not_owned")


def _cart(number: str, story: PurchaseStory) -> Reading:
    step = story.cart
    if step is None:
        return Reading("cart", "Wasn't read since the checkout.", None)
    if step.name == "revoke":
        return Reading("cart", "Doesn't hold it.", step.at, "not_owned")
    if _may_name(step.detail, number):
        return Reading("cart", "Held it, and it was taken out again.", step.at, "doubtful")
    return Reading("cart", "Held other numbers of the job.", step.at, "none")


def _charges(number: str, story: PurchaseStory) -> Reading:
    step = story.transactions or story.charged
    if step is None:
        return Reading("transactions", "Weren't read.", None)
    if story.is_charged(number):
        return Reading("transactions", "A charge names it: " + step.detail, step.at, "owned")
    return Reading("transactions", step.detail, step.at)


def _may_name(listed: str, number: str) -> bool:
    """Whether a list of numbers names it, or was too long to be written whole."""
    parts = listed.split()
    return number in parts or parts[-1:] == ["more"]
