"""Which addresses a delivery may go to: public ones, and private networks that the operator names.

The lists follow IANA's registries of special-purpose addresses for IPv4 and IPv6. What isn't known to be public is refused.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Reach(Enum):
    """How far an address may be used."""

    PUBLIC = "public"
    NAMED = "named"  # in a network that the operator named
    REFUSED = "refused"


def _v4(*networks: str) -> tuple[IPv4Network, ...]:
    return tuple(map(IPv4Network, networks))


def _v6(*networks: str) -> tuple[IPv6Network, ...]:
    return tuple(map(IPv6Network, networks))


#: Not public: this host, private, shared, loopback, protocol assignments, documentation, benchmarks, the deprecated 6to4 relay.
_SPECIAL_V4 = _v4(
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip
#: All that is assigned as global unicast so far.
_GLOBAL_V6 = IPv6Network("2000::/3")
#: Not public within it: protocol assignments with Teredo, documentation, 6to4. Both tunnels embed an IPv4 address, which may be private.
_SPECIAL_V6 = _v6("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
#: Refused even inside a network that the operator named: unspecified, link-local, multicast, reserved, IPv4 written as IPv6, and where
#: clouds serve the credentials of a machine (Azure's address is a public one).
_NEVER: tuple[Network, ...] = (
    *_v4("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "100.100.100.200/32", "168.63.129.16/32"),
    *_v6("::/128", "fe80::/10", "ff00::/8", "::ffff:0:0/96", "fd00:ec2::/32", "fd20:ce::/32"),
)
#: NAT64's well-known prefix: the last 32 bits are the IPv4 address that the translator connects to. Where there is only IPv6, every
#: IPv4 host has such an address, so it is judged by the one inside.
_NAT64 = IPv6Network("64:ff9b::/96")


def reach_of(address: Address, allowed: Iterable[Network]) -> Reach:
    """Whether this address may be connected to; `allowed` are the networks that the operator named."""
    if isinstance(address, IPv6Address) and address in _NAT64:
        return reach_of(IPv4Address(int(address) & 0xFFFFFFFF), allowed)
    if _within(address, _NEVER):
        return Reach.REFUSED
    if _within(address, allowed):
        return Reach.NAMED
    return Reach.PUBLIC if _is_public(address) else Reach.REFUSED


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks such as `10.20.0.0/16`. Raises ValueError for anything else, also for one with host bits set."""
    return tuple(map(ip_network, texts))


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not _within(address, _SPECIAL_V4)
    return address in _GLOBAL_V6 and not _within(address, _SPECIAL_V6)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
