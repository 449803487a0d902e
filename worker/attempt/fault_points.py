"""Named points at which a test lets a worker die or freeze: before and after each call to the provider and each write to the ledger.

A point's name is ``before:`` or ``after:`` and the call: ``check_out``, ``claim``, ``save.fence`` (a save's step is part of it).
Off, which is always but under test, nothing of this stands between a job and its calls.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from didflow.fault_orders import Reached
from didflow.ledger.ledger import Ledger
from worker.jobs.ports.provider import Provider

#: The scripts that a job runs through `Ledger.run` and that write, by the names of their points.
SCRIPTS = {
    "routes": "claim_routes",
    "want": "want_routes",
    "reuse_hand_out": "hand_out",
    "reuse_take_back": "take_back",
    "count_releases": "count_releases",
    "quarantine": "quarantine",
}
#: The calls with a point before and after them, by a function from the arguments to its name, or to several. No name: no point.
LEDGER_WRITES: Mapping[str, Callable[..., str | tuple[str, ...]]] = {
    "claim": lambda *_, **__: "claim",
    "take": lambda *_, **__: "claim",
    "save": lambda claim, count, write, calls=(), **_: f"save.{write.step}",  # noqa: ARG005 - the shape of Ledger.save
    "suspend": lambda *_, **__: "suspend",
    "stage": lambda *_, **__: "stage",
    "apply": lambda *_, **__: "apply",
    "finish": lambda *_, **__: "finish",
    "end_together": lambda ends: tuple(one.script for one in ends),
    "run": lambda call: SCRIPTS.get(call.script, ""),
    "fan_out": lambda *_, **__: "fan_out",
    "write_chunk": lambda *_, **__: "write_chunk",
    "follow_up": lambda *_, **__: "follow_up",
    "emit": lambda *_, **__: "emit",
    "pause_account": lambda *_, **__: "pause_account",
    "resume_account": lambda *_, **__: "resume_account",
}


def watched_ledger(ledger: Ledger, reached: Reached) -> Ledger:
    """The ledger, with `reached` called around every write of a running job."""
    return cast("Ledger", _Watched(ledger, LEDGER_WRITES, reached))


def watched_provider(provider: Provider, reached: Reached) -> Provider:
    """The provider, with `reached` called around every call."""
    names = [name for name in dir(Provider) if not name.startswith("_")]
    return cast("Provider", _Watched(provider, {name: _named(name) for name in names}, reached))


def _named(name: str) -> Callable[..., str]:
    return lambda *_, **__: name


class _Watched:
    """Stands in for `inner`; the calls in `points` go through `reached`."""

    def __init__(self, inner: object, points: Mapping[str, Callable[..., str | tuple[str, ...]]], reached: Reached) -> None:
        self._inner, self._points, self._reached = inner, points, reached

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        point = self._points.get(name)
        return attribute if point is None else self._around(attribute, point)

    def _around(self, call: Callable[..., Any], point: Callable[..., str | tuple[str, ...]]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            found = point(*args, **kwargs)
            names = (found,) if isinstance(found, str) else found
            for name in filter(None, names):
                self._reached(f"before:{name}")
            answer = call(*args, **kwargs)
            for name in filter(None, names):
                self._reached(f"after:{name}")
            return answer

        return watched
