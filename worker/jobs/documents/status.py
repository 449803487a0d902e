"""The stage of a number that needs documents: a pure rule from the provider's data."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from didflow.contract.document_file import described
from didflow.contract.errors import JobError
from didflow.contract.events import DocumentShown, NumberBody, NumberEventType
from didflow.contract.provider import OwnedNumber
from didflow.contract.results import NumberResult
from didflow.contract.states import Outcome


class Stage(StrEnum):
    """The last word of the event that reports it."""

    MISSING = "documents_missing"  #: a document was never uploaded
    IN_REVIEW = "documents_in_review"  #: all are uploaded and none is rejected; the provider has the word
    REJECTED = "documents_rejected"  #: one was rejected; it can be replaced
    ACTIVATED = "activated"  #: it takes calls
    LEFT = "left"  #: the account doesn't have this purchase of it any more


#: Nothing more will come.
FINAL = frozenset({Stage.ACTIVATED, Stage.LEFT})

_WHY = {
    Stage.MISSING: "documents are missing: upload {needed} with `didflow documents upload`",
    Stage.IN_REVIEW: "the provider has not decided on the documents yet",
    Stage.REJECTED: "the provider rejected {needed}: upload another one with `didflow documents upload`",
    Stage.LEFT: "the account doesn't have this purchase of the number any more",
}


class Followed(BaseModel):
    """One number as last read. `needed`: the types of documents to upload."""

    model_config = ConfigDict(frozen=True)

    number: str
    record_id: int
    stage: Stage
    needed: tuple[str, ...] = ()
    documents: tuple[DocumentShown, ...] = ()
    document_titles: dict[str, str] = {}

    def is_as(self, other: "Followed | None") -> bool:
        """Whether nothing has changed. Titles are words: a read that doesn't bring them along is no news."""
        return other is not None and self.model_copy(update={"document_titles": other.document_titles}) == other

    @property
    def is_final(self) -> bool:
        return self.stage in FINAL

    def left(self) -> "Followed":
        return Followed(number=self.number, record_id=self.record_id, stage=Stage.LEFT)

    @property
    def error(self) -> JobError | None:
        why = _WHY.get(self.stage)
        return JobError(code=self.stage.value, message=why.format(needed=described(self.needed, self.document_titles))) if why else None

    def result(self) -> NumberResult:
        outcome = {Stage.ACTIVATED: Outcome.ACTIVATED, Stage.LEFT: Outcome.NOT_FOUND}.get(self.stage, Outcome.BOUGHT_INACTIVE)
        titles = {kind: self.document_titles[kind] for kind in self.needed if kind in self.document_titles}
        return NumberResult(
            number=self.number,
            record_id=self.record_id,
            outcome=outcome,
            documents_needed=self.needed,
            document_titles=titles,
            error=self.error,
        )

    @property
    def event_type(self) -> NumberEventType:
        return f"didflow.number.{self.stage.value}.v1"  # type: ignore[return-value]

    def event_body(self, job: str, account: str, reference: str) -> NumberBody:
        return NumberBody(
            job=job,
            account=account,
            reference=reference or None,
            number=self.number,
            record_id=self.record_id,
            documents_needed=self.needed,
            document_titles=self.document_titles,
            documents=self.documents,
        )


def standing(owned: OwnedNumber) -> Followed:
    """How far this number is. Of several documents of a type the furthest counts; an unknown status counts as under review."""
    by_kind = {kind: _furthest([one.status for one in owned.documents if one.kind == kind]) for kind in owned.required_documents}
    if owned.is_active:
        stage = Stage.ACTIVATED
    elif "rejected" in by_kind.values():
        stage = Stage.REJECTED
    elif "missing" in by_kind.values():
        stage = Stage.MISSING
    else:
        stage = Stage.IN_REVIEW
    needed = () if owned.is_active else tuple(kind for kind, status in by_kind.items() if status in ("missing", "rejected"))
    shown = tuple(DocumentShown(kind=one.kind, status=one.status, id=one.id) for one in owned.documents)
    return Followed(
        number=owned.number, record_id=owned.record_id, stage=stage, needed=needed, documents=shown, document_titles=owned.document_titles
    )


def _furthest(statuses: list[str]) -> Literal["approved", "pending", "rejected", "missing"]:
    if not statuses:
        return "missing"
    if "approved" in statuses:
        return "approved"
    return "rejected" if all(status == "rejected" for status in statuses) else "pending"
