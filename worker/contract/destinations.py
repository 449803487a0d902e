"""Where a number's inbound calls go: SIP URI, PSTN number or SIP trunk, in an order of priorities."""

from collections.abc import Collection, Iterator, Mapping
from enum import IntEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from worker.contract.faults import Checked
from worker.contract.numbers import parse_e164, to_provider

NO_SPACES = r"^[^\s\x00-\x1f\x7f-\x9f\ufffd]+$"
#: What the provider calls a record or a trunk by.
ProviderId = Annotated[int, Field(ge=1, le=2**63 - 1)]


class Transport(IntEnum):
    """How the provider delivers a call; the values are the provider's."""

    SIP_URI = 1
    PSTN = 4
    SIP_TRUNK = 5


class SeenDestination(BaseModel):
    """A destination as the provider shows it: taken as it is, whatever it is, because a failback has to give it back."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    transport: int
    destination: str
    priority: int = 1
    trunk_id: int | None = None

    def __str__(self) -> str:
        match self.transport:
            case Transport.SIP_URI:
                return f"sip:{self.destination}"
            case Transport.PSTN:
                return f"pstn:+{to_provider(self.destination)}"
            case Transport.SIP_TRUNK:
                return f"trunk:{self.trunk_id}"
            case unknown:
                return f"transport-{unknown}:{self.destination}"

    def route_key(self) -> tuple[int, str, int, int]:
        """What makes two destinations the same route. A trunk is its id: its login is only how the provider shows it."""
        shown = str(self.trunk_id) if self.transport == Transport.SIP_TRUNK else to_provider(self.destination)
        return (self.priority, shown, int(self.transport), self.trunk_id or 0)


class Destination(SeenDestination, Checked):
    """One inbound destination of a number, as a request asks for it: checked.

    `destination` is a SIP URI without the scheme (``pbx@example.net``; ``[did]`` stands for the called number),
    a PSTN number, or a SIP trunk's login. `trunk_id` goes with transport 5 and with no other.
    Lower `priority` is tried first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    transport: Transport
    destination: str = Field(min_length=1, max_length=255, pattern=NO_SPACES)
    priority: int = Field(default=1, ge=1, le=100)
    trunk_id: ProviderId | None = None

    @field_validator("transport", mode="before")
    @classmethod
    def _known_transport(cls, value: object) -> object:
        if value not in (1, 4, 5) or isinstance(value, bool):
            raise ValueError(f"transport {value!r} is unknown: 1 is a SIP URI, 4 a PSTN number, 5 a SIP trunk")
        return value

    @classmethod
    def faults_between(cls, given: Mapping[str, Any], bad: Collection[str]) -> Iterator[str]:
        if "transport" in bad:
            return
        transport, trunk_id = given["transport"], given.get("trunk_id")
        if transport == Transport.SIP_TRUNK and trunk_id is None:
            yield "a SIP trunk (transport 5) needs its trunk_id"
        if transport != Transport.SIP_TRUNK and trunk_id is not None:
            yield f"trunk_id goes with transport 5 only, not with {int(transport)}"
        if "destination" in bad:
            return
        destination = given["destination"]
        if transport == Transport.SIP_URI and "@" not in destination:
            yield f"{destination!r} is not a SIP URI: write user@host"
        if transport == Transport.PSTN:
            try:
                parse_e164(destination)
            except ValueError as error:
                yield str(error)

    @classmethod
    def sip(cls, uri: str, *, priority: int = 1) -> Self:
        """A SIP URI, with or without ``sip:``."""
        return cls(transport=Transport.SIP_URI, destination=uri.removeprefix("sip:"), priority=priority)

    @classmethod
    def pstn(cls, number: str, *, priority: int = 1) -> Self:
        """A PSTN number; the provider wants it without the plus."""
        return cls(transport=Transport.PSTN, destination=to_provider(parse_e164(number)), priority=priority)

    @classmethod
    def trunk(cls, trunk_id: int, login: str | None = None, *, priority: int = 1) -> Self:
        """A SIP trunk of the account; `login` is its system-generated name (its id if not known)."""
        return cls(transport=Transport.SIP_TRUNK, destination=login or str(trunk_id), trunk_id=trunk_id, priority=priority)

    @classmethod
    def parse(cls, text: str, *, priority: int = 1) -> Self:
        """``sip:pbx@example.net`` · ``pstn:+13235550142`` · ``trunk:144`` · ``trunk:144/login``."""
        kind, _, rest = text.partition(":")
        match kind:
            case "sip" | "sips" if rest:
                return cls.sip(rest, priority=priority)
            case "pstn" | "tel" if rest:
                return cls.pstn(rest, priority=priority)
            case "trunk" if rest.split("/")[0].isdigit():
                trunk_id, _, login = rest.partition("/")
                return cls.trunk(int(trunk_id), login or None, priority=priority)
        raise ValueError(f"{text!r} is not a destination: write sip:user@host, pstn:+13235550142 or trunk:144")


Route = tuple[SeenDestination, ...]


def same_route(one: Route, other: Route) -> bool:
    """Whether two lists of destinations send calls to the same places in the same order."""
    return sorted(d.route_key() for d in one) == sorted(d.route_key() for d in other)
