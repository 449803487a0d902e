"""Every command and every method of the client has a route, or a reason why it has none."""

import inspect

import pytest

from didflow import AsyncDidflow
from didflow.client.aio.catalogue import AsyncCatalogue
from didflow.client.aio.console import AsyncConsole
from didflow.client.aio.documents import AsyncDocuments
from didflow.client.aio.inventory import AsyncInventory
from didflow.client.aio.number_pool import AsyncPool
from didflow.client.aio.routes import AsyncRoutes
from didflow.client.aio.webhooks import AsyncWebhooks
from producers.async_incidents import AsyncIncidents
from producers.churn import Churn
from producers.failover import Failover
from producers.onboarding import Onboarding
from tests.support.cli_commands import COMMANDS
from tests.support.described_answers import description

#: A route is its method and path; anything else is the reason why there is none.
PROCESS = "a process of a host"
KEY_OF_THE_PROVIDER = "it needs the provider's key, which the server doesn't have"
STREAM = "GET /v1/events: a client of HTTP keeps its own position, as Last-Event-ID"
ANOTHER_WAY_IN = "it is a way into the queue of its own; over HTTP it is POST /v1/jobs"

#: The commands, by the words that call them.
BY_COMMAND = {
    "buy": "POST /v1/jobs/search-and-buy",
    "reroute": "POST /v1/jobs/reroute",
    "failover": "POST /v1/incidents/{name}/move",
    "failover rehearse": "it starts a Redis, workers and a sandbox on the machine on which it is called",
    "failover plan save": "PUT /v1/failover-plans/{name}",
    "failover plan list": "GET /v1/failover-plans",
    "failover plan show": "GET /v1/failover-plans/{name}",
    "failover plan run": "POST /v1/failover-plans/{name}/run",
    "failover plan refresh": "POST /v1/failover-plans/{name}/refresh",
    "failover plan delete": "DELETE /v1/failover-plans/{name}",
    "failback": "POST /v1/jobs/failback",
    "release": "POST /v1/jobs/release",
    "churn churned": "POST /v1/churn/{reference}/left",
    "churn returned": "POST /v1/churn/{reference}/returned",
    "churn csv": "a file is many requests: POST /v1/churn/{reference}/left for each line",
    "churn upcoming": "GET /v1/churn/upcoming",
    "documents missing": "POST /v1/documents/missing",
    "documents follow": "POST /v1/jobs/follow-documents",
    "documents upload": "POST /v1/documents",
    "pool list": "GET /v1/pool",
    "pool return": "POST /v1/pool/return",
    "freeze": "POST /v1/freezes",
    "unfreeze": "POST /v1/freezes/lift",
    "audit": "GET /v1/audit",
    "cancel": "POST /v1/jobs/{job_id}/cancel",
    "catalogue countries": "GET /v1/catalogue/countries",
    "catalogue regions": "GET /v1/catalogue/regions",
    "catalogue cities": "GET /v1/catalogue/cities",
    "catalogue offers": "GET /v1/catalogue/offers",
    "status": "GET /v1/jobs/{job_id}",
    "jobs": "GET /v1/jobs",
    "explain": "GET /v1/jobs/{job_id}/steps",
    "numbers": "GET /v1/numbers",
    "numbers totals": "GET /v1/numbers/totals",
    "numbers views": "GET /v1/console/views",
    "numbers save-view": "PUT /v1/console/views/{name}",
    "numbers delete-view": "DELETE /v1/console/views/{name}",
    "numbers show": "GET /v1/numbers/{number}",
    "routes": "GET /v1/routes",
    "routes diff": "GET /v1/routes/diff",
    "history": "GET /v1/numbers/{number}/history",
    "decisions": "GET /v1/decisions",
    "incidents": "GET /v1/incidents",
    "incidents status": "GET /v1/incidents/{name}",
    "incidents cancel": "POST /v1/incidents/{name}/cancel",
    "incidents failback": "POST /v1/incidents/{name}/failback",
    "results": STREAM,
    "results groups": "GET /v1/consumer-groups",
    "results delete-group": "DELETE /v1/consumer-groups/{stream}/{group}",
    "onboarding status": "GET /v1/jobs",
    "onboarding fulfilments": STREAM,
    "spend": "GET /v1/spending",
    "doctor": "GET /v1/checks",
    "reconcile": f"{KEY_OF_THE_PROVIDER}; its decisions are POST /v1/accounts/{{account}}/findings/accept and give",
    "dead-letters": "GET /v1/dead-letters",
    "activity": "GET /v1/activity",
    "evidence": "GET /v1/jobs/{job_id}/evidence",
    "retry": "POST /v1/jobs/{job_id}/retry",
    "resolve": "POST /v1/jobs/{job_id}/resolve",
    "settings": "GET /v1/settings",
    "schema": "/openapi.json has the schemas",
    "keys create": "POST /v1/keys",
    "keys list": "GET /v1/keys",
    "keys sessions": "GET /v1/console/sessions",
    "keys end-session": "DELETE /v1/console/sessions/{session_id}",
    "keys rotate": "POST /v1/keys/{name}/rotate",
    "keys revoke": "DELETE /v1/keys/{name}",
    "adopt": KEY_OF_THE_PROVIDER,
    "completion": "a shell's",
    "up": PROCESS,
    "demo": PROCESS,
    "worker": PROCESS,
    "serve": PROCESS,
    "sandbox": PROCESS,
    "requests consume": PROCESS,
    "requests send": ANOTHER_WAY_IN,
    "webhooks create": "POST /v1/webhooks",
    "webhooks list": "GET /v1/webhooks",
    "webhooks show": "GET /v1/webhooks/{name}",
    "webhooks update": "PATCH /v1/webhooks/{name}",
    "webhooks delete": "DELETE /v1/webhooks/{name}",
    "webhooks rotate": "POST /v1/webhooks/{name}/rotate",
    "webhooks enable": "POST /v1/webhooks/{name}/enable",
    "webhooks disable": "POST /v1/webhooks/{name}/disable",
    "webhooks test": "POST /v1/webhooks/{name}/test",
    "webhooks deliveries": "GET /v1/webhooks/{name}/deliveries",
    "webhooks redeliver": "POST /v1/webhooks/{name}/redeliver",
    "webhooks run": PROCESS,
}

