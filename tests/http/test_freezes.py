"""The freeze over HTTP: scopes, limits of keys, what the answers and the probes of a machine show."""

import pytest

from didflow.contract.api_keys import ApiScope
from didflow.contract.attempt_write import Write
from didflow.ledger.replies import Frozen
from tests.support.http_server import Api
from tests.support.ledger_roles import claimed, submitted


def test_a_freeze_is_in_force_at_once_and_is_lifted_again(api: Api) -> None:
    claim = claimed(api.ledger, submitted(api.ledger).id)
    begun = api.http.post("/v1/freezes", json={"reason": "a wrong list"})
    assert begun.status_code == 200
    assert (begun.json()["is_new"], begun.json()["under_way"]) == (True, [])
    freeze = begun.json()["freeze"]
    assert (freeze["account"], freeze["actor"], freeze["reason"]) == (None, "ops", "a wrong list")
    assert isinstance(api.ledger.save(claim, 1, Write("fence", money=True)), Frozen)
    assert api.http.get("/v1/freezes").json() == {"freezes": [freeze]}
    assert api.http.get("/healthz").json() == {"status": "ok", "frozen": True}
    assert 'didflow_frozen{account="default"}' not in api.http.get("/metrics").text, "no worker serves an account here"
    assert api.http.post("/v1/freezes", json={"reason": "again"}).json() == {"freeze": freeze, "is_new": False, "under_way": []}
    assert api.http.post("/v1/freezes/lift", json={}).json() == {"freezes": []}
    assert api.http.get("/healthz").json() == {"status": "ok", "frozen": False}


def test_what_is_under_way_is_named_when_the_time_is_over(api: Api) -> None:
    claim = claimed(api.ledger, submitted(api.ledger).id)
    api.ledger.save(claim, 1, Write("fence", money=True))
    begun = api.http.post("/v1/freezes", json={"reason": "a wrong list", "timeout_s": 0})
    assert begun.json()["under_way"] == [claim.job_id]
    api.http.post("/v1/freezes/lift", json={})


def test_a_freeze_of_one_account_is_a_metric_of_it(api: Api) -> None:
    api.http.post("/v1/freezes", json={"reason": "a price error", "account": "shop"})
    assert 'didflow_frozen{account="shop"} 1.0' in api.http.get("/metrics").text
    api.http.post("/v1/freezes/lift", json={"account": "shop"})


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "a\nb"}, {"reason": "x", "account": ""}, {"reason": "x", "timeout_s": 61}])
def test_what_is_no_freeze_is_refused_and_nothing_is_frozen(api: Api, body: dict[str, object]) -> None:
    assert api.http.post("/v1/freezes", json=body).status_code == 422
    assert api.http.get("/v1/freezes").json() == {"freezes": []}


def test_a_key_needs_the_scope_and_its_account(api: Api) -> None:
    with api.client(api.key("buyer", ApiScope.READ, ApiScope.BUY)) as http:
        assert http.post("/v1/freezes", json={"reason": "x"}).json()["code"] == "scope_missing"
    with api.client(api.key("shop", ApiScope.OPERATE, ApiScope.READ, account="shop")) as http:
        assert http.post("/v1/freezes", json={"reason": "x"}).json()["code"] == "key_limited"
        assert http.post("/v1/freezes", json={"reason": "x", "account": "default"}).json()["code"] == "key_limited"
        assert http.post("/v1/freezes", json={"reason": "x", "account": "shop"}).status_code == 200
        assert [one["account"] for one in http.get("/v1/freezes").json()["freezes"]] == ["shop"]
        assert http.post("/v1/freezes/lift", json={"account": "shop"}).json() == {"freezes": []}
