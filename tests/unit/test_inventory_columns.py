"""The inventory's columns find what its rule finds, and a stored row is read as it was written."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from didflow.contract.destinations import SeenDestination
from didflow.contract.inventory import SORTS, InventoryFilter, InventoryNumber, matches
from didflow.contract.provider import Document, OwnedNumber
from didflow.ledger.inventory_columns import (
    LINE,
    PER_SEGMENT,
    PLACES,
    line_of,
    lines_in,
    missed_ms_in,
    narrowed,
    needs_records,
    number_code,
    number_in,
    number_of,
    seen_ms_in,
    sort_key,
)
from didflow.ledger.inventory_rows import Row, mirrored, read_row
from didflow.ledger.script_loader import source_texts

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MOMENTS = st.sampled_from([None, *(NOW + timedelta(days=days) for days in (-400, -31, -3, 0, 3, 31, 400))])
FEES = st.sampled_from([Decimal(text) for text in ("0", "0.0001", "0.35", "1", "1.00", "12.5", "107000")])
TEXTS = st.sampled_from(["", "acme", "ACME", "a\nb\u2028", 'q"uote|,', "LOS ANGELES, CA", "Ünïcode", "x" * 200])
DESTINATIONS = st.builds(
    SeenDestination,
    transport=st.sampled_from([1, 4, 5, 9]),
    destination=st.sampled_from(["pbx@example.net", "PBX@example.net", "32882", "144", ""]),
    priority=st.integers(1, 3),
    trunk_id=st.sampled_from([None, 144, 145]),
    callhunt=st.sampled_from([None, True, False]),
    active=st.sampled_from([None, True, False]),
)
OWNED = st.builds(
    OwnedNumber,
    record_id=st.integers(1, 2**63 - 1),
    number=st.sampled_from(["+12135550100", "+4930123456", "+882123456789012"]),
    status=st.sampled_from(["active", "inactive", "Suspended"]),
    added=MOMENTS,
    paid_until=MOMENTS,
    setup_usd=FEES,
    monthly_usd=FEES,
    route=st.lists(DESTINATIONS, max_size=4).map(tuple),
    label=st.one_of(st.none(), TEXTS.filter(bool)),
    sms_enabled=st.booleans(),
    sms_relay_url=st.sampled_from([None, "https://example.net/sms"]),
    required_documents=st.sampled_from([(), ("id",), ("address", "id")]),
    documents=st.sampled_from([(), (Document(kind="id", status="pending", id=7),)]),
    document_titles=st.sampled_from([{}, {"id": "ID card"}]),
    seconds=st.sampled_from([0, 1, 77, 10**9]),
    seconds_unread=st.booleans(),
    channels=st.sampled_from([None, 0, 4, 200]),
    city=TEXTS,
    country_iso_code=st.sampled_from(["", "US", "DE", "Nowhereland"]),
)
ROWS = st.builds(
    Row,
    OWNED,
    first_seen_ms=st.just(1_700_000_000_000),
    unused_since_ms=st.sampled_from([0, 1_700_000_000_000, int(NOW.timestamp() * 1000)]),
    month=st.sampled_from(["2026-11", "2026-10"]),
    months=st.sampled_from([{}, {"2026-09": 12}]),
    renewal_told=st.sampled_from([0, 1_800_000_000]),
    confirmed=st.sampled_from([{}, {"r": 1_764_000_000_000}, {"d": 1, "r": 22, "s": 333}]),
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "search": st.sampled_from(["213", "+1213", "999"]),
        "record_id": st.sampled_from([1, 2**63 - 1]),
        "status": st.sampled_from(["active", "SUSPENDED"]),
        "document": st.sampled_from(["id", "address"]),
        "country": st.sampled_from(["US", "United States", "nowhereland"]),
        "city": st.sampled_from(["los angeles, ca", "ünïcode"]),
        "label": st.sampled_from(["", "acme", "ACME"]),
        "trunk_id": st.sampled_from([144, 145]),
        "destination": st.sampled_from(["sip:pbx@example.net", "pbx@EXAMPLE.net", "trunk:144", "32882"]),
        "sms": st.booleans(),
        "sms_relay_url": st.sampled_from(["", "https://example.net/sms"]),
        "monthly_usd_min": FEES.filter(lambda fee: fee <= 100_000),
        "setup_usd_max": FEES.filter(lambda fee: fee <= 100_000),
        "channels_min": st.sampled_from([0, 4]),
        "channels_max": st.sampled_from([4, 300]),
        "added_after": MOMENTS.filter(lambda moment: moment is not None),
        "paid_until_before": MOMENTS.filter(lambda moment: moment is not None),
        "renewal_within": st.sampled_from([timedelta(days=1), timedelta(days=31)]),
        "seconds_min": st.sampled_from([0, 77]),
        "seconds_max": st.sampled_from([0, 77]),
        "unused_for": st.sampled_from([timedelta(hours=1), timedelta(days=30), timedelta(days=36_500)]),
        "missing": st.booleans(),
    },
)


def shown(row: Row, missed_ms: int) -> InventoryNumber:
    return InventoryNumber(**dict(mirrored(row, 1_764_000_000_000, missed_ms, f"{NOW:%Y-%m}")))


@settings(max_examples=30)
@given(ROWS)
def test_a_row_is_read_as_it_was_written(row: Row) -> None:
    read = read_row(row.owned.number, f"7\n{row.text()}")
    assert read is not None
    assert (read.slot, read.text()) == (7, row.text())
    if not row.owned.seconds_unread:
        assert read.owned == row.owned


@given(st.text(max_size=200))
def test_a_row_that_another_program_wrote_is_none(text: str) -> None:
    assert read_row("+12135550100", text) is None
    assert read_row("+12135550100", "\n".join([text] * 9)) is None


@settings(max_examples=60)
@given(st.lists(st.tuples(ROWS, st.sampled_from([0, 1_764_000_000_001])), max_size=6), FILTERS)
def test_columns_find_every_number_that_matches(rows: Sequence[tuple[Row, int]], fields: dict[str, Any]) -> None:
    try:
        wanted = InventoryFilter.model_validate(fields)
    except ValueError:
        return
    lines = [line_of(row, 1_764_000_000_000, missed_ms)[:-1] for row, missed_ms in rows]
    found = narrowed(lines, wanted, NOW)
    right = [line for line, (row, missed_ms) in zip(lines, rows, strict=True) if matches(shown(row, missed_ms), wanted, NOW)]
    assert set(right) <= set(found)
    routed = wanted.trunk_id is not None or wanted.destination is not None
    if not needs_records(wanted) and not (routed and any(line[PLACES["more"]] == "y" for line in found)):
        assert sorted(found) == sorted(right)


@settings(max_examples=30)
@given(ROWS)
def test_a_line_holds_its_number_and_moments(row: Row) -> None:
    line = line_of(row, 1_764_000_000_123, 5)
    assert len(line) == LINE
    assert lines_in(line * 2) == [line[:-1]] * 2
    assert (number_in(line), seen_ms_in(line), missed_ms_in(line)) == (row.owned.number, 1_764_000_000_123, 5)


@given(st.integers(0, 64**5 - 1), st.integers(0, 64**5 - 1))
def test_codes_sort_as_numbers(one: int, other: int) -> None:
    assert (number_code(one, 5) < number_code(other, 5)) == (one < other)
    assert number_of(number_code(one, 5)) == one


def test_the_scripts_know_the_same_places() -> None:
    source = source_texts()["include/inventory.lua"]
    numbers = re.search(r"^local LINE, .* = ([\d, ]+)$", source, re.MULTILINE)
    assert numbers is not None
    known = [int(text) for text in numbers[1].split(",")]
    seen, missed = PLACES["seen"], PLACES["missed"]
    assert known == [LINE, PER_SEGMENT, PLACES["number"].stop, seen.start, missed.start, seen.stop - seen.start]


def test_every_sort_is_a_column() -> None:
    assert {name for name in SORTS if sort_key(name)(line_of(Row(OwnedNumber(record_id=1, number="+1213", status=""), 1), 1))} == set(SORTS)
