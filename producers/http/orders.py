"""Bodies of submits: a request, and what goes along with it."""

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Union

from pydantic import AfterValidator, ConfigDict, Field, create_model

from didflow.contract.job_kinds import request_models
from didflow.contract.requests import Request, RequestBase, SearchAndBuy, UploadDocument
from didflow.contract.results import Quote
from didflow.contract.time_values import Moment
from didflow.contract.validation import Checked
from didflow.ledger.script_calls import label_faults


def _label(text: str) -> str:
    if faults := label_faults(None, text, "default", 5):
        raise ValueError(faults[0][1])
    return text


Label = Annotated[str, AfterValidator(_label), Field(json_schema_extra={"minLength": 1, "maxLength": 200})]


class Order(Checked):
    """What every submit may have beside its request.

    reference   your own (a customer, an order), to find the job by
    account     the account to act for
    priority    0 (first) to 9, within a lane
    not_before  the job doesn't start before
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: Label | None = None
    account: Label = "default"
    priority: Annotated[int, Field(ge=0, le=9, strict=True)] = 5
    not_before: Moment | None = None

    @property
    def ordered(self) -> Request | None:
        """The request; None: what the quote was for."""
        found: Request | None = getattr(self, "request", None)
        return found

    @property
    def by_quote(self) -> Quote | None:
        """The quote that it is ordered by."""
        found: Quote | None = getattr(self, "quote", None)
        return found


class QuotableOrder(Order):
    """A submit that may name the quote of a dry run, as it was answered: buy on its terms or not at all."""

    quote: Quote | None = None

    @classmethod
    def faults_between(cls, given: Mapping[str, Any], bad: Collection[str]) -> Iterator[str]:
        if given.get("request") is None and given.get("quote") is None and not {"request", "quote"} & set(bad):
            yield "give a request, or the quote of a dry run"


def ordered_models() -> tuple[type[RequestBase], ...]:
    """The requests that can be submitted as JSON: the file of a document comes with `POST /v1/documents`."""
    return tuple(model for model in request_models() if model is not UploadDocument)


@cache
def any_order() -> type[QuotableOrder]:
    """The body of `POST /v1/jobs`: any kind of request, by its `kind`."""
    any_request: Any = Annotated[Union[ordered_models()], Field(discriminator="kind")]  # noqa: UP007 - of a tuple
    return create_model("JobOrder", __base__=QuotableOrder, request=(any_request | None, None))


@cache
def order_of(model: type[RequestBase]) -> type[Order]:
    """The body of `POST /v1/jobs/{kind}`."""
    name = f"{model.__name__}Order"
    if model is SearchAndBuy:
        return create_model(name, __base__=QuotableOrder, request=(SearchAndBuy | None, None))
    return create_model(name, __base__=Order, request=(model, ...))
