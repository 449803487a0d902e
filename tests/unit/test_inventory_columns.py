"""The inventory's columns find what its rule finds, and a stored row is read as it was written."""

import os
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import get_args

import pytest

from didflow.contract.destinations import SeenDestination
from didflow.contract.errors import InvalidRequest
from didflow.contract.inventory import SORTS, InventoryFilter, InventoryNumber, Part, matches
from didflow.contract.provider import Document, OwnedNumber
from didflow.ledger.inventory_columns import (
    LINE,
    PER_SEGMENT,
    PLACES,
    has_more,
    line_of,
    missed_ms_in,
    number_code,
    number_in,
    number_of,
    seen_ms_in,
)
from didflow.ledger.inventory_rows import Row, mirrored, read_row
from didflow.ledger.inventory_search import FirstLines, Search, first_lines, line_at, needs_records, sort_key, whole_lines
from didflow.ledger.script_loader import source_texts

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SEED = int(os.environ.get("DIDFLOW_COLUMNS_SEED", "20261130"))
CASES = 300
MOMENTS = tuple(NOW + timedelta(days=days) for days in (-400, -31, -3, 0, 3, 31, 400))
FEES = tuple(Decimal(text) for text in ("0", "0.0001", "0.35", "1", "1.00", "12.5", "99999"))
TEXTS = ("acme", "ACME", "a\nb\u2028", 'q"uote|,', "LOS ANGELES, CA", "Ünïcode", "x" * 200)
FILTERS: dict[str, tuple[object, ...]] = {
    "search": ("213", "+1213", "999"),
    "record_id": (1, 2**63 - 1),
    "status": ("active", "SUSPENDED"),
    "document": ("id", "address"),
    "country": ("US", "United States", "nowhereland"),
    "city": ("los angeles, ca", "ünïcode"),
    "label": ("acme", "ACME"),
    "trunk_id": (144, 145),
    "destination": ("sip:pbx@example.net", "pbx@EXAMPLE.net", "trunk:144", "32882"),
    "sms": (True, False),
    "sms_relay_url": ("https://example.net/sms",),
    "monthly_usd_min": FEES,
    "setup_usd_max": FEES,
    "channels_min": (0, 4),
    "channels_max": (4, 300),
    "added_after": MOMENTS,
    "paid_until_before": MOMENTS,
    "renewal_within": (timedelta(days=1), timedelta(days=31)),
    "seconds_min": (0, 77),
    "seconds_max": (0, 77),
    "unused_for": (timedelta(hours=1), timedelta(days=30), timedelta(days=36_500)),
    "missing": (True, False),
    "without": (*((part,) for part in get_args(Part)), ("label", "reference"), ("sms_relay_url", "trunk_id")),
}


def drawn_destination(draw: Random) -> SeenDestination:
    return SeenDestination(
        transport=draw.choice((1, 4, 5, 9)),
        destination=draw.choice(("pbx@example.net", "PBX@example.net", "32882", "144", "")),
        priority=draw.randint(1, 3),
        trunk_id=draw.choice((None, 144, 145)),
        callhunt=draw.choice((None, True, False)),
        active=draw.choice((None, True, False)),
    )


def drawn_row(draw: Random) -> Row:
    owned = OwnedNumber(
        record_id=draw.choice((1, 47_000_001, 2**63 - 1)),
        number=draw.choice(("+12135550100", "+4930123456", "+882123456789012")),
        status=draw.choice(("active", "inactive", "Suspended")),
        added=draw.choice((None, *MOMENTS)),
        paid_until=draw.choice((None, *MOMENTS)),
        setup_usd=draw.choice(FEES),
        monthly_usd=draw.choice(FEES),
        route=tuple(drawn_destination(draw) for _ in range(draw.randint(0, 4))),
        label=draw.choice((None, *TEXTS)),
        sms_enabled=draw.choice((True, False)),
        sms_relay_url=draw.choice((None, "https://example.net/sms")),
        required_documents=draw.choice(((), ("id",), ("address", "id"))),
        documents=draw.choice(((), (Document(kind="id", status="pending", id=7),))),
        document_titles=draw.choice(({}, {"id": "ID card"})),
        seconds=draw.choice((0, 1, 77, 10**9)),
        seconds_unread=draw.random() < 0.2,
        channels=draw.choice((None, 0, 4, 200)),
        city=draw.choice(("", *TEXTS)),
        country_iso_code=draw.choice(("", "US", "DE", "Nowhereland")),
    )
    return Row(
        owned,
        first_seen_ms=1_700_000_000_000,
        unused_since_ms=draw.choice((0, 1_700_000_000_000, int(NOW.timestamp() * 1000))),
        month=draw.choice(("2026-11", "2026-10")),
        months=draw.choice(({}, {"2026-09": 12})),
        renewal_reported=draw.choice((0, 1_800_000_000)),
        confirmed=draw.choice(({}, {"r": 1_764_000_000_000}, {"d": 1, "r": 22, "s": 333})),
    )


def drawn_filter(draw: Random) -> InventoryFilter | None:
    """None for one whose ends are the wrong way around."""
    fields = {name: draw.choice(FILTERS[name]) for name in draw.sample(sorted(FILTERS), draw.choice((1, 1, 2, 3)))}
    try:
        return InventoryFilter.model_validate(fields)
    except InvalidRequest:
        return None


@pytest.fixture
def draw() -> Random:
    return Random(SEED)


