"""Describes for a person how two requests differ: the text of an idempotency conflict."""

from collections.abc import Collection
from datetime import datetime, timedelta

from pydantic import BaseModel

from didflow.contract.time_values import span_text

#: No more items of a list are written out.
ITEMS_SHOWN = 5
#: A longer value is cut.
CHARACTERS = 120


def differences(asked: BaseModel, had: BaseModel, *, leave_out: Collection[str] = ()) -> tuple[str, ...]:
    """Every field that differs, such as ``grace: 1d asked, 7d there``. Requests of two kinds differ in their kind alone."""
    if type(asked) is not type(had):
        return (f"kind: {_of(asked)} asked, {_of(had)} there",)
    pairs = ((name, getattr(asked, name), getattr(had, name)) for name in type(asked).model_fields if name not in leave_out)
    return tuple(_difference(name, now, then) for name, now, then in pairs if now != then)


def _of(request: BaseModel) -> str:
    return str(getattr(request, "kind", type(request).__name__)).replace("_", "-")


def _difference(name: str, asked: object, had: object) -> str:
    if isinstance(asked, tuple) and isinstance(had, tuple) and len(asked) + len(had) > ITEMS_SHOWN:
        more, fewer = (_listed([one for one in some if one not in others]) for some, others in ((asked, set(had)), (had, set(asked))))
        only = [f"only asked {more}"] * bool(more) + [f"only there {fewer}"] * bool(fewer)
        return f"{name}: {', '.join(only) or 'another order'}"
    return f"{name}: {in_words(asked)} asked, {in_words(had)} there"


def _listed(items: Collection[object]) -> str:
    shown = " ".join(in_words(one) for one in list(items)[:ITEMS_SHOWN])
    return shown + (f" and {len(items) - ITEMS_SHOWN} more" if len(items) > ITEMS_SHOWN else "")


def in_words(value: object) -> str:
    """One value: ``7d``, ``2026-12-01 08:00:00 UTC``, ``none``, ``yes``."""
    match value:
        case None | () | "":
            text = "none"
        case bool():
            text = "yes" if value else "no"
        case timedelta():
            text = span_text(value)
        case datetime():
            text = f"{value:%Y-%m-%d %H:%M:%S %Z}"
        case tuple():
            text = " ".join(in_words(one) for one in value)
        case BaseModel() if type(value).__str__ is BaseModel.__str__:
            text = " ".join(f"{name}={in_words(one)}" for name, one in value if one != type(value).model_fields[name].default)
        case _:
            text = str(value)
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"
