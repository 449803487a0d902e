"""Every command of `didflow`, in the order in which `didflow --help` shows them: where it is, and what it does.

The summary is the first paragraph of the command's own help. It stands here too so that `--help` and completion load no command.
"""

from dataclasses import dataclass

from producers.cli.processes import ROLES, Role


@dataclass(frozen=True)
class Command:
    """A function, or a Typer app with commands of its own: `module:name`."""

    place: str
    summary: str


#: The sections of `didflow --help`, and the commands of each.
SECTIONS: dict[str, dict[str, Command | Role]] = {
    "Submit": {
        "buy": Command(
            "producers.cli.buy:buy",
            "Search for numbers and buy them, once per key. A dry run prints the price and a quote that can be ordered.",
        ),
        "reroute": Command(
            "producers.cli.reroute_release:reroute",
            "Change where calls to your numbers go. `didflow failback JOB` restores each number's previous route.",
        ),
        "failover": Command(
            "producers.cli.failover_rehearsal:failover_app",
            "Move numbers to another destination now. `didflow failback INCIDENT` restores each previous route.",
        ),
        "failback": Command(
            "producers.cli.failover:failback",
            "Restore the previous route of each number of a reroute or an incident. Skips numbers that were changed since.",
        ),
        "release": Command(
            "producers.cli.reroute_release:release",
            "Release numbers to the provider, permanently. Until they are released, `didflow cancel` restores everything.",
        ),
        "churn": Command(
            "producers.cli.churn:churn_app", "Release the numbers of customers who left, and restore them for customers who return."
        ),
        "documents": Command(
            "producers.cli.documents:documents_app", "List the documents that numbers need, upload them, and follow their review."
        ),
        "pool": Command("producers.cli.pool:pool_app", "Show and return the pool's numbers, which `buy --reuse` assigns before it buys."),
        "freeze": Command(
            "producers.cli.freeze:freeze",
            "Stop purchases and releases, of one account or of all, until `didflow unfreeze`. Reroutes and failbacks continue.",
        ),
        "unfreeze": Command(
            "producers.cli.freeze:unfreeze",
            "Lift a freeze: the jobs that waited for it continue. Without --account it lifts the freeze of all accounts.",
        ),
        "cancel": Command(
            "producers.cli.jobs:cancel",
            "Cancel a job. Completed effects stay; what can be undone is undone. Exit code 6 if the job has already ended.",
        ),
    },
    "Inspect": {
        "catalogue": Command(
            "producers.cli.catalogue:catalogue_app",
            "List the countries, regions, cities and numbers that can be bought. Nothing is bought or reserved.",
        ),
        "status": Command(
            "producers.cli.jobs:status", "Show a job, or the outcome of each of its numbers. With --wait: once the job has ended."
        ),
        "jobs": Command("producers.cli.jobs:jobs", "List jobs, newest first."),
        "explain": Command(
            "producers.cli.jobs:explain",
            "Show a job's steps: each with its time, the provider's request and answer, the decision, and what to do now.",
        ),
        "numbers": Command(
            "producers.cli.numbers:numbers_app", "List the account's numbers, with what they cost and where their calls go."
        ),
        "routes": Command("producers.cli.routes:routes_app", "Show where each number's calls went at a moment, and what changed since."),
        "history": Command(
            "producers.cli.history:history",
            "Show a number's history, from purchase to release. Exit code 1 if an entry was changed by hand.",
        ),
        "decisions": Command(
            "producers.cli.decisions:decisions",
            "List who changed plans, the pool, dead letters, consumer groups and the ledger's provider, newest first.",
        ),
        "audit": Command(
            "producers.cli.audit:audit",
            "List the changes that people and keys made, newest first. With --verify: exit code 1 if an entry was changed by hand.",
        ),
        "incidents": Command(
            "producers.cli.incidents:incidents_app",
            "List incidents, newest first. An incident groups the jobs that moved numbers away and back.",
        ),
        "results": Command(
            "producers.cli.jobs:results_app",
            "Print results, one per ended job. Without --group, print the newest and acknowledge nothing.",
        ),
        "onboarding": Command("producers.cli.onboarding:onboarding_app", "Follow the orders of new customers and print their fulfilments."),
        "spend": Command(
            "producers.cli.spend:spend", "Show the spending of the last hour and day, the limits, and what open checkouts hold."
        ),
        "activity": Command(
            "producers.cli.activity:activity",
            "List the last minutes in which something happened: jobs that ended, USD that were spent, the provider's latency.",
        ),
        "doctor": ROLES["doctor"],
        "reconcile": ROLES["reconcile"],
    },
    "Review": {
        "dead-letters": Command(
            "producers.cli.dead_letters:dead_letters",
            "List parked jobs, poison results, refused business events and foreign messages. --replay and --drop settle them.",
        ),
        "evidence": Command(
            "producers.cli.evidence:evidence",
            "Show what is known of each open number of a parked job, how old it is, and what it proves.",
        ),
        "retry": Command(
            "producers.cli.review:retry", "Retry a parked job from its last checkpoint. Safe: nothing is bought or released twice."
        ),
        "resolve": Command(
            "producers.cli.review:resolve",
            "End a parked job with what you found in the account. Open numbers that you don't name count as not taken effect.",
        ),
    },
    "Configure": {
        "settings": Command("producers.cli.settings:settings", "List every setting with its value and source. Secrets are masked."),
        "schema": Command(
            "producers.cli.settings:schema",
            "Print the JSON Schema of requests, of events on both streams, or of business events from other systems.",
        ),
        "keys": Command(
            "producers.cli.keys:keys_app", "Create, list, rotate and revoke keys of the HTTP API, and end sessions of the console."
        ),
        "adopt": ROLES["adopt"],
        "completion": Command(
            "didflow.terminal.shells:completion",
            "Print the script that completes didflow's commands, options, jobs, incidents and plans in a shell.",
        ),
    },
    "Run": {
        "up": ROLES["up"],
        "demo": ROLES["demo"],
        "worker": ROLES["worker"],
        "serve": Command(
            "producers.cli.serve:serve",
            "Serve jobs over HTTP, and the console for people, until SIGTERM.",
        ),
        "sandbox": ROLES["sandbox"],
        "webhooks": Command(
            "producers.cli.webhooks:webhooks_app",
            "Post events to URLs, signed: make endpoints, redeliver, run the process.",
        ),
        "requests": Command(
            "producers.cli.business_events:requests_app", "Consume business events that other systems write to a Redis stream."
        ),
    },
}
