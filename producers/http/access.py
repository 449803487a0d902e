"""Who asks: the key of a request, what it allows, and how often."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection

from didflow.client.aio.client import AsyncDidflow
from didflow.contract.api_keys import SECRET, ApiKey, ApiScope
from didflow.contract.errors import Fault, InvalidRequest, ServiceUnavailable
from didflow.ledger.api_keys import Known, NoKey, create, create_first, find, find_for_request
from didflow.ledger.async_client import AsyncLedgerClient
from producers.http.problems import Refused

#: Names by which a browser or a command on this machine calls a server on loopback. Any other name in `Host` may be a web page's, whose
#: name was made to lead here.
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
#: The way back in where no key is left that may do everything.
ADMIN_MADE_BY = "in a shell `didflow keys create boss --scope admin` makes one"
#: What shows that a proxy passes on requests of others.
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


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
            makes = ": use one that has it" + (f"; {ADMIN_MADE_BY}" if scopes == (ApiScope.ADMIN,) else "")
            raise Refused(403, "scope_missing", f"the key {self.name!r} doesn't have the scope {words}{makes}")

    def need_all_seen(self) -> None:
        """Raises Refused (403) if something is hidden from it, where nothing can be left out."""
        if not self.sees_all:
            what = "an account or a reference prefix, and this isn't limited to one: use a key without"
            raise Refused(403, "key_limited", f"the key {self.name!r} is limited to {what}")

    def need_admin_first(self, key: ApiKey) -> None:
        """Raises InvalidRequest if this key would be the first one and couldn't make others: then nobody could, but in a shell."""
        if self.key is not None or key.is_full_admin:
            return
        what = f"from the first key on every request needs one, and this key couldn't make others: make an admin key first; {ADMIN_MADE_BY}"
        path = "account" if key.allows(ApiScope.ADMIN) else "scopes"
        raise InvalidRequest(f"{path}: {what}", (Fault(path, what, next_step="make a key with the scope admin and without limits first"),))

    def need_sight(self, account: str, reference: str | None) -> None:
        """Raises Refused (403) unless a job of this account and reference is its business."""
        if not self.sees(account, reference):
            key = self.key
            limits = [f"account {key.account!r}"] if key and key.account else []
            limits += [f"references that begin with {key.reference_prefix!r}"] if key and key.reference_prefix else []
            raise Refused(403, "key_limited", f"the key {self.name!r} is limited to {' and '.join(limits)}")


@dataclass(frozen=True)
class Access:
    """Finds out who asks. `open_to`: the caller without a key, on a server that only this machine reaches; None: there is none."""

    didflow: AsyncDidflow
    open_to: str | None

    async def caller(self, connection: HTTPConnection) -> Caller:
        """Raises Refused: 401, 403 for a foreign name of this machine, 429."""
        secret = _secret(connection.headers.getlist("authorization"))
        match await self._found(secret):
            case Known(key=key, wait_ms=wait_ms):
                check_rate(key, wait_ms)
                return Caller(key.name, key)
            case NoKey.UNUSED if self.open_to is not None:
                _check_local(connection)
                return Caller(self.open_to, None)
            case NoKey.EXPIRED:
                raise _refused("key_expired", "the key has expired or was rotated: use the new one (`didflow keys rotate`)")
            case NoKey.UNKNOWN:
                raise _refused("key_unknown", "the key isn't known, or was revoked: `didflow keys list` shows the valid ones")
        raise _missing()

    async def is_still(self, caller: Caller, connection: HTTPConnection) -> bool:
        """Whether the key of a request that takes long is still valid. A ledger that is away revokes none."""
        try:
            found = await self.didflow.ledger.perform(
                find(self.didflow.ledger.commands, _secret(connection.headers.getlist("authorization")))
            )
        except ServiceUnavailable:
            return True
        return found is NoKey.UNUSED if caller.key is None else isinstance(found, Known)

    async def _found(self, secret: str | None) -> Known | NoKey:
        """A server that takes no writes, because its disk is full, can still be read, and then nothing is counted."""
        ledger = self.didflow.ledger
        try:
            return await ledger.perform(find_for_request(ledger.commands, secret))
        except ServiceUnavailable:
            return await ledger.perform(find(ledger.commands, secret))


def check_rate(key: ApiKey, wait_ms: int) -> None:
    """Raises Refused (429) if the key has to wait."""
    if wait_ms <= 0:
        return
    what = f"the key {key.name!r} may send {key.rate_per_s:g} requests a second: wait as long as Retry-After says"
    raise Refused(429, "key_rate", what, headers={"Retry-After": str(-(-wait_ms // 1000))}, retryable=True)


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


def _missing() -> Refused:
    return _refused("key_missing", "send a key as `Authorization: Bearer dfk_…`: `didflow keys create` makes one")


async def made_key(ledger: AsyncLedgerClient, caller: Caller, key: ApiKey, valid_for: timedelta | None) -> str:
    """Store a new key for the caller; its secret. Raises InvalidRequest, and Refused (401) where a key is there that the caller needs."""
    if caller.key is not None:
        return await ledger.perform(create(ledger.commands, key, valid_for=valid_for))
    caller.need_admin_first(key)
    secret = await ledger.perform(create_first(ledger.commands, key, valid_for=valid_for))
    if isinstance(secret, NoKey):  # Another one was made since this request came.
        raise _missing()
    return secret


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


async def caller_of(connection: HTTPConnection) -> Caller:  # A plain function would run in a thread, at each request.
    """Whose request this is; the middleware found it out."""
    caller: Caller = connection.state.caller
    return caller


Asking = Annotated[Caller, Depends(caller_of)]


def needs(*scopes: ApiScope) -> Any:
    """A dependency of a route: the caller has one of these scopes."""

    async def check(connection: HTTPConnection) -> None:
        (await caller_of(connection)).need(*scopes)

    return Depends(check)
