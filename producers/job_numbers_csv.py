"""A job's numbers as lines of CSV, for a spreadsheet: the command line and the HTTP API write the same."""

from didflow.contract.destinations import Route
from didflow.contract.results import NumberResult

COLUMNS = (
    "number",
    "record_id",
    "outcome",
    "route_before",
    "route_after",
    "setup_usd",
    "monthly_usd",
    "error_code",
    "error",
    "takes_calls",
)


def cells(number: NumberResult) -> tuple[str, ...]:
    """The cells of one number, in the order of `COLUMNS`."""
    error = number.error
    raw = (
        number.number,
        number.record_id,
        number.outcome.value if number.outcome else "",
        _route(number.route_before),
        _route(number.route_after),
        number.setup_usd,
        number.monthly_usd,
        error.code if error else "",
        error.message if error else "",
        "" if number.takes_calls is None else "yes" if number.takes_calls else "no",
    )
    return tuple(map(unfooled, raw))


def _route(route: Route | None) -> str:
    """The destinations in their order."""
    return "" if route is None else ", ".join(str(destination) for destination in route) or "(none)"


def unfooled(cell: object) -> str:
    """A spreadsheet takes what begins like this for a formula, and the provider's words come from outside. A number's plus is ours."""
    text = str(cell if cell is not None else "")
    return f"'{text}" if text[:1] in ("=", "-", "@", "\t", "\r") or (text[:1] == "+" and not text[1:].isdigit()) else text
