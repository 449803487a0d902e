"""Writes the synchronous client, `didflow/client/sync/`, from the one for asyncio, `didflow/client/aio/`: `make generate`.

A file is copied with the replacements below, in its docstrings and comments too, and formatted by ruff. `--check` writes nothing and fails
if a file differs. What can't be replaced word by word belongs into a module that both import.
"""

import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
SOURCE, TARGET = PROJECT / "didflow/client/aio", PROJECT / "didflow/client/sync"

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
)
HEADER = "# Written by `make generate` from didflow/client/aio/{name}: change that file.\n"


def synchronous(name: str, source: str) -> str:
    """The text of the synchronous module of this file name."""
    text = HEADER.format(name=name) + source
    for pattern, replacement in REPLACEMENTS:
        text = re.sub(pattern, replacement, text)
    # The names are sorted differently, and some imports aren't needed any more.
    return _ruff(name, _ruff(name, text, "check", "--fix-only", "--quiet"), "format")


def _ruff(name: str, text: str, *command: str) -> str:
    ruff = Path(sys.executable).with_name("ruff")
    arguments = (*command, "--stdin-filename", str(TARGET / name), "-")
    return subprocess.run([ruff, *arguments], input=text, capture_output=True, text=True, check=True, cwd=PROJECT).stdout


def generated() -> dict[Path, str]:
    """Each file of the synchronous client, and its text."""
    return {TARGET / file.name: synchronous(file.name, file.read_text()) for file in _modules(SOURCE)}


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
