"""The URLs of the provider and of Redis: validated, normalized, and shown without secrets.

A message names what is wrong and nothing of the URL: where it is malformed, any part of it may be the password.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

#: Whatever else stands in a URL is written with percent signs. Also keeps out what `urlsplit` would silently drop.
_WRITTEN = re.compile(r"[\x21-\x7e]+")
_LABEL = re.compile(r"^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$")
_DEFAULT_PORTS = {"http": 80, "https": 443}
#: What may stand behind the question mark of a Redis URL.
_WORDS, _TRUTHS = {"ssl_cert_reqs": ("none", "optional", "required"), "protocol": ("2", "3")}, ("ssl_check_hostname",)
_TEXTS = ("username", "password", "client_name", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_keyfile_password")
REDIS_OPTIONS = ("db", *_WORDS, *_TRUTHS, *_TEXTS)
#: A server that Sentinels watch: `redis+sentinel://HOST:PORT,HOST:PORT/SERVICE`, or `…/SERVICE/DB`.
SENTINEL = "redis+sentinel"
SENTINEL_PORT = 26379
_SENTINEL_TEXTS = ("sentinel_username", "sentinel_password")
_SERVICE = re.compile(r"[\w.-]+", re.ASCII)
#: Databases are counted with 31 bits; how many there are is the server's setting.
MOST_DB = 2**31 - 1


@dataclass(frozen=True)
class SentinelUrl:
    """Where the Sentinels are, what they call the server, and what the server and they are asked with: redis-py's keywords."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    options: dict[str, str | int] = field(repr=False)
    sentinel_options: dict[str, str] = field(repr=False)


def base_url(text: str) -> str:
    """The provider's address in its one form: scheme and host in lower case, no default port, no slash at the end.

    Raises ValueError if it isn't an http or https URL with a host, or holds a user, a query or a fragment.
    """
    parts = _split(text, ("http", "https"), "http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user or a password: the key has a setting of its own")
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError("holds a query or a fragment: give the address without them")
    host, port = _host_and_port(parts)
    shown = f"[{host}]" if ":" in host else host
    shown += f":{port}" if port is not None and port != _DEFAULT_PORTS[parts.scheme] else ""
    return urlunsplit((parts.scheme, shown, parts.path.rstrip("/"), "", ""))


def check_redis_url(text: str) -> None:
    """Raises ValueError if Redis can't be reached by this URL, whatever runs there."""
    if sentinel_url(text) is not None:
        return
    parts = _split(text, ("redis", "rediss", "unix"), "redis://, rediss://, unix:// or redis+sentinel://")
    if parts.fragment or text.endswith("#"):
        raise ValueError("holds a #: in a password write it as %23")
    if parts.scheme == "unix":
        if not parts.path.strip("/"):
            raise ValueError("needs the path of the socket, such as unix:///run/redis.sock")
        if parts.hostname is not None:
            raise ValueError("needs three slashes before the path of the socket, such as unix:///run/redis.sock")
    else:
        _host_and_port(parts)
        _check_db(parts.path.removeprefix("/"))
    _check_options(parts.query, encrypted=parts.scheme == "rediss")


def sentinel_url(text: str) -> SentinelUrl | None:
    """What the URL says, if it is one of Sentinels; None for any other. Raises ValueError if none can be reached by it."""
    if not text.startswith(f"{SENTINEL}://"):
        return None
    if not _WRITTEN.fullmatch(text) or "#" in text:
        raise ValueError("holds spaces, control characters, letters beyond ASCII or a #: write them with percent signs")
    try:
        parts, hosts = split_redis_url(text)
    except ValueError:
        raise ValueError("can't be read: brackets are malformed; special characters need percent signs") from None
    sentinels = []
    for netloc in hosts.split(","):
        host, port = _host_and_port(_split(f"redis://{netloc}", ("redis",), "redis+sentinel://"))
        sentinels.append((host, port or SENTINEL_PORT))
    service, slash, db = parts.path.removeprefix("/").partition("/")
    if not _SERVICE.fullmatch(service) or (slash and not db):
        raise ValueError("names no service: write it behind the hosts, such as redis+sentinel://host:26379/mymaster")
    _check_db(db)
    _check_options(parts.query, encrypted=False, more=_SENTINEL_TEXTS)
    given: dict[str, str] = dict(parse_qsl(parts.query, keep_blank_values=True))
    options: dict[str, str | int] = {name: value for name, value in given.items() if name not in _SENTINEL_TEXTS}
    for name, value in (("username", parts.username), ("password", parts.password)):
        if value:
            options[name] = unquote(value)
    options["db"] = int(db or given.get("db", "0"))
    if "protocol" in options:
        options["protocol"] = int(options["protocol"])
    theirs = {name.removeprefix("sentinel_"): given[name] for name in _SENTINEL_TEXTS if name in given}
    return SentinelUrl(tuple(sentinels), service, options, theirs)


