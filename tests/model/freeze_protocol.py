"""An executable specification of the freeze: once `freeze` has answered with nothing under way, no money call begins until it is lifted.

Two attempts of one job; the second begins when the ledger has ended the lease of the first. Each may be suspended for any time, die, or
lose the reply of its fence. Freeze and unfreeze come at any moment, also between two steps of an attempt. The lease has two clocks: that of
Redis, by which the sweeper ends it, and that of the worker, by which the worker stops sending. They agree, but for one jump of Redis's
clock forward, which may come at any moment: then the sweeper ends a lease that the worker takes for valid.

Run:  python -m tests.model.freeze_protocol      the protocol, and what breaks each weaker one

| model | code |
| --- | --- |
| `fence` | save.lua: the freeze is checked in the step that writes that money may move |
| `call` | `LeaseFlags.check_before_change`, called by the sending thread when all waiting is over |
| the mark `sending`, `look` | save.lua, sending.lua, `AsyncFreezes.freeze` |
| `lapse`, `Ledger.lapsed` | sweep.lua |
| `wait`, `lift` | suspend.lua, unfreeze.lua |

Nothing is between the check of the lease and the call: a process that is suspended exactly there sends late, whatever the ledger says.
What such a call does is for the purchase protocol (it finds an empty cart) and the release (it names a record).
"""

import sys
from collections.abc import Iterator
from typing import NamedTuple

from tests.model.search import Search, Searched


class Rules(NamedTuple):
    """What a freeze rests on; each False makes a weaker protocol."""

    #: The freeze is checked by the script that writes the fence, not by the worker before it: save.lua
    checked_in_script: bool = True
    #: `freeze` answers when the jobs with the mark are through, not at once: `AsyncFreezes.freeze`
    waits: bool = True
    #: The mark goes when the answer is written, not when the call begins: save.lua
    marked_until_answered: bool = True
    #: A fence whose reply was lost is repeated and marks still: save.lua
    repeated_fence_marks: bool = True
    #: A worker looks at its lease when it sends: `check_before_change`
    lease_before_call: bool = True
    #: A lease that the sweeper ended is waited for once more: the worker may take it for valid, see `{ns}:frozen:lapsed`
    lapse_is_waited_for: bool = True
    #: A job that says that it waits for a freeze which is lifted by then is due at once: suspend.lua
    wait_looks_again: bool = True
    #: A lifted freeze wakes the jobs that wait: unfreeze.lua
    lift_wakes: bool = True


class Attempt(NamedTuple):
    """step: new, checked (saw no freeze: weaker protocol), refused, fencing (the reply of the fence was lost), fenced, calling, over.

    `lease`: as its worker knows it.
    """

    step: str = "new"
    lease: bool = True


class State(NamedTuple):
    """freeze      none, in_force, answered (with nothing under way)
    job        queued, running, waiting (for the freeze, and woken by nothing but its end), done
    holder     the attempt that has the token
    sending    the attempt whose call was allowed and isn't answered, as the ledger knows it
    lapsed     the attempt whose lease the sweeper ended with the mark on it, until a lease's length has passed
    jumped     the clock of Redis has jumped
    broken     what was promised and isn't so
    """

    freeze: str = "none"
    job: str = "queued"
    attempts: tuple[Attempt, ...] = ()
    holder: int = -1
    sending: int = -1
    lapsed: int = -1
    jumped: bool = False
    broken: str = ""


