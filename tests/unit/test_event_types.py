"""Every type of event that is written is in the contract, and so in what `didflow schema events` and the AsyncAPI file say."""

import re
from pathlib import Path
from typing import get_args

from didflow.contract.business_events import TYPES
from didflow.contract.event_types import unknown_type_fault
from didflow.contract.events import AnyEvent, Event
from didflow.contract.webhooks import Endpoint

ROOT = Path(__file__).parents[2]


def described() -> set[str]:
    return {kind for model in get_args(AnyEvent) if model is not Event for kind in get_args(model.model_fields["type"].annotation)}


def written() -> set[str]:
    """Types in scripts and code, whole or as their last words."""
    scripts = "\n".join(path.read_text() for path in (ROOT / "didflow/ledger/scripts").rglob("*.lua"))
    code = "\n".join(path.read_text() for folder in ("worker", "producers", "didflow/ledger") for path in (ROOT / folder).rglob("*.py"))
    whole = set(re.findall(r"""["'](didflow\.[a-z_]+\.[a-z_]+\.v1)["']""", scripts + code)) - set(TYPES)
    accounts = {f"didflow.account.{word}.v1" for word in re.findall(r"emit_account\(account, '([a-z_]+)'", scripts)}
    numbers = {f"didflow.number.{word}.v1" for word in re.findall(r'news_of\([a-z_.]+, "([a-z_]+)"', code)}
    return whole | accounts | numbers


def test_every_type_that_is_written_is_in_the_contract() -> None:
    assert len(written()) > 8
    assert {kind for kind in written() if not kind.startswith("didflow.job.")} <= described()


def test_a_stored_filter_of_another_version_is_still_read() -> None:
    fields = {"id": "0" * 12, "name": "shop", "url": "https://shop.example.net/", "types": ["didflow.later.*"]}
    assert not Endpoint.model_validate(fields).wants("didflow.job.failed.v1", "", "")


def test_every_described_type_may_be_a_filter() -> None:
    assert [unknown_type_fault(kind) for kind in sorted(described() | written()) if unknown_type_fault(kind)] == []
    assert all(unknown_type_fault(kind) for kind in TYPES), "they come in"
