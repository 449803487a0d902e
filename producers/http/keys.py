"""Keys of the API: what `didflow keys` and the console do. A secret is in one answer, and stored nowhere."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from didflow.contract.api_keys import ApiKey, ApiScope, KeptKey, new_key_id
from didflow.ledger import api_keys
from producers.http.access import Asking, made_key, needs
from producers.http.problems import in_the_body, problems
from producers.http.representation import answer
from producers.http.routes import StrictRoute
from producers.http.services import Serving

router = APIRouter(tags=["keys"], route_class=StrictRoute, dependencies=[needs(ApiScope.ADMIN)])

Named = Annotated[str, Path(max_length=200, description="The key's name, or its id")]
#: A century: `didflow keys` takes no longer one either.
Seconds = Annotated[int, Field(ge=1, le=3_153_600_000, strict=True)]


@dataclass(frozen=True)
class KeyList:
    """Valid keys, without their secrets."""

    keys: tuple[KeptKey, ...]


class NewKey(BaseModel):
    """A key that is to be made. `name`: the actor of every change that is made with it; `expires_seconds` null: until it is revoked."""

    model_config = ConfigDict(extra="forbid")

    name: str
    scopes: Annotated[list[ApiScope], Field(min_length=1, max_length=20)]
    account: str | None = None
    reference_prefix: str | None = None
    rate_per_s: Annotated[float, Field(strict=True)] | None = None
    expires_seconds: Seconds | None = None


class KeyRotation(BaseModel):
    """`overlap_seconds`: for how long the old secret is valid beside the new one. `expires_seconds` null: it expires as the old one."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: Annotated[int, Field(ge=0, le=3_153_600_000, strict=True)] = 86_400
    expires_seconds: Seconds | None = None


class KeyWithSecret(BaseModel):
    """A key with its secret, which is shown this once."""

    key: ApiKey
    secret: str


@router.get("/keys", response_model=KeyList, responses=problems(), summary="List keys")
async def list_keys(services: Serving, caller: Asking) -> Response:
    """What each allows, and when it was last used."""
    caller.need_all_seen()
    ledger = services.didflow.ledger
    return answer(KeyList(await ledger.perform(api_keys.kept(ledger.commands))))


@router.post("/keys", status_code=201, response_model=KeyWithSecret, responses=problems(413, 415), summary="Create a key")
async def create_key(services: Serving, caller: Asking, body: NewKey) -> Response:
    """The secret is in no other answer. From the first key on, every request needs one, so it has to be an unlimited admin key."""
    caller.need_all_seen()
    ledger = services.acting_for(caller).ledger
    with in_the_body():
        key = ApiKey.model_validate({"id": new_key_id(), **body.model_dump(exclude={"expires_seconds"}), "scopes": frozenset(body.scopes)})
        secret = await made_key(ledger, caller, key, _span(body.expires_seconds))
    return answer(KeyWithSecret(key=key, secret=secret), status=201, headers={"Cache-Control": "no-store"})


@router.post("/keys/{name}/rotate", response_model=KeyWithSecret, responses=problems(404, 413, 415), summary="Rotate a key")
async def rotate_key(services: Serving, caller: Asking, name: Named, body: KeyRotation) -> Response:
    """Another secret. Until the overlap ends the old one is valid, too."""
    caller.need_all_seen()
    ledger = services.acting_for(caller).ledger
    overlap, valid_for = timedelta(seconds=body.overlap_seconds), _span(body.expires_seconds)
    key, secret = await ledger.perform(api_keys.rotate(ledger.commands, name, overlap=overlap, valid_for=valid_for))
    return answer(KeyWithSecret(key=key, secret=secret), headers={"Cache-Control": "no-store"})


@router.delete("/keys/{name}", status_code=204, responses=problems(404), summary="Revoke a key")
async def revoke_key(services: Serving, caller: Asking, name: Named) -> Response:
    """It is valid no more, at once, and its sessions of the console end."""
    caller.need_all_seen()
    ledger = services.acting_for(caller).ledger
    await ledger.perform(api_keys.revoke(ledger.commands, name))
    return Response(status_code=204)


def _span(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
