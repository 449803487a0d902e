"""What the model of vouching is made of: its rules, how much of it is searched, and what a state of it holds."""

from typing import NamedTuple, TypeVar

SILENCE = 1
#: So long a new process waits for those that don't say that they know of a write after it began.
ENDS = SILENCE + 1
BUYER = 0
NAMES = ("the buyer", "another", "a third")

T = TypeVar("T")


class Rules(NamedTuple):
    """What the argument rests on; each False makes a weaker protocol."""

    #: Nothing is permitted before others know of a write that came after this life began: save.lua, is_witnessed
    seen_first: bool = True
    #: That is one of which they say that they know; that it was made isn't enough: alive.lua, acked
    acked_by_them: bool = True
    #: All others, not any one: Witness.seen_by
    by_all: bool = True
    #: Also those that have been silent by Redis's clock, which may have been set forward: Witness.began
    silent_too: bool = True
    #: Those that don't say so are waited for from when the life is known to have begun, not from when that was asked: Witness.began
    ends_after_answer: bool = True
    #: Who was silent for longer than anybody asks after is a new one, and must be seen again: alive.lua
    sleeper_is_new: bool = True
    #: And may write nothing before he has said that he lives: save.lua, is_witnessed
    sleeper_is_mute: bool = True
    #: For how long one is asked after is the longest of all processes', not the last one's: alive.lua, vouch_ms
    longest_for_all: bool = True
    #: When it becomes longer, who was silent for too long until then stays so: alive.lua
    longer_helps_nobody: bool = True
    #: Everybody says that nothing is missing who may have written at the end: vouch.lua, needed and given
    everybody: bool = True
    #: Who heard nothing for longer than SILENCE says nothing: Before.healthy
    healthy: bool = True
    #: ... until the new server's answer came, not until that call was sent: Witness._acknowledged
    until_answer: bool = True
    #: ... and only signs of life end a silence: Witness._acknowledged
    only_signs_of_life: bool = True
    #: Nothing is said before every call to the old server has been answered or abandoned: Witness.before
    awaits_answers: bool = True
    #: No two epochs have the same number: notice_restart
    unique: bool = True
    #: What is said is said in the epoch that followed, and in no later one: vouch.lua, after
    said_in_epoch: bool = True
    #: If the gate was closed when the server died, nobody can open it by a word: vouch.lua
    was_open: bool = True
    #: A process knows the epoch in which it buys: the bind is acknowledged in it, before the fence: CartFilling.bind. (A release has no
    #: bind; but one that is done again does nothing.)
    bound_first: bool = True
    #: Who signs off on a new server is asked after first: gone.lua, notice_restart
    asked_before_gone: bool = True
    #: Only who is dead is named dead: WorkerProcess._sign_off_the_dead, by a name that no other has
    dead_only: bool = True


class Scope(NamedTuple):
    """How much is searched.

    vouch     for how long each process is asked after, in ticks; the buyer first
    restarts  of Redis, at most
    hanging   kinds of calls that may be under way for any time, one at a time: "alive", "permit", "vouch"
    forgets   so many ticks later than nobody asks after it a process is forgotten
    leaps     Redis's clock is set forward once, by less than a lease
    dies      processes may be named dead
    writes    other processes than the buyer write something else as well
    """

    vouch: tuple[int, ...] = (2, 2)
    restarts: int = 1
    hanging: tuple[str, ...] = ()
    forgets: int = 0
    leaps: bool = False
    dies: bool = True
    writes: bool = False


class Server(NamedTuple):
    """Redis. `ages`: ticks since each process's last sign of life. `permitted`: the permission is written here."""

    epoch: int
    ages: tuple[int | None, ...]
    acked: tuple[int, ...]
    open: bool = True
    before: int = 0
    was_open: bool = True
    cut: int = 0
    asked: frozenset[int] = frozenset()
    said: frozenset[int] = frozenset()
    life: int | None = None
    longest: int = 0
    permitted: bool = False


class Cut(NamedTuple):
    """What is kept if the end is lost: the log up to this place, and the server as it was then."""

    place: int
    server: Server


class Before(NamedTuple):
    """What a process can say of the epoch before, see `didflow.ledger.witness.Before`."""

    epoch: int
    known: int
    after: int


class Process(NamedTuple):
    """One process's memory: `known` is the last place at which it knows that a write of its was made."""

    started: bool = False
    gone: bool = False
    epoch: int = 0
    known: int = 0
    silent: int = ENDS
    before: Before | None = None


class Buyer(NamedTuple):
    """What the buyer knows of its life: when it began, whom it waits for, and since when. `moves`: it has its permission."""

    life: int | None = None
    waits: frozenset[int] = frozenset()
    waited: int = 0
    seen: bool = False
    moves: bool = False


class Reply(NamedTuple):
    place: int
    epoch: int
    life: int | None = None
    waits: frozenset[int] = frozenset()


class Call(NamedTuple):
    """`sent_in`: the epoch as the sender knew it; `ago`: ticks; `silent`: how long the sender had been then."""

    process: int
    kind: str
    sent_in: int = 0
    ago: int = 0
    silent: int = 0
    known: int = 0
    life: int | None = None
    word: Before | None = None
    reply: Reply | None = None


class State(NamedTuple):
    server: Server
    processes: tuple[Process, ...]
    kept: Cut | None = None
    buyer: Buyer = Buyer()
    calls: tuple[Call, ...] = ()
    place: int = 1
    restarts: int = 0
    leapt: bool = False


def put(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1 :])


def opened(server: Server) -> Server:
    return server._replace(open=True, was_open=True, before=0, cut=0, asked=frozenset(), said=frozenset())
