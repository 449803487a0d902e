"""Groups of options: a command gets each group as one value, and typer shows its options one by one."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from typing import Any

from didflow.contract.destinations import Destination
from didflow.terminal import options as given

#: Stands for the destinations while everything else is checked.
ANYWHERE = Destination.sip("pbx@example.net")


@dataclass(frozen=True)
class Listed:
    """Numbers, one by one and from a file."""

    number: given.Numbers = None
    numbers_file: given.NumbersFile = None

    def numbers(self) -> tuple[str, ...]:
        """Raises InvalidRequest if the file can't be read."""
        return given.listed_numbers(self.number, self.numbers_file)


@dataclass(frozen=True)
class Selected:
    """Owned numbers by what they are now."""

    from_trunk: given.FromTrunk = None
    from_destination: given.FromDestination = None
    label: given.Label = None
    country: given.Country = None
    city: given.City = None
    everything: given.All = False

    def selector(self) -> dict[str, Any] | None:
        """The fields of a Selector, or None if no option named one."""
        criteria = {"trunk_id": self.from_trunk, "destination": self.from_destination}
        criteria |= {"label": self.label, "country": self.country, "city": self.city}
        some = self.everything or any(value is not None for value in criteria.values())
        return criteria | {"all": self.everything} if some else None


@dataclass(frozen=True)
class Guards:
    """What keeps a reroute from moving more than was meant."""

    expected_count: given.ExpectedCount = None
    max_fraction: given.MaxFraction = None
    canary: given.Canary = None
    read_routes: given.ReadRoutes = False


@dataclass(frozen=True)
class Labels:
    """What goes along with a request, and whether its end is waited for."""

    key: given.Key = None
    reference: given.Reference = None
    account: given.AccountName = "default"
    wait: given.Wait = False
    timeout: given.Timeout = 300.0

    def check(self, priority: int = 5) -> None:
        """Raises InvalidRequest if one of them can't go along with a request."""
        given.labels(self.key, self.reference, self.account, priority)


@dataclass(frozen=True)
class Turn:
    """When a job's turn is."""

    priority: given.Priority = 5
    not_before: given.NotBefore = None


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer takes it: in the place of each group stand its options."""
    signature = inspect.signature(command, eval_str=True)
    given_types = {name: one.annotation for name, one in signature.parameters.items()}
    groups = {name: kind for name, kind in given_types.items() if isinstance(kind, type) and is_dataclass(kind)}
    options: list[inspect.Parameter] = []
    for name, one in signature.parameters.items():
        options += inspect.signature(groups[name], eval_str=True).parameters.values() if name in groups else [one]

    @wraps(command)
    def run(**said: Any) -> None:
        built = {name: group(**{one.name: said.pop(one.name) for one in fields(group)}) for name, group in groups.items()}
        command(**built, **said)

    shown = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in options]
    vars(run)["__signature__"] = signature.replace(parameters=shown)
    run.__annotations__ = {one.name: one.annotation for one in shown}
    return run
