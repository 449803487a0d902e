"""The files around the code agree with each other: hooks, editor settings, links and names in the pages for contributors."""

import re
import subprocess
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]
TARGETS = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))


def test_hooks_are_local_and_call_make() -> None:
    hooks = (PROJECT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"- repo: (\S+)", hooks) == ["local"], "a hook of another repository is downloaded"
    entries = re.findall(r"entry: (.*)", hooks)
    assert len(entries) == hooks.count("- id:") == hooks.count("language: system")
    assert {entry.removeprefix("make --no-print-directory ") for entry in entries} <= TARGETS


def test_editors_and_the_formatter_agree_on_the_length_of_a_line() -> None:
    ruff = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["ruff"]
    assert f"max_line_length = {ruff['line-length']}" in (PROJECT / ".editorconfig").read_text()


def test_text_files_end_with_one_line_break_and_no_line_ends_with_a_space() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=False).stdout.splitlines()
    files = [PROJECT / name for name in listed if Path(name).suffix in {".py", ".lua", ".md", ".sh", ".toml", ".svg", ".yaml", ".csv"}]
    texts = {file: file.read_text() for file in files if file.exists()}
    wrong = {file.name for file, text in texts.items() if text and (not text.endswith("\n") or text.endswith("\n\n"))}
    wrong |= {file.name for file, text in texts.items() if re.search(r"[ \t]$", text, re.MULTILINE)}
    assert wrong == set()
