"""Which middleware the broker takes. docs/middleware.md is the whole contract."""

import importlib
import os
import sys
from collections.abc import Sequence

import dramatiq
from dramatiq.middleware import AgeLimit, GroupCallbacks, Pipelines, Retries, ShutdownNotifications, TimeLimit
from dramatiq.results import Results

from didflow.contract.errors import InvalidSettings

_INTERRUPTS = "it would interrupt a thread between a money call and its record; a call's time is limited by DIDFLOW_HTTP_TIMEOUT"
_MESSAGES = (
    "it sends messages with arguments of their own, and a message of this broker names a job;"
    " submit the next job when the first one's result arrives"
)

#: Why a job can't have it, by class. It holds for their subclasses, too.
REFUSED: dict[type[dramatiq.Middleware], str] = {
    Retries: "the ledger counts attempts and delays the next one: DIDFLOW_MAX_ATTEMPTS",
    AgeLimit: "the ledger keeps a job until it has ended; a request's `deadline` ends it earlier",
    TimeLimit: _INTERRUPTS,
    ShutdownNotifications: _INTERRUPTS,
    Results: "a job's result is written with its end, and read from the ledger or from the results stream",
    Pipelines: _MESSAGES,
    GroupCallbacks: _MESSAGES,
}


def check_middleware(middleware: dramatiq.Middleware) -> None:
    """Raises InvalidSettings with the reason if it would decide what only the ledger may decide."""
    for refused, why in REFUSED.items():
        if isinstance(middleware, refused):
            raise InvalidSettings(f"the middleware {refused.__name__} can't be used: {why}")


def load_middleware(paths: Sequence[str]) -> list[dramatiq.Middleware]:
    """An instance of each class, which is named as `module:Class`. Raises InvalidSettings."""
    return [_loaded(path) for path in paths]


def _loaded(path: str) -> dramatiq.Middleware:
    module, _, name = path.partition(":")
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)  # Last: a folder of another project never stands for one of our packages.
    try:
        made = getattr(importlib.import_module(module), name)()
    except Exception as error:
        raise InvalidSettings(
            f"DIDFLOW_MIDDLEWARE names {path!r}, which can't be loaded as module:Class ({type(error).__name__}): correct the name"
        ) from error
    if not isinstance(made, dramatiq.Middleware):
        raise InvalidSettings(f"DIDFLOW_MIDDLEWARE names {path!r}, which is no dramatiq.Middleware")
    return made
