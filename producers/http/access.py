"""Who asks: the key of a request, what it allows, and how often."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection

from didflow.client.aio.client import AsyncDidflow
from didflow.contract.api_keys import SECRET, ApiKey, ApiScope
from didflow.contract.errors import ServiceUnavailable
from didflow.ledger.api_keys import USED_EVERY_MS, Known, NoKey, find, note_use
from producers.http.problems import Refused

#: Names by which a browser or a command on this machine calls a server on loopback. Any other name in `Host` may be a web page's, whose
#: name was made to lead here.
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
#: What shows that a proxy passes on requests of others.
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
#: Names of keys whose buckets are kept.
MOST_BUCKETS = 10_000


@dataclass(frozen=True)
class Caller:
    """Whose request it is. `key` None: a person on this machine, before any key was made, who may do everything."""

    name: str
    key: ApiKey | None

    def allows(self, scope: ApiScope) -> bool:
        return self.key is None or self.key.allows(scope)

    def sees(self, account: str, reference: str | None) -> bool:
        return self.key is None or self.key.sees(account, reference)

    @property
    def sees_all(self) -> bool:
        return self.key is None or self.key.sees_all

    def need(self, *scopes: ApiScope) -> None:
        """Raises Refused (403) unless it has one of these."""
        if not any(map(self.allows, scopes)):
            words = " or ".join(scope.value for scope in scopes)
            raise Refused(403, "scope_missing", f"the key {self.name!r} doesn't have the scope {words}: use one that has it")

    def need_all_seen(self) -> None:
        """Raises Refused (403) if something is hidden from it, where nothing can be left out."""
        if not self.sees_all:
            what = "an account or a reference prefix, and this isn't limited to one: use a key without"
            raise Refused(403, "key_limited", f"the key {self.name!r} is limited to {what}")

    def need_sight(self, account: str, reference: str | None) -> None:
        """Raises Refused (403) unless a job of this account and reference is its business."""
        if not self.sees(account, reference):
            key = self.key
            limits = [f"account {key.account!r}"] if key and key.account else []
            limits += [f"references that begin with {key.reference_prefix!r}"] if key and key.reference_prefix else []
            raise Refused(403, "key_limited", f"the key {self.name!r} is limited to {' and '.join(limits)}")


@dataclass
class Bucket:
    """Tokens of one key: as many as its rate, refilled at that rate, and never less than one."""

    tokens: float
    at_s: float

    def wait_s(self, rate_per_s: float, now_s: float) -> float:
        """Take a token. 0: there was one; else how long until there is."""
        most = max(1.0, rate_per_s)
        self.tokens, self.at_s = min(most, self.tokens + (now_s - self.at_s) * rate_per_s), now_s
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / rate_per_s


@dataclass
class Access:
    """Finds out who asks. `open_to`: the caller without a key, on a server that only this machine reaches; None: there is none."""

    didflow: AsyncDidflow
    open_to: str | None
    clock: Callable[[], float] = time.monotonic
    buckets: dict[str, Bucket] = field(default_factory=dict)
    used_s: dict[str, float] = field(default_factory=dict)

    async def caller(self, connection: HTTPConnection) -> Caller:
        """Raises Refused: 401, 403 for a foreign name of this machine, 429."""
        secret = _secret(connection.headers.getlist("authorization"))
        match await self.didflow.ledger.perform(find(self.didflow.ledger.commands, secret)):
            case Known() as known:
                self._admit(known.key)
                await self._note_use(known)
                return Caller(known.key.name, known.key)
            case NoKey.UNUSED if self.open_to is not None:
                _check_local(connection)
                return Caller(self.open_to, None)
            case NoKey.EXPIRED:
                raise _refused("key_expired", "the key has expired or was rotated: use the new one (`didflow keys rotate`)")
            case NoKey.UNKNOWN:
                raise _refused("key_unknown", "the key isn't known, or was revoked: `didflow keys list` shows the valid ones")
        raise _refused("key_missing", "send a key as `Authorization: Bearer dfk_…`: `didflow keys create` makes one")

    async def is_still(self, caller: Caller, connection: HTTPConnection) -> bool:
        """Whether the key of a request that takes long is still valid. A ledger that is away revokes none."""
        try:
            found = await self.didflow.ledger.perform(
                find(self.didflow.ledger.commands, _secret(connection.headers.getlist("authorization")))
            )
        except ServiceUnavailable:
            return True
        return found is NoKey.UNUSED if caller.key is None else isinstance(found, Known)

    def _admit(self, key: ApiKey) -> None:
        if key.rate_per_s is None:
            return
        now_s = self.clock()
        if key.id not in self.buckets and len(self.buckets) >= MOST_BUCKETS:
            self.buckets.clear()
        bucket = self.buckets.setdefault(key.id, Bucket(max(1.0, key.rate_per_s), now_s))
        if (wait_s := bucket.wait_s(key.rate_per_s, now_s)) > 0:
            what = f"the key {key.name!r} may send {key.rate_per_s:g} requests a second: wait as long as Retry-After says"
            raise Refused(429, "key_rate", what, headers={"Retry-After": str(int(wait_s) + 1)}, retryable=True)

    async def _note_use(self, known: Known) -> None:
        """At most once a minute; a server that knows nothing yet asks the ledger."""
        now_s = self.clock()
        if now_s - self.used_s.get(known.key.id, -USED_EVERY_MS) * 1000 >= USED_EVERY_MS:
            self.used_s[known.key.id] = now_s
            with suppress(ServiceUnavailable):  # A ledger that is full can still be read.
                await self.didflow.ledger.perform(note_use(self.didflow.ledger.commands, known))


def _secret(headers: list[str]) -> str | None:
    """The secret of an `Authorization` header; what can't be one is a key that isn't known."""
    if not headers:
        return None
    scheme, _, secret = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != "bearer" or not SECRET.fullmatch(secret.strip()):
        raise _refused("key_malformed", "send one key as `Authorization: Bearer dfk_…`")
    return secret.strip()


def _refused(code: str, detail: str) -> Refused:
    return Refused(401, code, detail, headers={"WWW-Authenticate": 'Bearer realm="didflow"'})


def _check_local(connection: HTTPConnection) -> None:
    """Without keys only this machine is served: no web page from elsewhere in its browser, and nobody behind a proxy."""
    origin = connection.headers.get("origin", "http://localhost")
    names = {_name_in(connection.headers.get("host", "")), _name_in(origin.partition("://")[2])}
    if not names <= LOCAL_NAMES or any(header in connection.headers for header in FORWARDED):
        detail = "without keys only this machine is served, as localhost and without a proxy: `didflow keys create` makes a key"
        raise Refused(403, "not_local", detail)


def _name_in(host: str) -> str:
    """The host without its port."""
    return (host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]).lower()


def caller_of(connection: HTTPConnection) -> Caller:
    """Whose request this is; the middleware found it out."""
    caller: Caller = connection.state.caller
    return caller


Asking = Annotated[Caller, Depends(caller_of)]


def needs(*scopes: ApiScope) -> Any:
    """A dependency of a route: the caller has one of these scopes."""

    async def check(connection: HTTPConnection) -> None:
        caller_of(connection).need(*scopes)

    return Depends(check)
