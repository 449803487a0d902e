"""The jobs of a campaign: what is asked of didflow, and what must be true at the end because of it."""

import itertools
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from didflow import Didflow
from didflow.contract.destinations import Destination
from didflow.contract.errors import DidflowError, InvalidRequest, ServiceUnavailable
from didflow.contract.requests import Failback, Release, Request, Reroute, SearchAndBuy
from didflow.contract.states import Outcome
from didflow.ledger.script_calls import Submission
from producers.churn import Churn
from tests.campaign.countdown_oracle import TRUNK, Countdown
from tests.campaign.countdowns import Meddling, insist
from tests.campaign.http_client import HttpClient
from worker.wavix.sandbox import SandboxAdmin

CITIES = (
    ("US", "LOS ANGELES, CA"),
    ("US", "SAN DIEGO, CA"),
    ("US", "HOUSTON, TX"),
    ("CA", "TORONTO, ON"),
    ("NL", "Amsterdam"),
    ("GB", "London"),
    ("DE", "Berlin"),
)
#: Numbers of one group belong together: overlapping reroutes of the same group fight for them.
GROUP = 12


Routes = dict[str, list[Any]]


@dataclass(frozen=True)
class Asked:
    """One submitted job, in the order of the ledger's answers for its group."""

    job_id: str
    request: Request
    key: str
    cancelled: bool = False


