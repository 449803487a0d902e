"""Each script gets the parts that it names, in an order in which every name is known where it is used, and names no others."""

import re

import pytest

from didflow.ledger.script_loader import includes_in, load_script, parts_of, script_paths, source_texts

PARTS = {path for path in source_texts() if path.startswith("include/")}


def code_of(path: str) -> str:
    return re.sub(r"'[^'\n]*'|\"[^\"\n]*\"|--.*$", "", source_texts()[path], flags=re.MULTILINE)


def defined_in(path: str) -> set[str]:
    """What stands at the beginning of a line is there for others."""
    return {
        name for names in re.findall(r"^local (?:function )?(\w+(?:, \w+)*)", code_of(path), re.MULTILINE) for name in names.split(", ")
    }


def used_in(path: str) -> set[str]:
    """Names that the file itself uses and doesn't declare anywhere; fields of tables and keys of constructors are none."""
    code = code_of(path)
    declared = re.findall(r"\blocal (?!function)([\w, ]+)|\bfunction\s*[\w.]*\s*\(([^)]*)\)|\bfor ([\w, ]+?)\s*(?:=|\bin\b)", code)
    own = {name.strip() for groups in declared for names in groups for name in names.split(",")} | defined_in(path)
    return set(re.findall(r"(?<![.\w:])[A-Za-z_]\w*\b(?!\s*=(?!=))", code)) - own


@pytest.mark.parametrize("path", sorted(source_texts()))
def test_every_part_that_is_used_is_included_and_every_include_is_used(path: str) -> None:
    wanted = {part for part in PARTS if part != path and defined_in(part) & used_in(path)}
    assert set(includes_in(path)) == wanted
    assert len(includes_in(path)) == len(wanted), "once each"


@pytest.mark.parametrize("name", sorted(script_paths()))
def test_a_name_that_a_part_defines_is_defined_before_it_is_used(name: str) -> None:
    code = re.sub(r"'[^'\n]*'|--.*$", "", load_script(name).source, flags=re.MULTILINE)
    known: set[str] = set()
    for line in code.splitlines():
        known |= set(re.findall(r"^local (?:function )?(\w+)", line))
        unknown = {word for word in re.findall(r"(?<![.:\w])(\w+)\(", line) if word in EVERY_FUNCTION} - known
        assert not unknown, line


EVERY_FUNCTION = {
    word for name in sorted(script_paths()) for word in re.findall(r"^local function (\w+)", load_script(name).source, re.MULTILINE)
}


def test_every_part_is_used_and_no_script_gets_what_it_does_not_use() -> None:
    assert {part for path in script_paths().values() for part in parts_of(path)} == PARTS
    assert parts_of("numbers/quote_secret.lua") == ("include/keys.lua",)
    assert "include/histories.lua" in parts_of("jobs/finish.lua")
    assert "include/steps.lua" not in parts_of("accounts/admit.lua")
