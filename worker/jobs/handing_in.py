"""Handing a document in for numbers: only where it is asked for, once, and with a look where the answer was unclear.

Not a job: what is in a passport stays out of the ledger. Whoever has the file hands it in from where he is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from worker.contract.papers import Paper
from worker.contract.provider import UNREADABLE, Barred, No, NotNow, OwnedNumber, Unclear, Yes
from worker.jobs.owned import find_surely
from worker.jobs.ports import Provider

#: How often the numbers are looked at after an unclear answer.
LOOK_EVERY_S = 1.0
#: A document with one of these is there; another one of its type is refused by the provider.
THERE = frozenset({"pending", "approved"})


class Fate(StrEnum):
    """What became of the document for one number."""

    HANDED_IN = "handed_in"  #: the provider has it and will review it
    THERE_ALREADY = "there_already"  #: it has one of this type that is approved or under review; nothing was sent
    NOT_NEEDED = "not_needed"  #: active already, or another type is asked for; nothing was sent
    NOT_FOUND = "not_found"  #: not a number of this account
    REFUSED = "refused"  #: the provider said no
    NOT_SENT = "not_sent"  #: nobody was reached, or the account is refused
    UNCLEAR = "unclear"  #: no clear answer, and the number doesn't show it: a later run looks first


#: Nothing is left to do.
GOOD = frozenset({Fate.HANDED_IN, Fate.THERE_ALREADY, Fate.NOT_NEEDED})


@dataclass(frozen=True)
class HandedIn:
    """One number. `words`: the provider's, or why."""

    number: str
    fate: Fate
    words: str = ""


def hand_in(
    numbers: Sequence[str],
    paper: Paper,
    provider: Provider,
    *,
    settle_s: float,
    now_s: Callable[[], float],
    pause: Callable[[float], None],
) -> tuple[HandedIn, ...]:
    """Hand the document in for those of the numbers that need it. Raises ReadFailed: nothing was sent, or what became of it can't be seen.

    It is sent once. Where the answer is unclear the numbers are looked at until they show it, or until the settle time has passed
    without; then the number is `unclear`. Running it again is always safe: what is there isn't sent again.
    """
    owned = find_surely(provider, numbers)
    fates = [_without_sending(number, owned.get(number), paper) for number in numbers]
    going = [owned[number] for number in numbers if number not in {one.number for one in fates if one is not None}]
    fates += _sent(going, paper, provider) if going else []
    open_ones = {one.number for one in fates if one is not None and one.fate is Fate.UNCLEAR}
    if open_ones:
        shown = _look(open_ones, {one.number: one for one in going}, paper, provider, now_s() + settle_s, now_s, pause)
        fates = [HandedIn(one.number, Fate.HANDED_IN) if one is not None and one.number in shown else one for one in fates]
    by_number = {one.number: one for one in fates if one is not None}
    return tuple(by_number[number] for number in numbers)


def _without_sending(number: str, owned: OwnedNumber | None, paper: Paper) -> HandedIn | None:
    """Why nothing is sent for this number; None if something is."""
    if owned is None:
        return HandedIn(number, Fate.NOT_FOUND, "not a number of this account")
    if owned.is_active:
        return HandedIn(number, Fate.NOT_NEEDED, "it is active")
    if paper.kind not in owned.required_documents:
        return HandedIn(number, Fate.NOT_NEEDED, f"it needs {', '.join(owned.required_documents) or 'none'}")
    if any(one.status == UNREADABLE for one in owned.documents):
        return HandedIn(number, Fate.NOT_SENT, "the provider's list of its documents can't be read, so it may be there")
    status = next((one.status for one in owned.documents if one.kind == paper.kind and one.status in THERE), None)
    return HandedIn(number, Fate.THERE_ALREADY, status) if status else None


def _sent(going: Sequence[OwnedNumber], paper: Paper, provider: Provider) -> list[HandedIn | None]:
    """Send it for all of them in one call; one that is refused is halved until the bad number stands alone: a no did nothing."""
    answer = provider.upload_paper([one.record_id for one in going], paper)
    match answer:
        case Yes():
            fate, words = Fate.HANDED_IN, ""
        case No() if len(going) > 1:
            half = len(going) // 2
            return _sent(going[:half], paper, provider) + _sent(going[half:], paper, provider)
        case No(message=message):
            fate, words = Fate.REFUSED, message
        case Unclear(reason=reason):
            fate, words = Fate.UNCLEAR, reason
        case NotNow(reason=why):
            fate, words = Fate.NOT_SENT, why.value
        case Barred(status=status, message=message):
            fate, words = Fate.NOT_SENT, f"{status}: {message}"
    return [HandedIn(one.number, fate, words) for one in going]


def _look(
    numbers: set[str],
    before: dict[str, OwnedNumber],
    paper: Paper,
    provider: Provider,
    until_s: float,
    now_s: Callable[[], float],
    pause: Callable[[float], None],
) -> set[str]:
    """Those that show the document by then."""
    shown: set[str] = set()
    while True:
        late = now_s() >= until_s  # The last look begins when the settle time has passed.
        for owned in find_surely(provider, numbers - shown).values():
            same = owned.record_id == before[owned.number].record_id
            known = {one.id for one in before[owned.number].documents}
            if same and any(one.kind == paper.kind and (one.status in THERE or one.id not in known) for one in owned.documents):
                shown.add(owned.number)
        if shown == numbers or late:
            return shown
        pause(LOOK_EVERY_S)
