"""Whatever a caller gives wrongly is an InvalidRequest with every fault, whichever way he builds the model; never pydantic's own error."""

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

import didflow
from didflow import (
    Destination,
    Didflow,
    Event,
    InvalidRequest,
    InventoryFilter,
    InventoryNumber,
    Quote,
    QuotedSubmission,
    Release,
    Reroute,
    Rung,
    SearchAndBuy,
    Selector,
    Submission,
)
from didflow.contract import errors
from didflow.contract.business_events import TYPES, CustomerChurned
from didflow.contract.catalogue import CatalogueAnswer, CatalogueOffer, CatalogueOffers
from didflow.contract.errors import DidflowError, Fault
from didflow.contract.inventory import InventoryQuery
from didflow.contract.job_kinds import parse_request
from didflow.contract.requests import Request
from didflow.contract.webhooks import EndpointChange, EndpointView, EndpointWithSecret, NewEndpoint
from tests.support.generated_requests import GOOD, INNER

#: A good one of every model that a caller may fill in.
INPUTS: dict[type[BaseModel], dict[str, Any]] = {
    **GOOD,
    **INNER,
    InventoryFilter: {"country": "US"},
    InventoryQuery: {"sort": "-monthly_usd"},
    NewEndpoint: {"name": "shop", "url": "https://shop.example.net/hook", "types": ["didflow.job.*"], "account": "main"},
    EndpointChange: {"url": "https://shop.example.net/hook", "enabled": False, "reference_prefix": "a-"},
    Quote: {"numbers": [{"number": "+12135550100"}]},
    **{model: {"request": GOOD[SearchAndBuy], "case": "c", "check": "k", "reference": "r"} for model in TYPES.values()},
}
#: Some of each sort; tests/unit/test_any_field.py has all edges.
WRONG: list[Any] = [
    object(),
    None,
    "",
    "\x00",
    "9999-12-31",
    -1,
    2**64,
    1.5,
    float("nan"),
    Decimal("sNaN"),
    b"\xff",
    [],
    {},
    [{}],
    [object()],
]


def built(model: type[BaseModel], fields: dict[str, Any]) -> InvalidRequest | None:
    """The refusal, the same in each way to build one; None if it is accepted."""
    refusals: list[InvalidRequest | None] = []
    ways: tuple[Callable[[], object], ...] = (partial(model, **fields), partial(model.model_validate, fields))
    for build in ways:
        try:
            build()
        except InvalidRequest as error:
            refusals.append(error)
        else:
            refusals.append(None)
    one, other = refusals
    assert (one and one.faults) == (other and other.faults)
    return one


@pytest.mark.parametrize("model", INPUTS, ids=lambda model: model.__name__)
def test_any_wrong_value_in_any_field_is_an_invalid_request_that_says_where_and_what_to_do(model: type[BaseModel]) -> None:
    good = {name: value for name, value in INPUTS[model].items() if name in model.model_fields}
    assert built(model, good) is None
    refused = 0
    for name in model.model_fields:
        for value in WRONG:
            if (error := built(model, good | {name: value})) is None:
                continue
            refused += 1
            assert error.faults
            assert all(fault.path and fault.message and fault.code and fault.next_step for fault in error.faults), error.faults
    assert refused
    with pytest.raises(InvalidRequest):
        model.model_validate_json("{")
    with pytest.raises(InvalidRequest):
        model.model_validate(object())
    with pytest.raises(InvalidRequest):
        model.model_validate_strings({"nothing": "x"} | dict.fromkeys(model.model_fields, "\x00"))


def test_every_model_that_producers_export_is_walked() -> None:
    exported = {value for name in didflow.__all__ if isinstance(value := getattr(didflow, name), type) and issubclass(value, BaseModel)}
    given_back = {Event, InventoryNumber, CatalogueAnswer, CatalogueOffer, CatalogueOffers, EndpointView, EndpointWithSecret}
    assert exported - given_back <= set(INPUTS), "an event comes out of the stream, the others out of what the ledger keeps"


