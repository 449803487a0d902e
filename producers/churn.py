"""Churn: release a leaving customer's numbers, and never a wrong one. Two ways:

    churn = Churn(Didflow.from_env())
    churn.churned("acme", grace="7d", parking=(Destination.sip("goodbye@example.net"),))   # all numbers that were bought for them
    churn.returned("acme")                                                                 # they came back: nothing happened

    check = churn.check("contract-88", ["+12135550100"])    # check first: changes nothing
    churn.approve("contract-88", check.id)                   # releases the records that the check showed

A release names records, not numbers: a number that was released and bought again in between has a new record id and stays.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from didflow.client.review import RELEASED
from didflow.client.similar import similar
from didflow.client.submission import submit_one
from didflow.client.submit_checks import check
from didflow.client.sync.client import Didflow
from didflow.contract.departures import Departures
from didflow.contract.destinations import Destination
from didflow.contract.errors import DidflowError, IdempotencyConflict, InvalidRequest, ServiceUnavailable, WrongJob
from didflow.contract.jobs import Job, JobView
from didflow.contract.requests import Release, SearchAndBuy, built
from didflow.contract.results import NumberResult
from didflow.contract.states import Outcome as NumberOutcome
from didflow.ledger.departures import upcoming
from didflow.ledger.going_numbers import going
from didflow.ledger.number_holders import held_for, holders
from didflow.ledger.script_calls import Submission, submit
from producers.churn_csv import ChurnLine, Told, read_lines
from producers.churn_dry_run import Rehearsal
from producers.churn_repeated import leaves_with, same_as

#: Default grace period for the numbers of a customer who left.
GRACE = timedelta(days=7)
#: Later than any release.
MOST_DAYS = 365_000
#: The number of a reference's newest jobs that are searched.
JOBS_AT_MOST = 1000


Outcome = Literal["kept", "unclear", "partly_gone", "gone", "nothing"]


@dataclass(frozen=True)
class Returned:
    """What a customer who came back finds. `outcome`: ``kept`` all numbers, ``partly_gone``, ``gone``, or ``nothing``: no release is known.
    ``unclear``: none is known to be gone, and a release may have some under way.

    called_off  the cancelled releases: a worker restores the numbers' routes
    kept        numbers that are still theirs
    unclear     numbers that may yet go, or have gone: a release of them was begun, and what became of it isn't known
    gone        numbers that their last release released, permanently
    similar     ready requests for numbers like those: submit them, with a key, if the customer wants them
    """

    reference: str
    outcome: Outcome
    called_off: tuple[str, ...]
    kept: tuple[str, ...]
    gone: tuple[str, ...]
    similar: tuple[SearchAndBuy, ...]
    unclear: tuple[str, ...] = ()


class Churn:
    """Releases of one account."""

    def __init__(self, didflow: Didflow, *, account: str = "default", protected_labels: Iterable[str] = ()) -> None:
        self._didflow, self._account = didflow, account
        self._protected_labels = tuple(protected_labels)

    def churned(
        self,
        reference: str,
        *,
        numbers: Sequence[str] = (),
        at: datetime | date | str | None = None,
        grace: timedelta | str = GRACE,
        before_renewal: timedelta | str | None = None,
        parking: Sequence[Destination] = (),
        stop_on_traffic: bool = True,
        reusable: bool = False,
        idempotency_key: str | None = None,
    ) -> Job:
        """A customer left: schedule the release of `numbers`, or of all that were bought for this reference. For the times see `Release`.

        Only what was bought for this reference goes, and that is asked again at the moment it goes. A key has one job for ever. Numbers
        that leave already on the same terms stay with the job that has them, and the others get a new one (`producers.churn_repeated`).
        Raises InvalidRequest (bad times, numbers of others, nothing to release); IdempotencyConflict if the key was used for something
        else; AlreadyLeaving if one of the numbers leaves on other terms; ServiceUnavailable: repeat it then.
        """
        terms: dict[str, Any] = {"grace": grace, "before_renewal": before_renewal, "parking": tuple(parking)}
        terms |= {"at": at, "stop_on_traffic": stop_on_traffic, "reusable": reusable}
        return self._churned(reference, numbers, terms, idempotency_key)

    def returned(self, reference: str, *, timeout_s: float = 0.0) -> Returned:
        """A customer came back: call their releases off, and say what is still there.

        `timeout_s`: wait so long for workers to end; before that a number may just be going. Raises WaitTimeout, ServiceUnavailable.
        """
        return self._returned(reference, timeout_s, None)

    def upcoming(self, within: timedelta | None = timedelta(days=7), *, all_accounts: bool = False) -> tuple[Departures, ...]:
        """The releases with numbers that go within this time (None: at any time), those that go first come first.

        A release that is parked, or of which it isn't known when its numbers go, is among them. Looks at the kind of each open job.
        """
        ledger = self._didflow.ledger
        span = timedelta(days=MOST_DAYS) if within is None else within
        return ledger.perform(upcoming(ledger.commands, span, None if all_accounts else self._account))

    def _returned(self, reference: str, timeout_s: float, rehearsal: Rehearsal | None) -> Returned:
        jobs = self._jobs(reference) if rehearsal is None else rehearsal.of(reference, self._jobs(reference))
        releases = [view for view in jobs if _is_release(view)]
        open_ones = [view for view in releases if not view.state.is_terminal]
        for view in open_ones if rehearsal is None else ():
            self._didflow.cancel(view.id)
            if timeout_s:
                self._didflow.wait(view.id, timeout_s)
        held = set(self._held(reference))
        known = {view.id for view in open_ones}
        last = next((view for view in releases if view.id not in known and _went(view)), None)
        if rehearsal is not None:
            rehearsal.call_off(sorted(known))
        looked = (open_ones if rehearsal is not None else [self._didflow.get(job_id) for job_id in known]) + ([last] if last else [])
        gone = tuple(sorted({number for view in looked for number in _went(view)} - held))
        unclear = self._didflow.ledger.perform(going(self._didflow.ledger.keys, self._account, sorted(held)))
        outcome: Outcome = ("partly_gone" if held else "gone") if gone else ("kept" if held or open_ones else "nothing")
        outcome = "unclear" if outcome == "kept" and unclear else outcome
        purchases = [view for view in jobs if isinstance(view.request, SearchAndBuy)]
        called_off = tuple(view.id for view in open_ones)
        kept = tuple(sorted(held - unclear))
        return Returned(reference, outcome, called_off, kept, gone, similar(gone, purchases), tuple(sorted(unclear)))

    def from_csv(self, lines: Iterable[str | bytes], *, dry_run: bool = False) -> Iterator[ChurnLine]:
        """Do what each line of a CSV says, and report each, as it is done; a broken line stops no other. See `producers.churn_csv`.

        `dry_run`: say what each line would do after those before it, and submit nothing.

        Done again, the same file does nothing twice. Raises InvalidRequest for a header that can't be used; ServiceUnavailable between
        two lines: start again then.
        """
        rehearsal = Rehearsal() if dry_run else None
        for line in read_lines(lines):
            yield line if isinstance(line, ChurnLine) else self._told(line, rehearsal)

    def check(self, case: str, numbers: Sequence[str], *, timeout_s: float = 60.0) -> JobView:
        """What a release of these E.164 numbers would do, number by number, in `.result.quote`; waits for it.

        Each check reads the account again. Raises InvalidRequest, WaitTimeout, ServiceUnavailable.
        """
        request = built(Release, {"numbers": tuple(numbers), "protected_labels": self._protected_labels, "dry_run": True})
        job = self._didflow.submit(request, reference=case, account=self._account)
        return self._didflow.wait(job.id, timeout_s)

    def approve(self, case: str, check_id: str) -> Job:
        """Release, permanently, exactly the records that this check showed; once per case, however often it is called.

        Raises WrongJob if that job isn't a check of this case; InvalidRequest if it showed nothing to release; JobNotFound;
        IdempotencyConflict if the case has released other records; ServiceUnavailable (repeat it then).
        """
        going = [number for number in self._seen(case, check_id) if number.outcome is None and number.record_id is not None]
        if not going:
            raise InvalidRequest(f"check {check_id} found nothing to release: `didflow status {check_id}` shows each number")
        ids = tuple(number.record_id for number in going if number.record_id)
        request = built(Release, {"record_ids": ids, "protected_labels": self._protected_labels})
        return self._didflow.submit(request, idempotency_key=f"churn:{case}", reference=case, account=self._account)

    def call_off(self, case: str) -> JobView | None:
        """Stop the case's release: what has not gone yet stays. Returns the job as it is then, None if there is none."""
        found = self._didflow.find(idempotency_key=f"churn:{case}")
        return self._didflow.cancel(found[0].id) if found else None

    def _seen(self, case: str, check_id: str) -> tuple[NumberResult, ...]:
        view = self._didflow.get(check_id)
        is_check = isinstance(view.request, Release) and view.request.dry_run and view.account == self._account
        if not is_check or view.reference != case:
            raise WrongJob(f"job {check_id} is not a check of case {case!r}: make one with `check`")
        if view.result is None or view.result.quote is None:
            raise WrongJob(f"check {check_id} is {view.state.value} and has no result: make a new one with `check`")
        return view.result.quote.numbers

    def _churned(self, reference: str, numbers: Sequence[str], terms: Mapping[str, Any], key: str | None) -> Job:
        found = self._decided(reference, numbers, terms, key, None)
        return found if isinstance(found, Job) else self._didflow.ledger.perform(submit_one(self._didflow.ledger.commands, found))

    def _decided(
        self, reference: str, numbers: Sequence[str], terms: Mapping[str, Any], key: str | None, rehearsal: Rehearsal | None
    ) -> Job | Submission:
        """The job that has these numbers already, or what is to be submitted."""
        given = _request(reference, numbers or ("+12135550100",), terms, self._protected_labels)  # All faults, before anything is asked.
        jobs = self._jobs(reference) if rehearsal is None else rehearsal.of(reference, self._jobs(reference))
        releases = [view for view in jobs if _is_release(view)]
        if key is not None and (known := self._with_key(key, rehearsal)) is not None:
            asked = given if numbers else given.model_copy(update={"numbers": self._held(reference)})
            return same_as(known, asked, all_numbers=not numbers, key=key, releases=releases, jobs=jobs)
        asked = given.model_copy(update={"numbers": self._theirs(reference, given.numbers if numbers else ())})
        found, rest = leaves_with([view for view in releases if not view.state.is_terminal], asked)
        if found is not None and not rest:
            return found
        request = asked.model_copy(update={"numbers": rest})
        return Submission(request, key or f"churned:{reference}:{len(releases)}", reference, self._account)

    def _with_key(self, key: str, rehearsal: Rehearsal | None) -> JobView | None:
        found = self._didflow.find(idempotency_key=key)
        return found[0] if found else rehearsal.with_key(key) if rehearsal is not None else None

    def _theirs(self, reference: str, numbers: Sequence[str]) -> tuple[str, ...]:
        """These numbers, or all, if they were bought for this reference. Raises InvalidRequest."""
        ledger = self._didflow.ledger
        wanted = tuple(numbers) or self._held(reference)
        known = ledger.perform(holders(ledger.keys, wanted))
        if not numbers:
            wanted = tuple(number for number in wanted if number in known and known[number].account == self._account)
        if not wanted:
            what = f"no number of ours was bought for {reference!r}: nothing to release"
            raise _UnknownCustomer(f"reference: {what}", (("reference", what),))
        faults = []
        for number in wanted:
            holder = known.get(number)
            if holder is None or holder.account != self._account:
                faults.append(("numbers", f"{number}: nothing shows that it was bought for {reference!r} and is ours"))
            elif holder.reference != reference:
                faults.append(("numbers", f"{number}: was bought for {holder.reference or 'no reference'!r}, not for {reference!r}"))
        if faults:
            raise InvalidRequest("; ".join(f"{where}: {what}" for where, what in faults), tuple(faults))
        return wanted

    def _held(self, reference: str) -> tuple[str, ...]:
        """All numbers that were bought for this reference and are ours."""
        ledger = self._didflow.ledger
        return ledger.perform(held_for(ledger.keys, reference))

    def _jobs(self, reference: str) -> list[JobView]:
        """This account's newest jobs of the reference."""
        return [view for view in self._didflow.find(reference=reference, limit=JOBS_AT_MOST) if view.account == self._account]

    def _told(self, told: Told, rehearsal: Rehearsal | None) -> ChurnLine:
        """One line of a CSV, done or rehearsed."""
        try:
            if rehearsal is not None:
                return self._rehearsed(told, rehearsal)
            if told.event == "churned":
                job = self._churned(told.reference, told.numbers, {"grace": GRACE, **told.terms}, told.key)
                return told.report("submitted" if job.is_new else "same", job=job.id)
            found = self.returned(told.reference)
            return told.report(found.outcome, job=found.called_off[0] if found.called_off else None, gone=found.gone)
        except ServiceUnavailable:
            raise
        except _UnknownCustomer as error:
            return told.report("refused" if rehearsal is None else "unknown_customer", fault=str(error.faults[0].message))
        except IdempotencyConflict as error:
            return told.report("refused" if rehearsal is None else "conflict", job=error.job_id, fault=str(error))
        except InvalidRequest as error:
            return told.report("refused", fault="; ".join(": ".join(fault) for fault in error.faults) or str(error))
        except DidflowError as error:
            return told.report("refused", fault=str(error))

    def _rehearsed(self, told: Told, rehearsal: Rehearsal) -> ChurnLine:
        if told.event == "returned":
            found = self._returned(told.reference, 0.0, rehearsal)
            return told.report(found.outcome, job=found.called_off[0] if found.called_off else None, gone=found.gone)
        decided = self._decided(told.reference, told.numbers, {"grace": GRACE, **told.terms}, told.key, rehearsal)
        if isinstance(decided, Job):
            return told.report("same", job=decided.id)
        commands = self._didflow.ledger.commands
        submit(decided)  # Builds the call and sends nothing: what can't be stored is refused.
        self._didflow.ledger.perform(check(commands, decided, ""))
        if isinstance(decided.request, Release):
            rehearsal.submit(told.line, decided.request, decided.idempotency_key or "", told.reference, self._account)
        return told.report("new")


class _UnknownCustomer(InvalidRequest):
    """Nothing of ours was bought for that reference."""


def _request(reference: str, numbers: Sequence[str], terms: Mapping[str, Any], protected_labels: Sequence[str]) -> Release:
    fields = {"numbers": tuple(numbers), "expected_reference": reference, "protected_labels": tuple(protected_labels)}
    return built(Release, fields | dict(terms))


def _is_release(view: JobView) -> bool:
    return isinstance(view.request, Release) and not view.request.dry_run


def _went(view: JobView) -> tuple[str, ...]:
    """Numbers that this release took from the customer: released, or assigned to a purchase while they were parked."""
    return tuple(number.number for number in view.result.numbers if _is_gone(number)) if view.result else ()


def _is_gone(number: NumberResult) -> bool:
    handed_out = number.error is not None and number.error.code == "handed_out"
    return number.outcome in RELEASED or (number.outcome is NumberOutcome.SUPERSEDED and handed_out)
