"""What must hold of jobs, ledger and provider, whatever happened. `always`: at any moment; `at_end`: when every job is reported."""

import json
import time
from collections import Counter, defaultdict
from decimal import Decimal
from itertools import pairwise
from typing import cast

from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import CatalogueLook, Failback, FollowDocuments, Release, Reroute, SearchAndBuy, UploadDocument
from didflow.contract.results import Result, Totals
from didflow.contract.states import REPORTED, JobState, Outcome
from tests.support.simulation.simulation import Simulation

BOUGHT = (Outcome.BOUGHT, Outcome.BOUGHT_INACTIVE)
GIVEN_BACK = (Outcome.RELEASED, Outcome.ALREADY_RELEASED)
#: The reasons for which a job may be parked in these tests, and what they say.
PARKED_FOR = {"purchase_unsettled", "release_unclear", "still_parked"}

NOTHING = Result(totals=Totals(requested=0, done=0))

Entries = list[tuple[str, dict[str, str]]]


class Oracle:
    """Looks at a simulation. It remembers what was tainted: no job may take such a number."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._tainted: set[str] = set()
        self._used: dict[str, set[str]] = defaultdict(set)

    def always(self) -> None:
        """Every number that was paid for is one job's, as one that may be bought or is; no job has too many; nothing tainted is used."""
        holders: dict[str, list[str]] = defaultdict(list)
        for job, request in self._purchases():
            held = {number for number, status in self._picks(job).items() if status in ("carted", "kept")}
            used = {number for number, status in self._picks(job).items() if status in ("bound", "carted", "kept")}
            spoiled = (used - self._used[job.id]) & self._tainted
            assert not spoiled, f"{job.id} takes {spoiled}, which a call that is under way might buy"
            self._used[job.id] = used
            for number in held:
                holders[number].append(job.id)
            bought = held & self._paid().keys()
            assert len(bought) <= request.quantity, f"{job.id} wants {request.quantity} and bought {sorted(bought)}"
        for number, count in self._paid().items():
            assert count == 1 or number in self._given_back().values(), f"{number} was paid {count} times"
            assert len(holders[number]) == count, f"{number} was paid {count} times, and these jobs know of it: {holders[number]}"
        assert set(self._given_back().values()) <= self._asked_to_go(), "only what was named was given back"
        self._tainted |= self._simulation.tainted()

    def at_end(self) -> None:
        """All that is promised of reported jobs. An attempt that died may still continue: nothing here may change by it."""
        self.always()
        for job in self._simulation.jobs:
            view = self._simulation.view(job)
            assert view.state in REPORTED
            assert not [step for step in self._simulation.story(job) if "error in didflow itself" in step]
            if view.state is JobState.NEEDS_REVIEW:
                assert view.error is not None
                assert view.error.code in PARKED_FOR
            match self._simulation.requests[job.id]:
                case SearchAndBuy() as request:
                    self._purchase(job, request, view)
                case Release() as request:
                    self._release(request, view)
                case Reroute() | Failback():
                    self._moves(view)
        self._money()
        self._every_release_is_recorded()
        self._events()
        self._histories()

    def _purchase(self, job: Job, request: SearchAndBuy, view: JobView) -> None:
        held = {number for number, status in self._picks(job).items() if status in ("carted", "kept")} & self._paid().keys()
        reported = _numbers(view, *BOUGHT)
        if view.state is JobState.NEEDS_REVIEW:
            assert held <= reported | _numbers(view, Outcome.UNCLEAR), "a parked job names every number that may be ours"
            return
        assert held == reported, f"bought {sorted(held)}, reported {sorted(reported)}"
        assert len(reported) <= request.quantity
        if view.result is not None:
            assert view.result.totals.done == len(reported)
        if view.state is JobState.SUCCEEDED:
            assert len(reported) == request.quantity
        if view.state in (JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED):
            assert not reported
        if view.state is JobState.SUCCEEDED and request.destinations:
            wanted = [one.destination for one in request.destinations]
            untouched = reported - self._rerouted() - set(self._given_back().values())
            assert all(self._simulation.routes()[number] == wanted for number in untouched)

    def _release(self, request: Release, view: JobView) -> None:
        reported = _records(view, *GIVEN_BACK)
        assert reported <= self._given_back().keys(), "what is reported as given back is gone"
        assert {self._given_back()[record] for record in reported} <= set(request.numbers)
        if view.state is JobState.SUCCEEDED:
            assert len(reported) == len(request.numbers)

    def _every_release_is_recorded(self) -> None:
        views = [self._simulation.view(job) for job in self._simulation.jobs]
        reported = {record for view in views for record in _records(view, *GIVEN_BACK, Outcome.UNCLEAR)}
        assert self._given_back().keys() <= reported

    def _moves(self, view: JobView) -> None:
        if view.result is None:
            return
        for number in view.result.numbers:
            if number.outcome in (Outcome.CONFIRMED, Outcome.UNCHANGED) and self._is_last_word(view, number.number):
                assert number.route_after is not None
                assert self._simulation.routes()[number.number] == [one.destination for one in number.route_after]

    def _is_last_word(self, view: JobView, number: str) -> bool:
        """Whether nobody else was to move this number, or to give it back: then its route is what this job left."""
        others = [
            job for job in self._simulation.jobs if job.id != view.id and not isinstance(self._simulation.requests[job.id], SearchAndBuy)
        ]
        return not any(number in self._named(job) for job in others)

    def _money(self) -> None:
        """What is reported as charged is what was charged; what parked jobs leave open lies between."""
        views = [self._simulation.view(job) for job, _ in self._purchases()]
        reported = sum((view.result.totals.charged_usd for view in views if view.result), Decimal(0))
        if any(view.state is JobState.NEEDS_REVIEW for view in views):
            assert reported <= self._simulation.sandbox.charged_usd()
        else:
            assert reported == self._simulation.sandbox.charged_usd()

    def _events(self) -> None:
        """One result per job (and one more for each time that a person let it continue), ids once, in order, none missing."""
        numbers: dict[str, list[int]] = defaultdict(list)
        results: Counter[str] = Counter()
        for stream in (self._simulation.ledger.keys.events, self._simulation.ledger.keys.results):
            before: dict[str, int] = {}
            for _, fields in cast("Entries", self._simulation.ledger.client.xrange(stream)):
                job_id, _, seq = fields["id"].partition(":")
                assert before.get(job_id, 0) < int(seq), f"{stream}: {fields['id']} came after {before.get(job_id)}"
                before[job_id] = int(seq)
                numbers[job_id].append(int(seq))
                results[job_id] += stream == self._simulation.ledger.keys.results
        for job in self._simulation.jobs:
            assert sorted(numbers[job.id]) == list(range(1, len(numbers[job.id]) + 1))
            assert results[job.id] == 1 + self._simulation.retried.count(job.id)

    def _histories(self) -> None:
        """What is reported of a number is in its history, by that job; a purchase and a release once, whatever died and was repeated."""
        histories = self._simulation.histories()
        for number, history in histories.items():
            assert not history.faults, (number, history.faults)
            said = [(entry.job, entry.happened.what, entry.happened.record_id) for entry in history.entries]
            assert all(one[:2] != other[:2] for one, other in pairwise(said)), f"{number} is reported twice: {said}"
        reported = Counter(
            (entry.job, number, str(entry.happened.what)) for number, history in histories.items() for entry in history.entries
        )
        for job in self._simulation.jobs:
            for one in (self._simulation.view(job).result or NOTHING).numbers:
                outcome = one.outcome.value if one.outcome else ""
                if one.outcome in (*BOUGHT, *GIVEN_BACK):
                    assert reported[job.id, one.number, outcome] == 1, (outcome, one.number, histories.get(one.number))
                elif one.outcome is Outcome.CONFIRMED and one.route_before != one.route_after:
                    assert reported[job.id, one.number, "routed"] >= 1, (one.number, histories.get(one.number))
        bought = {number for (_, number, what), _ in reported.items() if what in BOUGHT}
        assert bought <= self._paid().keys(), "nothing is recorded as bought that wasn't paid"

    def _purchases(self) -> list[tuple[Job, SearchAndBuy]]:
        asked = [(job, self._simulation.requests[job.id]) for job in self._simulation.jobs]
        return [(job, request) for job, request in asked if isinstance(request, SearchAndBuy)]

    def _picks(self, job: Job) -> dict[str, str]:
        return {number: json.loads(text)["status"] for number, text in self._simulation.ledger.numbers(job.id).items()}

    def _paid(self) -> Counter[str]:
        return Counter(f"+{entry['number']}" for entry in self._simulation.sandbox.ledger())

    def _given_back(self) -> dict[int, str]:
        """Record id and number of what was ours and isn't any more. A number that was bought again has another record."""
        records = self._simulation.sandbox.service.world.accounts["default"].records.values()
        return {record.id: f"+{record.number}" for record in records if not record.ours.at(time.monotonic())}

    def _asked_to_go(self) -> set[str]:
        return {number for request in self._simulation.requests.values() if isinstance(request, Release) for number in request.numbers}

    def _rerouted(self) -> set[str]:
        return {number for request in self._simulation.requests.values() if isinstance(request, Reroute) for number in request.numbers}

    def _named(self, job: Job) -> set[str]:
        match self._simulation.requests[job.id]:
            case Reroute(numbers=numbers) | Release(numbers=numbers):
                return set(numbers)
            case Failback(job_id=other):
                return self._named(next(job for job in self._simulation.jobs if job.id == other))
            case SearchAndBuy() | FollowDocuments() | UploadDocument() | CatalogueLook():
                return set()


def _numbers(view: JobView, *outcomes: Outcome) -> set[str]:
    """Those that the job reports with one of these outcomes."""
    return {number.number for number in view.result.numbers if number.outcome in outcomes} if view.result else set()


def _records(view: JobView, *outcomes: Outcome) -> set[int]:
    """The same by record id."""
    return {number.record_id or 0 for number in view.result.numbers if number.outcome in outcomes} if view.result else set()
