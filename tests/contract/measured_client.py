"""A process of its own that talks to a hostile server and says how much memory each kind of answer took at its peak.

    python -m tests.contract.measured_client URL NAME…

prints one JSON object: by name, the growth in KiB above what the process held at first, the same above what it held just before, and what
became of each call.
"""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog
from pydantic import SecretStr

from didflow.contract.destinations import Destination
from didflow.contract.document_file import read_paper
from didflow.contract.provider import NotThere, ReadFailed
from worker.jobs.owned_numbers import pages_of
from worker.wavix.client import WavixClient

NUMBER = "+12565378257"
TIMEOUT_S = 0.4
#: Pages of a list, so that a walk through all of them ends within the test's time.
MAX_PAGES = 16
DOCUMENT = read_paper("id", b"%PDF-1.4 a passport")
CALLS: dict[str, Callable[[WavixClient], object]] = {
    "owned": lambda client: client.owned(page=1),
    "owned_one": lambda client: client.owned_one(47),
    "whole list": lambda client: sum(len(page.items) for page in pages_of(client)),
    "trunks": lambda client: len(client.trunks()),
    "cities": lambda client: client.cities(8652, 379),
    "offers": lambda client: client.offers(8652, 200, sms_only=False, page=1),
    "cart": lambda client: client.cart(),
    "balance": lambda client: client.balance_usd(),
    "cart_put": lambda client: client.put_in_cart([NUMBER]),
    "cart_delete": lambda client: client.remove_from_cart([NUMBER]),
    "checkout": lambda client: client.check_out([NUMBER]),
    "route": lambda client: client.set_route([47], (Destination.sip("a@example.net"),), None),
    "papers": lambda client: client.upload_paper([47], DOCUMENT),
    "release": lambda client: client.release([47]),
    "many changes": lambda client: [client.release([record_id]) for record_id in range(40)],
}


def kib(field: str) -> int:
    """A field of this process's memory: VmRSS, what it holds; VmHWM, its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def measured(url: str, name: str, before_kib: int) -> tuple[int, int, dict[str, str]]:
    calls, _, scenario = name.rpartition("@")
    client = WavixClient(
        f"{url}/{scenario}", SecretStr("k-5d41402abc4b2a76"), "numbers", timeout_s=TIMEOUT_S, read_backoff_s=0.0001, max_pages=MAX_PAGES
    )
    Path("/proc/self/clear_refs").write_text("5")  # The peak begins again.
    held_kib = kib("VmRSS")
    became = {}
    for call in calls.split(",") if calls else CALLS:
        try:
            became[call] = repr(CALLS[call](client))[:200]
        except (ReadFailed, NotThere) as error:
            became[call] = f"{type(error).__name__} {error}"[:200]
    peak = kib("VmHWM")
    client.close()
    return peak - before_kib, peak - held_kib, became


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    url, *names = sys.argv[1:]
    with suppress(ReadFailed):
        measured(url, "balance,checkout@fine", 0)  # What is loaded at the first call is no growth.
    before_kib = kib("VmRSS")
    sys.stdout.write(json.dumps({name: measured(url, name, before_kib) for name in names}))


if __name__ == "__main__":
    main()
