"""Every error a user of didflow can meet.

    DidflowError
    ├── InvalidRequest          invalid_request         the request is wrong; every fault is named
    │   ├── InvalidEvent        invalid_event           what lies on the requests stream is no event of ours
    │   │   ├── NotJson         not_json
    │   │   └── UnknownEventType  unknown_event_type
    │   ├── UnknownAccount      unknown_account         no running worker has this account
    │   └── UnknownPlace                                the provider has no place of that name; the nearest names are given
    │       ├── UnknownCountry  unknown_country
    │       ├── UnknownRegion   unknown_region
    │       └── UnknownCity     unknown_city
    ├── IdempotencyConflict     idempotency_conflict    same key, other request
    │   └── AlreadyLeaving      already_leaving         a release of these numbers is open, on other terms
    ├── JobNotFound             job_not_found
    ├── DeadLetterNotFound      dead_letter_not_found   no poison entry or message has this name (any more)
    ├── WrongJob                wrong_job               the named job can't be used for this
    ├── SecondPersonNeeded      second_person_needed    the finding is kept: another person has to send the same one
    ├── AlreadyDecided          already_decided         another person decided otherwise about this number
    ├── UnreadableRecord        unreadable_record       what Redis holds of a job isn't what didflow writes
    ├── PlanNotFound            plan_not_found
    ├── ApiKeyNotFound          api_key_not_found       no valid key of the HTTP API has this id or name
    ├── ConsoleSessionNotFound  console_session_not_found
    ├── WebhookNotFound         webhook_not_found       no endpoint of webhooks has this id or name
    ├── IncidentNotFound        incident_not_found      the error names similar incidents
    ├── WaitTimeout             wait_timeout            the job continues; wait again
    │   ├── CatalogueTimeout    catalogue_timeout       no worker has looked in time; `reason` says why
    │   └── InventoryTimeout    inventory_timeout       no sweep has ended in time; `reason` says why
    ├── LookFailed              look_failed             the provider's list can't be read
    ├── SweepFailed             sweep_failed            a sweep of the inventory wasn't complete
    ├── ServiceUnavailable      service_unavailable     Redis can't be reached, or refuses to write
    │   └── LoginRefused        login_refused           Redis refuses the user, the password, or a command to that user
    ├── UnsafeRedis             unsafe_redis            Redis would forget jobs
    ├── InvalidSettings         invalid_settings
    │   └── WrongLedger         wrong_ledger            the ledger's jobs belong to another provider account
    └── InternalError           internal_error          a bug in didflow; the log has it

`code` is stable. `retryable` says whether the same call may work later without a change.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class DidflowError(Exception):
    """The root. `str(error)` is a sentence that ends in what to do next."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles keep message and attributes, whatever a subclass takes to be built."""
        return _restored, (type(self), self.args, self.__dict__.copy())


def _restored(kind: type[DidflowError], args: tuple[Any, ...], attributes: Mapping[str, Any]) -> DidflowError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


class Fault(tuple[str, str]):
    """One thing that is wrong with an input. It unpacks as `path, message`.

    path       where: names and places joined by dots (``destinations.0.transport``); ``request`` for the whole
    message    what is wrong
    code       of which kind, such as ``missing``, ``greater_than_equal`` or ``value_error``: pydantic's name for it
    next_step  what to do about it
    """

    code: str
    next_step: str

    def __new__(cls, path: str, message: str, code: str = "value_error", next_step: str | None = None) -> "Fault":
        fault = super().__new__(cls, (path, message))
        fault.code = code
        fault.next_step = message.rpartition(": ")[2] if next_step is None else next_step
        return fault

    def within(self, place: str) -> "Fault":
        """The same of a part that is at this place, which ends in a dot if it has one."""
        return Fault(place + self.path, self.message, self.code, self.next_step)

    def __getnewargs__(self) -> tuple[str, str, str, str]:
        return (self.path, self.message, self.code, self.next_step)

    def __repr__(self) -> str:
        return f"Fault(path={self.path!r}, message={self.message!r}, code={self.code!r}, next_step={self.next_step!r})"

    @property
    def path(self) -> str:
        return self[0]

    @property
    def message(self) -> str:
        return self[1]


