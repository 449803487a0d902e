"""`/metrics`, `/healthz` and `/readyz` over HTTP; and that rules and dashboard use metrics that there are."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from didflow.contract.api_keys import ApiScope
from didflow.contract.attempt_write import Write
from didflow.contract.spending import Spend
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from didflow.ledger.webhooks import delivery_log
from didflow.ledger.worker_settings import note_running, running_with
from tests.support.http_server import Api, api_of, serving
from tests.support.inline_worker import settings_for
from tests.support.ledger_roles import claimed, finished, submitted
from tests.support.webhook_process import endpoint
from worker.local.embedded_valkey import EmbeddedValkey

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"


@pytest.fixture(scope="module")
def api(valkey: EmbeddedValkey) -> Iterator[Api]:
    """A server over a ledger in which something of everything has happened."""
    client = connect(valkey.url)
    ledger = Ledger(client, "monitored")
    settings = settings_for("http://127.0.0.1:1", "monitored", spend_account_usd_per_day="100")
    ledger.worker_alive("host:1", lease_ms=60_000)
    ledger.perform(note_running(ledger.keys, "host:1", running_with(settings)))
    finished(ledger, claimed(ledger, submitted(ledger).id))
    ledger.save(claimed(ledger, submitted(ledger).id), 1, Write("fence", phase="carted", hold=Spend(numbers=1, usd=Decimal("4.50"))))
    ledger.count_calls("host:1", 1, {"GET /v1/numbers:2xx:50": 3, "GET /v1/numbers:ms": 91})
    ledger.client.xgroup_create(ledger.keys.results, "billing", id="0", mkstream=True)
    swept_ms = int(ledger.client.time()[0]) * 1000 - 90_000
    ledger.client.hset(ledger.keys.inventory_state("default"), mapping={"complete_ms": swept_ms})
    endpoint(ledger, "shop", "https://shop.example.net/hook")
    ledger.perform(delivery_log.test(ledger.commands, "shop"))
    with api_of(ledger, valkey.url) as api:
        yield api
    client.close()


def samples(api: Api) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Of each name its labels and values, as a Prometheus server reads them."""
    answer = api.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(answer.text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_the_text_has_what_the_ledger_has(api: Api) -> None:
    found = samples(api)
    assert found["didflow_workers"] == [({}, 1)]
    assert ({"kind": "search_and_buy", "state": "succeeded"}, 1) in found["didflow_jobs_ended_total"]
    assert ({"call": "GET /v1/numbers", "answer": "2xx"}, 3) in found["didflow_provider_calls_total"]
    assert found["didflow_webhook_queued_events"] == [({"webhook": "shop"}, 1)]
    assert found["didflow_webhook_enabled"] == [({"webhook": "shop"}, 1)]
    assert ({"webhook": "shop", "outcome": "delivered"}, 0) in found["didflow_webhook_attempts_total"]
    assert found["didflow_webhook_failing_seconds"] == [({"webhook": "shop"}, 0)]
    assert ({"call": "GET /v1/numbers", "le": "0.05"}, 3) in found["didflow_provider_call_seconds_bucket"]
    assert found["didflow_provider_call_seconds_sum"] == [({"call": "GET /v1/numbers"}, 0.091)]
    assert found["didflow_money_in_doubt_usd"] == [({"account": "default"}, 4.5)]
    assert 90 <= found["didflow_inventory_age_seconds"][0][1] < 600
    assert found["didflow_inventory_numbers"] == [({"account": "default"}, 0)]
    assert 0 < found["didflow_money_in_doubt_oldest_seconds"][0][1] < 600
    assert ({"stream": "results", "group": "billing"}, 1) in found["didflow_stream_unread"]
    assert ({"account": "default", "unit": "usd", "window": "day"}, 100) in found["didflow_spend_limit"]


def test_no_label_names_a_job_a_number_or_a_reference(api: Api) -> None:
    allowed = {
        "state",
        "lane",
        "kind",
        "call",
        "answer",
        "account",
        "window",
        "unit",
        "where",
        "stream",
        "group",
        "le",
        "webhook",
        "outcome",
    }
    assert {label for rows in samples(api).values() for labels, _ in rows for label in labels} <= allowed


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\bdidflow_[a-z_]+", text))


@pytest.mark.parametrize("file", ["alerts.yml", "dashboard.json"])
def test_every_metric_of_the_rules_and_of_the_dashboard_is_there(api: Api, file: str) -> None:
    text = (MONITORING / file).read_text()
    assert metrics_in(text) - set(samples(api)) == set()
    if file.endswith("json"):
        assert len(json.loads(text)["panels"]) > 15
    else:
        assert text.count("- alert: ") > 10


def test_metrics_need_a_key_that_may_read_everything(api: Api) -> None:
    assert api.client().get("/metrics").status_code == 401
    assert api.client(api.key("buyer", ApiScope.BUY)).get("/metrics").status_code == 403
    limited = api.client(api.key("one-account", ApiScope.READ, account="other")).get("/metrics")
    assert (limited.status_code, limited.json()["code"]) == (403, "key_limited")


def test_health_needs_no_key(api: Api) -> None:
    with api.client() as nobody:
        assert [nobody.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


def test_a_server_without_its_redis_is_alive_and_not_ready(valkey: EmbeddedValkey) -> None:
    client = connect(valkey.url)
    with serving(Ledger(client, "unreachable"), "redis://127.0.0.1:1/0") as url, httpx.Client(base_url=url, trust_env=False) as http:
        assert http.get("/healthz").status_code == 200
        answer = http.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    client.close()
