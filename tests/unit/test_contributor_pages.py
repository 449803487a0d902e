"""What the pages for contributors name exists: code objects, files, make targets, states, links."""

import importlib
import re
from pathlib import Path

import pytest

from didflow.contract.states import JobState

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
PAGES = [
    *(PROJECT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "examples/README.md")),
    *(DOCS / name for name in ("architecture.md", "glossary.md", "testing.md")),
    *sorted((DOCS / "decisions").glob("*.md")),
]
TERMS = re.findall(r"^\| \*\*(.+?)\*\*(?: \(.*?\))? \| (.+?) \| `(\S+)` \|$", (DOCS / "glossary.md").read_text(), re.MULTILINE)


def exists(code: str) -> bool:
    """A path, or a dotted name of a module and perhaps something in it, and in that."""
    if "/" in code:
        return (PROJECT / code).exists()
    parts = code.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for name in parts[count:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


def test_every_row_of_the_glossary_has_a_term_a_meaning_and_code() -> None:
    rows = [line for line in (DOCS / "glossary.md").read_text().splitlines() if line.startswith("| **")]
    assert len(rows) == len(TERMS) > 60


@pytest.mark.parametrize(("term", "code"), [(term, code) for term, _, code in TERMS])
def test_the_code_that_a_term_names_exists(term: str, code: str) -> None:
    assert exists(code), f"{term} names {code}"


def test_a_name_that_does_not_exist_is_found_out() -> None:
    assert not exists("didflow.contract.jobs.Jab")
    assert not exists("didflow.contract.states.JobState.PARKED")
    assert not exists("nothing.of.ours")
    assert not exists("didflow/ledger/scripts/jobs/nothing.lua")


def test_terms_are_sorted_and_stand_once() -> None:
    names = [re.sub(r" \(.*", "", term) for term, _, _ in TERMS]
    assert sorted({term for term in names if names.count(term) > 1}) == ["park"], "park a job, park a number: explained twice on purpose"
    for section in (DOCS / "glossary.md").read_text().split("\n## ")[1:]:
        inside = re.findall(r"^\| \*\*(.+?)\*\*", section, re.MULTILINE)
        assert inside == sorted(inside)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`((?:tests|didflow|producers|worker|docs|deploy|examples)/[\w./-]*)`", text)
    assert [name for name in named if not (PROJECT / name).exists()] == []
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", text)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_their_headings_exist(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)", file.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, f"{target}#{anchor}"


def test_the_picture_of_states_has_every_state_and_the_table_every_change() -> None:
    text = (DOCS / "architecture.md").read_text()
    picture, table = text.split("## The states of a job")[1].split("```")[1:3]
    for state in JobState:
        assert re.search(rf"\b{state}\b", picture)
        assert f"`{state}`" in table
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|[^|]*\|[^|]*\|([^|]*)\|", table, re.MULTILINE))))
    sources = {file.stem: file.read_text() for file in (PROJECT / "didflow/ledger/scripts/jobs").glob("*.lua")}
    changing = re.compile(
        r"\b(set_state|conclude|list_under|create_job|look_again|claim_job|follow_up|submit_batch)\(|pcall\(claim_job|follow_ups\.lua"
    )
    assert named == {name for name, source in sources.items() if changing.search(source)}


def test_every_decision_is_listed() -> None:
    listed = (DOCS / "decisions/README.md").read_text()
    files = list((DOCS / "decisions").glob("0*.md"))
    assert [path.name for path in files if path.name not in listed and not path.name.startswith("0003")] == []
    for path in files:
        headings = re.findall(r"^## (.*)", path.read_text(), re.MULTILINE)
        assert {"Context", "Decision", "Consequences"} <= set(headings), path.name