class InvalidRequest(DidflowError, ValueError):
    """The request was refused before anything happened. `faults` has every fault."""

    code = "invalid_request"

    def __init__(self, message: str, faults: Iterable[Fault | tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(fault if isinstance(fault, Fault) else Fault(*fault) for fault in faults)


class InvalidEvent(InvalidRequest):
    """An entry of the requests stream that can't be processed, whatever its request."""

    code = "invalid_event"


class NotJson(InvalidEvent):
    code = "not_json"


class UnknownEventType(InvalidEvent):
    code = "unknown_event_type"


class UnknownAccount(InvalidRequest):
    """`known`: the accounts that running workers have."""

    code = "unknown_account"

    def __init__(self, account: str, known: Iterable[str]) -> None:
        self.known = tuple(sorted(known))
        has = f"they have {', '.join(map(repr, self.known))}" if self.known else "they have none"
        what = f"no running worker has an account {account[:60]!r}, {has}: add its key where they run"
        super().__init__(f"account: {what}", (("account", what),))


class UnknownPlace(InvalidRequest):
    """The provider has no place of that name. The message gives the nearest names."""


class UnknownCountry(UnknownPlace):
    code = "unknown_country"


class UnknownRegion(UnknownPlace):
    code = "unknown_region"


class UnknownCity(UnknownPlace):
    code = "unknown_city"


class IdempotencyConflict(DidflowError):
    """The key was used for another request. `job_id` is the job that has it, `difference` what differs, '' if that isn't known."""

    code = "idempotency_conflict"

    def __init__(self, key: str, job_id: str, difference: str = "") -> None:
        super().__init__(
            f"idempotency key {key!r} belongs to job {job_id}, which has another request"
            + (f" ({difference})" if difference else "")
            + ": use a new key for a new request"
        )
        self.job_id, self.difference = job_id, difference


class AlreadyLeaving(IdempotencyConflict):
    """A customer leaves already, on other terms. `job_id` is the release, `difference` what differs. Nothing was submitted."""

    code = "already_leaving"

    def __init__(self, reference: str, job_id: str, difference: str) -> None:
        DidflowError.__init__(
            self,
            f"{reference!r} is leaving already by job {job_id} ({difference}): "
            f"to leave on other terms, cancel that job first (`didflow cancel {job_id}`)",
        )
        self.job_id, self.difference = job_id, difference


class JobNotFound(DidflowError):
    """`what`: what its name is of."""

    code = "job_not_found"

    def __init__(self, name: str, what: str = "job") -> None:
        super().__init__(f"there is no {what} {name[:60]!r}: `didflow jobs` lists those that are kept")


class NumbersGone(DidflowError):
    """A customer came back too late. The message says what can be ordered instead."""

    code = "numbers_gone"


class DeadLetterNotFound(DidflowError):
    code = "dead_letter_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no {name[:60]!r}, or no more: `didflow dead-letters` lists what there is")


class WrongJob(DidflowError):
    """The named job exists but can't be used for this, such as a failback of a purchase."""

    code = "wrong_job"


class SecondPersonNeeded(DidflowError):
    """The open numbers cost so much that two people decide. The finding is kept for a day; the job is parked as before."""

    code = "second_person_needed"

    def __init__(self, job_id: str, at_stake_usd: Decimal) -> None:
        super().__init__(
            f"job {job_id}: its open numbers cost {at_stake_usd} USD: the finding is kept for a day,"
            " and the job ends when another person sends the same one"
        )
        self.job_id, self.at_stake_usd = job_id, at_stake_usd


class AlreadyDecided(DidflowError):
    """A person's decision that excludes this one came first. `number` is what it is about (E.164); `job_id` the purchase that has it or
    will have it, '' if it was accepted as no job's. Nothing was changed."""

    code = "already_decided"

    def __init__(self, number: str, job_id: str = "") -> None:
        decided = f"given to purchase {job_id}" if job_id else "accepted as no job's"
        super().__init__(f"{number} was {decided} before: `didflow audit` shows who decided that")
        self.number, self.job_id = number, job_id


class UnreadableRecord(DidflowError):
    """A key of the job in Redis was overwritten by something else."""

    code = "unreadable_record"


class PlanNotFound(DidflowError):
    code = "plan_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no failover plan {name[:60]!r}: `didflow failover plan list` shows those that are kept")


