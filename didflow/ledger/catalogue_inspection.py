"""What lies under the keys of the catalogue: looks that can be believed, damaged ones, and keys that are none of ours."""

from dataclasses import dataclass, replace

from didflow.contract.catalogue import Look
from didflow.ledger.catalogue import read_look
from didflow.ledger.commands import Command, RedisCommand
from didflow.ledger.keys import Keys


@dataclass(frozen=True)
class CatalogueKeys:
    """What an account's keys in the catalogue hold.

    questions   of the looks that can be believed; `incomplete`: those of them that may lack something
    damaged     questions whose look something else changed or cut, or that is from the future
    foreign     keys of another type than ours, or that are none of ours
    """

    questions: tuple[str, ...] = ()
    incomplete: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    characters: int = 0
    newest_s: float = 0.0
    oldest_s: float = 0.0

    @property
    def looks(self) -> int:
        return len(self.questions)


#: The parts of the catalogue, and the type of their keys.
_PARTS = {"looks": "hash", "began": "zset", "bytes": "string", "jobs": "hash"}
_UNKNOWN = "(none)"


def inspect(keys: Keys, now_ms: int) -> Command[dict[str, CatalogueKeys]]:
    """Everything under the catalogue's keys, by account. Reads some keys and some looks at a time."""
    found: dict[str, CatalogueKeys] = {}
    foreign: dict[str, list[str]] = {}
    accounts: set[str] = set()
    for name in (yield from _scanned(keys)):
        part, colon, account = name.removeprefix(keys.catalogue).partition(":")
        kind: str = yield RedisCommand("type", (name,))
        if not colon or _PARTS.get(part) != kind:
            foreign.setdefault(account if part in _PARTS and account else _UNKNOWN, []).append(name)
        elif part == "looks":
            accounts.add(account)
    for account in sorted(accounts):
        found[account] = yield from _inspect_looks(keys, account, now_ms)
    for account, names in foreign.items():
        found[account] = replace(found.get(account, CatalogueKeys()), foreign=tuple(sorted(names)))
    return found


def _scanned(keys: Keys) -> Command[list[str]]:
    names: set[str] = set()
    cursor = 0
    escaped = "".join(f"[{one}]" if one in "*?[]\\" else one for one in keys.catalogue)
    while True:
        cursor, some = yield RedisCommand("scan", (), {"cursor": cursor, "match": f"{escaped}*", "count": 1000})
        names |= set(some)
        if int(cursor) == 0:
            return sorted(names)


def _inspect_looks(keys: Keys, account: str, now_ms: int) -> Command[CatalogueKeys]:
    good: dict[str, Look] = {}
    damaged: set[str] = set()
    characters, cursor = 0, 0
    while True:
        cursor, some = yield RedisCommand("hscan", (keys.catalogue_looks(account),), {"cursor": cursor, "count": 20})
        for question, text in some.items():
            characters += len(text)
            look = read_look(text, account, question)
            if look is None or look.began_ms > now_ms:
                damaged.add(question)
            else:
                good[question] = look
        if int(cursor) == 0:
            break
    ages_s = [(now_ms - look.began_ms) / 1000 for look in good.values()] or [0.0]
    return CatalogueKeys(
        questions=tuple(sorted(good)),
        incomplete=tuple(sorted(question for question, look in good.items() if look.gaps)),
        damaged=tuple(sorted(damaged)),
        characters=characters,
        newest_s=min(ages_s),
        oldest_s=max(ages_s),
    )
