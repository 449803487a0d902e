"""What is kept of a broken promise: all that happened to the jobs and numbers that the violation names, as each side saw it."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from didflow.contract.errors import JobNotFound
from didflow.ledger import script_calls
from didflow.ledger.ledger import Ledger
from tests.campaign.oracle import Heard
from tests.campaign.trouble import Struck
from worker.wavix.sandbox import SandboxAdmin

JOB = re.compile(r"\b[0-9a-f]{26}\b")
NUMBER = re.compile(r"\+?\b\d{9,15}\b")
#: Troubles this long before and after what happened are shown.
AROUND_S = 15.0
#: A violation may name hundreds; this many of each are looked up.
AT_MOST = 12
LOG_LINES = 200


@dataclass(frozen=True)
class Happened:
    """One thing that happened, at a moment of the wall clock."""

    at_s: float
    what: str

    def __str__(self) -> str:
        return f"{datetime.fromtimestamp(self.at_s, UTC).strftime('%H:%M:%S.%f')[:-3]}  {self.what}"


@dataclass(frozen=True)
class Evidence:
    """Of one violation. `jobs`, `numbers`, `calls`: by id or number, oldest first. `calls` are the provider's side."""

    violation: str
    jobs: Mapping[str, Sequence[Happened]] = field(default_factory=dict)
    numbers: Mapping[str, Sequence[Happened]] = field(default_factory=dict)
    calls: Mapping[str, Sequence[Happened]] = field(default_factory=dict)
    troubles: Sequence[Happened] = ()
    log: Sequence[str] = ()


class Witnesses:
    """Those who can say what happened: the ledger, the streams, the sandbox, the log of the troubles, and the workers' log."""

    def __init__(self, ledger: Ledger, heard: Heard, sandbox: SandboxAdmin, struck: Sequence[Struck], log: Path) -> None:
        self._ledger, self._heard, self._sandbox, self._struck, self._log = ledger, heard, sandbox, struck, log

    def of(self, violation: str) -> Evidence:
        """Everything about the jobs and numbers in it, and about the numbers that those jobs had."""
        jobs = list(dict.fromkeys(JOB.findall(violation)))[:AT_MOST]
        named = [f"+{one.removeprefix('+')}" for one in NUMBER.findall(JOB.sub("", violation))]
        numbers = list(dict.fromkeys([*named, *(number for job_id in jobs for number in self._numbers_of(job_id))]))[:AT_MOST]
        if not jobs:
            jobs = self._jobs_with(named)[:AT_MOST]
        stories = {job_id: self._job(job_id) for job_id in jobs}
        histories = {number: self._number(number) for number in numbers}
        came = {f"+{number}": [_came(one) for one in entries] for number, entries in self._sandbox.calls(numbers).items() if number}
        moments = [one.at_s for reported in (stories, histories, came) for happened in reported.values() for one in happened]
        troubles = [
            Happened(one.at_s, f"{one.name} {one.detail}".strip())
            for one in self._struck
            if not moments or min(moments) - AROUND_S <= one.at_s <= max(moments) + AROUND_S
        ]
        return Evidence(violation, stories, histories, came, troubles, self._lines({*jobs, *numbers}))

    def _numbers_of(self, job_id: str) -> list[str]:
        """What the job wrote of, and what it said at its end."""
        said = (event.data.numbers for event in self._heard.results.values() if event.subject == job_id)
        return [*self._ledger.numbers(job_id), *(number.number for numbers in said for number in numbers)]

    def _jobs_with(self, numbers: Iterable[str]) -> list[str]:
        """Whose result names one of them, or who ever bound one: a number that was abandoned is in no result."""
        wanted = set(numbers)
        results, events = self._heard.results.values(), self._heard.events.values()
        reported = [event.subject for event in results if wanted & {number.number for number in event.data.numbers}]
        others = {event.subject: None for event in (*results, *events)}
        return list(dict.fromkeys([*reported, *(job_id for job_id in others if wanted & set(self._ledger.numbers(job_id)))]))

    def _job(self, job_id: str) -> list[Happened]:
        try:
            view = self._ledger.get(job_id)
        except JobNotFound:
            return []
        asked = view.request.model_dump_json(exclude_defaults=True) if view.request else ""
        found = [Happened(view.created_at.timestamp(), f"submitted {view.kind} {asked} reference {view.reference}")]
        for step in self._ledger.perform(self._ledger.commands.steps(job_id)):
            asked_calls = " ".join(f"{one.call}({one.request})={one.answer}" for one in step.calls)
            witness = f"; witness {step.witness}" if step.witness else ""
            found.append(Happened(step.at.timestamp(), f"step (attempt {step.attempt}) {step.name}: {step.detail}{witness} {asked_calls}"))
        for stream, entries in (("result", self._heard.results), ("event", self._heard.events)):
            for event in entries.values():
                if event.subject == job_id:
                    reported = event.data.model_dump_json(exclude_defaults=True)
                    found.append(Happened(event.time.timestamp(), f"{stream} {event.type} {reported}"))
        kept = self._ledger.numbers(job_id)
        found += [Happened(datetime.now(UTC).timestamp(), f"at the end it has {number}: {text}") for number, text in kept.items()]
        return sorted(found, key=lambda one: one.at_s)

    def _number(self, number: str) -> list[Happened]:
        history = self._ledger.run(script_calls.history(number))
        return [
            Happened(entry.at.timestamp(), f"{entry.happened.model_dump_json(exclude_defaults=True)} by {entry.kind} {entry.job}")
            for entry in history.entries
        ]

    def _lines(self, words: set[str]) -> list[str]:
        """The newest lines of the workers' log that name any of them."""
        if not self._log.exists() or not words:
            return []
        with self._log.open(errors="replace") as lines:
            return [line.rstrip() for line in lines if any(word in line for word in words)][-LOG_LINES:]


