"""The list of transactions: the sandbox's is as the official SDK reads it, and the client reads it leniently and to the cent."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from wavix import Wavix

from didflow.contract.provider import Barred, ReadFailed
from didflow.contract.transactions import ACTIVATION_FEE, MONTHLY_FEE, NUMBER_ORDER, Transaction
from worker.wavix import parsing
from worker.wavix.client import WavixClient
from worker.wavix.parsing import Unreadable
from worker.wavix.sandbox import Sandbox, SandboxOptions
from worker.wavix.sandbox.options import SANDBOX_KEY

TODAY = datetime.now(UTC).date()
SINCE, UNTIL = TODAY - timedelta(days=2), TODAY + timedelta(days=1)


def client_of(sandbox: Sandbox, dialect: str = "mydids") -> WavixClient:
    return WavixClient(sandbox.url, SecretStr(SANDBOX_KEY), dialect, timeout_s=2.0, read_backoff_s=0.01)  # type: ignore[arg-type]


def buy(client: WavixClient, count: int) -> list[str]:
    numbers = [offer.number for offer in client.offers(8652, 200, sms_only=False, page=1).items[:count]]
    client.put_in_cart(numbers)
    client.check_out(numbers)
    return numbers


@pytest.mark.parametrize("dialect", ["mydids", "numbers"])
def test_each_fee_of_a_checkout_is_listed_to_the_cent(sandbox: Sandbox, dialect: str) -> None:
    client = client_of(sandbox, dialect)
    one, two = buy(client, 2)
    shown = client.transactions(since=SINCE, until=UNTIL, page=1).items
    assert {(tx.type, tx.numbers) for tx in shown} == {(kind, (n,)) for kind in (ACTIVATION_FEE, MONTHLY_FEE) for n in (one, two)}
    assert sum(tx.charged_usd for tx in shown) == sandbox.charged_usd()
    assert shown[0].balance_after_usd == client.balance_usd(), "the newest comes first"
    client.close()


def test_it_is_narrowed_by_days_type_and_words_and_comes_in_pages(sandbox: Sandbox) -> None:
    client = client_of(sandbox)
    one, _ = buy(client, 2)
    sandbox.order("charge", kind=3, usd="0.99", details="Phone number monthly fee 15550100", days_ago=40)
    assert len(client.transactions(since=SINCE, until=UNTIL, kind=MONTHLY_FEE, page=1).items) == 2
    assert {tx.numbers for tx in client.transactions(since=SINCE, until=UNTIL, details_contains=one[1:], page=1).items} == {(one,)}
    old = TODAY - timedelta(days=50)
    assert len(client.transactions(since=old, until=UNTIL, page=1).items) == 5
    for _ in range(100):
        sandbox.order("charge", kind=14, usd="0.01", details="Outbound call")
    pages = [client.transactions(since=SINCE, until=UNTIL, page=page) for page in (1, 2)]
    assert [(len(page.items), page.total_pages) for page in pages] == [(100, 2), (4, 2)]
    assert client.transactions(since=date(2020, 1, 1), until=date(2020, 1, 2), page=1).items == ()
    client.close()


def test_a_checkout_may_be_one_order_or_not_be_listed() -> None:
    for charges, listed in (("order", 1), ("unlisted", 0)):
        with Sandbox(SandboxOptions(numbers_per_city=4, charges=charges)) as sandbox:  # type: ignore[arg-type]
            client = client_of(sandbox)
            numbers = buy(client, 2)
            found = client.transactions(since=SINCE, until=UNTIL, page=1).items
            assert [(tx.type, tx.numbers, tx.charged_usd) for tx in found] == [(NUMBER_ORDER, tuple(numbers), sandbox.charged_usd())][
                :listed
            ]
            assert client.balance_usd() == Decimal(1000) - sandbox.charged_usd()
            client.close()


def test_a_key_without_the_scope_is_barred_from_it_alone() -> None:
    with Sandbox(SandboxOptions(numbers_per_city=1, scopes={"default": ("numbers", "buy", "account")})) as sandbox:
        client = client_of(sandbox)
        with pytest.raises(ReadFailed) as failed:
            client.transactions(since=SINCE, until=UNTIL, page=1)
        assert isinstance(failed.value.answer, Barred)
        assert client.balance_usd() == Decimal(1000)
        client.close()


def test_the_official_sdk_reads_it(sandbox: Sandbox) -> None:
    client = client_of(sandbox)
    buy(client, 1)
    wavix = Wavix(token=SANDBOX_KEY, base_url=sandbox.url)
    listed = wavix.billing.transactions.list(from_date=SINCE, to_date=UNTIL, page=1, per_page=1)
    assert (listed.is_empty, listed.pagination.total, listed.transactions[0].status) == (False, 2, "Committed")
    assert listed.transactions[0].amount < 0
    assert wavix.billing.transactions.list(from_date=date(2020, 1, 1), to_date=date(2020, 1, 1)).is_empty
    client.close()


def test_days_that_are_missing_are_refused(sandbox: Sandbox) -> None:
    with httpx.Client(base_url=sandbox.url, params={"appid": SANDBOX_KEY}) as http:
        assert http.get("/v1/billing/transactions", params={"from_date": "2026-11-01"}).status_code == 400


PLAIN = {"id": 1, "date": "2026-11-03T10:00:00Z", "amount": Decimal("-0.99"), "type": 3}


@pytest.mark.parametrize(
    "raw",
    [
        PLAIN,
        {**PLAIN, "id": "1", "amount": "-0.99", "type": "3", "balance_after": None, "details": None, "status": None, "new": [1]},
        {**PLAIN, "date": "2026-11-03T10:00:00.000+00:00", "balance_after": "12"},
    ],
)
def test_types_that_drift_are_read(raw: dict[str, Any]) -> None:
    read = parsing.transaction(raw)
    assert (read.id, read.type, read.charged_usd) == (1, 3, Decimal("0.99"))


@pytest.mark.parametrize("change", [{"amount": None}, {"amount": "much"}, {"date": "yesterday"}, {"type": None}, {"id": {}}])
def test_what_money_rests_on_must_be_readable(change: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        parsing.transaction({**PLAIN, **change})


@pytest.mark.parametrize(
    ("details", "numbers"),
    [
        ("Phone number monthly fee 12135550100", ("+12135550100",)),
        ("DID +12135550100, +493012345678 / order 77", ("+12135550100", "+493012345678")),
        ("Outbound call", ()),
        ("card 4111111111111111", ()),
    ],
)
def test_numbers_are_found_in_the_provider_s_words(details: str, numbers: tuple[str, ...]) -> None:
    assert Transaction(id=1, at=datetime(2026, 11, 3, tzinfo=UTC), type=3, amount_usd=Decimal(-1), details=details).numbers == numbers


def test_a_charge_that_was_taken_back_took_nothing() -> None:
    reverted = {"id": 1, "at": datetime(2026, 11, 3, tzinfo=UTC), "type": 3, "amount_usd": Decimal(-1), "status": "Reverted"}
    assert Transaction.model_validate(reverted).charged_usd == 0
