"""Loads the ledger's Lua scripts by name, each with the prelude that knows the keys."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_FLAGS = re.compile(r"^-- flags: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    """A script ready for EVALSHA; `source` is what EVAL takes where the server doesn't know it yet."""

    name: str
    source: str
    sha1: str


@cache
def load_script(name: str, *, shebang: bool = True) -> Script:
    """Return the script of that name.

    `shebang=False` leaves the ``#!lua`` line out: fakeredis can't read it. On a real server the line makes a script that
    may not write when memory is full fail before it begins, and lets those flagged ``allow-oom`` write all the same.
    """
    folder = files("worker.ledger.scripts")
    body = (folder / f"{name}.lua").read_text()
    flags = _FLAGS.search(body)
    first = "#!lua" + (f" flags={flags[1]}" if flags else "") + "\n" if shebang else ""
    first += f"local FAKE = {'false' if shebang else 'true'}  -- fakeredis has no INFO\n"
    source = first + (folder / "_prelude.lua").read_text() + body
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def script_names() -> tuple[str, ...]:
    """The names of all scripts."""
    names = (entry.name for entry in files("worker.ledger.scripts").iterdir())
    return tuple(sorted(name.removesuffix(".lua") for name in names if name.endswith(".lua") and not name.startswith("_")))
