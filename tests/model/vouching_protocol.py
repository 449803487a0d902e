"""An executable specification of vouching, the fast opening of the gate, and a proof by exhaustion that it forgets no purchase.

A Redis that dies may lose the end of what it wrote, whatever it acknowledged. The gate may open fast only if no permission to move money
is in what was lost. The worker processes know: each has its own writes in memory. Every reachable state is visited (`search.py`).

Run:  python -m tests.model.vouching_protocol      the protocol, and what breaks each weaker one

What can happen: a process starts, is silent for any time (frozen, cut off, or dead without a word), wakes, dies and is named dead; an
answer is lost or comes late; a call hangs through restarts and is done by whichever server then is there; Redis restarts, up to twice, and
comes back as it was at any moment before, even before the last restart; the new one may have a higher epoch number than the ones lost, or
a lower one; its clock may be behind.

| model | code |
| --- | --- |
| `Server.ages`, `acked`, `life`, `longest` | `{ns}:workers`, `{ns}:vouch:acked`, `{ns}:vouch:life`, `vouch_ms` in `{ns}:epoch` |
| `Server.asked`, `said`, `cut`, `before` | `{ns}:vouch:needed`, `given`, `kept`, `before` in `{ns}:epoch` |
| `sign_of_life`, `permit`, `word`, `named_dead` | `alive.lua`, `save.lua` (fence, releasing), `vouch.lua`, `gone.lua` |
| `asked_after`, `restarted` | `ask_for_vouchers`, `notice_restart` in `_prelude.lua` |
| `heard`, `is_seen` | `Witness._acknowledged` and `began`, `Ledger.is_seen` |

A **place** in the log stands for a process's count of its writes: the count c for where its c-th write lies. Fewer are counted than were
acknowledged exactly if the last of these lies after the cut. Places are distinguished only where a cut or a beginning lies between.

**One buyer.** The permission of which we ask whether it is forgotten is one process's, the first one's. Whatever else processes write
counts as their signs of life do, and only the buyer's life needs witnesses.

**Time** goes in ticks: SILENCE_S is 1, `Life.ends_s` 2, a lease with its slack 2 or 3.

Assumed, and so for operators to see to: there is one Redis at a time; what a new one has is what the one before had at some moment; a
process's clock continues while it is frozen (it doesn't in a virtual machine that is halted as a whole); Redis's isn't set forward by a
whole lease. What the code does beyond the model: vouch.lua remembers that someone misses something, so that nobody waits for the others.

The slow opening may come at any time and then knows of what was lost: `closed_gate_protocol.py` shows why.
"""

import sys
from collections.abc import Iterator

from tests.model.search import Search, Searched
from tests.model.vouching_shortcuts import Shortcuts, renumbered
from tests.model.vouching_states import (
    BUYER,
    ENDS,
    NAMES,
    SILENCE,
    Before,
    Call,
    Cut,
    Process,
    Reply,
    Rules,
    Scope,
    Server,
    State,
    opened,
    put,
)


def is_forgotten(state: State) -> bool:
    """The gate is open, money moves, and nothing is known of what permitted it."""
    return state.server.open and state.buyer.moves and not state.server.permitted


