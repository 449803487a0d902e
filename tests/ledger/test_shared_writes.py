"""Several jobs of one script are written with one command for each key that jobs share, and leave what each alone would leave."""

from collections.abc import Sequence

import pytest

from didflow.contract.errors import UnreadableRecord
from didflow.contract.states import JobState, Lane
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.metrics import measures
from tests.support.ledger_roles import DONE, LEASE_MS, submitted

SETS = ("leases", "due", "retention", *(f"state:{state.value}" for state in JobState))


def taken(ledger: Ledger, most: int, claimant: str) -> Sequence[Claim]:
    return ledger.take(Lane.MONEY, most, worker="worker-1", consumer="money", claimant=claimant, lease_ms=LEASE_MS).claims


def places(ledger: Ledger, ids: Sequence[str]) -> dict[str, list[bool]]:
    """In which of the shared sorted sets each of the jobs is."""
    scores = {name: ledger.client.zmscore(f"{ledger.keys.namespace}:{name}", list(ids)) for name in SETS}
    return {name: [score is not None for score in found] for name, found in scores.items()}


def end_together(ledger: Ledger, claims: Sequence[Claim]) -> list[bool | Exception]:
    return ledger.end_together([ledger.ending(claim, JobState.SUCCEEDED, DONE) for claim in claims])


def test_jobs_that_are_written_together_stand_where_each_alone_would(ledger: Ledger) -> None:
    alone, together = [submitted(ledger).id for _ in range(3)], [submitted(ledger).id for _ in range(3)]
    one_by_one = [claim for count in range(3) for claim in taken(ledger, 1, f"worker-1:{count}")]
    at_once = taken(ledger, 3, "worker-1:all")
    assert [claim.job_id for claim in (*one_by_one, *at_once)] == alone + together
    running = {name: [name in ("leases", "state:running")] * 3 for name in SETS}
    assert places(ledger, alone) == places(ledger, together) == running
    assert [end_together(ledger, [claim]) for claim in one_by_one] == [[True]] * 3
    assert end_together(ledger, at_once) == [True] * 3
    ended = {name: [name in ("retention", "state:succeeded")] * 3 for name in SETS}
    assert places(ledger, alone) == places(ledger, together) == ended
    counts = ledger.perform(measures(ledger.commands)).ended
    assert counts.counts == {("search_and_buy", "succeeded"): 6}
    for times in (counts.waited, counts.ran):
        assert times["search_and_buy"].cumulative()[-1] == (float("inf"), 6)
    (hour,) = ledger.client.keys(f"{ledger.keys.namespace}:metrics:hour:*")
    assert 0 < int(str(ledger.client.ttl(hour))) <= 25 * 3600, "what charts need for a day isn't kept for ever"


@pytest.mark.parametrize("damaged", ["metrics:ended", "retention", "state:succeeded"])
def test_ends_of_which_one_shared_key_has_another_type_are_written_all_the_same(real_ledger: Ledger, damaged: str) -> None:
    ids = [submitted(real_ledger).id for _ in range(3)]
    claims = taken(real_ledger, 3, "worker-1:all")
    real_ledger.client.delete(f"{real_ledger.keys.namespace}:{damaged}")
    real_ledger.client.set(f"{real_ledger.keys.namespace}:{damaged}", "another program's")
    assert all(isinstance(outcome, UnreadableRecord) for outcome in end_together(real_ledger, claims))
    assert end_together(real_ledger, claims) == [True] * 3, "the worker asks again for each"
    assert {real_ledger.get(job_id).state for job_id in ids} == {JobState.SUCCEEDED}
    real_ledger.client.delete(f"{real_ledger.keys.namespace}:{damaged}")
    others = [name for name in ("retention", "state:succeeded") if name != damaged]
    assert places(real_ledger, ids) == {name: [name in others] * 3 for name in SETS}


def test_a_take_of_which_one_shared_key_has_another_type_is_answered_when_repeated(real_ledger: Ledger) -> None:
    ids = [submitted(real_ledger).id for _ in range(3)]
    real_ledger.client.set(f"{real_ledger.keys.namespace}:state:running", "another program's")
    with pytest.raises(UnreadableRecord):
        taken(real_ledger, 3, "worker-1:all")
    assert [claim.job_id for claim in taken(real_ledger, 3, "worker-1:all")] == ids
    real_ledger.client.delete(f"{real_ledger.keys.namespace}:state:running")
    assert places(real_ledger, ids)["leases"] == [True] * 3