@dataclass
class Work:
    """Submits jobs, one after another, and remembers each. `owned` are the numbers that the account has at the beginning, in groups."""

    didflow: Didflow
    rng: random.Random
    groups: list[list[str]]
    sandbox: SandboxAdmin
    only: str | None = None
    cities: Sequence[tuple[str, str]] = CITIES
    http: HttpClient | None = None
    asked: list[Asked] = field(default_factory=list)
    countdowns: list[Countdown] = field(default_factory=list)
    repeated: int = 0
    _count: "itertools.count[int]" = field(default_factory=itertools.count)
    _fights: dict[int, int] = field(default_factory=dict)
    _left: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.meddling = Meddling(self.didflow, random.Random(self.rng.random()), self.sandbox)

    def submit_one(self) -> Asked:
        """The next job of the mix."""
        kinds: Mapping[str, tuple[Callable[[], Request | Asked | None], int]] = {
            "buy": (self._buy, 44),
            "reuse": (self._reuse, 6),
            "reroute": (self._reroute, 18),
            "failback": (self._failback, 7),
            "release": (self._release, 9),
            "countdown": (self._countdown, 8),
            "leave": (self._leave, 8),
            "quote": (self._quote, 5),
        }
        names = self.only.split(",") if self.only else list(kinds)
        name = self.rng.choices(names, [kinds[name][1] for name in names])[0]
        request = kinds[name][0]() or self._buy()
        if isinstance(request, Asked):
            self.asked.append(request)
            return request
        key = f"campaign-{next(self._count)}"
        routes = self._routes() if name == "countdown" else {}
        job_id = self._accepted(request, key)
        if isinstance(request, Release) and request.counts_down:
            self._counts_down(job_id, request, routes)
        cancelled = self.rng.random() < 0.04 and (isinstance(request, SearchAndBuy) or name == "release")
        asked = Asked(job_id, request, key, cancelled)
        self.asked.append(asked)
        if cancelled:
            threading.Timer(self.rng.uniform(0.0, 2.0), self._cancel, (job_id,)).start()
        return asked

    def remember(self, job_id: str, request: Request, key: str) -> None:
        """A job that was submitted by another party than `submit_one`."""
        self.asked.append(Asked(job_id, request, key))

    def _accepted(self, request: Request, key: str) -> str:
        """Submit until it is accepted; now and then from two threads at once, and now and then once more afterwards."""
        submission = Submission(request, idempotency_key=key, reference=key)
        if self.rng.random() < 0.1:
            other = threading.Thread(target=self._insist, args=(submission, self._way()))
            other.start()
            job_id = self._insist(submission, self._way())
            other.join()
        else:
            job_id = self._insist(submission, self._way())
        if self.rng.random() < 0.05:
            self.repeated += 1
            again = self._insist(submission, self._way())
            assert again == job_id, f"the same key gave {again} after {job_id}"
        return job_id

    def _way(self) -> Callable[[Submission], str]:
        """A third over HTTP, where it is served; the same key may go both ways."""
        return self.http.submit if self.http is not None and self.rng.random() < 1 / 3 else self._submit

    def _submit(self, submission: Submission) -> str:
        key, reference = submission.idempotency_key, submission.reference
        return self.didflow.submit(submission.request, idempotency_key=key, reference=reference).id

    def _insist(self, submission: Submission, way: Callable[[Submission], str]) -> str:
        """As a producer does it: the same key until there is an answer."""
        return insist(lambda: way(submission))

    def _cancel(self, job_id: str) -> None:
        for _ in range(50):
            try:
                self.didflow.cancel(job_id)
                return
            except ServiceUnavailable:
                time.sleep(0.3)
            except DidflowError:
                return

    def _buy(self) -> SearchAndBuy:
        country, city = self.rng.choice(self.cities)
        policy = self.rng.choice(("all_or_nothing", "all_or_nothing", "best_effort", "at_least"))
        quantity = self.rng.choice((1, 1, 2, 3, 5))
        return SearchAndBuy(
            country=country,
            city=(city,),
            quantity=quantity,
            policy=policy,
            at_least=1 if policy == "at_least" else None,
            documents="allow_inactive",
            max_monthly_usd=self.rng.choice((None, Decimal("5.00"))),
            destinations=self.rng.choice(((), (Destination.trunk(144),))),
        )

    def _reuse(self) -> SearchAndBuy:
        """Where the numbers are that the account had at first."""
        country, city = CITIES[0]
        terms = {"reuse": True, "country": country, "city": (city,), "max_monthly_usd": None, "destinations": (Destination.trunk(TRUNK),)}
        return self._buy().model_copy(update=terms)

    def _quote(self) -> SearchAndBuy:
        return self._buy().model_copy(update={"dry_run": True})

    def _reroute(self) -> Reroute | None:
        """Half of the groups are fought over; in the other half each is moved once and given back."""
        place = self.rng.randrange(len(self.groups))
        if place % 4 in (1, 3):
            return None
        to = self.rng.choice((Destination.sip(f"pbx{self.rng.randrange(5)}@example.net"), Destination.trunk(145)))
        numbers = self.groups[place]
        if place % 4 == 2:
            if place in self._fights:
                return None
        else:
            numbers = self.rng.sample(numbers, self.rng.randint(2, GROUP))
        self._fights[place] = len(self.asked)
        return Reroute(numbers=tuple(numbers), destinations=(to,))

    def _failback(self) -> Failback | None:
        """Of a whole-group reroute that wasn't failed back yet, a young one: an old one may be gone."""
        done = {asked.request.job_id for asked in self.asked if isinstance(asked.request, Failback)}
        whole = [asked for asked in self.asked if isinstance(asked.request, Reroute) and self._is_whole(asked.request)]
        waiting = [asked for asked in whole if asked.job_id not in done]
        return Failback(job_id=self.rng.choice(waiting[-3:]).job_id) if waiting else None

    def _is_whole(self, request: Reroute) -> bool:
        return any(place % 4 == 2 and request.numbers == tuple(group) for place, group in enumerate(self.groups))

    def _release(self) -> Release | None:
        """A few numbers of a group that is there to be released; each at most once."""
        places = [place for place, group in enumerate(self.groups) if place % 4 in (1, 3) and group]
        if not places:
            return None
        group = self.groups[self.rng.choice(places)]
        return Release(numbers=tuple(group.pop() for _ in range(min(len(group), self.rng.randint(1, 4)))))

    def _countdown(self) -> Release | None:
        """The same with a time before it."""
        request = self._release()
        return Release.model_validate({"numbers": request.numbers, **self.meddling.terms()}) if request else None

    def _leave(self) -> Asked | None:
        """One whose numbers were bought leaves, and all of them go; each once."""
        bought = [one for one in self.asked if isinstance(one.request, SearchAndBuy) and one.key not in self._left]
        for one in self.rng.sample(bought, min(4, len(bought))):
            if self._has_numbers(one.job_id):
                self._left.add(one.key)
                return self._leaves(one.key, f"campaign-{next(self._count)}")
        return None

    def _leaves(self, reference: str, key: str) -> Asked | None:
        terms, routes = self.meddling.terms(), self._routes()
        try:
            job_id = insist(lambda: Churn(self.didflow).churned(reference, idempotency_key=key, **terms).id)
        except InvalidRequest:
            return None  # Nothing is theirs any more. If that is wrong, the oracle misses the numbers.
        request = insist(lambda: self.didflow.get(job_id)).request
        assert isinstance(request, Release)
        self._counts_down(job_id, request, routes, reference)
        return Asked(job_id, request, key)

    def _has_numbers(self, job_id: str) -> bool:
        """Whether it has ended, with numbers that have the routes that were requested."""
        view = insist(lambda: self.didflow.get(job_id))
        bought = (
            [number for number in view.result.numbers if number.outcome in (Outcome.BOUGHT, Outcome.BOUGHT_INACTIVE)] if view.result else []
        )
        return view.state.is_terminal and bool(bought) and not any(number.error for number in bought)

    def _counts_down(self, job_id: str, request: Release, routes: Routes, reference: str | None = None) -> None:
        self.countdowns.append(Countdown(job_id, request, {number: routes[number] for number in request.numbers}))
        self.meddling.with_countdown(job_id, request, reference)

    def _routes(self) -> Routes:
        """Where each number goes now."""
        return {f"+{number}": record["destinations"] for number, record in self.sandbox.owned().items()}
