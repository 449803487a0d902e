"""What to change in a purchase that found too few numbers: each change with the flag to type, and the field of Python and JSON."""

from collections.abc import Iterable, Iterator, Mapping

from didflow.contract.requests import SearchAndBuy

#: By the reason for which numbers were refused.
_ADMITS = {
    "documents": ("allow numbers that need documents", "--documents allow_inactive", "documents"),
    "setup_fee": ("pay more once", "--max-setup", "max_setup_usd"),
    "monthly_fee": ("pay more a month", "--max-monthly", "max_monthly_usd"),
    "budget": ("pay more in all", "--max-total", "max_total_usd"),
    "sms": ("do without SMS", "leave out --sms", "sms"),
    "channels": ("do with fewer channels", "--min-channels", "min_channels"),
    "area_code": ("another area code", "--area-code", "area_code"),
    "prefix": ("another prefix", "--prefix", "prefix"),
    "pattern": ("another pattern", "--pattern", "pattern"),
    "number_type": ("any type", "--number-type all", "number_type"),
}


def changes(request: SearchAndBuy, refused: Mapping[str, int], found: int) -> str:
    """What would admit more numbers, what refused most of them first; where nothing of the request would, to wait."""
    reasons = sorted(refused, key=lambda reason: -refused[reason])
    named = dict.fromkeys(_ADMITS[reason.removesuffix("_in_cart")] for reason in reasons if reason.removesuffix("_in_cart") in _ADMITS)
    return _either(f"{what} ({flag}; field {field})" for what, flag, field in (*named, *_of_request(request, found)))


def _of_request(request: SearchAndBuy, found: int) -> Iterator[tuple[str, str, str]]:
    if found and request.policy == "all_or_nothing":
        yield (f"take the {found}", "--policy best_effort", "policy")
    if request.ladder:
        yield ("try another place", "--rung", "ladder")
    elif request.city:
        yield ("look in more cities", "--city", "city")
    elif request.region:
        yield ("look in another region", "--region", "region")
    if request.wait_until is None:
        yield ("wait for stock", "--wait-until 2d", "wait_until")


def _either(parts: Iterable[str]) -> str:
    *first, last = [*parts, "ask again later"]
    return f"{', '.join(first)}, or {last}" if first else last
