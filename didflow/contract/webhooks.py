"""Webhooks: which URL gets which events, and what became of a delivery. An endpoint's signing secrets are in none of these."""

import base64
import re
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field

from didflow.contract.actors import fault_of
from didflow.contract.event_types import is_of_type, unknown_type_fault
from didflow.contract.flags import Flag
from didflow.contract.texts import PRINTABLE, URL
from didflow.contract.validation import Checked

#: An event type, or the beginning of one with a star: ``didflow.job.succeeded.v1``, ``didflow.number.*``.
EVENT_TYPE = r"^didflow(\.[a-z0-9_]+)*(\.\*)?$"
#: The old secret still signs for this long after a rotation, beside the new one.
OVERLAP = timedelta(hours=24)
#: Signing secrets begin with it, as Standard Webhooks has them.
SECRET_PREFIX = "whsec_"
_SECRET_BYTES = 32
#: Why an attempt got no answer, by `Attempt.failure`.
FAILURES = {
    "invalid_url": "the process that delivers doesn't take the URL: mostly DIDFLOW_WEBHOOK_NETWORKS isn't set for it",
    "name_not_found": "the host's name has no address, or its name server doesn't answer",
    "address_not_public": "the host has an address that isn't public, or that isn't in an allowed network where that is needed",
    "connection_failed": "no address of the host takes connections, or the connection broke",
    "tls_failed": "the certificate isn't valid for this host, or the handshake failed",
    "proxy_failed": "the egress proxy can't be reached, or refuses",
    "not_http": "the answer isn't HTTP",
    "timed_out": "no answer within the limit",
}


def new_secret() -> str:
    """A signing secret: 256 bits at random."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


class EndpointState(StrEnum):
    """Whether an endpoint gets deliveries."""

    ENABLED = "enabled"
    DISABLED = "disabled"  #: its events are queued, and nothing is sent


class DisabledReason(StrEnum):
    """Why an endpoint is disabled."""

    GONE = "gone"  #: it answered 410
    FAILING = "failing"  #: nothing was delivered for three days
    PERSON = "person"  #: somebody disabled it


class DeliveryOutcome(StrEnum):
    """What an attempt to deliver an event led to."""

    DELIVERED = "delivered"  #: the endpoint answered 2xx
    RETRIED = "retried"  #: it failed, and is tried again
    GIVEN_UP = "given_up"  #: it failed for three days while other events were delivered; the job's next event follows
    LOST = "lost"  #: the event was no longer kept when its turn came, or something else than didflow had changed it
    SKIPPED = "skipped"  #: the filters were changed after it was queued, and leave it out; counted, but not in the log


def _name(name: str) -> str:
    if (fault := fault_of(name)) is not None:
        raise ValueError(fault)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError("needs letters, digits, dots, dashes and underscores, and begins with a letter or a digit")
    return name


def _known_type(pattern: str) -> str:
    if (fault := unknown_type_fault(pattern)) is not None:
        raise ValueError(fault)
    return pattern


_EventType = Annotated[str, Field(max_length=200, pattern=EVENT_TYPE)]
EventTypes = Annotated[tuple[_EventType, ...], Field(max_length=100)]
#: As a caller gives them: each stands for at least one type. What is stored may be from another version, which has other types.
KnownEventTypes = Annotated[tuple[Annotated[_EventType, AfterValidator(_known_type)], ...], Field(max_length=100)]


class NewEndpoint(Checked):
    """A URL that is to get events.

    name              what people call it; unique
    url               where events are posted
    types             event types that it gets; one that ends in ``.*`` stands for all that begin so; none: every type
    account           only events of this account; None: of all
    reference_prefix  only events of jobs whose reference begins so; None: of all
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_name)]
    url: Annotated[str, Field(min_length=1, max_length=2000, pattern=URL)]
    types: KnownEventTypes = ()
    account: Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)] | None = None
    reference_prefix: Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)] | None = None

    def wants(self, event_type: str, account: str, reference: str) -> bool:
        """Whether it gets an event of this type. `account` and `reference` are '' where the event has none."""
        if self.account not in (None, account) or not reference.startswith(self.reference_prefix or ""):
            return False
        return not self.types or any(is_of_type(event_type, one) for one in self.types)


class EndpointChange(Checked):
    """What is to change of an endpoint. A field that isn't given stays as it is.

    url               where events are posted, also those that wait
    types             event types that it gets; an empty list: every type
    account           only events of this account; null: of all
    reference_prefix  only events of jobs whose reference begins so; null: of all
    enabled           whether it gets deliveries
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, Field(min_length=1, max_length=2000, pattern=URL)] | None = None
    types: KnownEventTypes | None = None
    account: Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)] | None = None
    reference_prefix: Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)] | None = None
    enabled: Flag | None = None

    def applied_to(self, endpoint: "Endpoint") -> "Endpoint":
        """The endpoint as it is afterwards, but for `enabled`."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"enabled"}}
        return endpoint.model_copy(update={name: value for name, value in given.items() if value is not None or name in _CLEARED})

    def differences(self, endpoint: "Endpoint") -> tuple[str, ...]:
        """The fields that it changes, but for `enabled`."""
        after = self.applied_to(endpoint)
        return tuple(name for name in ("url", "types", "account", "reference_prefix") if getattr(after, name) != getattr(endpoint, name))


#: Null clears these filters; the others have a value always.
_CLEARED = frozenset({"account", "reference_prefix"})


class Endpoint(NewEndpoint):
    """A URL that gets events. `id`: short and random."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    types: EventTypes = ()


class EndpointView(Endpoint):
    """An endpoint as lists show it.

    state, reason   whether it gets deliveries; why not
    changed_at      since when it is in that state
    failing_since   when the first attempt failed after the last delivery; None: the last attempt was good, or there was none
    delivered_at    when an event was delivered last
    paused_until    it asked to be left alone until then (`Retry-After`)
    queued          events that wait for it
    missed          events that weren't queued because too many waited, and those that were lost; since `missed_since`
    attempts        how many attempts had which outcome, since it was created
    secrets         how many of its secrets sign now
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: EndpointState
    reason: DisabledReason | None = None
    created_at: datetime | None = None
    created_by: str = ""
    changed_at: datetime | None = None
    failing_since: datetime | None = None
    delivered_at: datetime | None = None
    paused_until: datetime | None = None
    queued: int = 0
    missed: int = 0
    missed_since: datetime | None = None
    attempts: dict[DeliveryOutcome, int] = Field(default_factory=dict)
    secrets: int = 1


class EndpointWithSecret(EndpointView):
    """An endpoint with its signing secret, which is shown this once. Its text has no secret."""

    secret: Annotated[str, Field(repr=False)]

    @classmethod
    def of(cls, found: EndpointView, secret: str) -> Self:
        return cls.model_validate({**found.model_dump(), "secret": secret})


class Attempt(Checked):
    """One attempt to deliver an event, as the delivery log keeps it.

    place        of the entry in the log; later entries have later places
    event_id     the event's id, which is the `webhook-id` of the request
    key          what its order is kept for: the job, or else the event's subject
    attempt      1 for the first
    status       of the HTTP answer; None: there was none, and `failure` says why
    why          the same as a sentence
    duration_ms  from the look-up of the address to the end of the answer
    beginning    of the answer's body
    next_at      when the next attempt is due
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str
    at: datetime | None
    event_id: str
    type: str
    key: str
    attempt: int
    outcome: DeliveryOutcome
    status: int | None = None
    failure: str | None = None
    why: str | None = None
    duration_ms: int = 0
    beginning: str = ""
    next_at: datetime | None = None
