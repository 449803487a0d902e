"""The rounds of a purchase: how far each has come in the purchase protocol, and the steps of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from didflow.contract.job_kinds import buys
from didflow.contract.jobs import JobView, Step
from didflow.contract.states import JobState

#: The purchase protocol: its stages in order, each with the steps and calls of a story that show that it was reached.
PROTOCOL = (
    ("Bind", "choose and reserve numbers", ("bind",)),
    ("Cart", "add them, check the fees again", ("cart_add", "fence")),
    ("Fence", "store that money may move", ("fence",)),
    ("Check out", "once, never sent again", ("checkout",)),
    ("Revoke", "after an unclear answer: empty the cart", ("revoke", "cart_remove")),
    ("Look", "read what is ours", ("settled", "look_again", "unsettled", "charged_not_shown")),
    ("Done", "numbers and charges are certain", ("bought", "resolved")),
)
#: Within a round, numbers are bound more than once where some of them can't be put into the cart.
_FILLS = ("bind", "put_back")
#: Ends a round that another one follows.
_SETTLED = "settled"


@dataclass(frozen=True)
class Stage:
    """A stage of the purchase protocol. `standing`: ``done``, ``skipped``, ``now``, ``open`` (for a person) or ``next``."""

    name: str
    what: str
    standing: str


@dataclass(frozen=True)
class Round:
    """Numbers that were bound together, and what came of them. `began_at` None: no step is kept.

    `outcome`: which of them are ours; '' as long as that isn't known.
    """

    began_at: datetime | None
    stages: tuple[Stage, ...]
    outcome: str


def by_round(steps: Sequence[Step]) -> list[Sequence[Step]]:
    """The story cut where a round begins. What comes before the first round is in the first part."""
    begins = _beginnings(steps)[1:]
    return [steps[start:end] for start, end in zip([0, *begins], [*begins, len(steps)], strict=True)]


def rounds(view: JobView, steps: Sequence[Step]) -> list[Round]:
    """Each round of a purchase, the first one first. One that has bound nothing yet has one; other jobs have none."""
    if not buys(view.kind) or (view.request is not None and view.request.dry_run):
        return []
    starts = _beginnings(steps) or [0]
    parts = [steps[start:end] for start, end in zip(starts, [*starts[1:], len(steps)], strict=True)]
    return [*(_ended(part) for part in parts[:-1]), _last(view, parts[-1])]


def _beginnings(steps: Sequence[Step]) -> list[int]:
    found: list[int] = []
    for at, step in enumerate(steps):
        if step.name == "bind" and (not found or any(one.name not in _FILLS for one in steps[found[-1] : at])):
            found.append(at)
    return found


def _ended(part: Sequence[Step]) -> Round:
    """A round that another one followed: what it didn't reach, it didn't need."""
    reached = _reached(part)
    reached[-1] = any(step.name == _SETTLED for step in part)
    return Round(_began(part), _stages(["done" if one else "skipped" for one in reached]), _outcome(part))


def _last(view: JobView, part: Sequence[Step]) -> Round:
    reached = _reached(part)
    last = max((at for at, is_reached in enumerate(reached) if is_reached), default=-1)
    return Round(_began(part), _stages([_standing(view, at, reached, last) for at in range(len(PROTOCOL))]), _outcome(part))


def _began(part: Sequence[Step]) -> datetime | None:
    return part[0].at if part else None


def _reached(part: Sequence[Step]) -> list[bool]:
    names = [name for step in part for name in (step.name, *(call.call for call in step.calls))]
    return [any(name.startswith(marks) for name in names) for _, _, marks in PROTOCOL]


def _stages(standings: Sequence[str]) -> tuple[Stage, ...]:
    return tuple(Stage(name, what, standing) for (name, what, _), standing in zip(PROTOCOL, standings, strict=True))


def _outcome(part: Sequence[Step]) -> str:
    return next((step.detail for step in reversed(part) if step.name == _SETTLED), "")


def _standing(view: JobView, at: int, reached: Sequence[bool], last: int) -> str:
    if at == last and not view.state.is_terminal and at < len(PROTOCOL) - 1:
        return "open" if view.state is JobState.NEEDS_REVIEW else "now"
    if reached[at]:
        return "done"
    return "skipped" if at < last or view.state.is_terminal else "next"
