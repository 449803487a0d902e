"""What to do about a field that doesn't exist: the name that is meant, at any depth, or the place where a field of that name belongs."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel


def unknown_field_step(loc: tuple[int | str, ...], wanted: Any) -> str:
    """The next step for the field at `loc`, which the type `wanted` doesn't have. Without the type no name is suggested."""
    if not loc:
        return "leave it out: there is no such field"
    *outer, name = loc
    known = _fields(_models_at(wanted, outer))
    inner = {field: _fields(tuple(_models(kind))) for field, kind in known.items() if _is_one_object(kind)}
    if within := [field for field, fields in inner.items() if name in fields]:
        return f"put it into {within[-1]}"
    for depth in range(len(outer) - 1, -1, -1):
        if isinstance(outer[depth], str) and name in (above := _fields(_models_at(wanted, outer[:depth]))) and outer[depth] in above:
            return f"put it beside {outer[depth]}"
    if nearest := get_close_matches(str(name), known, n=1):
        return f"leave it out, or write {nearest[0]}"
    for field, fields in inner.items():
        if nearest := get_close_matches(str(name), fields, n=1):
            return f"put it into {field}, as {nearest[0]}"
    return "leave it out: there is no such field"


def _models_at(wanted: Any, loc: list[int | str]) -> tuple[type[BaseModel], ...]:
    """The models that a value at this place may have."""
    found = tuple(_models(wanted))
    for step in loc:
        if isinstance(step, int):
            continue  # Of a list: its items' models are found with the list.
        if fields := [model.model_fields[step].annotation for model in found if step in model.model_fields]:
            found = tuple(model for kind in fields for model in _models(kind))
        else:  # Pydantic names the member of a union in the place of a fault.
            found = tuple(model for model in found if _is_named(model, step)) or found
    return found


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    """The models in a type: itself, the members of a union, the items of a list."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from _models(part)


def _is_one_object(kind: Any) -> bool:
    """Whether a value of this type may be an object by itself, and not in a list."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return True
    return getattr(kind, "__origin__", None) not in (tuple, list, dict) and any(_is_one_object(part) for part in get_args(kind))


def _is_named(model: type[BaseModel], tag: str) -> bool:
    return tag == model.__name__ or ("kind" in model.model_fields and model.model_fields["kind"].default == tag)


def _fields(models: tuple[type[BaseModel], ...]) -> Mapping[str, Any]:
    return {name: field.annotation for model in models for name, field in model.model_fields.items()}