class Vouching:
    """The protocol under these rules, in this scope."""

    def __init__(self, rules: Rules | None = None, scope: Scope | None = None, *, shortcuts: bool = True) -> None:
        self.rules, self.scope = rules or Rules(), scope or Scope()
        self._shortcuts = Shortcuts(self.rules, self.scope) if shortcuts else None
        self.oldest = max(self.scope.vouch) + self.scope.forgets + 1
        everybody = len(self.scope.vouch)
        self.start = State(Server(1, (None,) * everybody, (0,) * everybody), (Process(),) * everybody)
        self.opened_fast = 0  #: how often `stays_shut` saw the gate open

    def search(self) -> Searched:
        """For a purchase that is forgotten."""
        return Search(self.start, self._plain_steps, is_forgotten, self._is_over).run()

    def search_shut(self) -> Searched:
        """For a restart without a loss after which the gate doesn't open fast, though all live."""
        return Search(self.start, self._plain_steps, self.stays_shut, self._is_over).run()

    # What the server does

    def sign_of_life(self, state: State, call: Call) -> tuple[State, Reply]:
        server, place, who = state.server, state.place, call.process
        ages, acked, life, vouch = list(server.ages), list(server.acked), server.life, self.scope.vouch[who]
        waits: frozenset[int] = frozenset()
        if who == BUYER:
            age = ages[BUYER]
            if age is None or life is None or (age > vouch and self.rules.sleeper_is_new):
                life, place = place, place + 1
            if life != call.life:
                waits = frozenset(o for o in range(1, len(ages)) if self._is_waited_for(ages[o]))
        ages[who] = 0
        acked[who] = (call.known if call.sent_in == server.epoch else 0) if self.rules.acked_by_them else state.place
        longest = max(server.longest, vouch) if self.rules.longest_for_all else vouch
        if longest > server.longest and self.rules.longer_helps_nobody and (ages[BUYER] or 0) > server.longest:
            life = None
        for one, age in enumerate(ages):
            if age is not None and age > longest + self.scope.forgets:
                ages[one], acked[one] = None, 0
                life = None if one == BUYER else life
        server = server._replace(ages=tuple(ages), acked=tuple(acked), life=life, longest=longest)
        reply = Reply(state.place, server.epoch, life if who == BUYER else None, waits)
        return state._replace(server=server, place=place), reply

    def _is_waited_for(self, age: int | None) -> bool:
        return age is not None and (self.rules.silent_too or age <= SILENCE)

    def permit(self, state: State, call: Call) -> tuple[State, Reply | None]:
        """The fence. That an attempt of another epoch can't write isn't asked here: `closed_gate_protocol.py` does."""
        server = state.server
        age, rules = server.ages[BUYER], self.rules
        lives = age is not None and age <= server.longest
        is_seen = server.life is not None and server.life == call.life
        refused = (rules.seen_first and not is_seen) or (rules.sleeper_is_mute and not lives)
        if not server.open or call.known != server.epoch or refused:
            return state, None
        return state._replace(server=server._replace(permitted=True)), Reply(state.place, server.epoch)

    def word(self, state: State, who: int, word: Before) -> State:
        server, rules = state.server, self.rules
        late = server.before != word.epoch or (rules.said_in_epoch and server.epoch != word.after)
        if server.open or late or (rules.was_open and not server.was_open) or word.known > server.cut:
            return state
        server = server._replace(said=server.said | {who})
        enough = server.asked <= server.said or not rules.everybody
        return state._replace(server=opened(server) if server.asked and enough else server)

    def asked_after(self, server: Server) -> frozenset[int]:
        newest = min((age for age in server.ages if age is not None), default=0)
        return frozenset(who for who, age in enumerate(server.ages) if age is not None and age - newest <= server.longest)

    def named_dead(self, state: State, who: int) -> State:
        server = state.server
        life = None if who == BUYER else server.life
        server = server._replace(ages=put(server.ages, who, None), acked=put(server.acked, who, 0), life=life)
        if not self.rules.asked_before_gone:
            server = server._replace(asked=server.asked - {who})
        if not self.rules.dead_only:
            return state._replace(server=server)
        calls = tuple(call for call in state.calls if call.process != who)
        return state._replace(server=server, calls=calls, processes=put(state.processes, who, Process(gone=True)))

    def restarted(self, state: State, kept: Cut | None) -> Iterator[tuple[str, State]]:
        """As it was, or as it was at the cut."""
        server = kept.server if kept else state.server
        asked = server.asked if kept else self.asked_after(server)
        highest = 1 + 2 * state.restarts
        lower = [server.epoch + 1] if server.epoch < highest else []
        for epoch in [highest + 2, *lower] if self.rules.unique else [server.epoch + 2]:
            new = server._replace(
                epoch=epoch,
                before=server.epoch,
                open=False,
                was_open=server.open,
                cut=kept.place if kept else state.place,
                asked=asked,
                said=frozenset(),
                acked=(0,) * len(server.acked),
            )
            label = f"Redis restarts as {epoch}, " + ("and has lost the end" if kept else "with all that was written")
            yield label, state._replace(server=new, place=state.place + 1, restarts=state.restarts + 1)

    # What a process knows

    def heard(self, state: State, call: Call, reply: Reply) -> State:
        """It is answered."""
        one, buyer = state.processes[call.process], state.buyer
        if reply.epoch > one.epoch:
            silent = one.silent if self.rules.until_answer else call.silent
            healthy = silent <= SILENCE or not self.rules.healthy
            before = Before(one.epoch, one.known, reply.epoch) if one.epoch and healthy else None
            one = one._replace(epoch=reply.epoch, known=0, silent=ENDS, before=before)
        if reply.epoch == one.epoch:
            ends_silence = call.kind == "alive" or not self.rules.only_signs_of_life
            one = one._replace(known=max(one.known, reply.place), silent=min(one.silent, call.ago) if ends_silence else one.silent)
        elif one.before and one.before.epoch == reply.epoch:
            one = one._replace(before=one.before._replace(known=max(one.before.known, reply.place)))
        if call.kind == "permit":
            buyer = buyer._replace(moves=True)
        elif call.process == BUYER and reply.life != buyer.life:
            waited = 0 if self.rules.ends_after_answer else call.ago
            buyer = buyer._replace(life=reply.life, waits=reply.waits, waited=waited, seen=not reply.waits)
        return state._replace(processes=put(state.processes, call.process, one), buyer=buyer)

    def is_seen(self, state: State) -> bool:
        buyer, server = state.buyer, state.server
        if buyer.life is None:
            return False
        know_nothing = {who for who in buyer.waits if server.ages[who] is not None and server.acked[who] <= buyer.life}
        enough = not know_nothing or (know_nothing != buyer.waits and not self.rules.by_all)
        return enough or buyer.waited >= ENDS

    # What can happen

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        yield "time passes", self.later(state)
        yield from self.trouble(state)
        if not state.server.open:
            known = state.buyer._replace(moves=state.buyer.moves and state.server.permitted)
            calls = tuple(call for call in state.calls if call.kind != "permit")
            yield "opens the slow way", state._replace(server=opened(state.server), buyer=known, calls=calls)
        for who, one in enumerate(state.processes):
            # Of processes that are alike the one that starts first is the first one.
            turn = one.started or who <= 1 or state.processes[who - 1] != Process() or self.scope.vouch[who] != self.scope.vouch[who - 1]
            if turn and not one.gone:
                yield from self.deeds(state, who, one)
        for call in state.calls:
            yield from self.goes_on(state._replace(calls=tuple(other for other in state.calls if other is not call)), call)

    def trouble(self, state: State) -> Iterator[tuple[str, State]]:
        server, kept = state.server, state.kept
        if self.scope.leaps and not state.leapt:
            ages = tuple(None if age is None else min(age + SILENCE + 1, self.oldest) for age in server.ages)
            yield "Redis's clock is set forward", state._replace(server=server._replace(ages=ages), leapt=True)
        if state.restarts == self.scope.restarts:
            return
        if kept is None or kept.server.epoch != server.epoch:
            cut = Cut(state.place, server._replace(asked=self.asked_after(server)))
            yield "from here on nothing is kept", state._replace(kept=cut, place=state.place + 1)
        if kept:
            yield from self.restarted(state, kept)
        if not kept or state.restarts + 1 < self.scope.restarts:
            yield from self.restarted(state, None)

    def deeds(self, state: State, who: int, one: Process) -> Iterator[tuple[str, State]]:
        begun = state._replace(processes=put(state.processes, who, one._replace(started=True)))
        for call in self.may_send(state, who, one):
            name = f"{NAMES[who]}: {call.kind}"
            after, sent = self.done(begun, call)
            if sent.reply:
                yield f"{name}, answered", self.heard(after, sent, sent.reply)
            if call.kind != "permit":
                yield f"{name}, unanswered" if sent.reply else name, after
            if call.kind in self.scope.hanging and not state.calls:
                yield f"{name}, under way", begun._replace(calls=(call,))
        if one.started:
            age = state.server.ages[who]
            if self.scope.writes and who != BUYER and one.epoch == state.server.epoch and age is not None and age <= state.server.longest:
                written = Call(who, "other", sent_in=one.epoch)
                yield f"{NAMES[who]} writes something else, answered", self.heard(state, written, Reply(state.place, one.epoch))
            if who == BUYER and not state.buyer.seen and self.is_seen(state):
                yield "the buyer finds itself seen", state._replace(buyer=state.buyer._replace(seen=True))
            if self.scope.dies:
                yield f"{NAMES[who]} is named dead", self.named_dead(state, who)

    def may_send(self, state: State, who: int, one: Process) -> Iterator[Call]:
        buyer, server, rules = state.buyer, state.server, self.rules
        under_way = [call for call in state.calls if call.process == who]
        if not any(call.kind == "alive" for call in under_way):
            silent = 0 if rules.until_answer else one.silent
            yield Call(who, "alive", one.epoch, silent=silent, known=one.known, life=buyer.life if who == BUYER else None)
        seen = who == BUYER and one.started and (buyer.seen or not rules.seen_first)
        if seen and server.open and not buyer.moves and not under_way and (one.epoch == server.epoch or not rules.bound_first):
            yield Call(who, "permit", one.epoch, known=server.epoch, life=buyer.life)
        if one.before and not server.open:
            out = rules.awaits_answers and any(call.sent_in == one.before.epoch for call in under_way)
            if not out:
                yield Call(who, "vouch", word=one.before)

    def done(self, state: State, call: Call) -> tuple[State, Call]:
        """The server does what is asked; a word needs no answer."""
        if call.word:
            return self.word(state, call.process, call.word), call
        state, reply = (self.sign_of_life if call.kind == "alive" else self.permit)(state, call)
        return state, call._replace(reply=reply, known=0, life=None)

    def goes_on(self, state: State, call: Call) -> Iterator[tuple[str, State]]:
        name = f"{NAMES[call.process]}: {call.kind}"
        yield f"{name}, given up", state
        if call.reply:
            yield f"{name}, answered", self.heard(state, call, call.reply)
        else:
            after, sent = self.done(state, call)
            yield f"{name}, arrives", after._replace(calls=(sent,) if sent.reply else ())

    def later(self, state: State) -> State:
        ages = tuple(None if age is None else min(age + 1, self.oldest) for age in state.server.ages)
        return state._replace(
            server=state.server._replace(ages=ages),
            processes=tuple(one._replace(silent=min(one.silent + 1, ENDS)) for one in state.processes),
            buyer=state.buyer._replace(waited=min(state.buyer.waited + 1, ENDS)),
            calls=tuple(call._replace(ago=min(call.ago + 1, ENDS)) for call in state.calls),
        )

    # That it does open

    def stays_shut(self, state: State) -> bool:
        """Redis restarts now and loses nothing, and all that are asked live and have heard it of late: they say so, and it stays shut."""
        if not state.server.open or state.calls or state.restarts == self.scope.restarts:
            return False
        _, after = next(self.restarted(state, None))
        asked = after.server.asked
        if not asked or not all(self.hears(state.processes[who], state.server) for who in asked):
            return False
        for who in asked:
            after, reply = self.sign_of_life(after, Call(who, "alive"))
            after = self.heard(after, Call(who, "alive"), reply)
        for who in asked:
            before = after.processes[who].before
            after = self.word(after, who, before) if before else after
        self.opened_fast += after.server.open
        return not after.server.open

    def hears(self, one: Process, server: Server) -> bool:
        return not one.gone and one.silent <= SILENCE and one.epoch == server.epoch

    def _is_over(self, state: State) -> bool:
        return self._shortcuts is not None and self._shortcuts.is_over(state)

    def _plain_steps(self, state: State) -> Iterator[tuple[str, State]]:
        for label, after in self.steps(state):
            yield label, renumbered(self._shortcuts.forgotten(after) if self._shortcuts else after)