SAID: list[tuple[Callable[[], object], list[tuple[str, str, str, str]]]] = [
    (
        lambda: SearchAndBuy(country=""),
        [("country", "String should have at least 1 character", "string_too_short", "give at least 1 characters")],
    ),
    (
        lambda: SearchAndBuy.model_validate({"quantity": 0, "countri": "US"}),
        [
            ("country", "Field required", "missing", "give it"),
            ("quantity", "Input should be greater than or equal to 1", "greater_than_equal", "give at least 1"),
            ("countri", "Extra inputs are not permitted", "extra_forbidden", "leave it out, or write country"),
        ],
    ),
    (
        lambda: SearchAndBuy(country="US", policy="some"),
        [
            (
                "policy",
                "Input should be 'all_or_nothing', 'at_least' or 'best_effort'",
                "literal_error",
                "give 'all_or_nothing', 'at_least' or 'best_effort'",
            )
        ],
    ),
    (
        lambda: SearchAndBuy(country="US", max_monthly_usd=2.5),
        [
            (
                "max_monthly_usd",
                'a float is not exact money: write it as text, "2.5", or as Decimal("2.5")',
                "value_error",
                'write it as text, "2.5", or as Decimal("2.5")',
            )
        ],
    ),
    (
        lambda: Reroute(numbers=("+12135550100",), destinations=(Destination.trunk(144), {"transport": 4, "destination": "1"})),
        [
            (
                "destinations.1",
                "'1' is not a phone number in E.164 form such as +13235550142",
                "value_error",
                "'1' is not a phone number in E.164 form such as +13235550142",
            )
        ],
    ),
    (
        lambda: Release(numbers=("+12135550100",), at=datetime(2026, 12, 1)),
        [
            (
                "at",
                "Input should have timezone info",
                "timezone_aware",
                "give a time with its zone, such as 2026-12-01T08:00+01:00",
            )
        ],
    ),
    (
        lambda: Destination.parse("pbx@example.net"),
        [
            (
                "destination",
                "'pbx@example.net' is not a destination: write sip:user@host, pstn:+13235550142 or trunk:144",
                "value_error",
                "write sip:user@host, pstn:+13235550142 or trunk:144",
            )
        ],
    ),
]


@pytest.mark.parametrize(("build", "faults"), SAID)
def test_each_fault_has_its_place_its_code_its_message_and_a_next_step(
    build: Callable[[], object], faults: list[tuple[str, str, str, str]]
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        build()
    assert [(one.path, one.message, one.code, one.next_step) for one in refused.value.faults] == faults
    assert [tuple(one) for one in refused.value.faults] == [(path, message) for path, message, _, _ in faults], (
        "it unpacks as path, message"
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda: Destination.parse(None),  # type: ignore[arg-type]
        lambda: Destination.parse("trunk:" + "9" * 5000),
        lambda: Destination.parse("trunk:²"),
        lambda: Destination.parse("sip:nobody"),
        lambda: Destination.sip(5),  # type: ignore[arg-type]
        lambda: Destination.pstn("+1"),
        lambda: Destination.pstn(None),  # type: ignore[arg-type]
        lambda: Destination.trunk("144x"),  # type: ignore[arg-type]
        lambda: Destination.trunk(0),
        lambda: Destination.trunk(144, priority=0),
        lambda: Selector(),
        lambda: Rung(quantity=0),
        lambda: CustomerChurned(reference="acme", grace="-1d"),
        lambda: parse_request({"kind": "x"}),
        lambda: parse_request("{"),
    ],
)
def test_helpers_refuse_as_the_models_do(build: Callable[[], object]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        build()
    assert refused.value.faults


def test_the_known_ways_to_catch_it_work(didflow_of_nothing: Didflow) -> None:
    with pytest.raises(ValueError, match="country"):
        SearchAndBuy(country="")
    with pytest.raises(DidflowError, match="country"):
        SearchAndBuy(country="")
    for one in ("US", None, {"country": "US"}, Quote(numbers=())):
        with pytest.raises(InvalidRequest, match="request"):
            didflow_of_nothing.submit(one)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="quote"):
        didflow_of_nothing.submit(quote={"numbers": []})  # type: ignore[arg-type]
    wrong: list[Any] = [SearchAndBuy(country="US"), Submission("US"), QuotedSubmission("q")]  # type: ignore[arg-type]
    assert [one.faults[0].path for one in didflow_of_nothing.submit_many(wrong) if isinstance(one, InvalidRequest)] == [
        "submission",
        "request",
        "quote",
    ]


