"""A result as the members of an event's `data`: JSON without the braces, which the finish script puts beside its own."""

from didflow.contract.results import Result


def event_members(result: Result) -> str:
    """Encoded here because Redis's cjson would make `{}` of an empty list and floats of money."""
    return members_of(result.model_dump_json(exclude_none=True))


def members_of(text: str) -> str:
    """Of a result as JSON."""
    return text[1:-1]
