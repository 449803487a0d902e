"""Faults of a body and of query parameters, as FastAPI finds them, in our words: all at once, each with where it is."""

from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from didflow.contract.job_kinds import KINDS
from didflow.contract.validation import as_fault
from producers.http.problems import ProblemFault, pointer, problem

#: Faults that the sentence for a person names; the list has all.
NAMED = 10


def of_validation(error: RequestValidationError, body: Any = None) -> Response:
    """The answer to a request with faults. `body`: the type of the route's body, if it has one."""
    faults = tuple(_fault(found, body) for found in error.errors())
    named = [f"{one.pointer or one.parameter or 'the body'}: {one.detail}" for one in faults[:NAMED]]
    more = [f"and {len(faults) - NAMED} more"] if len(faults) > NAMED else []
    return problem(422, "invalid_request", "the request is invalid: " + "; ".join([*named, *more]), faults=faults)


def _fault(found: dict[str, Any], body: Any) -> ProblemFault:
    where, *loc = found["loc"]
    fault = as_fault(tuple(loc), found["type"], found["msg"], found.get("ctx", {}), body if where == "body" else None)
    if len(loc) > 1 and loc[0] == "request" and loc[1] in KINDS:
        del loc[1]  # Pydantic names the member of the union in the place of a fault; no such field is in the body.
    place = {"pointer": pointer(loc)} if where == "body" else {"parameter": ".".join(map(str, loc))}
    step = found.get("ctx", {}).get("step", fault.next_step)  # A parameter that doesn't exist has a step of its own.
    return ProblemFault(detail=fault.message, code=fault.code, next_step=step, **place)
