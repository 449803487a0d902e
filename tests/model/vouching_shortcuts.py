"""What makes the search of the vouching model quick, and changes no verdict of it: see its tests."""

from tests.model.vouching_states import BUYER, SILENCE, Before, Buyer, Call, Cut, Rules, Scope, Server, State, put


class Shortcuts:
    """Where nothing can go wrong any more, and what of a state matters no more, under these rules and in this scope."""

    def __init__(self, rules: Rules, scope: Scope) -> None:
        self.rules, self.scope = rules, scope

    def is_over(self, state: State) -> bool:
        """No purchase can be forgotten from here on."""
        server, kept, buyer = state.server, state.kept, state.buyer
        left = self.scope.restarts - state.restarts
        if server.permitted and (not kept or kept.server.permitted):
            return True
        if not left:
            return not buyer.moves and not any(call.kind == "permit" and call.reply for call in state.calls)
        if state.processes[BUYER].gone and not buyer.moves:
            return True
        return bool(left == 1 and kept and self.rules.everybody and not self.can_open(state, kept))

    def can_open(self, state: State, kept: Cut) -> bool:
        """Whether all that will be asked after can still say that nothing is missing."""
        return bool(kept.server.asked) and all(self.can_say(state, who, kept) for who in kept.server.asked)

    def can_say(self, state: State, who: int, kept: Cut) -> bool:
        one = state.processes[who]
        if one.gone or (one.epoch == kept.server.epoch and one.known > kept.place):
            return False
        if one.silent <= SILENCE or not self.rules.healthy:
            return True
        return any(call.process == who and self.ends_silence(call, kept) for call in state.calls)

    def ends_silence(self, call: Call, kept: Cut) -> bool:
        if call.reply:
            return call.reply.place <= kept.place and call.ago <= SILENCE
        return call.silent <= SILENCE and not self.rules.until_answer

    def forgotten(self, state: State) -> State:
        """The same without what can make no difference any more."""
        server, kept, buyer = state.server, state.kept, state.buyer
        left, nobody = self.scope.restarts - state.restarts, (None,) * len(server.ages)
        none = (0,) * len(server.acked)
        if buyer.moves or not left:
            buyer, server = Buyer(moves=buyer.moves), server._replace(life=None, acked=none)
        elif buyer.seen:
            buyer = buyer._replace(waits=frozenset(), waited=0)
        if kept:
            kept = kept._replace(server=kept.server._replace(acked=none))
        processes = state.processes
        if not left:
            server, kept = server._replace(ages=nobody, longest=0), None
            processes = tuple(one._replace(silent=0) if one.epoch == server.epoch else one for one in processes)
        elif left == 1 and kept:
            kept = kept._replace(server=kept.server._replace(ages=nobody, longest=0, life=None))
        server = server._replace(acked=put(server.acked, BUYER, 0))
        return state._replace(server=server, kept=kept, buyer=buyer, processes=processes)


def renumbered(state: State) -> State:
    """The same with its places numbered again: only their order counts, and only that against cuts and beginnings."""
    server, kept, buyer = state.server, state.kept, state.buyer
    lives = {server.life, kept.server.life if kept else None, *(call.life for call in state.calls)}
    lives |= {call.reply.life for call in state.calls if call.reply}
    if not buyer.seen or buyer.life in lives:
        lives.add(buyer.life)
    lives.discard(None)
    cuts: set[int | None] = {server.cut or None, kept and kept.place, (kept and kept.server.cut) or None}
    cuts.discard(None)
    number = {place: index for index, place in enumerate(sorted(filter(None, lives | cuts)), 1)}

    def numbered(place: int | None) -> int | None:
        return number.get(place) if place else None

    def since(edges: set[int | None]) -> list[int]:
        """Each place's new number: the one after the last of these edges that it comes after."""
        numbers, last = [], 0
        for place in range(state.place + 1):
            numbers.append(last)
            last = number[place] + 1 if place in edges else last
        return numbers

    since_life, since_cut, since_any = since(lives), since(cuts), since(lives | cuts)

    def word(before: Before | None) -> Before | None:
        return before and before._replace(known=since_cut[before.known])

    def renumbered_server(one: Server) -> Server:
        return one._replace(life=numbered(one.life), cut=numbered(one.cut) or 0, acked=tuple([since_life[place] for place in one.acked]))

    def renumbered_call(call: Call) -> Call:
        known = call.known if call.kind == "permit" else since_life[call.known]
        reply = call.reply and call.reply._replace(place=since_any[call.reply.place], life=numbered(call.reply.life))
        return call._replace(known=known, life=numbered(call.life), word=word(call.word), reply=reply)

    return state._replace(
        server=renumbered_server(server),
        kept=kept and Cut(number[kept.place], renumbered_server(kept.server)),
        processes=tuple([one._replace(known=since_any[one.known], before=word(one.before)) for one in state.processes]),
        buyer=buyer._replace(life=numbered(buyer.life)),
        calls=tuple([renumbered_call(call) for call in state.calls]),
        place=len(number) + 1,
    )
