"""The job kinds: one record for each, with what the queue, the gate and `didflow reconcile` need to know about it.

Nothing else lists the kinds. The scripts get the names that a rule is about from here the workers' handlers lie in
`worker/jobs/handlers.py`. See docs/adding-a-job-kind.md.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Union

from pydantic import Field, TypeAdapter, ValidationError

from didflow.contract.requests import (
    CatalogueLook,
    Failback,
    FollowDocuments,
    Release,
    Request,
    RequestBase,
    Reroute,
    SearchAndBuy,
    UploadDocument,
)
from didflow.contract.states import Lane
from didflow.contract.validation import invalid

#: The kind of a batch: a part of a reroute or failback of many numbers.
MOVE_BATCH = "move_batch"
#: Looks are many, and what they saw is in the catalogue.
LOOK_KEPT_MS = 3_600_000


@dataclass(frozen=True, kw_only=True)
class JobKind:
    """What is known of a kind. Nothing has a default: a new kind has to answer each.

    name            as jobs and requests store it
    request         its model; None: a part of another job, which only that job submits
    lane            the queue that it goes through, unless a submit names another
    moves_money     it waits while the gate of its account is closed
    buys            what it writes of a number is a `PurchaseItem`; numbers of the pool may be assigned to it
    gives_back      what it writes of a number is a `ReleaseItem`; it may take a number's calls for a countdown, so a parked one that is
                    cancelled runs once more
    changes_routes  what it writes of a number is a `RouteChange`
    kept_ms         how long it is kept after its end at most; None: as long as the settings say. The one point with a default
    """

    name: str
    request: type[RequestBase] | None
    lane: Lane
    moves_money: bool
    buys: bool
    gives_back: bool
    changes_routes: bool
    kept_ms: int | None = None

    def __post_init__(self) -> None:
        # The scripts get names in words.
        if not re.fullmatch(r"[a-z_]+", self.name):
            raise ValueError(f"a kind's name is of letters and _: {self.name!r}")
        if (self.buys or self.gives_back) and not self.moves_money:
            raise ValueError(f"{self.name}: a kind that buys or releases moves money, and must wait for the gate")
        if self.request is not None and self.request.model_fields["kind"].default != self.name:
            raise ValueError(f"{self.name}: requests of {self.request.__name__} have another kind")


_EVERY_KIND = (
    JobKind(
        name="search_and_buy",
        request=SearchAndBuy,
        lane=Lane.MONEY,
        moves_money=True,
        buys=True,
        gives_back=False,
        changes_routes=False,
    ),
    JobKind(
        name="reroute",
        request=Reroute,
        lane=Lane.EMERGENCY,
        moves_money=False,
        buys=False,
        gives_back=False,
        changes_routes=True,
    ),
    JobKind(
        name="failback",
        request=Failback,
        lane=Lane.EMERGENCY,
        moves_money=False,
        buys=False,
        gives_back=False,
        changes_routes=True,
    ),
    JobKind(
        name="release",
        request=Release,
        lane=Lane.BULK,
        moves_money=True,
        buys=False,
        gives_back=True,
        changes_routes=False,
    ),
    JobKind(
        name="follow_documents",
        request=FollowDocuments,
        lane=Lane.BULK,
        moves_money=False,
        buys=False,
        gives_back=False,
        changes_routes=False,
    ),
    JobKind(
        name="upload_document",
        request=UploadDocument,
        lane=Lane.BULK,
        moves_money=False,
        buys=False,
        gives_back=False,
        changes_routes=False,
    ),
    JobKind(
        name="catalogue_look",
        request=CatalogueLook,
        lane=Lane.BULK,
        moves_money=False,
        buys=False,
        gives_back=False,
        changes_routes=False,
        kept_ms=LOOK_KEPT_MS,
    ),
    JobKind(
        name=MOVE_BATCH,
        request=None,
        lane=Lane.EMERGENCY,
        moves_money=False,
        buys=False,
        gives_back=False,
        changes_routes=True,
    ),
)

#: Every kind, by its name.
KINDS: dict[str, JobKind] = {kind.name: kind for kind in _EVERY_KIND}


def names_behind_the_gate() -> str:
    """The kinds of which a job may run while the gate of its account is closed, in words, as scripts take them. Any other waits."""
    return _names(lambda kind: not kind.moves_money)


def names_that_buy() -> str:
    """The kinds that buy numbers, in words."""
    return _names(lambda kind: kind.buys)


def names_that_give_back() -> str:
    """The kinds that give numbers back, in words."""
    return _names(lambda kind: kind.gives_back)


def _names(which: Callable[[JobKind], bool]) -> str:
    return " ".join(kind.name for kind in KINDS.values() if which(kind))


def buys(name: str) -> bool:
    """Whether a job of the kind of that name buys numbers. A job of an unknown kind does nothing."""
    return name in KINDS and KINDS[name].buys


def gives_back(name: str) -> bool:
    """The same of giving numbers back."""
    return name in KINDS and KINDS[name].gives_back


def changes_routes(name: str) -> bool:
    """The same of changing the routes of numbers that it names."""
    return name in KINDS and KINDS[name].changes_routes


def kept_after_end_ms(name: str, retention_ms: int) -> int:
    """How long an ended job of the kind of that name is kept, where others are kept for `retention_ms`."""
    kept_ms = KINDS[name].kept_ms if name in KINDS else None
    return retention_ms if kept_ms is None else min(kept_ms, retention_ms)


def kind_of(request: Request) -> JobKind:
    """The kind that jobs of this request have."""
    return KINDS[request.kind]


def request_models() -> tuple[type[RequestBase], ...]:
    """Every model of a request that can be submitted."""
    return tuple(kind.request for kind in KINDS.values() if kind.request is not None)


def request_adapter() -> TypeAdapter[Request]:
    """Reads any request by its `kind`; also gives the JSON Schema."""
    return _adapter(request_models())


@cache
def _adapter(models: tuple[type[RequestBase], ...]) -> TypeAdapter[Request]:
    any_of_them: Any = Annotated[Union[models], Field(discriminator="kind")]  # noqa: UP007 - of a tuple
    return TypeAdapter(any_of_them)


def parse_request(fields: dict[str, Any] | str) -> Request:
    """Read a request from fields or from JSON text. Raises InvalidRequest with every fault."""
    try:
        adapter = request_adapter()
        return adapter.validate_json(fields) if isinstance(fields, str) else adapter.validate_python(fields)
    except ValidationError as error:
        raise invalid(error, Union[request_models()]) from None  # noqa: UP007 - of a tuple
