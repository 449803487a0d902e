"""Named points at which a test lets a worker die or freeze: before and after each call to the provider and each write to the ledger.

A point's name is ``before:`` or ``after:`` and the call: ``check_out``, ``claim``, ``save.fence`` (a save's step is part of it).
Off, which is always but under test, nothing of this stands between a job and its calls.
"""

import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from didflow.ledger.ledger import Ledger
from worker.jobs.ports.provider import Provider

#: Names the folder of the orders; unset: off. Not a setting: only tests use it.
VARIABLE = "DIDFLOW_FAULT_POINTS"
#: What an order may do to the process that reaches its point. A frozen one continues when it is sent SIGCONT.
ACTIONS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}

Reached = Callable[[str], None]

#: The scripts that a job runs through `Ledger.run` and that write, by the names of their points.
SCRIPTS = {
    "routes": "claim_routes",
    "want": "want_routes",
    "reuse_hand_out": "hand_out",
    "reuse_take_back": "take_back",
    "count_releases": "count_releases",
    "quarantine": "quarantine",
}
#: The calls with a point before and after them, by a function from the arguments to its name. No name: no point.
LEDGER_WRITES: Mapping[str, Callable[..., str]] = {
    "claim": lambda *_, **__: "claim",
    "take": lambda *_, **__: "claim",
    "save": lambda claim, count, write, calls=(), **_: f"save.{write.step}",  # noqa: ARG005 - the shape of Ledger.save
    "suspend": lambda *_, **__: "suspend",
    "stage": lambda *_, **__: "stage",
    "apply": lambda *_, **__: "apply",
    "finish": lambda *_, **__: "finish",
    "run": lambda call: SCRIPTS.get(call.script, ""),
    "fan_out": lambda *_, **__: "fan_out",
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

    def __init__(self, inner: object, points: Mapping[str, Callable[..., str]], reached: Reached) -> None:
        self._inner, self._points, self._reached = inner, points, reached

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        point = self._points.get(name)
        return attribute if point is None else self._around(attribute, point)

    def _around(self, call: Callable[..., Any], point: Callable[..., str]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            name = point(*args, **kwargs)
            if not name:
                return call(*args, **kwargs)
            self._reached(f"before:{name}")
            answer = call(*args, **kwargs)
            self._reached(f"after:{name}")
            return answer

        return watched


class Orders:
    """The folder of orders, as worker processes see it. An order is an empty file ``<point>.<action>``; one process carries it out, once.

    Every point that was reached leaves a file of its name in ``reached/``, so that a test can list them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = folder / "reached"
        self._seen.mkdir(parents=True, exist_ok=True)

    def reached(self, point: str) -> None:
        """Die or freeze here if an order says so."""
        (self._seen / point).touch()
        for action, number in ACTIONS.items():
            try:
                (self._folder / f"{point}.{action}").unlink()
            except FileNotFoundError:
                continue
            # To this thread: one for the process may be taken by another thread, and this one would get on a little.
            signal.pthread_kill(threading.get_ident(), number)


def orders_from_environment() -> Orders | None:
    """The orders that this process obeys; None, which is the rule: none."""
    folder = os.environ.get(VARIABLE)
    return Orders(Path(folder)) if folder else None
