"""Loads the ledger's Lua scripts by name, each behind the parts that it includes.

A script lies in the folder of what it changes (`scripts/jobs`, `numbers`, `accounts`, `plans`). A part lies in `scripts/include`: local
functions and constants that several scripts share. A file names each part that it uses itself with a line

    --- @include "include/clock.lua"

and a part may include others. Redis makes the locals of a script again at every run, so what nothing uses costs time: a test refuses it.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

_FLAGS = re.compile(r"^-- flags: (.+)$", re.MULTILINE)
_INCLUDE = re.compile(r'^--- @include "(.+)"$', re.MULTILINE)
_PARTS = "include"
_TAKES_CALLER = "local CALLING_ACTOR = table.remove(ARGV)"


@dataclass(frozen=True)
class Script:
    """A script ready for EVALSHA; `source` is what EVAL takes where the server doesn't know it yet."""

    name: str
    source: str
    sha1: str

    @cached_property
    def names_caller(self) -> bool:
        """Whether it takes, behind its arguments, who calls: see `scripts/include/audit.lua`."""
        return _TAKES_CALLER in self.source


@cache
def load_script(name: str, *, shebang: bool = True) -> Script:
    """Return the script of that name: `submit`, wherever it lies.

    `shebang=False` leaves the ``#!lua`` line out: fakeredis can't read it. On a real server the line makes a script that
    may not write when memory is full fail before it begins, and lets those flagged ``allow-oom`` write all the same.
    """
    body = source_texts()[script_paths()[name]]
    flags = _FLAGS.search(body)
    first = "#!lua" + (f" flags={flags[1]}" if flags else "") + "\n" if shebang else ""
    first += f"local FAKE = {'false' if shebang else 'true'}  -- fakeredis has no INFO\n"
    source = first + "".join(source_texts()[part] for part in parts_of(script_paths()[name])) + body
    sha1 = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, source, sha1)


@cache
def script_paths() -> Mapping[str, str]:
    """The path of each script under `scripts`, by its name."""
    paths = [path for path in source_texts() if not path.startswith(f"{_PARTS}/")]
    found = {path.rpartition("/")[2].removesuffix(".lua"): path for path in paths}
    if len(found) != len(paths):
        raise ValueError(f"two scripts have one name: {sorted(paths)}")
    return MappingProxyType(found)


def includes_in(path: str) -> tuple[str, ...]:
    """The paths of the parts that the file itself includes, in its order."""
    return tuple(_INCLUDE.findall(source_texts()[path]))


def parts_of(path: str) -> tuple[str, ...]:
    """The paths of all parts that the file needs, each behind those that it needs itself."""
    ordered: dict[str, None] = {}

    def take(path: str, above: tuple[str, ...]) -> None:
        for part in includes_in(path):
            if part in above:
                raise ValueError(f"parts include each other: {' > '.join((*above, part))}")
            if part not in ordered:
                take(part, (*above, part))
                ordered[part] = None

    take(path, ())
    return tuple(ordered)


@cache
def source_texts() -> Mapping[str, str]:
    """The text of each Lua file, by its path under `scripts`."""
    folder = files("didflow.ledger.scripts")
    return MappingProxyType(dict(_lua_files(folder, "")))


def _lua_files(folder: Traversable, under: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            found += _lua_files(entry, f"{under}{entry.name}/")
        elif entry.name.endswith(".lua"):
            found.append((f"{under}{entry.name}", entry.read_text()))
    return found
