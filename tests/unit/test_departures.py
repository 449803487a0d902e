"""When numbers go, read from what a release wrote, however damaged that is."""

from datetime import timedelta

import pytest

from didflow.contract.requests import Release
from didflow.ledger.departures import departures
from didflow.ledger.views import job_view

REQUEST = Release(numbers=("+12135550100",), grace=timedelta(days=7))
VIEW = job_view("job", {"state": "waiting", "kind": "release", "created_ms": "1764500000000", "request": REQUEST.model_dump_json()})


@pytest.mark.parametrize("from_ms", [10**17, 10**30, -1, "soon", None])
def test_a_beginning_that_cannot_be_read_is_the_submit(from_ms: object) -> None:
    found = departures(VIEW, REQUEST, {"selected": True, "from_ms": from_ms}, [{"number": "+12135550100"}])
    assert found.goes_at == VIEW.created_at + timedelta(days=7)
    assert [one.goes_at for one in found.numbers] == [found.goes_at]
