"""Each script gets the parts that it uses, in an order in which every name is known where it is used, and no others."""

import re

import pytest

from worker.ledger.script_loader import load_script, part_names, parts_of, script_names


@pytest.mark.parametrize("name", script_names())
def test_a_name_that_a_part_defines_is_defined_before_it_is_used(name: str) -> None:
    code = re.sub(r"'[^'\n]*'|--.*$", "", load_script(name).source, flags=re.MULTILINE)
    known: set[str] = set()
    for line in code.splitlines():
        known |= set(re.findall(r"^local (?:function )?(\w+)", line))
        unknown = {word for word in re.findall(r"(?<![.:\w])(\w+)\(", line) if word in EVERY_FUNCTION} - known
        assert not unknown, line


EVERY_FUNCTION = {word for name in script_names() for word in re.findall(r"^local function (\w+)", load_script(name).source, re.MULTILINE)}


def test_every_part_is_used_and_no_script_gets_what_it_does_not_use() -> None:
    assert {part for name in script_names() for part in parts_of(name)} == set(part_names())
    assert parts_of("seal") == ("_keys",)
    assert "_histories" in parts_of("finish")
    assert "_histories" not in parts_of("claim")
