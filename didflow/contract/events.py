"""Events on the two streams: CloudEvents attributes as flat fields; `data` is JSON.

`{namespace}:results` gets one entry per terminal state or `needs_review`; `{namespace}:events` all other transitions and
progress. An event's `id` is `<job id>:<seq>`; it is stable, so a reader that has seen it may drop it.
"""

from functools import cache
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from didflow.contract.errors import JobError
from didflow.contract.ledger_events import FreezeChanged, GateClosed, GateFindings, GateOpened
from didflow.contract.money import Usd
from didflow.contract.release_events import CallsCame
from didflow.contract.results import NumberResult, Quote, SearchReport, Summary, Totals
from didflow.contract.states import JobState


class Timings(BaseModel):
    """Milliseconds since the epoch, on Redis's clock; None where it hasn't happened."""

    model_config = ConfigDict(frozen=True)

    submitted_ms: int
    started_ms: int | None = None
    finished_ms: int | None = None


class EventBody(BaseModel):
    """The JSON in an event's `data`. `actor`: who decided about the job last (cancel, retry, resolve), else who submitted it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    job: str
    kind: str
    state: JobState
    reason: str | None = None
    account: str
    reference: str | None = None
    idempotency_key: str | None = None
    attempt: int
    numbers: tuple[NumberResult, ...] = ()
    summary: Summary | None = None
    totals: Totals | None = None
    search: SearchReport | None = None
    quote: Quote | None = None
    error: JobError | None = None
    progress: str | None = None
    actor: str | None = None
    timings: Timings


class CloudEvent(BaseModel):
    """The attributes that every entry of a stream has. `traceparent`, `tracestate`, extensions: of the job, if it had them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: AwareDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    traceparent: str | None = None
    tracestate: str | None = None


class Event(CloudEvent):
    """What became of a job; `subject` is its id."""

    data: EventBody


class AccountBody(BaseModel):
    """The JSON in the `data` of an event about an account: what the provider answered when it was paused, or how it fails."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    account: str
    status: int | None = None
    message: str | None = None


class AccountEvent(CloudEvent):
    """An account was paused or continues, or its provider fails or works again; only on the events stream. `subject` is the account."""

    type: Literal[
        "didflow.account.paused.v1",
        "didflow.account.resumed.v1",
        "didflow.account.breaker_opened.v1",
        "didflow.account.breaker_closed.v1",
    ]
    data: AccountBody


class ReleaseEvent(CloudEvent):
    """A number stays that was to be given back; only on the events stream. `subject` is the number."""

    type: Literal["didflow.release.calls_came.v1"]
    data: CallsCame


NumberEventType = Literal[
    "didflow.number.documents_missing.v1",
    "didflow.number.documents_in_review.v1",
    "didflow.number.documents_rejected.v1",
    "didflow.number.activated.v1",
    "didflow.number.left.v1",
]


class DocumentShown(BaseModel):
    """A document as the provider lists it: its type, its review status, the provider's id. Never its contents, nor a file's name."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    status: str
    id: int | None = None


class NumberBody(BaseModel):
    """The JSON in the `data` of an event about a number whose documents are followed. `job` follows them.

    `documents_needed`: the types to upload, because they are missing or were rejected. `document_titles`: what
    the provider calls the types, where it says so.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    job: str
    account: str
    reference: str | None = None
    number: str
    record_id: int
    documents_needed: tuple[str, ...] = ()
    document_titles: dict[str, str] = {}
    documents: tuple[DocumentShown, ...] = ()


class NumberEvent(CloudEvent):
    """A number that waits for documents has changed; only on the events stream. `subject` is the number."""

    type: NumberEventType
    data: NumberBody


class InventoryBody(BaseModel):
    """The JSON in the `data` of an event about a number that changed without a job.

    field, from, to   what was changed elsewhere; a route is a list of texts
    paid_until        when the number renews; `monthly_usd` is what that costs
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    account: str
    number: str
    record_id: int
    reference: str | None = None
    field: str | None = None
    before: object = Field(default=None, alias="from")
    after: object = Field(default=None, alias="to")
    paid_until: AwareDatetime | None = None
    monthly_usd: Usd | None = None

    def text(self) -> str:
        return self.model_dump_json(exclude_unset=True, by_alias=True)


class InventoryEvent(CloudEvent):
    """The account's numbers changed without a job, or one of them renews soon; only on the events stream. `subject` is the number."""

    type: Literal[
        "didflow.number.appeared.v1",
        "didflow.number.disappeared.v1",
        "didflow.number.changed_elsewhere.v1",
        "didflow.number.renewal_due.v1",
    ]
    data: InventoryBody


class FirstSweepBody(BaseModel):
    """The JSON in the `data` of a first sweep's event: how many numbers it found."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    account: str
    numbers: int


class FirstSweepEvent(CloudEvent):
    """The account's numbers were read for the first time; they emit no event of their own. `subject` is the account."""

    type: Literal["didflow.inventory.first_sweep.v1"]
    data: FirstSweepBody


class GateClosedEvent(CloudEvent):
    """Redis restarted: no money moves; only on the events stream. `subject` is the namespace."""

    type: Literal["didflow.ledger.gate_closed.v1"]
    data: GateClosed


class GateFindingsEvent(CloudEvent):
    """What keeps an account's money from moving; only on the events stream. `subject` is the account."""

    type: Literal["didflow.ledger.gate_findings.v1"]
    data: GateFindings


class GateOpenedEvent(CloudEvent):
    """An account's money moves again; only on the events stream. `subject` is the account."""

    type: Literal["didflow.ledger.gate_opened.v1"]
    data: GateOpened


class FreezeEvent(CloudEvent):
    """A person stopped purchases and releases, or let them continue; only on the events stream. `subject` is the account, or the
    namespace for all accounts."""

    type: Literal["didflow.ledger.frozen.v1", "didflow.ledger.unfrozen.v1"]
    data: FreezeChanged


class WebhookBody(BaseModel):
    """The JSON in the `data` of an event about an endpoint of webhooks: its name, and why it is disabled (`gone`, `failing`, `person`)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    endpoint: str
    reason: str | None = None


class WebhookEvent(CloudEvent):
    """An endpoint was disabled or enabled, or its queue is full and new events aren't queued; only on the events stream.

    `subject` is the endpoint's name.
    """

    type: Literal["didflow.webhook.disabled.v1", "didflow.webhook.enabled.v1", "didflow.webhook.queue_full.v1"]
    data: WebhookBody


class WebhookTestBody(BaseModel):
    """The JSON in the `data` of a test: the endpoint's name, and who had it sent."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    endpoint: str
    actor: str | None = None


class WebhookTestEvent(CloudEvent):
    """A test that `didflow webhooks test` sends to one endpoint; on no stream. `subject` is the endpoint's name."""

    type: Literal["didflow.webhook.test.v1"]
    data: WebhookTestBody


AnyEvent = (
    Event
    | AccountEvent
    | NumberEvent
    | InventoryEvent
    | FirstSweepEvent
    | ReleaseEvent
    | GateClosedEvent
    | GateFindingsEvent
    | GateOpenedEvent
    | FreezeEvent
    | WebhookEvent
    | WebhookTestEvent
)


@cache
def event_adapter() -> TypeAdapter[AnyEvent]:
    """Reads any entry of either stream; also gives the JSON Schema."""
    return TypeAdapter(AnyEvent)
