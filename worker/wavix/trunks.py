"""SIP trunks by id and by login: an account shows a number's trunk as either, and takes the login."""

from collections.abc import Callable

import structlog

from didflow.contract.destinations import Route, SeenDestination, Transport
from didflow.contract.provider import Barred, No, NotThere, OwnedNumber, ReadFailed, Trunk
from worker.wavix.locations import LocationCache

#: A trunk that isn't in the list is looked up again, but not more often than this.
LOOK_AGAIN_S = 30.0

log = structlog.stdlib.get_logger("didflow.wavix")


class TrunkNames:
    """The account's trunks, read when they are needed and remembered with its locations.

    A key that may not read trunks has none here: what is known of a destination then stays as it is.
    """

    def __init__(self, locations: LocationCache, read: Callable[[], tuple[Trunk, ...]]) -> None:
        self._locations, self._read = locations, read

    def with_logins(self, route: Route) -> Route:
        """The route as the provider wants it: each trunk with its id, and its login as destination. Raises ReadFailed."""
        return tuple(self._with_login(one) if one.transport == Transport.SIP_TRUNK and not one.names_its_trunk else one for one in route)

    def identified(self, owned: OwnedNumber) -> OwnedNumber:
        """The number with the id of each trunk that is shown without it. Raises ReadFailed."""
        if not any(one.transport == Transport.SIP_TRUNK and one.trunk_id is None for one in owned.route):
            return owned
        return owned.model_copy(update={"route": tuple(map(self._with_id, owned.route))})

    def _with_login(self, one: SeenDestination) -> SeenDestination:
        trunk = self._named(one)
        if trunk is None or not trunk.name:
            log.warning("wavix.trunk_login_unknown", trunk=one.destination)
            return one
        return one.model_copy(update={"destination": trunk.name, "trunk_id": trunk.id})

    def _with_id(self, one: SeenDestination) -> SeenDestination:
        if one.transport != Transport.SIP_TRUNK or one.trunk_id is not None or (trunk := self._named(one)) is None:
            return one
        return one.model_copy(update={"trunk_id": trunk.id})

    def _named(self, one: SeenDestination) -> Trunk | None:
        """The trunk whose id it has, else whose login it shows, else whose id it shows."""
        for trunks in (self._known(), self._known(LOOK_AGAIN_S)):
            by_login = next((trunk for trunk in trunks if trunk.name == one.destination), None)
            by_id = {trunk.id: trunk for trunk in trunks}
            if one.trunk_id is not None:
                found = by_id.get(one.trunk_id)
            else:
                found = by_login or next((trunk for trunk in trunks if str(trunk.id) == one.destination), None)
            if found is not None:
                return found
        return None

    def _known(self, kept_s: float | None = None) -> tuple[Trunk, ...]:
        return self._locations.get("trunks", self._readable, kept_s=kept_s)

    def _readable(self) -> tuple[Trunk, ...]:
        try:
            return self._read()
        except NotThere:
            return ()
        except ReadFailed as failed:
            if isinstance(failed.answer, No) or (isinstance(failed.answer, Barred) and failed.answer.status == 403):
                log.warning("wavix.trunks_unreadable", error=str(failed))
                return ()
            raise
