"""Reading, listing, cancelling, retrying and resolving jobs over HTTP."""

import uuid

import pytest

from didflow.contract.api_keys import ApiScope
from didflow.contract.errors import JobError
from didflow.contract.requests import Release
from didflow.contract.results import NumberResult, Result, Totals
from didflow.contract.states import JobState, Outcome
from didflow.ledger.script_calls import Submission
from tests.support.http_server import Api
from tests.support.ledger_roles import claimed, submitted

NUMBER = "+12135550100"


def parked(api: Api) -> str:
    """A release that needs a person."""
    job_id = api.ledger.submit(Submission(Release(numbers=(NUMBER,)))).id
    park(api, job_id)
    return job_id


def park(api: Api, job_id: str) -> None:
    unclear = NumberResult(number=NUMBER, record_id=1, outcome=Outcome.UNCLEAR)
    why = JobError(code="release_unclear", message="it can't be seen")
    result = Result(numbers=(unclear,), totals=Totals(requested=1, done=0), error=why)
    assert api.ledger.finish(claimed(api.ledger, job_id), JobState.NEEDS_REVIEW, result)


def test_an_unchanged_job_is_304(api: Api) -> None:
    path = f"/v1/jobs/{submitted(api.ledger).id}"
    tag = api.http.get(path).headers["etag"]
    again = api.http.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    api.http.post(f"{path}/cancel")
    changed = api.http.get(path, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["state"]) == (200, "cancelled")


@pytest.mark.parametrize("job_id", ["nothing", "x:steps", "..%2fkeys", "a%00b", "%F0%9F%92%A9", "x" * 5000])
def test_a_job_that_is_not_there_is_404(api: Api, job_id: str) -> None:
    for answer in (api.http.get(f"/v1/jobs/{job_id}"), api.http.post(f"/v1/jobs/{job_id}/cancel")):
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_another_key_of_a_job_is_no_job(api: Api) -> None:
    job_id = submitted(api.ledger).id
    claimed(api.ledger, job_id)
    api.http.post(f"/v1/jobs/{job_id}/cancel")
    assert api.ledger.client.exists(api.ledger.keys.steps(job_id))
    assert api.http.get(f"/v1/jobs/{job_id}:steps").status_code == 404


def test_the_steps_say_who_cancelled(api: Api) -> None:
    job_id = submitted(api.ledger).id
    with api.client(api.key("desk", ApiScope.BUY, ApiScope.READ)) as desk:
        assert desk.post(f"/v1/jobs/{job_id}/cancel").json()["decided_by"] == "desk"
        steps = desk.get(f"/v1/jobs/{job_id}/steps").json()
    assert [step["actor"] for step in steps if step["name"] == "cancelled"] == ["desk"]


def test_a_list_continues_where_it_was_while_jobs_are_added(api: Api) -> None:
    reference = uuid.uuid4().hex
    jobs = [submitted(api.ledger, reference=reference).id for _ in range(7)]
    found, cursor = [], ""
    while True:
        page = api.http.get("/v1/jobs", params={"reference": reference, "limit": "3"} | ({"cursor": cursor} if cursor else {})).json()
        found += [job["id"] for job in page["jobs"]]
        submitted(api.ledger, reference=reference)
        if (cursor := page["next_cursor"] or "") == "":
            break
    assert found == jobs[::-1] or sorted(found) == sorted(jobs)
    assert len(set(found)) == len(found) == 7


def test_a_list_is_filtered(api: Api) -> None:
    key, reference = uuid.uuid4().hex, uuid.uuid4().hex
    bought, other = submitted(api.ledger, key, reference=reference).id, parked(api)

    def listed(**filters: str) -> list[str]:
        return [job["id"] for job in api.http.get("/v1/jobs", params=filters).json()["jobs"]]

    assert listed(key=key) == listed(reference=reference) == listed(reference=reference, state="queued") == [bought]
    assert listed(reference=reference, state="failed") == listed(key=key, kind="release") == listed(key="unknown") == []
    assert listed(state="needs_review", kind="release")[0] == other
    assert bought not in listed(kind="release")


@pytest.mark.parametrize(
    ("filters", "parameter"),
    [
        ({"state": "done"}, "state"),
        ({"limit": "0"}, "limit"),
        ({"limit": "abc"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "W10"}, "cursor"),
        ({"stat": "failed"}, "stat"),
    ],
)
def test_a_wrong_filter_is_named(api: Api, filters: dict[str, str], parameter: str) -> None:
    answer = api.http.get("/v1/jobs", params=filters)
    assert answer.status_code == 422
    assert [fault["parameter"] for fault in answer.json()["errors"]] == [parameter]


def test_a_parked_job_is_resolved_as_it_was_read(api: Api) -> None:
    job_id = parked(api)
    tag = api.http.get(f"/v1/jobs/{job_id}").headers["etag"]
    done = api.http.post(f"/v1/jobs/{job_id}/resolve", json={"took_effect": [NUMBER]}, headers={"If-Match": tag})
    assert (done.status_code, done.json()["state"], done.json()["decided_by"]) == (200, "succeeded", "ops"), done.text


def test_a_finding_about_an_older_state_is_412(api: Api) -> None:
    job_id = parked(api)
    tag = api.http.get(f"/v1/jobs/{job_id}").headers["etag"]
    assert api.http.post(f"/v1/jobs/{job_id}/retry").json()["state"] == "queued"
    park(api, job_id)
    refused = api.http.post(f"/v1/jobs/{job_id}/resolve", json={"took_effect": []}, headers={"If-Match": tag})
    assert (refused.status_code, refused.json()["code"]) == (412, "job_changed")
    assert api.ledger.get(job_id).state == "needs_review"


def test_a_job_that_is_not_parked_is_not_resolved(api: Api) -> None:
    answer = api.http.post(f"/v1/jobs/{submitted(api.ledger).id}/resolve", json={"took_effect": []})
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_job")


def test_reading_and_operating_need_their_scopes(api: Api) -> None:
    job_id = parked(api)
    with api.client(api.key("viewer", ApiScope.READ)) as viewer:
        assert viewer.get(f"/v1/jobs/{job_id}").status_code == 200
        for verb in ("cancel", "retry", "resolve"):
            answer = viewer.post(f"/v1/jobs/{job_id}/{verb}", json={"took_effect": []})
            assert (verb, answer.status_code) == (verb, 403)
    with api.client(api.key("buyer", ApiScope.BUY)) as buyer:
        assert buyer.get(f"/v1/jobs/{job_id}").status_code == 403
        assert buyer.post(f"/v1/jobs/{job_id}/cancel").status_code == 403
