"""What a job reads by the way, of its own numbers and of others, is in the inventory before the next sweep."""

import time
from collections.abc import Iterator

import pytest

from didflow.contract.destinations import Destination
from didflow.contract.provider import OwnedNumber
from didflow.contract.requests import Release, Reroute, SearchAndBuy
from didflow.contract.states import Lane
from didflow.ledger.ledger import Ledger
from tests.support.cluster import until
from tests.support.inline_worker import InlineWorker
from tests.support.sweeping import inventory_of, mirrored, number_events, sweep
from worker.attempt.patience import UntilStopped
from worker.attempt.provider_clients import Providers
from worker.inventory.read_backs import MOST_PAGES, ReadBacks
from worker.jobs.ports.provider import Provider
from worker.wavix.request_gate import with_patience
from worker.wavix.sandbox import SandboxAdmin

pytestmark = pytest.mark.provider()
FIRST = "didflow.inventory.first_sweep.v1"
NEW = (Destination.sip("new@example.net"),)
THEIRS = [{"transport": 1, "destination": "theirs@example.net", "priority": 1}]


class Seeing(InlineWorker):
    """With a worker process's clients, whose reads are left for the inventory; `write` writes them."""

    def __init__(self, ledger: Ledger, sandbox: SandboxAdmin) -> None:
        super().__init__(ledger, sandbox)
        self.read_backs = ReadBacks(ledger, settle_s=0.0, renewal_due_s=3 * 86_400)
        self.providers = Providers(self.settings, ledger, saw=self.read_backs.saw)

    def provider(self, account: str, lane: Lane) -> Provider:
        return self.providers(account, lane)

    def read_page(self) -> tuple[OwnedNumber, ...]:
        """The first page of the list as a job reads it, which waits for its turn however busy the machine is."""
        with with_patience(UntilStopped()):
            return self.provider("default", Lane.BULK).owned(page=1).items

    def write(self) -> None:
        """What was seen, when the emergency that a job was is over: an emergency isn't disturbed, for seconds after its last request."""
        self.ledger.client.hdel(self.ledger.keys.rate("default"), "emergency_us")
        self.read_backs.write()


@pytest.fixture
def seeing(inline: InlineWorker) -> Iterator[Seeing]:
    worker = Seeing(inline.ledger, inline.sandbox)
    yield worker
    worker.close()


def digits(number: str) -> str:
    return number.removeprefix("+")


def emitted(inline: InlineWorker) -> list[tuple[str, str]]:
    return [(kind.removeprefix("didflow.number."), number) for kind, number, _ in number_events(inline) if kind != FIRST]


def test_a_job_that_lists_the_account_brings_all_of_it(seeing: Seeing) -> None:
    owned = seeing.own(3, label="acme")
    seeing.run(Reroute(numbers=tuple(owned), destinations=NEW, dry_run=True))
    seeing.write()
    shown = mirrored(seeing)
    assert {number: (one.label, [str(to) for to in one.route]) for number, one in shown.items()} == {
        number: ("acme", ["sip:old@example.net"]) for number in owned
    }
    state = inventory_of(seeing).state()
    assert (state.numbers, state.swept_at, emitted(seeing)) == (3, None, [])


def test_a_change_elsewhere_that_a_job_sees_is_shown_and_one_event(seeing: Seeing) -> None:
    owned = seeing.own(3)
    sweep(seeing)
    seeing.sandbox.order("set_destinations", number=digits(owned[1]), destinations=THEIRS)
    seeing.sandbox.order("set_number", number=digits(owned[2]), label="vip", seconds=9)
    for _ in range(2):
        seeing.read_page()
        seeing.write()
    shown = mirrored(seeing)
    assert str(shown[owned[1]].route[0]) == "sip:theirs@example.net"
    assert (shown[owned[2]].label, shown[owned[2]].seconds) == ("vip", 9)
    events = [("changed_elsewhere.v1", owned[1]), ("changed_elsewhere.v1", owned[2])]
    assert sorted(emitted(seeing)) == sorted(events)
    assert sweep(seeing) == ""
    assert sorted(emitted(seeing)) == sorted(events), "once, also with the sweep that sees it"


def test_a_number_that_a_job_sees_first_has_appeared(seeing: Seeing) -> None:
    seeing.own(1)
    sweep(seeing)
    (new,) = seeing.own(1)
    seeing.read_page()
    seeing.write()
    sweep(seeing)
    assert emitted(seeing) == [("appeared.v1", new)]


