"""Whatever the provider does, in whatever order: numbers bought are numbers reported, money agrees, and never more than was asked."""

import uuid
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from didflow.contract.requests import SearchAndBuy
from didflow.contract.states import JobState
from didflow.ledger.connection import connect
from didflow.ledger.ledger import Ledger
from tests.support.inline_worker import InlineWorker, charged, outcomes, result_of
from tests.support.simulation.purchase_faults import FAULTS
from worker.local.embedded_valkey import EmbeddedValkey
from worker.wavix.sandbox import Sandbox, SandboxOptions


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    faults=st.lists(FAULTS, max_size=5),
    quantity=st.integers(1, 4),
    policy=st.sampled_from(["all_or_nothing", "at_least", "best_effort"]),
    partial_checkout=st.booleans(),
)
def test_bought_is_reported_and_never_more_than_asked(
    valkey: EmbeddedValkey, faults: list[dict[str, Any]], quantity: int, policy: str, partial_checkout: bool
) -> None:
    ledger = Ledger(connect(valkey.url), f"property-{uuid.uuid4().hex[:8]}")
    with Sandbox(SandboxOptions(numbers_per_city=6, partial_checkout=partial_checkout)) as sandbox:
        # Nobody renews a lease here, and reads that are refused again and again may take more than the stage's five seconds.
        inline = InlineWorker(ledger, sandbox, settle_seconds=0.25, http_timeout=0.08, settle_limit_seconds=2.0, lease_seconds=60.0)
        for fault in faults:
            sandbox.add_fault(**fault)
        view = inline.run(
            SearchAndBuy.model_validate(
                {
                    "country": "CA",
                    "quantity": quantity,
                    "policy": policy,
                    "at_least": (quantity + 1) // 2 if policy == "at_least" else None,
                    "destinations": [{"transport": 5, "destination": "x", "trunk_id": 144}],
                }
            )
        )
        inline.close()
        bought = {f"+{entry['number']}" for entry in sandbox.ledger()}
        assert len(bought) <= quantity
        assert len(sandbox.ledger()) == len(bought)
        if view.state is JobState.NEEDS_REVIEW:
            assert bought <= set(outcomes(view)), "a parked job names every number that may be ours"
        else:
            assert bought == set(outcomes(view))
            assert charged(view) == sandbox.charged_usd()
            assert result_of(view).totals.done == len(bought)
            (spent,) = ledger.spending([("account", "default")])
            assert (spent.day.usd, spent.held.numbers) == (sandbox.charged_usd(), 0), "what counts against limits is what was charged"
    ledger.client.close()
