"""Where calls and SMS of owned numbers go."""

from collections.abc import Sequence

import httpx

from didflow.contract.destinations import Route, SeenDestination, Transport
from didflow.contract.provider import Answer, ReadFailed
from worker.wavix.answer_matching import Subject
from worker.wavix.answers import Mutation
from worker.wavix.dialects import Dialect
from worker.wavix.mutations import Mutations, bare
from worker.wavix.trunk_calls import TrunkCalls


class RouteCalls(Mutations, TrunkCalls):
    """Destinations, and inbound SMS."""

    def set_route(self, record_ids: Sequence[int], route: Route, sms_relay_url: str | None) -> Answer[None]:
        """Replace the whole list of destinations of every record. One unknown id refuses the whole call.

        `sms_relay_url` is sent only where there is one: the older dialect's description calls it required, but an overview of the
        same version leaves it out, and an empty one would switch the callback off. A SIP trunk is sent with its login, as the
        contracts ask; with its id where the key may not read trunks.
        """
        try:
            route = self._trunk_names.with_logins(route)
        except ReadFailed as failed:
            return failed.answer  # Nothing was sent.
        body: dict[str, object] = {"ids": list(record_ids), "destinations": [_destination(one) for one in route]}
        if sms_relay_url is not None:
            body["sms_relay_url"] = sms_relay_url
        return bare(self._mutate(Mutation.ROUTE, Subject.of(record_ids=record_ids), lambda dialect: dialect.route, body=body))

    def set_sms_relay_url(self, record_id: int, url: str) -> Answer[None]:
        subject = Subject.of(record_ids=[record_id])
        return bare(self._mutate(Mutation.UPDATE, subject, lambda dialect: _update(dialect, record_id), body={"sms_relay_url": url}))

    def set_sms_enabled(self, record_id: int, enabled: bool) -> Answer[None]:
        """Inbound SMS on or off. The provider has it for US and Canadian numbers only, and refuses the others."""

        def change(dialect: Dialect) -> httpx.Request:
            if dialect.sms_path is not None:
                return self._http.request("PUT", dialect.sms_path, body={"id": record_id, "sms_enabled": enabled})
            return self._http.request(*_update(dialect, record_id), body={"sms_enabled": enabled})

        return bare(self._change(Mutation.SMS, Subject.of(record_ids=[record_id]), change))


def _update(dialect: Dialect, record_id: int) -> tuple[str, str]:
    """Method and path that change one record."""
    return dialect.update_method, f"{dialect.owned_path}/{record_id}"


def _destination(one: SeenDestination) -> dict[str, object]:
    body: dict[str, object] = {"transport": int(one.transport), "destination": one.destination, "priority": one.priority}
    if one.transport == Transport.SIP_TRUNK:
        body["trunk_id"] = one.trunk_id
    # The published contracts don't list these two, and a strict server refuses what it doesn't know: only what isn't the default is sent.
    if one.callhunt:
        body["callhunt"] = True
    if one.active is False:
        body["active"] = False
    return body
