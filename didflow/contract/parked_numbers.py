"""A number that a release has parked: where it was before, and what another job requested meanwhile."""

from pydantic import BaseModel, ConfigDict

from didflow.contract.destinations import Route, same_route
from didflow.contract.errors import JobError

#: Of a number that a job asked to route while a release has it.
PARKED = JobError(code="parked", message="a release counts this number down: it gets this route if it stays")
#: Of a number without an outcome that may be parked: a job that ends so isn't over.
STILL_PARKED = JobError(
    code="still_parked", message="it may still be parked: neither released nor back on its old route. Run `didflow retry`"
)


class Ways(BaseModel):
    """The previous route of the number (None: unknown), and where it is parked."""

    model_config = ConfigDict(frozen=True)

    before: Route | None
    target: Route


class Parked(BaseModel):
    """`release`: the job that has it; not `live`: that has ended. `ways` None: the release hasn't read its route yet.

    wanted        the route that another job requested since; None: none did
    wanted_by, wanted_order   that job, and its place among the submits; 0: none
    """

    model_config = ConfigDict(frozen=True)

    release: str
    live: bool = True
    ways: Ways | None = None
    wanted: Route | None = None
    wanted_by: str = ""
    wanted_order: int = 0

    @property
    def way_back(self) -> Route | None:
        """Its route if it stays. None: unknown."""
        if self.wanted is not None:
            return self.wanted
        return self.ways.before if self.ways else None

    @property
    def left_by_another(self) -> Route | None:
        """The route to restore after an ended release that left it parked; None if there was none, or it isn't known."""
        if self.wanted is not None and not self.wanted_order:
            return self.wanted
        return self.ways.before if self.ways else None

    def is_at(self, route: Route) -> bool:
        """Whether that is where it is parked."""
        return self.ways is not None and same_route(route, self.ways.target)