class ApiKeyNotFound(DidflowError):
    code = "api_key_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no valid key {name[:60]!r}: `didflow keys list` shows those that are")


class WebhookNotFound(DidflowError):
    code = "webhook_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no webhook {name[:60]!r}: `didflow webhooks list` shows those that are kept")


class ConsoleSessionNotFound(DidflowError):
    code = "console_session_not_found"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"there is no session {session_id[:60]!r} of the console: `didflow keys sessions` lists those that are open")


class IncidentNotFound(DidflowError):
    """`similar`: names of incidents that are much like it."""

    code = "incident_not_found"

    def __init__(self, name: str, similar: tuple[str, ...] = ()) -> None:
        meant = f"; did you mean {' or '.join(similar)}?" if similar else ""
        super().__init__(f"there is no incident {name[:60]!r}{meant}: `didflow incidents` lists those that are kept")
        self.similar = similar


class WaitTimeout(DidflowError):
    """The job has not ended in the given time. It continues; nothing was cancelled."""

    code = "wait_timeout"
    retryable = True


class CatalogueTimeout(WaitTimeout):
    """No worker has looked in the given time. Its job continues, so a later question may be answered at once.

    `reason`: ``no_worker``, ``account_paused``, ``provider_down``, ``rate_limited``, ``busy``, or another reason why the job waits.
    """

    code = "catalogue_timeout"

    def __init__(self, job_id: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.job_id, self.reason = job_id, reason


class LookFailed(DidflowError):
    """A worker could not read the list. `job_code`: the code of the error of its job."""

    code = "look_failed"
    retryable = True

    def __init__(self, job_id: str, job_code: str, why: str) -> None:
        super().__init__(f"the look at the provider failed ({job_code}): {why}; `didflow explain {job_id}` shows it")
        self.job_id, self.job_code = job_id, job_code


class InventoryTimeout(WaitTimeout):
    """No sweep of the inventory that began after the question has ended in the given time. It is made all the same.

    `reason`: ``no_worker``, ``account_paused``, ``emergency``, ``under_way`` or ``busy``.
    """

    code = "inventory_timeout"

    def __init__(self, account: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.account, self.reason = account, reason


class SweepFailed(DidflowError):
    """The sweep that was asked for wasn't complete: the inventory may lack numbers. `why`: what was wrong with the list."""

    code = "sweep_failed"
    retryable = True

    def __init__(self, account: str, why: str) -> None:
        super().__init__(f"the new sweep of the inventory wasn't complete: {why}; it is repeated within a minute, ask again then")
        self.account, self.why = account, why


class ServiceUnavailable(DidflowError):
    """Redis didn't answer, or refused to write. If it was a submit: repeat it with the same idempotency key."""

    code = "service_unavailable"
    retryable = True


class LoginRefused(ServiceUnavailable):
    """Redis refuses the user or the password of DIDFLOW_REDIS_URL, or doesn't let that user run a command. Waiting doesn't help.

    What runs for long waits all the same: a password may be changed on the server first and in the settings after it.
    """

    code = "login_refused"
    retryable = False


class UnsafeRedis(DidflowError):
    """Redis is set up so that it could forget jobs; the text names the settings."""

    code = "unsafe_redis"


class InvalidSettings(DidflowError):
    code = "invalid_settings"


class WrongLedger(InvalidSettings):
    """The jobs in the ledger were done at another provider account than the one that is set."""

    code = "wrong_ledger"


class InternalError(DidflowError):
    """A bug in didflow, met while it acted on one input. The log has it with its traceback."""

    code = "internal_error"

    def __init__(self, error: Exception) -> None:
        super().__init__(f"didflow failed on this input ({type(error).__name__}): report it with the log line of the same time")


class JobError(BaseModel):
    """Why a job, or one number of it, didn't do what was asked. `code` is stable; `message` says what to do."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    retryable: bool = False