HANGING = ("alive", "permit", "vouch")
#: What `make test` searches.
SCOPES = (
    Scope(writes=True),
    Scope(vouch=(2,), restarts=2, hanging=HANGING),
    Scope(vouch=(3, 2), forgets=1),
    Scope(vouch=(3, 3), leaps=True),
)
#: And what only `make long` does.
LARGER = (
    Scope(hanging=("permit",)),
    Scope(hanging=("alive",), dies=False),
    Scope(hanging=HANGING, writes=True),
    Scope(restarts=2),
    Scope(vouch=(2, 2, 2)),
    Scope(vouch=(2, 2, 3), forgets=1),
)
TWICE = Scope(vouch=(2,), restarts=2, hanging=("permit",))
SLEEP = Scope(forgets=1)
TRIO = Scope(vouch=(2, 2, 2), dies=False)
#: What each weaker protocol is detected in.
WEAKER: dict[str, Scope] = {
    "seen_first": Scope(),
    "acked_by_them": Scope(),
    "by_all": TRIO,
    "silent_too": Scope(vouch=(3, 3), leaps=True),
    "ends_after_answer": Scope(hanging=("alive",), dies=False),
    "sleeper_is_new": SLEEP,
    "sleeper_is_mute": SLEEP,
    "longest_for_all": Scope(vouch=(3, 2), forgets=1),
    "longer_helps_nobody": Scope(vouch=(2, 2, 3), forgets=1, dies=False),
    "everybody": Scope(),
    "healthy": Scope(),
    "until_answer": Scope(hanging=("alive",), dies=False),
    "only_signs_of_life": Scope(writes=True),
    "awaits_answers": Scope(vouch=(2,), hanging=("permit",)),
    "unique": TWICE,
    "said_in_epoch": TWICE,
    "was_open": TWICE,
    "bound_first": TWICE,
    "asked_before_gone": Scope(hanging=("permit",)),
    "dead_only": Scope(),
}


def main() -> int:
    """Print what holds and what doesn't; 1 if anything is otherwise than it should be."""
    failed = False
    for scope in SCOPES:
        searched = Vouching(scope=scope).search()
        failed |= searched.counterexample is not None
        print(f"the protocol, {scope}: {searched.states} states, {'FAILS' if searched.counterexample else 'holds'}")
        print(*(f"    {step}\n" for step in searched.counterexample or ()), sep="", end="")
    for rule, scope in WEAKER.items():
        searched = Vouching(Rules()._replace(**{rule: False}), scope).search()
        failed |= searched.counterexample is None
        print(f"\nwithout {rule}: {searched.states} states, " + ("a purchase is forgotten:" if searched.counterexample else "HOLDS"))
        print(*(f"    {step}" for step in searched.counterexample or ()), sep="\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
