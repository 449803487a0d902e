"""One atomic write of a running attempt: what a job has found out, what it means to do next, and what may not be done any more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from didflow.contract.history import Happened
from didflow.contract.inventory import Shown
from didflow.contract.spending import Spend, SpendLimit


@dataclass(frozen=True)
class Write:
    """All of it is written, or nothing. Numbers are in E.164; what is None, or empty, stays as it was.

    step, detail   for the job's story, with the calls to the provider since the write before; `witness` is what decided
    phase, memo    how far the job is, and what it keeps of that (JSON); `progress` is for people
    numbers        what to keep of each (JSON)
    replace        all numbers that were saved before are dropped
    clear          all previous numbers and pages are deleted; `pages`: the numbers on each page, whose outcomes are counted from then on
    history        what happened to numbers, for their histories
    shown          what was read back of numbers after they were changed, for the account's inventory
    reserve        keep every other job off these; if one is taken already nothing is written
    taint          keep every job off them for a day, this one included
    free           give them up
    keep           they are ours now: an old list of the stock may still offer them for a day, to jobs that come later
    answered       the call for which their routes were claimed has been answered: nothing of it can act later
    settled        numbers of a release with no call under way: what became of them is known, or none was sent
    hold           what a checkout may cost, counted for the job's account and reference, if each of `limits` has room for it; else
                   nothing is written
    settle         what was bought; ends the spend hold: the rest is released
    money          it may move once this is written; nothing is while it may not (a closed gate)
    unless_cancelled   nothing is written once a cancel of the job has returned, even if this attempt hasn't noticed it
    unsettled      whether numbers are bound or carted after it
    parks          the ways (JSON) of numbers that a release has taken to park them
    unpark         numbers that it is done with, and the newest wish for another route that it knows of (its order; -1: whatever it is);
                   if one of them has a newer one nothing is written
    offer          numbers of a release, with their records, that may be lent to purchases while it counts down; `withdraw`: that may
                   not any more
    """

    step: str
    detail: str = ""
    witness: str | None = None
    phase: str | None = None
    checkpoint: str | None = None
    progress: str | None = None
    numbers: Mapping[str, str] = field(default_factory=dict)
    replace: bool = False
    clear: bool = False
    pages: Mapping[int, Sequence[str]] = field(default_factory=dict)
    history: Mapping[str, Happened] = field(default_factory=dict)
    shown: Mapping[str, Shown] = field(default_factory=dict)
    reserve: Sequence[str] = ()
    taint: Sequence[str] = ()
    free: Sequence[str] = ()
    keep: Sequence[str] = ()
    answered: Sequence[str] = ()
    settled: Sequence[str] = ()
    hold: Spend | None = None
    limits: Sequence[SpendLimit] = ()
    settle: Spend | None = None
    money: bool = False
    unless_cancelled: bool = False
    unsettled: bool | None = None
    parks: Mapping[str, str] = field(default_factory=dict)
    unpark: Mapping[str, int] = field(default_factory=dict)
    offer: Mapping[str, int] = field(default_factory=dict)
    withdraw: Sequence[str] = ()
