"""The settings of this process as they may be shown: every one, without secrets."""

import os
from dataclasses import dataclass

from pydantic import SecretStr

from didflow.settings import Settings, load_settings, variable
from didflow.urls import shown_redis_url


@dataclass(frozen=True)
class ShownSetting:
    """`source`: environment, .env or default."""

    name: str
    value: str
    source: str
    description: str


def shown_settings() -> tuple[ShownSetting, ...]:
    """Every setting. Raises InvalidSettings."""
    loaded = load_settings()
    return tuple(
        ShownSetting(variable(name), _shown(name, getattr(loaded, name)), _source(name, loaded), field.description or "")
        for name, field in Settings.model_fields.items()
    )


def _source(name: str, loaded: Settings) -> str:
    if variable(name) in {key.upper() for key in os.environ}:
        return "environment"
    return ".env" if name in loaded.model_fields_set else "default"


def _shown(name: str, value: object) -> str:
    if isinstance(value, SecretStr):
        return shown_redis_url(value.get_secret_value()) if name == "redis_url" else "********"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