def shown_redis_url(text: str) -> str:
    """The URL without its password, if it is one that `check_redis_url` takes; else nothing of it."""
    try:
        check_redis_url(text)
    except ValueError:
        return "********"
    parts, hosts = split_redis_url(text)
    user = f"{parts.username or ''}:********@" if parts.password is not None else f"{parts.username}@" if parts.username else ""
    netloc = user + hosts
    secret = ("password", "ssl_keyfile_password", "sentinel_password")
    query = "&".join(f"{name}={'********' if name in secret else value}" for name, value in parse_qsl(parts.query, keep_blank_values=True))
    return f"{parts.scheme}://{netloc}{parts.path}" + (f"?{query}" if query else "")


def split_redis_url(text: str) -> tuple[SplitResult, str]:
    """The parts of a URL of Redis, and its hosts as they are written. Raises ValueError as `urlsplit` does.

    The parts of a Sentinel URL have one host in place of all: newer releases of Python refuse an IPv6 address that isn't the first one.
    """
    beginning, slashes, rest = text.partition("://")
    if beginning != SENTINEL:
        parts = urlsplit(text)
        return parts, parts.netloc.rpartition("@")[2]
    netloc = re.split("[/?#]", rest, maxsplit=1)[0]
    user, at, hosts = netloc.rpartition("@")
    return urlsplit(f"{beginning}{slashes}{user}{at}sentinels{rest[len(netloc) :]}"), hosts


def _split(text: str, schemes: tuple[str, ...], words: str) -> SplitResult:
    if not _WRITTEN.fullmatch(text):
        raise ValueError("holds spaces, control characters or letters beyond ASCII: write them with percent signs")
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - read for its ValueError
    except ValueError:
        raise ValueError("can't be read: host, brackets or port are malformed; special characters need percent signs") from None
    if parts.scheme not in schemes or not text[len(parts.scheme) :].startswith("://"):
        raise ValueError(f"begins with {words}")
    return parts


def _host_and_port(parts: SplitResult) -> tuple[str, int | None]:
    host = parts.hostname or ""
    if not _is_host(host):
        raise ValueError("has no host that can be one")
    if parts.port == 0 or parts.netloc.endswith(":"):
        raise ValueError("has no port that can be one: it is from 1 to 65535")
    return host, parts.port


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return False
        return True
    return 0 < len(host) <= 253 and all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))


def _check_db(text: str) -> None:
    if text and not (len(text) <= 10 and text.isdecimal() and int(text) <= MOST_DB):
        raise ValueError("names a database that is no number: write /0 behind the host, or nothing")


def _check_options(query: str, *, encrypted: bool, more: tuple[str, ...] = ()) -> None:
    try:
        options = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError("holds a ? that no options follow: in a password write it as %3F") from None
    names = [name for name, _ in options]
    if not set(names) <= {*REDIS_OPTIONS, *more} or len(set(names)) != len(names):
        raise ValueError(
            f"has an option that isn't known, or one twice: known are {', '.join((*REDIS_OPTIONS, *more))}; in a password write ? as %3F"
        )
    if not encrypted and any(name.startswith("ssl_") for name in names):
        raise ValueError("has an option of TLS, which goes with rediss://")
    for name, value in options:
        if name == "db":
            _check_db(value or "none")
        elif value not in _WORDS.get(name, (value,)) or (name in _TRUTHS and value.lower() not in ("true", "false")) or not value:
            raise ValueError(f"has a value of {name} that can't be one")
