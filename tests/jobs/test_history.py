"""What the jobs put into the histories of their numbers: a number's whole life, and each thing once."""

from didflow.contract.destinations import Destination
from didflow.contract.history import Happened, Happening
from didflow.contract.requests import Failback, Release, Reroute, SearchAndBuy, Selector
from didflow.ledger import script_calls
from tests.support.fan_out import fanning, play
from tests.support.inline_worker import InlineWorker, numbers

__all__ = ["fanning"]

PBX, BACKUP = Destination.sip("pbx@example.net"), Destination.sip("backup@example.net")


def life(inline: InlineWorker, number: str) -> list[tuple[str | None, Happened]]:
    history = inline.ledger.run(script_calls.history(number))
    assert history.faults == ()
    return [(entry.job, entry.happened) for entry in history.entries]


def words(inline: InlineWorker, number: str) -> list[str]:
    return [str(happened.what) for _, happened in life(inline, number)]


def test_a_number_s_life_from_purchase_to_release(inline: InlineWorker) -> None:
    bought = inline.run(SearchAndBuy(country="US", destinations=(PBX,)))
    (one,) = numbers(bought)
    away = inline.run(Reroute(numbers=(one.number,), destinations=(BACKUP,)))
    back = inline.run(Failback(job_id=away.id))
    gone = inline.run(Release(numbers=(one.number,)))
    pbx, backup = ("sip:pbx@example.net",), ("sip:backup@example.net",)
    routed, record = Happening.ROUTED, one.record_id
    assert life(inline, one.number) == [
        (bought.id, Happened(what=Happening.BOUGHT, record_id=record, setup_usd=one.setup_usd, monthly_usd=one.monthly_usd)),
        (bought.id, Happened(what=routed, record_id=record, route_before=(), route_after=pbx)),
        (away.id, Happened(what=routed, record_id=record, route_before=pbx, route_after=backup)),
        (back.id, Happened(what=routed, record_id=record, route_before=backup, route_after=pbx)),
        (gone.id, Happened(what=Happening.QUARANTINED)),
        (gone.id, Happened(what=Happening.RELEASED, record_id=record)),
    ]


def test_what_changed_nothing_is_no_history(inline: InlineWorker) -> None:
    (ours,) = inline.own(1, "sip:backup@example.net")
    for request in (
        SearchAndBuy(country="US", dry_run=True),
        Reroute(numbers=(ours,), destinations=(PBX,), dry_run=True),
        Reroute(numbers=(ours,), destinations=(BACKUP,)),
        Release(numbers=(ours,), dry_run=True),
    ):
        assert inline.run(request).state == "succeeded"
    assert inline.ledger.client.hlen(inline.ledger.keys.history) == 0


def test_a_release_that_is_refused_or_lost_is_recorded_as_it_was(inline: InlineWorker) -> None:
    refused, lost = inline.own(2)
    inline.sandbox.add_fault("release", "refuse", times=2)  # In each form in which one id may be sent.
    assert inline.run(Release(numbers=(refused,))).state == "failed"
    inline.sandbox.add_fault("release", "act_and_drop")
    assert inline.run(Release(numbers=(lost,))).state == "succeeded"
    assert words(inline, refused) == ["quarantined", "refused"]
    assert words(inline, lost) == ["quarantined", "released"]


def test_a_large_reroute_records_each_number_once(fanning: InlineWorker) -> None:
    ours = fanning.own(41)
    job = fanning.submit(Reroute(selector=Selector(all=True), destinations=(BACKUP,)))
    assert play(fanning, job).state == "succeeded"
    (entry,) = {tuple(life(fanning, number)[0][1].route_after or ()) for number in ours}
    assert entry == ("sip:backup@example.net",)
    assert {tuple(words(fanning, number)) for number in ours} == {("routed",)}
    assert {life(fanning, number)[0][0] for number in ours} == {job.id}, "recorded as the job's, not as its batches'"
