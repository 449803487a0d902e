"""With 200,000 jobs and 100,000 numbers no page takes long. Processor time is what is measured: it is the same beside busy neighbours."""

import time
from typing import Any

import pytest

from didflow.contract.states import JobState
from tests.bench.inventory import fill as fill_inventory
from tests.console.conftest import As
from tests.support.http_server import Api
from tests.support.ledger_roles import claimed, finished, submitted

JOBS, REFERENCES, NUMBERS = 200_000, 500, 100_000
#: Of the server, its client in the test, and Redis together.
MOST_MS = 150.0


def cpu_s(api: Api) -> float:
    """What this process and Redis have used."""
    used: Any = api.ledger.client.info("cpu")
    return time.process_time() + float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def fill(api: Api) -> None:
    """As many ended jobs as a year may leave: copies of one, written past the scripts."""
    ledger, client = api.ledger, api.ledger.client
    job = submitted(ledger, key="first", reference="customer-0")
    finished(ledger, claimed(ledger, job.id))
    fields: Any = client.hgetall(ledger.keys.job(job.id))
    now_ms = ledger.now_ms()
    for start in range(0, JOBS, 1000):
        pipe = client.pipeline(transaction=False)
        for at in range(start, start + 1000):
            job_id, reference, at_ms = f"{at:026x}", f"customer-{at % REFERENCES}", now_ms - at * 1000
            pipe.hset(ledger.keys.job(job_id), mapping={**fields, "created_ms": at_ms, "reference": reference, "key": f"order-{at}"})
            pipe.zadd(ledger.keys.state(JobState.SUCCEEDED), {job_id: at_ms})
            pipe.zadd(ledger.keys.reference(reference), {job_id: at_ms})
            pipe.hset(ledger.keys.idempotency, f"order-{at}", job_id)
        pipe.execute()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_no_page_takes_long_with_many_jobs(as_: As, api: Api) -> None:
    fill(api)
    viewer = as_("viewer")
    paths: tuple[str, ...] = (
        "/",
        "/charts",
        "/jobs",
        "/jobs?state=succeeded",
        "/jobs?kind=release",
        "/jobs?reference=customer-7",
        "/spend",
        "/accounts",
    )
    paths += ("/jobs?q=order-77", "/jobs?q=customer-7", "/jobs?q=nothing", f"/jobs/{199:026x}", "/dead-letters")
    took_ms = {}
    for path in paths:
        assert viewer.get(path).status_code == 200
        began_s = cpu_s(api)
        viewer.get(path)
        took_ms[path] = round((cpu_s(api) - began_s) * 1000)
    assert {path: ms for path, ms in took_ms.items() if ms > MOST_MS} == {}, took_ms


@pytest.mark.long
@pytest.mark.timeout(900)
def test_no_page_takes_long_with_many_numbers(as_: As, api: Api) -> None:
    fill_inventory(api.ledger, NUMBERS)
    admin = as_("admin")
    paths: tuple[str, ...] = ("/numbers", "/numbers?city=CITY+123", "/numbers?label=customer+4711", "/numbers?trunk_id=105")
    paths += ("/numbers?renewal_within=7d&sort=-monthly_usd", "/numbers/totals", "/numbers/totals?city=CITY+123", "/numbers/+12130000077")
    paths += ("/numbers/routes", "/numbers/routes?first=1h&second=now", "/numbers/drift", "/churn", "/order", "/audit")
    paths += ("/numbers/change?action=reroute&city=CITY+123",)
    took_ms = {}
    for path in paths:
        assert admin.get(path).status_code == 200, path
        times = []
        for _ in range(3):
            began_s = cpu_s(api)
            admin.get(path)
            times.append(round((cpu_s(api) - began_s) * 1000))
        took_ms[path] = min(times)
    assert {path: ms for path, ms in took_ms.items() if ms > MOST_MS} == {}, took_ms