def test_what_jobs_do_is_no_event(seeing: Seeing) -> None:
    owned = seeing.own(3)
    sweep(seeing)
    for request in (SearchAndBuy(country="US", quantity=1), Reroute(numbers=(owned[0],), destinations=NEW), Release(numbers=(owned[2],))):
        seeing.run(request)
        seeing.read_page()
        seeing.write()
    assert emitted(seeing) == []
    assert mirrored(seeing).keys() == seeing.owned()
    assert str(mirrored(seeing)[owned[0]].route[0]) == "sip:new@example.net"


def test_an_old_read_that_is_written_late_changes_nothing(seeing: Seeing) -> None:
    """What a job confirmed, what a sweep saw and what a job released after the read stays."""
    owned = seeing.own(4)
    sweep(seeing)
    old, asked_s = seeing.read_page(), time.monotonic()
    seeing.run(Reroute(numbers=(owned[0],), destinations=NEW))
    seeing.run(Release(numbers=(owned[1],)))
    seeing.sandbox.order("set_destinations", number=digits(owned[2]), destinations=THEIRS)
    sweep(seeing)
    before = mirrored(seeing)
    events = emitted(seeing)
    seeing.read_backs.taken()
    seeing.read_backs.saw("default", asked_s, old)
    seeing.write()
    assert mirrored(seeing) == before
    assert [str(before[number].route[0]) for number in (owned[0], owned[2])] == ["sip:new@example.net", "sip:theirs@example.net"]
    assert owned[1] not in before
    assert emitted(seeing) == events == [("changed_elsewhere.v1", owned[2])]


def test_a_sweep_does_not_put_an_older_page_over_a_newer_read(seeing: Seeing) -> None:
    owned = seeing.own(2)
    sweep(seeing)

    class Slow:
        """The page is read; before the sweep has it, a job reads a newer one."""

        def __getattr__(self, name: str) -> object:
            return getattr(seeing.client, name)

        def owned(self, **asked: object) -> object:
            page = seeing.client.owned(**asked)  # type: ignore[arg-type]
            seeing.sandbox.order("set_destinations", number=digits(owned[0]), destinations=THEIRS)
            seeing.read_page()
            seeing.write()
            return page

    sweep(seeing, provider=Slow())
    assert str(mirrored(seeing)[owned[0]].route[0]) == "sip:theirs@example.net"
    assert emitted(seeing) == [("changed_elsewhere.v1", owned[0])]


def test_a_lagging_list_does_not_flap(seeing: Seeing) -> None:
    """Within the time that lists may lag, a read that differs from the one before may be the older of the two."""
    owned = seeing.own(1)
    old = seeing.read_page()
    seeing.sandbox.order("set_destinations", number=digits(owned[0]), destinations=THEIRS)
    sweep(seeing)
    lagging = ReadBacks(seeing.ledger, settle_s=30.0, renewal_due_s=0.0)
    lagging.saw("default", time.monotonic(), old)
    lagging.write()
    assert str(mirrored(seeing)[owned[0]].route[0]) == "sip:theirs@example.net"


def test_a_missing_number_that_a_job_sees_is_there(seeing: Seeing) -> None:
    owned = seeing.own(2)
    sweep(seeing)
    line = mirrored(seeing)[owned[0]]
    seeing.sandbox.order("lose_number", number=digits(owned[0]))
    sweep(seeing)
    assert mirrored(seeing)[owned[0]].missing_since is not None
    back = OwnedNumber(record_id=line.record_id, number=line.number, status=line.status, route=line.route)
    seeing.read_backs.saw("default", time.monotonic() + 0.01, [back])
    seeing.write()
    assert mirrored(seeing)[owned[0]].missing_since is None


def test_few_pages_wait_and_the_oldest_are_dropped(seeing: Seeing) -> None:
    for page in range(MOST_PAGES + 7):
        number = OwnedNumber(record_id=page + 1, number=f"+1213555{page:04d}", status="active")
        seeing.read_backs.saw("default", time.monotonic(), [number])
    seeing.write()
    assert min(mirrored(seeing)) == "+12135550007"
    assert len(mirrored(seeing)) == MOST_PAGES


def test_an_account_that_may_be_another_ones_is_not_written(seeing: Seeing) -> None:
    seeing.own(1)
    unsure = ReadBacks(seeing.ledger, settle_s=0.0, renewal_due_s=0.0, is_its_ledger=lambda _: False)
    unsure.saw("default", time.monotonic(), seeing.read_page())
    unsure.write()
    assert mirrored(seeing) == {}


def test_the_thread_writes_by_itself_and_stops(seeing: Seeing) -> None:
    seeing.own(2)
    seeing.read_backs.start()
    seeing.read_page()
    until(lambda: len(mirrored(seeing)) == 2, 20)
    seeing.read_backs.stop()
    seeing.read_backs.join(20)
    assert not seeing.read_backs.is_alive()
