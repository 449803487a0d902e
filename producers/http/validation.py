"""Faults of a body and of query parameters, as FastAPI finds them, in our words: all at once, each with where it is."""

from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from didflow.contract.job_kinds import KINDS
from didflow.contract.validation import as_fault
from producers.http.problems import ProblemFault, pointer, problem

#: Faults that the sentence for a person names; the list has all.
NAMED = 10


def of_validation(error: RequestValidationError) -> Response:
    """The answer to a request with faults."""
    faults = tuple(map(_fault, error.errors()))
    named = [f"{one.pointer or one.parameter or 'the body'}: {one.detail}" for one in faults[:NAMED]]
    more = [f"and {len(faults) - NAMED} more"] if len(faults) > NAMED else []
    return problem(422, "invalid_request", "the request is invalid: " + "; ".join([*named, *more]), faults=faults)


def _fault(found: dict[str, Any]) -> ProblemFault:
    where, *loc = found["loc"]
    kind = KINDS[str(loc[1])] if len(loc) > 1 and loc[0] == "request" and loc[1] in KINDS else None
    if kind is not None:  # Pydantic names the member of the union in the place of a fault; no such field is in the body.
        del loc[1]
    # As a field of the request itself, so that a name that isn't one is answered with the one that may be meant.
    named = tuple(loc[1:]) if loc[:1] == ["request"] else tuple(loc)
    fault = as_fault(named, found["type"], found["msg"], found.get("ctx", {}), kind.request if kind else None)
    place = {"pointer": pointer(loc)} if where == "body" else {"parameter": ".".join(map(str, loc))}
    return ProblemFault(detail=fault.message, code=fault.code, next_step=fault.next_step, **place)
