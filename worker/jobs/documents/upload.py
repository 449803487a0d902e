"""Uploads a document for numbers: only if needed, once, and reads the effect back.

What is in a passport stays out of the ledger. The file comes from the machine that has it, or from the memory of an HTTP server.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from didflow.contract.document_file import DOCUMENT_IDS, Paper, described
from didflow.contract.provider import UNREADABLE, Answer, Barred, No, NotNow, OwnedNumber, Unclear, Yes
from worker.jobs.halving import halves
from worker.jobs.owned_numbers import find_surely
from worker.jobs.ports.provider import OwnedPort, UploadPorts

#: How often the numbers are checked after an answer.
LOOK_EVERY_S = 1.0
#: A document with one of these is there; another one of its type is refused by the provider.
THERE = frozenset({"pending", "approved"})


class Fate(StrEnum):
    """What became of the document for one number."""

    HANDED_IN = "handed_in"  #: the provider has it and will review it
    THERE_ALREADY = "there_already"  #: it has one of this type that is approved or under review; nothing was sent
    NOT_NEEDED = "not_needed"  #: active already, or another type is requested; nothing was sent
    NOT_FOUND = "not_found"  #: not a number of this account
    REFUSED = "refused"  #: the provider said no
    NOT_SENT = "not_sent"  #: the provider wasn't reached, or it refuses the account
    UNCLEAR = "unclear"  #: the number doesn't show it, whatever was answered: a later run looks first


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
    provider: UploadPorts,
    *,
    settle_s: float,
    now_s: Callable[[], float],
    pause: Callable[[float], None],
) -> tuple[HandedIn, ...]:
    """Hand the document in for those of the numbers that need it. Raises ReadFailed: nothing was sent, or what became of it can't be seen.

    It is sent once. Whether the answer was a yes or unclear, the numbers are checked until they show the document, or until the settle
    time has passed without; then the number is `unclear`. Running it again is always safe: what is there isn't sent again.
    """
    owned = find_surely(provider, numbers)
    fates = {number: fate for number in numbers if (fate := _without_sending(number, owned.get(number), paper))}
    going = [owned[number] for number in numbers if number not in fates]
    if going:
        fates |= _Upload(paper, provider, settle_s, now_s, pause).sent(going)
    return tuple(fates[number] for number in numbers)


def _without_sending(number: str, owned: OwnedNumber | None, paper: Paper) -> HandedIn | None:
    """Why nothing is sent for this number; None if something is."""
    if owned is None:
        return HandedIn(number, Fate.NOT_FOUND, "not a number of this account")
    if owned.is_active:
        return HandedIn(number, Fate.NOT_NEEDED, "it is active")
    if paper.kind not in owned.required_documents:
        return HandedIn(number, Fate.NOT_NEEDED, f"it needs {described(owned.required_documents, owned.document_titles) or 'none'}")
    if any(one.status == UNREADABLE or (one.status in THERE and one.kind not in DOCUMENT_IDS) for one in owned.documents):
        return HandedIn(number, Fate.NOT_SENT, "the provider's list of its documents can't be read, so it may be there")
    status = next((one.status for one in owned.documents if one.kind == paper.kind and one.status in THERE), None)
    return HandedIn(number, Fate.THERE_ALREADY, status) if status else None


class _Upload:
    """One document on its way to several numbers."""

    def __init__(
        self, paper: Paper, provider: UploadPorts, settle_s: float, now_s: Callable[[], float], pause: Callable[[float], None]
    ) -> None:
        self._paper, self._provider, self._settle_s, self._now_s, self._pause = paper, provider, settle_s, now_s, pause
        self._form_was_tried = False

    def sent(self, going: Sequence[OwnedNumber]) -> dict[str, HandedIn]:
        """Send it for all of them in one call, and look. One that is refused is halved until the bad number stands alone."""
        return self._after(self._send(going), going)

    def _send(self, going: Sequence[OwnedNumber], *, other_form: bool = False) -> Answer[None]:
        record_ids, numbers = [one.record_id for one in going], [one.number for one in going]
        return self._provider.upload_paper(record_ids, self._paper, other_form=other_form, numbers=numbers)

    def _after(self, answer: Answer[None], going: Sequence[OwnedNumber]) -> dict[str, HandedIn]:
        match answer:
            case Yes():
                return self._seen(going, "the provider said yes, and the number doesn't show the document")
            case Unclear(reason=reason):
                return self._seen(going, reason)
            case No(message=message):
                return self._refused(going, message)
            case NotNow(reason=why, words=words):
                return _all(going, Fate.NOT_SENT, words or why.value)
            case Barred(status=status, message=message):
                return _all(going, Fate.NOT_SENT, f"{status}: {message}")

    def _refused(self, going: Sequence[OwnedNumber], message: str) -> dict[str, HandedIn]:
        """A refusal is no proof that nothing was done: look before anything is sent again."""
        other_form = not self._form_was_tried and _is_about_the_form(message)
        shown = self._look(going, self._settle_s if other_form else 0.0)
        fates = _all([one for one in going if one.number in shown], Fate.HANDED_IN)
        rest = [one for one in going if one.number not in shown]
        if not rest:
            return fates
        if other_form:
            self._form_was_tried = True
            return fates | self._after(self._send(rest, other_form=True), rest)
        if len(rest) == 1:
            return fates | _all(rest, Fate.REFUSED, message)
        first, second = halves(rest)
        return fates | self.sent(first) | self.sent(second)

    def _seen(self, going: Sequence[OwnedNumber], otherwise: str) -> dict[str, HandedIn]:
        shown = self._look(going, self._settle_s)
        return {
            one.number: HandedIn(one.number, Fate.HANDED_IN) if one.number in shown else HandedIn(one.number, Fate.UNCLEAR, otherwise)
            for one in going
        }

    def _look(self, going: Sequence[OwnedNumber], within_s: float) -> set[str]:
        """Those that show the document by then."""
        before = {one.number: one for one in going}

        def is_there(owned: OwnedNumber) -> bool:
            known = {one.id for one in before[owned.number].documents}
            new = any(one.kind == self._paper.kind and (one.status in THERE or one.id not in known) for one in owned.documents)
            return new and owned.record_id == before[owned.number].record_id

        return _look(before.keys(), is_there, self._provider, within_s, self._now_s, self._pause)


def shown(
    numbers: Collection[str], kind: str, provider: OwnedPort, *, settle_s: float, now_s: Callable[[], float], pause: Callable[[float], None]
) -> set[str]:
    """Those that show such a document before the settle time has passed. Nothing is sent. Raises ReadFailed."""

    def is_there(owned: OwnedNumber) -> bool:
        return owned.is_active or any(one.kind == kind and one.status in THERE for one in owned.documents)

    return _look(numbers, is_there, provider, settle_s, now_s, pause)


def _look(
    numbers: Collection[str],
    is_there: Callable[[OwnedNumber], bool],
    provider: OwnedPort,
    within_s: float,
    now_s: Callable[[], float],
    pause: Callable[[float], None],
) -> set[str]:
    until_s = now_s() + within_s
    found: set[str] = set()
    while True:
        late = now_s() >= until_s  # The last look begins when the settle time has passed.
        found |= {number for number, owned in find_surely(provider, set(numbers) - found).items() if is_there(owned)}
        if len(found) == len(numbers) or late:
            return found
        pause(LOOK_EVERY_S)


def _all(numbers: Sequence[OwnedNumber], fate: Fate, words: str = "") -> dict[str, HandedIn]:
    return {one.number: HandedIn(one.number, fate, words) for one in numbers}


def _is_about_the_form(message: str) -> bool:
    """Whether the refusal is, or may be, about how the type of document is written. A refusal without words may be about anything."""
    return re.search(r"doc[ _]?(id|type)|document type|^HTTP 400$", message, re.IGNORECASE) is not None