@pytest.fixture
def didflow_of_nothing() -> Didflow:
    """A client whose Redis isn't there: nothing of this is asked."""
    return Didflow.from_url("redis://127.0.0.1:1/0")


def test_inside_pydantic_its_errors_stay_its_own_so_that_places_and_unions_work() -> None:
    class Order(BaseModel):
        request: Annotated[Request, Field(discriminator="kind")]
        to: list[Destination]

    with pytest.raises(ValidationError) as refused:
        Order.model_validate(
            {"request": {"kind": "reroute", "country": "US", "destinations": 5}, "to": [{"transport": 1, "destination": "nobody"}]}
        )
    places = {".".join(map(str, fault["loc"])) for fault in refused.value.errors()}
    assert {"request.reroute.destinations", "request.reroute.country", "to.0"} <= places
    whole = Order.model_validate(
        {"request": {"kind": "release", "numbers": ["+12135550100"]}, "to": [{"transport": 4, "destination": "12135550100"}]}
    )
    assert isinstance(whole.request, Release)
    with pytest.raises(ValidationError):
        TypeAdapter(SearchAndBuy).validate_python({"country": ""})


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301
def test_errors_are_the_same_after_a_copy_and_a_pickle(again: Callable[[DidflowError], DidflowError]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        SearchAndBuy.model_validate({"quantity": 0})
    built: list[DidflowError] = [
        refused.value,
        errors.InvalidEvent("bad", (("data", "is bad"),)),
        errors.IdempotencyConflict("key", "job", "quantity: 1 asked, 2 there"),
        errors.AlreadyLeaving("acme", "job", "grace"),
        errors.JobNotFound("job"),
        errors.DeadLetterNotFound("x"),
        errors.PlanNotFound("evening"),
        errors.InternalError(RuntimeError("x")),
        errors.ServiceUnavailable("away"),
        errors.WrongLedger("of another"),
    ]
    for error in built:
        other = again(error)
        assert (type(other), str(other), vars(other), repr(other)) == (type(error), str(error), vars(error), repr(error))
    copied = again(refused.value)
    assert isinstance(copied, InvalidRequest)
    assert [(one.code, one.next_step) for one in copied.faults] == [("missing", "give it"), ("greater_than_equal", "give at least 1")]
    assert repr(copied.faults[0]) == "Fault(path='country', message='Field required', code='missing', next_step='give it')"


def test_a_request_can_not_be_changed() -> None:
    request = SearchAndBuy(country="US")
    changes: tuple[Callable[[], object], ...] = (lambda: setattr(request, "country", "CA"), lambda: delattr(request, "country"))
    for change in changes:
        with pytest.raises(InvalidRequest) as refused:
            change()
        assert [(fault.path, fault.next_step) for fault in refused.value.faults] == [("country", "build another one")]
    assert request.country == "US"


def test_a_pair_is_a_fault_whose_next_step_ends_its_sentence() -> None:
    error = InvalidRequest("labels: x", (("labels", "is empty: give one"), Fault("to", "is bad", "bad", "fix it")))
    assert [(one.path, one.code, one.next_step) for one in error.faults] == [
        ("labels", "value_error", "give one"),
        ("to", "bad", "fix it"),
    ]


def test_money_as_text_is_still_read() -> None:
    assert SearchAndBuy(country="US", max_monthly_usd="2.50").max_monthly_usd == Decimal("2.50")
    assert Release(numbers=("+12135550100",), at="2026-12-01T08:00+01:00").at == datetime(2026, 12, 1, 7, tzinfo=UTC)
