"""A campaign's outcome as a table to read and as JSON to keep."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

from tests.campaign import evidence
from tests.campaign.campaign import Outcome


def summary(outcome: Outcome) -> str:
    """Markdown: what was asked, what went wrong, what was broken."""
    plan = outcome.plan
    rows = [
        ("seed, seconds of trouble, seconds in all", f"{plan.seed}, {plan.seconds:g}, {outcome.took_s:.0f}"),
        ("profiles of the provider", ", ".join(outcome.profiles) or "none"),
        ("jobs", _counted(outcome.jobs)),
        ("ended as", _counted(outcome.states)),
        ("parked for", _counted(outcome.parked_for)),
        ("events that a job waits for", _counted(outcome.waits)),
        ("numbers bought", str(outcome.numbers_bought)),
        ("countdowns and their numbers", _counted(outcome.countdowns)),
        ("worker processes started", str(outcome.worker_starts)),
        ("faults of workers, Valkey, connections, queue", f"{sum(outcome.troubles.values())}: {_counted(outcome.troubles)}"),
        ("fault points at which a worker was to die, of those reached", f"{outcome.points[0]} of {outcome.points[1]}"),
        ("replies swallowed after the script ran", _counted(outcome.replies_lost)),
        ("faults of the provider, by call", f"{sum(outcome.provider_faults.values())}: {_counted(outcome.provider_faults)}"),
        ("submits over HTTP", _counted(outcome.http)),
        ("answers to webhooks", _counted(outcome.webhooks)),
        ("a killed worker's job runs again after, s", _spread(outcome.recovery_s)),
        ("anything moves after Valkey is back after, s", _spread(outcome.restart_s)),
        ("**violations**", f"**{len(outcome.violations)}**"),
    ]
    lines = ["| what | how much |", "| --- | --- |", *(f"| {what} | {how_much} |" for what, how_much in rows)]
    again = ["", f"Again: `{outcome.plan.again()}`"] if outcome.violations else []
    return "\n".join(lines + [f"- {violation}" for violation in outcome.violations[:50]] + again)


def write(outcome: Outcome, folder: Path) -> Path:
    """Both forms, into files named after the seed, and a folder with the evidence of each violation; returns the table's path."""
    folder.mkdir(parents=True, exist_ok=True)
    if outcome.evidence:
        evidence.write(outcome.evidence, folder / f"seed-{outcome.plan.seed}-evidence", outcome.plan.again(), outcome.profiles)
    fields = asdict(replace(outcome, evidence=[]))
    fields["plan"].pop("first_orders")
    (folder / f"seed-{outcome.plan.seed}.json").write_text(json.dumps(fields, indent=1, default=str))
    table = folder / f"seed-{outcome.plan.seed}.md"
    table.write_text(summary(outcome) + "\n")
    return table


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))) or "none"


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "none seen"
    p95 = seconds[min(len(seconds) - 1, int(len(seconds) * 0.95))]
    return f"p50 {median(seconds):.1f}, p95 {p95:.1f}, max {seconds[-1]:.1f} ({len(seconds)} times)"
