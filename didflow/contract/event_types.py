"""The types of events that are emitted, and which of them a webhook's filter names."""

from difflib import get_close_matches
from functools import cache
from typing import get_args

from didflow.contract.events import AnyEvent, Event
from didflow.contract.states import JobState

#: Most types that a message names.
_NAMED = 3


@cache
def event_types() -> tuple[str, ...]:
    """Every type of event that an endpoint may get, in alphabetical order."""
    jobs = {f"didflow.job.{state.value}.v1" for state in JobState}
    others = {kind for model in get_args(AnyEvent) if model is not Event for kind in get_args(model.model_fields["type"].annotation)}
    return tuple(sorted(jobs | others))


def is_of_type(event_type: str, pattern: str) -> bool:
    """Whether the pattern, a type or the beginning of one with ``.*``, stands for this type."""
    return event_type.startswith(pattern[:-1]) if pattern.endswith(".*") else event_type == pattern


def unknown_type_fault(pattern: str) -> str | None:
    """What is wrong with a pattern that stands for no type; its end names the nearest ones. Business events come in, and aren't emitted."""
    if any(is_of_type(one, pattern) for one in event_types()):
        return None
    families = {".".join(one.split(".")[:2]) + ".*" for one in event_types()}
    known = sorted(families) if pattern.endswith(".*") else event_types()
    nearest = get_close_matches(pattern, known, n=_NAMED) or sorted(families)
    return f"{pattern[:100]!r} is the type of no event: write {' or '.join(nearest)}"
