"""Who reads the streams: `didflow doctor` and `didflow results groups` show how far each group is, and one that was given up is deleted."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from didflow import AsyncDidflow, Didflow, InvalidRequest
from didflow.checks.streams import check_streams
from didflow.contract.business_events import REQUEST
from didflow.ledger.commands import Entries
from didflow.ledger.consumer_groups import trim
from didflow.ledger.group_progress import COUNTED, Group
from didflow.ledger.ledger import Ledger
from producers.business_events import BusinessEvents
from tests.support.inline_shell import shell_of
from tests.support.inline_worker import InlineWorker
from tests.support.ledger_roles import claimed, finished, submitted
from tests.support.shell import Shell
from worker.local.embedded_valkey import EmbeddedValkey


@pytest.fixture
def didflow(real_ledger: Ledger) -> Didflow:
    return Didflow(real_ledger.client, real_ledger.keys.namespace)


@pytest.fixture
def shell(inline: InlineWorker, valkey: EmbeddedValkey, tmp_path: Path) -> Shell:
    return shell_of(inline, valkey.url, tmp_path)


def send(didflow: Didflow, event_id: str) -> None:
    BusinessEvents(didflow).send(REQUEST, {"request": {"kind": "search_and_buy", "country": "US"}}, event_id=event_id)


def ended(ledger: Ledger, count: int) -> None:
    for _ in range(count):
        assert finished(ledger, claimed(ledger, submitted(ledger).id))


def found(ledger: Ledger) -> dict[str, tuple[str, str]]:
    return {check.name: (check.verdict, check.message) for check in check_streams(ledger)}


def test_events_without_a_consumer_are_a_finding(real_ledger: Ledger, didflow: Didflow) -> None:
    assert found(real_ledger)["stream requests"] == ("ok", "0 entries, no consumer group")
    send(didflow, "evt-1")
    real_ledger.client.xgroup_create(real_ledger.keys.requests, "audit", id="$")
    verdict, message = found(real_ledger)["group requests/didflow"]
    assert (verdict, "1 business events, and no consumer reads them: start `didflow requests consume`") == ("fail", message)
    assert [taken.event_id for taken in BusinessEvents(didflow).take_in(give_up_idle=True, block_s=0.01)] == ["evt-1"]
    verdict, message = found(real_ledger)["group requests/didflow"]
    assert (verdict, message.split(";")[0]) == ("ok", "0 not read, 0 delivered and not acknowledged")


def test_each_group_of_each_stream_is_shown_with_what_it_has_not_read_and_not_acknowledged(real_ledger: Ledger, didflow: Didflow) -> None:
    client, keys = real_ledger.client, real_ledger.keys
    ended(real_ledger, 3)
    send(didflow, "evt-1")
    for key, name in ((keys.requests, "didflow"), (keys.results, "billing"), (keys.events, "audit")):
        client.xgroup_create(key, name, id="0")
    next(didflow.results("crm", "here", block_s=0.01))
    events = int(client.xlen(keys.events))
    groups = {(group.stream, group.name): group for group in didflow.groups()}
    assert groups["requests", "didflow"] == Group("requests", "didflow", 1, 0, None, 0, None)
    assert groups["results", "billing"] == Group("results", "billing", 3, 0, None, 0, None)
    assert groups["events", "audit"] == Group("events", "audit", events, 0, None, 0, None)
    crm = groups["results", "crm"]
    assert (crm.unread, crm.pending, crm.consumers, crm.lives) == (2, 1, 1, True)
    shown = found(real_ledger)
    assert {name: verdict for name, (verdict, _) in shown.items()} == {
        "group requests/didflow": "fail",
        "group results/billing": "warn",
        "group results/crm": "ok",
        "group events/audit": "warn",
    }
    assert "3 not read, 0 delivered and not acknowledged" in shown["group results/billing"][1]
    assert "if the group is unused, `didflow results delete-group billing`" in shown["group results/billing"][1]
    assert "`didflow results delete-group audit --stream events`" in shown["group events/audit"][1]


def test_what_a_dead_consumer_holds_is_a_finding_and_so_is_what_was_trimmed(real_ledger: Ledger, didflow: Didflow) -> None:
    client, keys = real_ledger.client, real_ledger.keys
    ended(real_ledger, 3)
    client.xgroup_create(keys.results, "billing", id="0")
    entry = cast("Entries", client.xrange(keys.results))[0][0]
    client.xclaim(keys.results, "billing", "put_back", 0, [entry], idle=7_200_000, force=True)
    verdict, message = found(real_ledger)["group results/billing"]
    assert verdict == "warn"
    assert "1 delivered and not acknowledged (the oldest for 2 h)" in message
    client.xgroup_create(keys.results, "late", id="0")
    client.xreadgroup("late", "a", {keys.results: ">"}, count=1)
    client.xtrim(keys.results, maxlen=1, approximate=False)
    assert "1 entries were trimmed before it read them" in found(real_ledger)["group results/late"][1]


def test_a_lag_that_the_server_does_not_know_is_counted(real_ledger: Ledger, didflow: Didflow) -> None:
    client, keys = real_ledger.client, real_ledger.keys
    ids = [client.xadd(keys.results, {"n": str(place)}) for place in range(COUNTED + 5)]
    client.xgroup_create(keys.results, "billing", id=ids[0])
    client.xdel(keys.results, ids[2])
    assert client.xinfo_groups(keys.results)[0]["lag"] is None
    (group,) = didflow.groups()
    assert group.unread == COUNTED


def test_a_group_that_was_given_up_is_deleted_and_its_stream_is_trimmed_again(real_ledger: Ledger, didflow: Didflow, shell: Shell) -> None:
    ended(real_ledger, 250)
    real_ledger.client.xgroup_create(real_ledger.keys.results, "given-up", id="0")
    for delivery in didflow.results("billing", "a", block_s=0.01, give_up_idle=True):
        delivery.ack()
    assert trim(real_ledger, keep=0) == 0
    listed = shell("results", "groups")
    assert [line.split()[:4] for line in listed.out.splitlines()[1:]] == [
        ["billing", "results", "0", "0"],
        ["given-up", "results", "250", "0"],
    ]
    refused = shell("results", "delete-group", "given-up")
    assert refused.code == 2
    assert "--yes" in refused.err
    in_use = shell("results", "delete-group", "billing", "--yes")
    assert in_use.code == 2
    assert "'billing' is in use, a consumer was seen" in in_use.err
    absent = shell("results", "delete-group", "given-up", "--stream", "events", "--yes", "--json")
    assert (absent.code, absent.json["error"]["code"]) == (2, "invalid_request")
    assert shell("results", "delete-group", "given-up", "--yes", "--json").json == {"deleted": "given-up", "stream": "results"}
    assert [group["name"] for group in shell("results", "groups", "--json").json] == ["billing"]
    assert len(shell("results", "--limit", "3", "--json").out.splitlines()) == 3, "the command still shows the newest results"
    assert trim(real_ledger, keep=0) > 0


def test_doctor_has_the_groups(didflow: Didflow, shell: Shell) -> None:
    send(didflow, "evt-1")
    (check,) = [one for one in shell("doctor", "--json").json if one["name"] == "group requests/didflow"]
    assert check["verdict"] == "fail"


@pytest.mark.parametrize(("group", "stream"), [("", "results"), ("none", "results"), ("x", "poison"), (None, "results")])
def test_a_group_that_cannot_be_deleted_is_refused_in_python(didflow: Didflow, group: str, stream: str) -> None:
    with pytest.raises(InvalidRequest):
        didflow.delete_group(group, stream=stream)  # type: ignore[arg-type]


def test_the_asyncio_client_lists_and_deletes_too(valkey: EmbeddedValkey, didflow: Didflow, real_ledger: Ledger) -> None:
    ended(real_ledger, 1)
    real_ledger.client.xgroup_create(real_ledger.keys.results, "given-up", id="0")

    async def simulation() -> tuple[tuple[Group, ...], tuple[Group, ...]]:
        client = AsyncDidflow.from_url(valkey.url, real_ledger.keys.namespace)
        before = await client.groups()
        await client.delete_group("given-up")
        after = await client.groups()
        await client.aclose()
        return before, after

    before, after = asyncio.run(simulation())
    assert [group.name for group in before] == ["given-up"]
    assert after == didflow.groups() == ()
