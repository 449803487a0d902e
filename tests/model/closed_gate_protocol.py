"""An executable specification of the slow opening of the gate: whatever a restart of Redis forgot of a purchase, nothing is bought twice.

A job's attempt binds a number, puts it into the cart, fences, checks out, and may be frozen for any time before each of them. Redis
restarts once, at any time, and may have lost what came after any of these writes. Then nobody knows whether the attempt lives. The lists
of the provider show what was done within a settle time (A3); until then they may show it or not.

Run:  python -m tests.model.closed_gate_protocol      the protocol, and what breaks each weaker one

| model | code |
| --- | --- |
| `closed_gate` | `Gatekeeper._find` and `_decide`, gate_check.lua, gate_open.lua |
| what is unknown there | `strangers` and `unclaimed` in `worker.reconcile.diff` |
| `new_attempt` | `worker.jobs.purchase.recovery`: `doubt`, `revoke`, `look` |

What `vouching_protocol.py` takes from here: once it has been opened in this way, nothing of what was lost can be bought any more that the
ledger doesn't know, or the gate would have stayed closed, for a person to decide.
"""

import sys
from collections.abc import Iterator
from typing import NamedTuple

from tests.model.search import Search, Searched

#: Ticks, here: DIDFLOW_SETTLE_SECONDS.
SETTLE = 2


class Rules(NamedTuple):
    """What the slow way rests on; each False makes a weaker protocol."""

    #: No new attempt moves money while it is closed: claim.lua, save.lua, `MoneyGate.check`
    money_waits: bool = True
    #: An attempt of before the restart can write nothing: holds in _prelude.lua
    tokens_void: bool = True
    #: A bound number may have been fenced, which was lost, so it is taken out of the cart and looked up: `recovery.doubt`
    doubt: bool = True
    #: The cart is believed only of a list that isn't older than the restart: `Gatekeeper._find`
    settle_before_cart: bool = True
    #: It is looked into at all: a frozen attempt may still check out what is in it
    looks_into_cart: bool = True
    #: The owned list is read a settle time after the cart was seen: what was bought shortly before isn't shown yet
    settle_before_owned: bool = True
    #: What no job knows keeps the gate closed
    unknown_keeps_closed: bool = True


class State(NamedTuple):
    """`attempt`: what the attempt did last. `put`, `bought`, `removed`: ticks since that was done to its number.

    `job`: what the ledger knows of the number. `closed`: ticks since the restart, `cart_seen` since the cart was found to hold nothing
    unknown. `another`: a new attempt has bought another number.
    """

    attempt: str = "claimed"
    put: int | None = None
    bought: int | None = None
    removed: int | None = None
    job: str = "new"
    closed: int | None = None
    cart_seen: int | None = None
    open: bool = True
    another: bool = False

    @property
    def in_cart(self) -> bool:
        return self.put is not None and self.bought is None and self.removed is None


class ClosedGate:
    """The protocol under these rules."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()

    def search(self) -> Searched:
        return Search(State(), self.steps, is_bought_twice).run()

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        yield "time passes", later(state)
        yield from self.old_attempt(state)
        if state.closed is None:
            yield from restarts(state)
            return
        yield from self.new_attempt(state)
        if not state.open and state.job not in ("bound", "carted", "revoked"):
            yield from self.closed_gate(state, state.closed)

    def old_attempt(self, state: State) -> Iterator[tuple[str, State]]:
        """It continues whatever happens, as far as it gets."""
        writes = state.closed is None or (not self.rules.tokens_void and state.open)
        match state.attempt:
            case "claimed" if writes:
                yield "the number is bound", state._replace(attempt="bound", job="bound")
            case "bound" if state.removed is None:
                yield "it is put into the cart", state._replace(attempt="put", put=0)
            case "put" if writes:
                yield "the fence is written", state._replace(attempt="fenced", job="carted")
            case "fenced":
                bought = 0 if state.in_cart else state.bought
                yield "it is checked out" if state.in_cart else "the checkout finds nothing", state._replace(attempt="out", bought=bought)

    def new_attempt(self, state: State) -> Iterator[tuple[str, State]]:
        """It determines what became of the number, and then buys another one if that isn't the job's."""
        removed = 0 if state.in_cart else state.removed
        match state.job:
            case "bound" if not self.rules.doubt:
                yield "a new attempt takes the number for burned", state._replace(job="burned")
            case "bound" | "carted":
                yield "a new attempt takes the number out of the cart", state._replace(job="revoked", removed=removed)
            case "revoked" if state.in_cart:
                yield "a new attempt finds it in the cart again", state._replace(removed=0)
            case "revoked" if state.bought is not None:
                yield "a new attempt finds the number owned", state._replace(job="kept")
            case "revoked" if state.removed is None or state.removed >= SETTLE:
                yield "a new attempt finds that the number wasn't bought", state._replace(job="burned")
            case "new" | "burned" if (state.open or not self.rules.money_waits) and not state.another:
                yield "a new attempt buys another number", state._replace(another=True)

    def closed_gate(self, state: State, closed: int) -> Iterator[tuple[str, State]]:
        """No purchase is open. What a list may show, but needn't, it doesn't show: that it does is only better."""
        rules = self.rules
        if state.cart_seen is None:
            shown = state.in_cart and (state.put or 0) >= SETTLE
            found = shown and state.job == "new" and rules.unknown_keeps_closed
            if (closed >= SETTLE or not rules.settle_before_cart) and not (found and rules.looks_into_cart):
                yield "the cart holds nothing unknown", state._replace(cart_seen=0)
        elif state.cart_seen >= SETTLE or not rules.settle_before_owned:
            shown = state.bought is not None and state.bought >= SETTLE
            if not (shown and state.job != "kept" and rules.unknown_keeps_closed):
                yield "nothing unknown is owned: the gate opens", state._replace(open=True)


def is_bought_twice(state: State) -> bool:
    return state.bought is not None and state.another


def restarts(state: State) -> Iterator[tuple[str, State]]:
    """With all that was written, or without the last of it."""
    known = ("new", "bound", "carted")
    for job in known[: known.index(state.job) + 1]:
        yield f"Redis restarts, and knows the job as {job}", state._replace(job=job, closed=0, open=False)


def later(state: State) -> State:
    def older(ticks: int | None) -> int | None:
        return None if ticks is None else min(ticks + 1, SETTLE)

    moments = {"put": state.put, "bought": state.bought, "removed": state.removed, "closed": state.closed, "cart_seen": state.cart_seen}
    return state._replace(**{name: older(ticks) for name, ticks in moments.items()})  # type: ignore[arg-type]


def main() -> int:
    """Print what holds and what doesn't; 1 if anything is otherwise than it should be."""
    failed = False
    for rule in ("", *Rules._fields):
        searched = ClosedGate(Rules()._replace(**{rule: False}) if rule else Rules()).search()
        failed |= (searched.counterexample is None) == bool(rule)
        verdict = "holds" if searched.counterexample is None else "buys twice:"
        print(f"{f'without {rule}' if rule else 'the protocol'}: {searched.states} states, {verdict}")
        print(*(f"    {step}\n" for step in searched.counterexample or ()), sep="", end="")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
