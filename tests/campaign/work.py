"""The jobs of a campaign: what is asked of didflow, and what must be true at the end because of it."""

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from producers import Didflow
from worker.contract.destinations import Destination
from worker.contract.errors import DidflowError, ServiceUnavailable
from worker.contract.requests import Failback, Release, Request, Reroute, SearchAndBuy
from worker.ledger.calls import Submission

CITIES = (
    ("US", "LOS ANGELES, CA"),
    ("US", "SAN DIEGO, CA"),
    ("US", "HOUSTON, TX"),
    ("CA", "TORONTO, ON"),
    ("NL", "Amsterdam"),
    ("GB", "London"),
    ("DE", "Berlin"),
)
#: A submit is repeated until it is answered; an outage lasts less than this.
ACCEPTED_WITHIN_S = 90.0
#: Numbers of one group belong together: overlapping reroutes of the same group fight for them.
GROUP = 12


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
    buys_only: bool = False
    cities: Sequence[tuple[str, str]] = CITIES
    asked: list[Asked] = field(default_factory=list)
    repeated: int = 0
    _count: "itertools.count[int]" = field(default_factory=itertools.count)
    _fights: dict[int, int] = field(default_factory=dict)

    def submit_one(self) -> Asked:
        """The next job of the mix."""
        kinds: Sequence[tuple[Callable[[], Request | None], int]] = (
            (self._buy, 55),
            (self._reroute, 20),
            (self._failback, 8),
            (self._release, 12),
            (self._quote, 5),
        )
        weights = [weight for _, weight in kinds]
        make = self._buy if self.buys_only else self.rng.choices([make for make, _ in kinds], weights)[0]
        request = make() or self._buy()
        key = f"campaign-{next(self._count)}"
        job_id = self._accepted(request, key)
        cancelled = self.rng.random() < 0.04 and isinstance(request, SearchAndBuy | Release)
        asked = Asked(job_id, request, key, cancelled)
        self.asked.append(asked)
        if cancelled:
            threading.Timer(self.rng.uniform(0.0, 2.0), self._cancel, (job_id,)).start()
        return asked

    def remember(self, job_id: str, request: Request, key: str) -> None:
        """A job that was submitted by somebody else than `submit_one`."""
        self.asked.append(Asked(job_id, request, key))

    def _accepted(self, request: Request, key: str) -> str:
        """Submit until it is accepted; now and then from two threads at once, and now and then once more afterwards."""
        submission = Submission(request, idempotency_key=key, reference=key)
        if self.rng.random() < 0.1:
            other = threading.Thread(target=self._insist, args=(submission,))
            other.start()
            job_id = self._insist(submission)
            other.join()
        else:
            job_id = self._insist(submission)
        if self.rng.random() < 0.05:
            self.repeated += 1
            again = self._insist(submission)
            assert again == job_id, f"the same key gave {again} after {job_id}"
        return job_id

    def _insist(self, submission: Submission) -> str:
        """As a producer does it: the same key until there is an answer."""
        deadline_s = time.monotonic() + ACCEPTED_WITHIN_S
        while True:
            try:
                return self.didflow.submit(
                    submission.request, idempotency_key=submission.idempotency_key, reference=submission.reference
                ).id
            except ServiceUnavailable:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.2)

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
