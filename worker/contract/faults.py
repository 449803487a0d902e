"""Every fault of an input at once: those of single fields, and those between fields, which pydantic looks for only if all are good."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Self

from pydantic import BaseModel, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError


class Checked(BaseModel):
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
    details = [_detail(fault["type"], fault["msg"], fault["loc"], fault["input"]) for fault in known]
    return ValidationError.from_exception_data("input", [*details, *(_detail("value_error", what, (), None) for what in faults)])


def _detail(kind: str, what: str, loc: tuple[int | str, ...], given: object) -> InitErrorDetails:
    return {"type": PydanticCustomError(kind, "{what}", {"what": what}), "loc": loc, "input": given}
