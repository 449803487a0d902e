"""Loads the ledger's Lua scripts by name, each with those parts before it that it uses.

A part is a file whose name begins with ``_``: local functions and constants that several scripts share, which Redis would make anew at
every run. So a script gets the parts that define a name in it, and those that define a name in them. Which these are is found out from the
names alone; comments and strings name nothing.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_FLAGS = re.compile(r"^-- flags: (.+)$", re.MULTILINE)
_NO_CODE = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|--.*$", re.MULTILINE)
_NAME = re.compile(r"\b[A-Za-z_]\w*\b")
#: What stands at the beginning of a line is there for others.
_DEFINED = re.compile(r"^local (?:function )?(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    """A script ready for EVALSHA; `source` is what EVAL takes where the server doesn't know it yet."""

    name: str
    source: str
    sha1: str


@dataclass(frozen=True)
class _Part:
    """One of the files that scripts share."""

    text: str
    defines: frozenset[str]
    names: frozenset[str]


@cache
def load_script(name: str, *, shebang: bool = True) -> Script:
    """Return the script of that name.

    `shebang=False` leaves the ``#!lua`` line out: fakeredis can't read it. On a real server the line makes a script that
    may not write when memory is full fail before it begins, and lets those flagged ``allow-oom`` write all the same.
    """
    body = (files("worker.ledger.scripts") / f"{name}.lua").read_text()
    flags = _FLAGS.search(body)
    first = "#!lua" + (f" flags={flags[1]}" if flags else "") + "\n" if shebang else ""
    first += f"local FAKE = {'false' if shebang else 'true'}  -- fakeredis has no INFO\n"
    source = first + "".join(_parts()[part].text for part in parts_of(name)) + body
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def script_names() -> tuple[str, ...]:
    """The names of all scripts."""
    return tuple(sorted(name for name in _lua_files() if not name.startswith("_")))


def part_names() -> tuple[str, ...]:
    """The names of all parts."""
    return tuple(sorted(_parts()))


def parts_of(name: str) -> tuple[str, ...]:
    """The parts that the script uses, each behind those that it uses itself."""
    ordered: dict[str, None] = {}

    def take(names: frozenset[str]) -> None:
        for part, content in _parts().items():
            if part not in ordered and names & content.defines:
                take(content.names - content.defines)
                ordered[part] = None

    take(_names((files("worker.ledger.scripts") / f"{name}.lua").read_text()))
    return tuple(ordered)


@cache
def _parts() -> dict[str, _Part]:
    texts = {name: (files("worker.ledger.scripts") / f"{name}.lua").read_text() for name in sorted(_lua_files()) if name.startswith("_")}
    return {name: _Part(text, frozenset(_DEFINED.findall(text)), _names(text)) for name, text in texts.items()}


def _names(text: str) -> frozenset[str]:
    return frozenset(_NAME.findall(_NO_CODE.sub("", text)))


def _lua_files() -> Iterator[str]:
    names = (entry.name for entry in files("worker.ledger.scripts").iterdir())
    return (name.removesuffix(".lua") for name in names if name.endswith(".lua"))
