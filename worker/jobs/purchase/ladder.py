"""A ladder as steps, each with its complete criteria: a rung inherits unset fields from the request. Without a ladder there is one step."""

from dataclasses import dataclass

from didflow.contract.requests import Rung, SearchAndBuy


@dataclass(frozen=True)
class Step:
    """`number` counts from 1; 0: the request has no ladder. `at_most`: how many numbers may come from here; None: any.

    `prefers_sms`: numbers with SMS go first.
    """

    number: int
    name: str
    criteria: SearchAndBuy
    at_most: int | None = None
    prefers_sms: bool = False


def steps_of(request: SearchAndBuy) -> tuple[Step, ...]:
    """In the order in which they are tried."""
    if request.ladder is None:
        return (Step(0, "", request),)
    return tuple(_step(number, rung, request) for number, rung in enumerate(request.ladder, 1))


def _step(number: int, rung: Rung, request: SearchAndBuy) -> Step:
    place = {"region": rung.region, "city": rung.city, "area_code": rung.area_code, "prefix": rung.prefix, "pattern": rung.pattern}
    own = {
        name: getattr(rung, name) for name in ("country", "number_type", "min_channels", "max_setup_usd", "max_monthly_usd", "documents")
    }
    sms = request.sms if rung.sms is None else rung.sms == "needed"
    changes = {"ladder": None, "sms": sms} | place | {name: value for name, value in own.items() if value is not None}
    criteria = request.model_copy(update=changes)
    return Step(number, rung.name or _in_words(criteria), criteria, rung.quantity, prefers_sms=rung.sms == "preferred")


def _in_words(criteria: SearchAndBuy) -> str:
    """The narrowest place that it names."""
    digits = criteria.prefix or criteria.area_code or criteria.pattern
    place = " or ".join(criteria.city) or criteria.region or criteria.country
    return f"{place} {digits}" if digits else place
