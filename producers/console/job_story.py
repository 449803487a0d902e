"""A job in words: what it is to do, what it did, and the commands that show the same."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from didflow.contract.job_kinds import buys
from didflow.contract.jobs import JobView, Step
from didflow.contract.requests import Failback, Release, Reroute, SearchAndBuy
from didflow.contract.states import JobState, Outcome
from producers.cli.next_commands import next_commands

#: What a step of the story means. A step that isn't here is shown by its name.
MEANINGS = {
    "submitted": "Stored durably",
    "bind": "Chose numbers and reserved them",
    "fence": "Stored that money may move from here on",
    "checkout_yes": "The provider accepted the checkout",
    "checkout_unclear": "The checkout gave no clear answer",
    "checkout_refused": "The provider refused the checkout",
    "checkout_not_sent": "No connection: the checkout was not sent",
    "revoke": "Took the numbers out of the cart: a late checkout finds nothing",
    "revoke_again": "The cart still showed numbers: took them out once more",
    "look_again": "The owned list didn't show all of them yet",
    "charged_not_shown": "A charge names numbers that the owned list doesn't show",
    "settled": "Found out which numbers are ours",
    "unsettled": "Could not be found out in time",
    "transactions": "Read the account's transactions",
    "bought": "All that will be bought is bought",
    "put_back": "Gave reserved numbers back to the stock",
    "looked": "Searched the stock; too few numbers fit",
    "succeeded": "Done",
    "partial": "Done in part",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "needs_review": "Parked for a person",
}
#: Steps that say that something is open or was refused.
TROUBLED = {"checkout_unclear", "checkout_refused", "charged_not_shown", "unsettled", "needs_review", "failed", "revoke_again"}


@dataclass(frozen=True)
class Chapter:
    """Steps that follow one another and say the same. `times`: how many; `last`: when the last of them was."""

    step: Step
    times: int
    last: Step

    @property
    def meaning(self) -> str:
        return MEANINGS.get(self.step.name, self.step.name.replace("_", " ").capitalize())

    @property
    def is_troubled(self) -> bool:
        return self.step.name in TROUBLED


def chapters(steps: Sequence[Step]) -> list[Chapter]:
    """The story; a job that waits checks again and again, which is one line."""
    found: list[Chapter] = []
    for step in steps:
        before = found[-1] if found else None
        if before is not None and _says(before.step) == _says(step) and not before.last.calls and not step.calls:
            found[-1] = Chapter(before.step, before.times + 1, step)
        else:
            found.append(Chapter(step, 1, step))
    return found


def _says(step: Step) -> tuple[object, ...]:
    return (step.name, step.detail, step.witness, step.actor)


def waits_because(view: JobView, steps: Sequence[Step]) -> str:
    """What a waiting job's last step says beside the reason; '' if it says no more."""
    if view.state is not JobState.WAITING or view.reason is None:
        return ""
    said = next((step.detail for step in reversed(steps) if step.name == "waiting"), "")
    return said.removeprefix(view.reason).removeprefix(": ")


def title_of(view: JobView) -> str:
    """What the job is to do, in a line."""
    text = "".join(_title(view))
    return ("Dry run: " + text[0].lower() + text[1:]) if view.request is not None and view.request.dry_run else text


def _title(view: JobView) -> Iterator[str]:
    match view.request:
        case SearchAndBuy() as order:
            place = order.city[0] if len(order.city) == 1 else order.region or order.country
            yield f"Buy {_numbers(order.quantity)} in {place}" + (f" or {len(order.city) - 1} other cities" if len(order.city) > 1 else "")
        case Reroute() as order:
            yield f"Reroute {_which(order)}" + (f" to {order.destinations[0]}" if order.destinations else "")
        case Release() as order:
            yield f"Release {_which(order)}"
        case Failback() as order:
            yield f"Fail back job {order.job_id}"
        case _:
            yield view.kind.replace("_", " ").capitalize()


def _which(order: Reroute | Release) -> str:
    if order.selector is not None:
        given = order.selector.model_dump(exclude_none=True, exclude_defaults=True)
        chosen = (f"{name.removesuffix('_id').replace('_', ' ')} {value}" for name, value in given.items())
        return "all numbers" if order.selector.all else "numbers by " + ", ".join(chosen)
    return _numbers(len(order.numbers) + len(order.record_ids))


def _numbers(count: int) -> str:
    return "1 number" if count == 1 else f"{count} numbers"


def shell_commands(view: JobView) -> list[tuple[str, str]]:
    """What each is for, and the command."""
    job = shlex.quote(view.id)
    found = [("the same in a shell", f"didflow status {job}"), ("each step with its calls", f"didflow explain {job}")]
    if not view.state.is_terminal:
        found.append(("wait for its end", f"didflow status {job} --wait"))
    if view.state is JobState.NEEDS_REVIEW:
        found.append(("continue from the last checkpoint", f"didflow retry {job}"))
        if any(number.outcome is Outcome.UNCLEAR for number in (view.result.numbers if view.result else ())):
            word = "bought" if buys(view.kind) else "released"
            found.append((f"end it with those that were {word}", f"didflow resolve {job} --{word} NUMBER"))
    return [*found, *next_commands(view)]
