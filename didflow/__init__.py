"""The library that applications import: submit jobs, follow them, consume their results.

    from didflow import Destination, Didflow, SearchAndBuy

    didflow = Didflow.from_env()
    job = didflow.submit(SearchAndBuy(country="US", city="LOS ANGELES, CA"), idempotency_key="order-4711")
    print(didflow.wait(job.id, timeout_s=60).result)

`didflow.exports` has the list of names. They are loaded when one of them is first used, so that a module of this package can be imported
without all others: `didflow --help` needs neither Redis nor pydantic. Importing them loads neither httpx nor Dramatiq.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from didflow import exports
    from didflow.exports import *  # noqa: F403 - by its `__all__`

    __all__ = exports.__all__


def __getattr__(name: str) -> object:
    exports = import_module("didflow.exports")  # `from didflow import exports` would ask here again.
    if name == "__all__" or name in exports.__all__:
        return getattr(exports, name)
    raise AttributeError(f"module 'didflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *import_module("didflow.exports").__all__})