def shown(row: Row, missed_ms: int) -> InventoryNumber:
    return InventoryNumber(**mirrored(row, 1_764_000_000_000, missed_ms))


def test_a_row_is_read_as_it_was_written(draw: Random) -> None:
    for _ in range(CASES):
        row = drawn_row(draw)
        read = read_row(row.owned.number, f"7\n{row.text()}")
        assert read is not None
        assert (read.slot, read.text()) == (7, row.text())
        assert row.owned.seconds_unread or read.owned == row.owned


@pytest.mark.parametrize("text", ["", "7", "nonsense", "\n" * 8, "\n".join(["[]"] * 9), "\n".join(["null"] * 9), "\n".join(["1"] * 9)])
def test_a_row_that_another_program_wrote_is_none(text: str) -> None:
    assert read_row("+12135550100", text) is None


def test_columns_find_every_number_that_matches(draw: Random) -> None:
    for _ in range(CASES):
        rows = [(drawn_row(draw), draw.choice((0, 1_764_000_000_001))) for _ in range(6)]
        if (wanted := drawn_filter(draw)) is None:
            continue
        lines = [line_of(row, 1_764_000_000_000, missed_ms)[:-1] for row, missed_ms in rows]
        text = "".join(f"{line}\n" for line in [*lines, " " * (LINE - 1)])
        found = [line_at(text, begin) for begin in Search(wanted, NOW).begins(text)]
        right = [line for line, (row, missed_ms) in zip(lines, rows, strict=True) if matches(shown(row, missed_ms), wanted, NOW)]
        assert set(right) <= set(found), (SEED, wanted)
        routed = wanted.trunk_id is not None or wanted.destination is not None
        if not needs_records(wanted) and not (routed and any(map(has_more, found))):
            assert sorted(found) == sorted(right), (SEED, wanted)


def test_a_line_holds_its_number_and_moments(draw: Random) -> None:
    row = drawn_row(draw)
    line = line_of(row, 1_764_000_000_123, 5)
    assert len(line) == LINE
    assert whole_lines(line * 2) == line * 2
    assert (number_in(line), seen_ms_in(line), missed_ms_in(line)) == (row.owned.number, 1_764_000_000_123, 5)


def test_codes_sort_as_numbers(draw: Random) -> None:
    numbers = [0, 1, 63, 64, 64**5 - 1, *(draw.randrange(64**5) for _ in range(CASES))]
    assert sorted(numbers) == [number_of(code) for code in sorted(number_code(number, 5) for number in numbers)]


def test_the_scripts_know_the_same_places() -> None:
    source = source_texts()["include/inventory.lua"]
    numbers = re.search(r"^local LINE, .* = ([\d, ]+)$", source, re.MULTILINE)
    assert numbers is not None
    known = [int(text) for text in numbers[1].split(",")]
    seen, missed = PLACES["seen"], PLACES["missed"]
    assert known == [LINE, PER_SEGMENT, PLACES["number"].stop, seen.start, missed.start, seen.stop - seen.start]


def test_every_sort_is_a_column() -> None:
    assert {name for name in SORTS if sort_key(name)(line_of(Row(OwnedNumber(record_id=1, number="+1213", status=""), 1), 1))} == set(SORTS)


def test_the_first_lines_are_those_of_the_whole_in_its_order(draw: Random) -> None:
    lines = [line_of(drawn_row(draw), 1) for _ in range(60)]
    numbered = [f"+1213{place:011}{line[16:]}" for place, line in enumerate(lines)]
    draw.shuffle(numbered)
    for field in SORTS:
        for descending in (False, True):
            whole = sorted(numbered, key=sort_key(field), reverse=descending)
            for count in (1, 7, 59, 60, 61):
                assert first_lines(numbered, field, count, descending=descending) == whole[:count], (SEED, field, descending, count)
    assert first_lines([], "added", 3, descending=True) == []


def test_first_lines_of_many_texts_are_those_of_the_whole(draw: Random) -> None:
    lines = [line_of(drawn_row(draw), 1)[16:-1] for _ in range(90)]
    lines = [f"+1213{place:011}{line}" for place, line in enumerate(lines)]
    lines += [" " * (LINE - 1)] * 10
    draw.shuffle(lines)
    texts = ["".join(f"{line}\n" for line in lines[start : start + 20]) for start in range(0, 100, 20)]
    every = Search(InventoryFilter(), NOW)
    for sort in (sign + field for field in SORTS for sign in ("", "-")):
        key, descending = sort_key(sort.removeprefix("-")), sort.startswith("-")
        whole = sorted((line for line in lines if line[0] == "+"), key=key, reverse=descending)
        for count in (1, 7, 89, 90, 91):
            for begin in (None, 0, 30, 89):
                first = FirstLines(sort, count, None if begin is None else key(whole[begin]))
                for text in texts:
                    first.add(text, every.begins(text))
                after = 0 if begin is None else begin + 1
                assert first.lines == whole[after : after + count], (SEED, sort, count, begin)


def test_what_another_program_wrote_into_a_segment_hides_no_number(draw: Random) -> None:
    line = line_of(drawn_row(draw), 1)
    for written in (line[:50], "\n", f"{line[:-1]}x\n", "x" * LINE):
        text = whole_lines(f"{line}{written}{line}")
        if not written.endswith("\n"):  # It runs into the line behind it.
            assert text == line, written
        else:
            assert text == line * 2, written
    assert whole_lines("") == ""
