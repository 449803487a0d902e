"""Reports every fault of an input at once: of single fields, and between fields, which pydantic checks only if all fields are valid.

What a caller gives is refused with InvalidRequest, whichever way he builds the model. Inside pydantic (a model in a model, a union, a
stored job) nothing changes: there the errors are pydantic's, so that places and unions work as usual.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from didflow.contract.errors import Fault, InvalidRequest
from didflow.contract.texts import IN_WORDS
from didflow.contract.unknown_fields import unknown_field_step


class Input(BaseModel):
    """A model that a caller fills in. Its constructor and `model_validate…` raise InvalidRequest with every fault."""

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise invalid(error, type(self)) from None

    # Pydantic calls a constructor of one's own for each nested model, too, unless it has this mark; RootModel's has it as well.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    if not TYPE_CHECKING:  # Else the type checker would take any attribute for one that may be set.

        def __setattr__(self, name: str, value: Any) -> None:
            try:
                super().__setattr__(name, value)
            except ValidationError as error:
                raise invalid(error, type(self)) from None

        def __delattr__(self, name: str) -> None:
            try:
                super().__delattr__(name)
            except ValidationError as error:
                raise invalid(error, type(self)) from None

    @classmethod
    def model_validate(cls, obj: Any, **how: Any) -> Self:
        try:
            return super().model_validate(obj, **how)
        except ValidationError as error:
            raise invalid(error, cls) from None

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **how: Any) -> Self:
        try:
            return super().model_validate_json(json_data, **how)
        except ValidationError as error:
            raise invalid(error, cls) from None

    @classmethod
    def model_validate_strings(cls, obj: Any, **how: Any) -> Self:
        try:
            return super().model_validate_strings(obj, **how)
        except ValidationError as error:
            raise invalid(error, cls) from None


class Checked(Input):
    """A model that says what it wants between fields in `faults_between`."""

    @classmethod
    def faults_between(cls, given: Mapping[str, Any], bad: Collection[str]) -> Iterator[str]:  # noqa: ARG003 - for subclasses
        """What is wrong between the fields. `given` holds the fields as read; if some of them are `bad`, all as they came."""
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, given: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            built = read(given)
        except ValidationError as error:
            faults = error.errors(include_url=False)
            # A fault of the whole, such as a key that is no text, means that no field was read.
            if isinstance(given, Mapping) and all(fault["loc"] for fault in faults):
                bad = {str(fault["loc"][0]) for fault in faults}
                raise with_more(error, cls.faults_between(given, bad)) from None
            raise
        if between := tuple(cls.faults_between(vars(built), ())):
            raise with_more(None, between)
        return built


def with_more(error: ValidationError | None, faults: Iterable[str]) -> ValidationError:
    """The same error with more faults, which belong to the whole of what was read."""
    known = error.errors(include_url=False) if error else []
    details = [_detail(fault["type"], fault["msg"], fault["loc"], fault["input"], fault.get("ctx", {})) for fault in known]
    return ValidationError.from_exception_data("input", [*details, *(_detail("value_error", what, (), None, {}) for what in faults)])


def moved(error: ValidationError, by: int) -> ValidationError:
    """The same error, of a part of a list that begins there."""
    known = error.errors(include_url=False)
    places = [(fault["loc"][0] + by, *fault["loc"][1:]) if isinstance(fault["loc"][0], int) else fault["loc"] for fault in known]
    details = [
        _detail(fault["type"], fault["msg"], place, fault["input"], fault.get("ctx", {}))
        for fault, place in zip(known, places, strict=True)
    ]
    return ValidationError.from_exception_data("input", details)


def _detail(kind: str, what: str, loc: tuple[int | str, ...], given: object, limits: Mapping[str, Any]) -> InitErrorDetails:
    return {"type": PydanticCustomError(kind, "{what}", {**limits, "what": what}), "loc": loc, "input": given}


def invalid(error: ValidationError, model: Any = None) -> InvalidRequest:
    """A pydantic error as ours: one line per fault, never the input beyond what the fault quotes. `model`: the type that was to be read."""
    faults = tuple(Fault(one.path or "request", one.message, one.code, one.next_step) for one in faults_in(error, model))
    return InvalidRequest("the request is invalid: " + "; ".join(f"{where}: {what}" for where, what in faults), faults)


def faults_in(error: ValidationError, model: Any = None) -> tuple[Fault, ...]:
    """Where ('' for the whole) and what, in our words."""
    return tuple(
        as_fault(fault["loc"], fault["type"], fault["msg"], fault.get("ctx", {}), model)
        for fault in error.errors(include_url=False, include_input=False)
    )


def as_fault(loc: tuple[int | str, ...], kind: str, words: str, limits: Mapping[str, Any], wanted: Any) -> Fault:
    """`wanted`: the type that was to be read, in which `loc` is; None if that isn't known."""
    message = _in_words(words.removeprefix("Value error, "))
    step = unknown_field_step(loc, wanted) if kind == "extra_forbidden" else _next_step(kind, message, limits)
    return Fault(".".join(map(str, loc)), message, kind, step)


def _in_words(what: str) -> str:
    """A regular expression in a message doesn't help a person to fix the text."""
    return next((words for pattern, words in IN_WORDS.items() if what == f"String should match pattern '{pattern}'"), what)


#: What to do about a fault of pydantic's; the names in braces are what pydantic knows of it.
_STEPS = {
    "missing": "give it",
    "greater_than": "give more than {gt}",
    "greater_than_equal": "give at least {ge}",
    "less_than": "give less than {lt}",
    "less_than_equal": "give at most {le}",
    "string_too_short": "give at least {min_length} characters",
    "string_too_long": "give at most {max_length} characters",
    "too_short": "give at least {min_length}",
    "too_long": "give at most {max_length}",
    "literal_error": "give {expected}",
    "finite_number": "give a number that is finite",
    "frozen_instance": "build another one",
}
#: What is wanted, by the beginning of the fault's name: `int_type`, `int_parsing`, `int_from_float` …
_WANTED = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "decimal": "an amount such as 2.50",
    "string": "a text",
    "tuple": "a list",
    "model": "an object with its fields",
    "datetime": "a time with its zone, such as 2026-12-01T08:00+01:00",
    "timezone": "a time with its zone, such as 2026-12-01T08:00+01:00",
    "time_delta": "a duration such as 90s, 10m, 2h or 7d",
}


def _next_step(kind: str, message: str, limits: Mapping[str, Any]) -> str:
    if (step := _STEPS.get(kind)) is not None:
        try:
            return step.format_map(limits)
        except KeyError:
            return "correct it as the message says"
    if kind != "value_error" and (wanted := next((words for begin, words in _WANTED.items() if kind.startswith(begin)), None)):
        return message if message.startswith("needs ") else f"give {wanted}"
    # Our own sentences end in what to do.
    return message.rpartition(": ")[2]