class Freezing:
    """The protocol under these rules."""

    def __init__(self, rules: Rules | None = None, attempts: int = 2) -> None:
        self.rules, self.attempts = rules or Rules(), attempts

    def search(self) -> Searched:
        return Search(State(), self.steps, is_broken).run()

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        if state.job == "queued" and len(state.attempts) < self.attempts:
            number = len(state.attempts)
            yield f"attempt {number} claims the job", state._replace(job="running", attempts=(*state.attempts, Attempt()), holder=number)
        for number, attempt in enumerate(state.attempts):
            for label, after in self.attempt(state, number, attempt):
                yield f"attempt {number} {label}", after
        yield from self.person(state)
        yield from self.clocks(state)

    def attempt(self, state: State, number: int, attempt: Attempt) -> Iterator[tuple[str, State]]:
        def to(step: str, **changes: object) -> State:
            changed = (*state.attempts[:number], attempt._replace(step=step), *state.attempts[number + 1 :])
            return state._replace(attempts=changed, **changes)  # type: ignore[arg-type]

        holds = state.holder == number and state.job == "running"
        if attempt.step not in ("calling", "over"):
            yield "dies", to("over")
        match attempt.step:
            case "new" if not self.rules.checked_in_script:
                yield "sees whether there is a freeze", to("checked" if state.freeze == "none" else "refused")
            case "new" | "checked" if holds:
                if state.freeze != "none" and self.rules.checked_in_script:
                    yield "is refused its fence", to("refused")
                else:
                    yield "writes its fence", to("fenced", sending=number)
                    yield "writes its fence, and the reply is lost", to("fencing", sending=number)
            case "fencing" if holds:
                yield "repeats its fence", to("fenced", sending=number if self.rules.repeated_fence_marks else -1)
            case "refused" if holds:
                waits = state.freeze != "none" or not self.rules.wait_looks_again
                yield "says that it waits", to("over", job="waiting" if waits else "queued", holder=-1)
            case "fenced" if attempt.lease or not self.rules.lease_before_call:
                yield "calls", self._called(to("calling"), number)
            case "calling":
                if holds:
                    yield "writes the answer", to("over", job="done", sending=-1)
                yield "is not answered", to("over")

    def _called(self, state: State, number: int) -> State:
        if state.freeze == "answered":
            return state._replace(broken="a money call began")
        return state if self.rules.marked_until_answered or state.sending != number else state._replace(sending=-1)

    def person(self, state: State) -> Iterator[tuple[str, State]]:
        if state.freeze == "none":
            yield "a person freezes", state._replace(freeze="in_force")
            return
        lifted = "queued" if state.job == "waiting" and self.rules.lift_wakes else state.job
        yield "a person lifts the freeze", state._replace(freeze="none", job=lifted)
        if state.freeze == "in_force" and (not self.rules.waits or (state.sending == -1 and state.lapsed == -1)):
            holder = state.attempts[state.holder] if state.holder >= 0 else None
            is_under_way = holder is not None and holder.step == "calling" and holder.lease
            yield "freeze answers", state._replace(freeze="answered", broken="a call is under way" if is_under_way else "")

    def clocks(self, state: State) -> Iterator[tuple[str, State]]:
        """The lease of the holder ends, by the clock of its worker and then of Redis; or by that of Redis alone, if it jumps."""
        for number, attempt in enumerate(state.attempts):
            # A worker that lives and is asked renews; one that is suspended, or has no connection, doesn't.
            if attempt.lease:
                ended = (*state.attempts[:number], attempt._replace(lease=False), *state.attempts[number + 1 :])
                yield (
                    f"the lease of attempt {number} ends for its worker",
                    state._replace(attempts=ended, lapsed=-1 if state.lapsed == number else state.lapsed),
                )
        if state.job == "running" and state.holder >= 0:
            lease = state.attempts[state.holder].lease
            if not lease or not state.jumped:
                marked = state.sending == state.holder and self.rules.lapse_is_waited_for and lease
                label = "the sweeper ends a lease" if not lease else "Redis's clock jumps, and the sweeper ends a lease"
                yield (
                    label,
                    state._replace(
                        job="queued",
                        jumped=state.jumped or lease,
                        lapsed=state.holder if marked else state.lapsed,
                        holder=-1,
                        sending=-1 if state.sending == state.holder else state.sending,
                    ),
                )


def is_broken(state: State) -> bool:
    """What was promised isn't so, or the job waits for a freeze that there isn't."""
    return state.broken != "" or (state.job == "waiting" and state.freeze == "none")


def main() -> int:
    """Print what holds and what doesn't; 1 if anything is otherwise than it should be."""
    failed = False
    for rule in ("", *Rules._fields):
        searched = Freezing(Rules()._replace(**{rule: False}) if rule else Rules()).search()
        failed |= (searched.counterexample is None) == bool(rule)
        verdict = "holds" if searched.counterexample is None else "breaks:"
        print(f"{f'without {rule}' if rule else 'the protocol'}: {searched.states} states, {verdict}")
        print(*(f"    {step}\n" for step in searched.counterexample or ()), sep="", end="")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
