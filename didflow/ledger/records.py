"""Records as the scripts keep them: JSON objects with named fields, see `scripts/include/records.lua`."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

Record = TypeVar("Record", bound=BaseModel)


def read_record(model: type[Record], text: str | None) -> Record | None:
    """None if there is none, or if it can't be read: then another program wrote it."""
    if not text:
        return None
    try:
        return model.model_validate_json(text)
    except ValidationError:
        return None