LEFT_OUT = "several requests of HTTP"
#: The methods of the clients.
BY_METHOD: dict[type, dict[str, str]] = {
    AsyncDidflow: {
        "submit": "POST /v1/jobs",
        "submit_many": f"{LEFT_OUT}: POST /v1/jobs for each, on one connection",
        "get": "GET /v1/jobs/{job_id}",
        "find": "GET /v1/jobs",
        "wait": "?wait= of a submit, or GET /v1/jobs/{job_id}/events",
        "cancel": "POST /v1/jobs/{job_id}/cancel",
        "retry": "POST /v1/jobs/{job_id}/retry",
        "resolve": "POST /v1/jobs/{job_id}/resolve",
        "explain": "GET /v1/jobs/{job_id}/steps",
        "evidence": "GET /v1/jobs/{job_id}/evidence",
        "numbers": "GET /v1/jobs/{job_id}/numbers",
        "tally": "GET /v1/jobs/{job_id}/tally",
        "departures": "GET /v1/jobs/{job_id}/departures",
        "upcoming": "GET /v1/churn/upcoming",
        "results": STREAM,
        "recent": STREAM,
        "groups": "GET /v1/consumer-groups",
        "delete_group": "DELETE /v1/consumer-groups/{stream}/{group}",
        "dead_letters": "GET /v1/dead-letters",
        "replay": "POST /v1/dead-letters/{name}/replay",
        "drop": "DELETE /v1/dead-letters/{name}",
        "decisions": "GET /v1/decisions",
        "history": "GET /v1/numbers/{number}/history",
        "histories": f"{LEFT_OUT}: GET /v1/numbers/{{number}}/history for each",
        "spending": "GET /v1/spending",
        "activity": "GET /v1/activity",
        "freeze": "POST /v1/freezes",
        "unfreeze": "POST /v1/freezes/lift",
        "freezes": "GET /v1/freezes",
        "audit": "GET /v1/audit",
        "verify_audit": "GET /v1/audit/check",
        "audit_texts": f"{LEFT_OUT}: GET /v1/audit, page by page",
        "acting": "the header Didflow-Reason; the actor is the key's name",
        "aclose": "of the client itself",
        "from_env": "of the client itself",
        "from_url": "of the client itself",
    },
    AsyncCatalogue: {name: f"GET /v1/catalogue/{name}" for name in ("countries", "regions", "cities", "offers")},
    AsyncDocuments: {
        "missing": "POST /v1/documents/missing",
        "follow": "POST /v1/jobs/follow-documents",
        "follower": "GET /v1/jobs/{job_id}/documents",
    },
    AsyncInventory: {
        "state": "GET /v1/numbers",
        "page": "GET /v1/numbers",
        "numbers": "GET /v1/numbers",
        "record_ids": "GET /v1/numbers",
        "refresh": "GET /v1/numbers",
        "totals": "GET /v1/numbers/totals",
        "show": "GET /v1/numbers/{number}",
    },
    AsyncConsole: {
        "sessions": "GET /v1/console/sessions",
        "end_session": "DELETE /v1/console/sessions/{session_id}",
        "end_sessions_of": "POST /v1/console/sessions/end",
        "views": "GET /v1/console/views",
        "save_view": "PUT /v1/console/views/{name}",
        "delete_view": "DELETE /v1/console/views/{name}",
    },
    AsyncWebhooks: {
        "create": "POST /v1/webhooks",
        "all": "GET /v1/webhooks",
        "get": "GET /v1/webhooks/{name}",
        "update": "PATCH /v1/webhooks/{name}",
        "delete": "DELETE /v1/webhooks/{name}",
        "rotate": "POST /v1/webhooks/{name}/rotate",
        "enable": "POST /v1/webhooks/{name}/enable",
        "disable": "POST /v1/webhooks/{name}/disable",
        "test": "POST /v1/webhooks/{name}/test",
        "deliveries": "GET /v1/webhooks/{name}/deliveries",
        "redeliver": "POST /v1/webhooks/{name}/redeliver",
        "redeliver_since": "POST /v1/webhooks/{name}/redeliver",
    },
    AsyncPool: {"handed_out": "GET /v1/pool", "take_back": "POST /v1/pool/return"},
    AsyncRoutes: {"at": "GET /v1/routes", "difference": "GET /v1/routes/diff"},
    AsyncIncidents: {
        "all": "GET /v1/incidents",
        "get": "GET /v1/incidents/{name}",
        "cancel": "POST /v1/incidents/{name}/cancel",
        "failback": "POST /v1/incidents/{name}/failback",
    },
    Failover: {
        "away": "POST /v1/incidents/{name}/move",
        "move": "POST /v1/incidents/{name}/move",
        "back": "POST /v1/incidents/{name}/failback",
        "back_all": "POST /v1/incidents/{name}/failback",
        "moved": "GET /v1/incidents/{name}",
        "has_moved": "GET /v1/incidents/{name}",
        "swept": "GET /v1/incidents/{name}",
        "plan": "PUT /v1/failover-plans/{name}",
        "keep_plan": "PUT /v1/failover-plans/{name}",
        "refresh_plan": "POST /v1/failover-plans/{name}/refresh",
        "plans": "GET /v1/failover-plans",
        "get_plan": "GET /v1/failover-plans/{name}",
        "delete_plan": "DELETE /v1/failover-plans/{name}",
        "run_plan": "POST /v1/failover-plans/{name}/run",
    },
    Churn: {
        "churned": "POST /v1/churn/{reference}/left",
        "returned": "POST /v1/churn/{reference}/returned",
        "upcoming": "GET /v1/churn/upcoming",
        "from_csv": f"{LEFT_OUT}: POST /v1/churn/{{reference}}/left for each line",
        "check": "POST /v1/jobs/release",
        "approve": "POST /v1/jobs/release",
        "call_off": "POST /v1/jobs/{job_id}/cancel",
    },
    Onboarding: {
        "quote": "POST /v1/quotes",
        "order": "POST /v1/jobs/search-and-buy",
        "find": "GET /v1/jobs",
        "cancel": "POST /v1/jobs/{job_id}/cancel",
        "fulfilments": STREAM,
    },
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def methods_of(client: type) -> set[str]:
    return {name for name, member in inspect.getmembers(client) if not name.startswith("_") and callable(member)}


def test_every_command_is_in_the_table() -> None:
    """A new command belongs into `BY_COMMAND`: with its route, or with the reason why it has none."""
    assert set(BY_COMMAND) == {" ".join(words) for words in COMMANDS}


@pytest.mark.parametrize("client", BY_METHOD)
def test_every_method_is_in_the_table(client: type) -> None:
    assert set(BY_METHOD[client]) == methods_of(client)


def test_every_route_of_the_table_is_there() -> None:
    described = {f"{method.upper()} {path}" for path, operations in description()["paths"].items() for method in operations}
    named = {place for places in (BY_COMMAND, *BY_METHOD.values()) for place in places.values()}
    routes = {place for place in named if place.partition(" ")[0] in METHODS and ":" not in place}
    assert routes - described == set()