def _came(entry: Mapping[str, Any]) -> Happened:
    fault = f" fault {entry['fault']};" if entry["fault"] else ""
    acted = "did nothing" if entry["acted"] is None else f"acted as {entry['acted']}"
    answered = "no answer went out" if entry["answered"] is None else f"answered {entry['answered']} {entry['answer']!r}"
    took_s = entry["ended_s"] - entry["came_s"]
    return Happened(
        entry["came_s"], f"{entry['method']} {entry['path']} ({entry['call']}):{fault} {acted}, {answered}, after {took_s:.3f} s"
    )


def page(evidence: Evidence, again: str, profiles: Sequence[str]) -> str:
    """Markdown for a person: the violation, how to run the campaign again, then each side's story."""
    lines = [f"# {evidence.violation}", "", f"Again: `{again}`", f"Profiles of the provider: {', '.join(profiles) or 'none'}"]
    for title, stories in (("Job", evidence.jobs), ("History of", evidence.numbers), ("The provider's calls on", evidence.calls)):
        for name, happened in stories.items():
            lines += ["", f"## {title} {name}", "", *_block(map(str, happened))]
    lines += ["", "## Troubles around that time", "", *_block(map(str, evidence.troubles))]
    return "\n".join([*lines, "", "## The workers' log", "", *_block(evidence.log), ""])


def write(found: Sequence[Evidence], folder: Path, again: str, profiles: Sequence[str]) -> None:
    """A page for each violation, the same as JSON, and an index."""
    folder.mkdir(parents=True, exist_ok=True)
    index = ["# Violations", "", f"Again: `{again}`", f"Profiles of the provider: {', '.join(profiles) or 'none'}", ""]
    for place, evidence in enumerate(found, 1):
        name = f"violation-{place:02d}"
        (folder / f"{name}.md").write_text(page(evidence, again, profiles))
        (folder / f"{name}.json").write_text(json.dumps(asdict(evidence), indent=1, default=str))
        index.append(f"{place}. [{evidence.violation}]({name}.md)")
    (folder / "README.md").write_text("\n".join(index) + "\n")


def _block(lines: Iterable[str]) -> list[str]:
    return ["```", *(list(lines) or ["nothing"]), "```"]
