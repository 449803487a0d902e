"""The oracle of webhooks finds each thing that could be wrong, and nothing where all is well."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from didflow.contract.events import Event, EventBody, Timings
from didflow.contract.states import JobState
from didflow.contract.webhooks import new_secret
from producers.webhooks.signature import headers
from tests.campaign.oracle import Heard
from tests.campaign.receiver import Arrived
from tests.campaign.webhook_oracle import webhook_violations

SECRET = new_secret()
AT_S = 1_800_000_000
STATES = (JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED)


def event(place: int, job: str = "job") -> Event:
    state = STATES[place - 1]
    body = EventBody(job=job, kind="release", state=state, account="default", attempt=1, timings=Timings(submitted_ms=0))
    at = datetime.fromtimestamp(AT_S, UTC)
    return Event(id=f"{job}:{place}", source="didflow", type=f"didflow.job.{state}.v1", subject=job, time=at, data=body)


HEARD = Heard(results={"3-0": event(3)}, events={"1-0": event(1), "2-0": event(2)})


def came(place: int, *, accepted: bool = True, secret: str = SECRET, sent_s: int = AT_S, **changed: Any) -> Arrived:
    sent = event(place)
    fields = {"id": sent.id, "type": sent.type, "subject": sent.subject, "data": {"state": sent.data.state}, **changed}
    body = json.dumps(fields).encode()
    return Arrived("all", headers([secret], sent.id, sent_s, body), body, accepted, AT_S + 0.5)


def found(*arrived: Arrived, only_results: bool = False) -> list[str]:
    return webhook_violations(arrived, HEARD, SECRET, only_results=only_results)


def test_nothing_is_found_where_all_is_well() -> None:
    assert found(came(1), came(2), came(3)) == []
    assert found(came(3), only_results=True) == []


def test_repeats_and_failures_are_no_violation() -> None:
    assert found(came(1, accepted=False), came(1), came(1), came(2), came(1), came(3)) == []


def test_an_event_that_never_came_or_was_never_accepted_is_found() -> None:
    assert found(came(1), came(2)) == ["event job:3 (didflow.job.succeeded.v1) never came by webhook"]
    assert found(came(1), came(2), came(3, accepted=False)) == ["event job:3 (didflow.job.succeeded.v1) never came by webhook"]


def test_an_event_that_overtakes_another_is_found() -> None:
    assert found(came(1), came(3), came(2)) == ["webhook job:3 came before job:2 was accepted"]
    assert found(came(1), came(2, accepted=False), came(3), came(2)) == ["webhook job:3 came before job:2 was accepted"]


def test_a_wrong_signature_and_an_old_one_are_found() -> None:
    assert found(came(1, secret=new_secret()), came(2), came(3)) == ["webhook job:1 has a wrong signature"]
    assert found(came(1, sent_s=AT_S - 100), came(2), came(3)) == ["webhook job:1 came 100.5 s after it was signed"]


def test_other_contents_are_found() -> None:
    assert len(found(came(1), came(2, data={"state": "failed"}), came(3))) == 1
    assert len(found(came(1), came(2, type="didflow.job.failed.v1"), came(3))) == 1
    without = came(2)
    body = json.dumps({name: value for name, value in without.event.items() if name != "data"}).encode()
    thin = replace(without, body=body, headers=headers([SECRET], "job:2", AT_S, body))
    assert found(came(1), thin, came(3)) == ["webhook job:2 has neither data nor a link to it"]


def test_an_event_that_the_endpoint_does_not_want_is_found() -> None:
    assert found(came(2), came(3), only_results=True) == ["webhook job:2 is of no event that the endpoint wants"]
