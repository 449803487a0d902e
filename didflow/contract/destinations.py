"""Where a number's inbound calls go: SIP URI, PSTN number or SIP trunk, in an order of priorities."""

from collections.abc import Collection, Iterator, Mapping
from enum import IntEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from didflow.contract.errors import Fault, InvalidRequest
from didflow.contract.flags import Flag
from didflow.contract.numbers import parse_e164, to_provider
from didflow.contract.texts import NO_SPACES
from didflow.contract.validation import Checked

#: What the provider calls a record or a trunk by.
ProviderId = Annotated[int, Field(ge=1, le=2**63 - 1, strict=True)]
#: More digits than any id has; `int` would refuse very many.
MOST_DIGITS = 20


class Transport(IntEnum):
    """How the provider delivers a call; the values are the provider's."""

    SIP_URI = 1
    PSTN = 4
    SIP_TRUNK = 5


class SeenDestination(BaseModel):
    """A destination as the provider shows it: taken as it is, whatever it is, because a failback has to give it back.

    callhunt  as the provider's overview has it; None where the server doesn't show it, as the published contracts don't
    active    whether calls are sent there; None as above
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    transport: int
    destination: str
    priority: int = 1
    trunk_id: int | None = None
    callhunt: bool | None = None
    active: bool | None = None

    def __str__(self) -> str:
        match self.transport:
            case Transport.SIP_URI:
                return f"sip:{self.destination}"
            case Transport.PSTN:
                return f"pstn:+{to_provider(self.destination)}"
            case Transport.SIP_TRUNK:
                return f"trunk:{self.trunk_id or self.destination}"
            case unknown:
                return f"transport-{unknown}:{self.destination}"

    @property
    def names_its_trunk(self) -> bool:
        """Whether it has a SIP trunk's id and, as `destination`, something else than the id: its login."""
        return self.trunk_id is not None and self.destination != str(self.trunk_id)

    def goes_to_trunk(self, trunk_id: int) -> bool:
        """Whether it is that SIP trunk. Where the provider shows no `trunk_id`, `destination` may be the id."""
        return self.transport == Transport.SIP_TRUNK and str(trunk_id) in (
            str(self.trunk_id),
            self.destination if not self.trunk_id else "",
        )

    def is_as(self, other: "SeenDestination") -> bool:
        """Whether calls go to the same place at the same time. `callhunt` and `active` count where both sides show them."""
        if (self.priority, int(self.transport)) != (other.priority, int(other.transport)):
            return False
        if not (_agree(self.callhunt, other.callhunt) and _agree(self.active, other.active)):
            return False
        if self.transport == Transport.SIP_TRUNK:
            return self._is_same_trunk(other)
        return to_provider(self.destination) == to_provider(other.destination)

    def _is_same_trunk(self, other: "SeenDestination") -> bool:
        """By the ids; where one side has none, by what its `destination` is of the other: login or id."""
        if self.trunk_id is not None and other.trunk_id is not None:
            return self.trunk_id == other.trunk_id
        names = [{one.destination, str(one.trunk_id or one.destination)} for one in (self, other)]
        return bool(names[0] & names[1])


class Destination(SeenDestination, Checked):
    """One inbound destination of a number, as a request asks for it: checked.

    `destination` is a SIP URI without the scheme (``pbx@example.net``; ``[did]`` stands for the called number),
    a PSTN number, or a SIP trunk's login. `trunk_id` goes with transport 5 and with no other.
    Lower `priority` is tried first. `callhunt` and `active` are the provider's; they are sent only where they aren't the
    default, because the published contracts don't list them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    transport: Transport
    destination: str = Field(min_length=1, max_length=255, pattern=NO_SPACES)
    priority: int = Field(default=1, ge=1, le=100)
    trunk_id: ProviderId | None = None
    callhunt: Flag = False
    active: Flag = True

    @field_validator("transport", mode="before")
    @classmethod
    def _known_transport(cls, value: object) -> object:
        # Looked at by its type first: comparing a signalling NaN with a number raises.
        if not isinstance(value, int | float) or isinstance(value, bool) or value not in (1, 4, 5):
            raise ValueError(f"transport {repr(value)[:40]} is unknown: 1 is a SIP URI, 4 a PSTN number, 5 a SIP trunk")
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
        """A SIP URI, with or without ``sip:``. Raises InvalidRequest, as all ways to build one do."""
        return cls(transport=Transport.SIP_URI, destination=_text(uri, "uri").removeprefix("sip:"), priority=priority)

    @classmethod
    def pstn(cls, number: str, *, priority: int = 1) -> Self:
        """A PSTN number; the provider wants it without the plus."""
        try:
            digits = to_provider(parse_e164(number))
        except ValueError as error:
            raise _refused("number", str(error)) from None
        return cls(transport=Transport.PSTN, destination=digits, priority=priority)

    @classmethod
    def trunk(cls, trunk_id: int, login: str | None = None, *, priority: int = 1) -> Self:
        """A SIP trunk of the account; `login` is its system-generated name (its id if not known)."""
        return cls(transport=Transport.SIP_TRUNK, destination=login or str(trunk_id), trunk_id=trunk_id, priority=priority)

    @classmethod
    def parse(cls, text: str, *, priority: int = 1) -> Self:
        """``sip:pbx@example.net`` · ``pstn:+13235550142`` · ``trunk:144`` · ``trunk:144/login``."""
        kind, _, rest = _text(text, "destination").partition(":")
        match kind:
            case "sip" | "sips" if rest:
                return cls.sip(rest, priority=priority)
            case "pstn" | "tel" if rest:
                return cls.pstn(rest, priority=priority)
            case "trunk" if (trunk := rest.partition("/"))[0].isdecimal() and len(trunk[0]) < MOST_DIGITS:
                return cls.trunk(int(trunk[0]), trunk[2] or None, priority=priority)
        raise _refused("destination", f"{text[:80]!r} is not a destination: write sip:user@host, pstn:+13235550142 or trunk:144")


def _text(given: object, name: str) -> str:
    if not isinstance(given, str):
        raise _refused(name, f"is a {type(given).__name__}: give a text such as sip:user@host")
    return given


def _refused(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: {what}", (Fault(name, what),))


Route = tuple[SeenDestination, ...]


def same_route(one: Route, other: Route) -> bool:
    """Whether two lists of destinations send calls to the same places in the same order."""
    left = list(other)
    for destination in one:
        match = next((i for i, seen in enumerate(left) if destination.is_as(seen)), None)
        if match is None:
            return False
        del left[match]
    return not left


def _agree(one: bool | None, other: bool | None) -> bool:
    return one is None or other is None or one == other
