"""Writes the synchronous client from the one for asyncio: `make generate`.

`didflow/client/sync/` is written from `didflow/client/aio/`, and `producers/incidents.py` from `producers/async_incidents.py`.

A file is copied with the replacements below, in its docstrings and comments too, and formatted by ruff. `--check` writes nothing and fails
if a file differs. What can't be replaced word by word belongs into a module that both import.
"""

import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
SOURCE, TARGET = PROJECT / "didflow/client/aio", PROJECT / "didflow/client/sync"
#: Files outside of the folder, and what is written from each.
SINGLE = {PROJECT / "producers/async_incidents.py": PROJECT / "producers/incidents.py"}

#: In this order.
REPLACEMENTS = (
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\baclose\b", "close"),
    (r"(?<=\w)_async\b", ""),
    (r"\bredis\.asyncio\b", "redis"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\bimport asyncio\b", "import time"),
    (r"\bdidflow\.client\.aio\b", "didflow.client.sync"),
    (r"\bdidflow\.ledger\.async_client\b", "didflow.ledger.client"),
    (r"\bproducers\.async_incidents\b", "producers.incidents"),
)
HEADER = "# Written by `make generate` from {source}: change that file.\n"


def synchronous(source: Path, target: Path, text: str) -> str:
    """The text of the synchronous module `target` from that of `source`."""
    text = HEADER.format(source=source.relative_to(PROJECT)) + text
    for pattern, replacement in REPLACEMENTS:
        text = re.sub(pattern, replacement, text)
    # The names are sorted differently, and some imports aren't needed any more.
    return _ruff(target, _ruff(target, text, "check", "--fix-only", "--quiet"), "format")


def _ruff(target: Path, text: str, *command: str) -> str:
    ruff = Path(sys.executable).with_name("ruff")
    arguments = (*command, "--stdin-filename", str(target), "-")
    return subprocess.run([ruff, *arguments], input=text, capture_output=True, text=True, check=True, cwd=PROJECT).stdout


def generated() -> dict[Path, str]:
    """Each synchronous file, and its text."""
    pairs = {source: TARGET / source.name for source in _modules(SOURCE)} | SINGLE
    return {target: synchronous(source, target, source.read_text()) for source, target in pairs.items()}


def _modules(folder: Path) -> list[Path]:
    """But for the page about the folder itself."""
    return sorted(file for file in folder.glob("*.py") if file.name != "__init__.py")


def outdated(files: dict[Path, str]) -> list[Path]:
    """The files that are missing, differ, or have no source any more."""
    orphans = set(_modules(TARGET)) - set(files)
    return sorted(orphans | {file for file, text in files.items() if not file.exists() or file.read_text() != text})


def main(arguments: list[str]) -> int:
    files = generated()
    wrong = outdated(files)
    if arguments == ["--check"]:
        for file in wrong:
            sys.stderr.write(f"{file.relative_to(PROJECT)} is not what its source gives: run `make generate`\n")
        return 1 if wrong else 0
    TARGET.mkdir(exist_ok=True)
    for file in wrong:
        if file in files:
            file.write_text(files[file])
        else:
            file.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
