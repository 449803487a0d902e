"""The URL of an endpoint: what may stand in one, and its parts. It is read once here, so that no second parser understands it otherwise."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from didflow.client.webhook_addresses import Address, Network, Reach, reach_of
from didflow.contract.errors import InvalidRequest

MOST_CHARACTERS = 2_000
#: Any other is a port of some other protocol; above 1,023 services choose freely.
PORTS = {"https": 443, "http": 80}
FIRST_FREE_PORT = 1024

_WRITTEN = re.compile(r"[\x21-\x7e]+")
_NETLOC = re.compile(r"(?:\[[^][@]+\]|[^][:@]+)(?::[0-9]{1,5})?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
#: Resolvers take these for an IPv4 address: 2130706433, 0x7f000001, 127.1, 0177.0.0.1.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
#: Names that no public name server knows.
_INSIDE = ("localhost", "local", "internal", "home.arpa", "invalid", "onion")


@dataclass(frozen=True)
class EndpointUrl:
    """The parts of a checked URL.

    host     in lower case, without brackets
    address  the host, if it is one
    target   path and query
    """

    scheme: str
    host: str
    port: int
    address: Address | None
    target: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def has_usual_port(self) -> bool:
        return self.port == PORTS[self.scheme] or self.port >= FIRST_FREE_PORT


def check_url(url: str, allowed_networks: Sequence[Network]) -> None:
    """Raises InvalidRequest if no delivery can go to this URL. What its name resolves to is checked at each delivery."""
    parse(url, allowed_networks)


def parse(url: str, allowed_networks: Sequence[Network]) -> EndpointUrl:
    """Raises InvalidRequest. No message repeats the URL: it may hold a secret."""
    try:
        return _parsed(url, allowed_networks)
    except ValueError as error:
        raise InvalidRequest(f"url: {error}", (("url", str(error)),)) from None


def _parsed(url: str, allowed: Sequence[Network]) -> EndpointUrl:
    if len(url) > MOST_CHARACTERS:
        raise ValueError(f"is longer than {MOST_CHARACTERS:,} characters: give a shorter one")
    if not _WRITTEN.fullmatch(url) or "\\" in url:
        raise ValueError("holds spaces, backslashes or letters beyond ASCII: write the host in its xn-- form, the rest with percent signs")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("can't be read: host, brackets or port are malformed") from None
    if parts.scheme not in PORTS or not url[len(parts.scheme) :].startswith("://"):
        raise ValueError("doesn't begin with https://: give the address of a web server")
    if "@" in parts.netloc:
        raise ValueError("holds a user or a password: let the receiver check the signature instead")
    if "#" in url:
        raise ValueError("holds a #: leave the fragment out")
    if not _NETLOC.fullmatch(parts.netloc) or port == 0:
        raise ValueError("has no host and port that can be ones: write https://hooks.example.com, or with :PORT from 1 to 65535 behind it")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = (parts.hostname or "").lower()
    found = EndpointUrl(parts.scheme, host, port or PORTS[parts.scheme], _address(host, bracketed="[" in parts.netloc), target)
    _check_reach(found, allowed)
    return found


def _address(host: str, *, bracketed: bool) -> Address | None:
    """None: it is a name. Raises ValueError if it can be neither."""
    if bracketed or ":" in host:
        return _literal(host)
    if host.endswith("."):
        raise ValueError("has a host that ends in a full stop: leave it out")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _literal(host)
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("has no host that can be one: give a name such as hooks.example.com")
    return None


def _literal(host: str) -> Address:
    try:
        return ip_address(host.replace("%", " "))  # A zone belongs to link-local addresses only.
    except ValueError:
        raise ValueError("has an address that isn't written as 192.0.2.1 or [2001:db8::1]: give a name such as hooks.example.com") from None


def _check_reach(url: EndpointUrl, allowed: Sequence[Network]) -> None:
    reach = None if url.address is None else reach_of(url.address, allowed)
    is_inside = url.address is None and ("." not in url.host or f".{url.host}".endswith(tuple(f".{one}" for one in _INSIDE)))
    if reach is Reach.REFUSED or (is_inside and not allowed):
        raise ValueError("has a host that isn't public: the operator can allow private networks with DIDFLOW_WEBHOOK_NETWORKS")
    may_be_named = reach is Reach.NAMED or (reach is None and bool(allowed))
    if url.scheme == "http" and not may_be_named:
        raise ValueError("begins with http://, which is for allowed private networks only: use https://")
    if not url.has_usual_port and not may_be_named:
        raise ValueError(f"has port {url.port}, which belongs to another protocol: use 443, or one from {FIRST_FREE_PORT}")
