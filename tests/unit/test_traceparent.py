"""Which trace contexts are taken, as https://www.w3.org/TR/trace-context/ says."""

import pytest

from didflow.contract.traceparent import read_traceparent

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (GOOD, GOOD),
        (f"00-{TRACE}-{PARENT}-00", f"00-{TRACE}-{PARENT}-00"),
        (f"cc-{TRACE}-{PARENT}-01", GOOD),
        (f"cc-{TRACE}-{PARENT}-ff-what-comes-later", GOOD),
        (f"cc-{TRACE}-{PARENT}-02", f"00-{TRACE}-{PARENT}-00"),
    ],
)
def test_a_valid_one_is_kept_in_the_form_of_version_00(given: str, kept: str) -> None:
    assert read_traceparent(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        GOOD.upper(),
        f" {GOOD}",
        f"{GOOD}\n",
        f"{GOOD}-more",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01.more",
        "٠٠" + GOOD[2:],
    ],
)
def test_an_invalid_one_is_ignored(given: object) -> None:
    assert read_traceparent(given) is None
