"""The numbers of a job, one after the other: from its result, or from its pages where they are very many."""

from collections.abc import Sequence

from didflow.contract.errors import InvalidRequest
from didflow.contract.jobs import JobView
from didflow.contract.numbers import parse_e164
from didflow.contract.results import NumberResult
from didflow.contract.states import Outcome

#: Numbers per page of a result; a large job's pages have as many as fitted into a call.
PER_PAGE = 100


def in_result(view: JobView) -> tuple[NumberResult, ...]:
    """Those that the result itself has, or its quote; none before the end."""
    if view.result is None:
        return ()
    return view.result.numbers or (view.result.quote.numbers if view.result.quote else ())


def page_of(numbers: Sequence[NumberResult], page: int | None) -> Sequence[NumberResult]:
    """All, or one page of them."""
    return numbers if page is None else numbers[(page - 1) * PER_PAGE : page * PER_PAGE]


def as_ended(view: JobView, number: NumberResult) -> NumberResult:
    """What has no outcome when the job has ended was not done; in a dry run it would be."""
    undecided = number.outcome is None and view.state.is_terminal and not (view.request is not None and view.request.dry_run)
    return number.model_copy(update={"outcome": Outcome.FAILED}) if undecided else number


def number_named(text: str) -> str:
    """A number as a person writes it, in E.164. Raises InvalidRequest."""
    try:
        return parse_e164(text)
    except ValueError as error:
        raise InvalidRequest(f"number: {error}", (("number", str(error)),)) from None
