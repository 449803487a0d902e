"""What differs between servers of the API: the paths of the owned numbers, and where the key goes.

Search, cart and checkout have the same paths everywhere. Published were `/v1/mydids` with the key in the query (until December 2025),
`/v1/mydids` with a Bearer token (until June 2026), and `/v1/numbers` with a Bearer token (since).
"""

from dataclasses import dataclass
from typing import Literal

import httpx
from pydantic import SecretStr

PathName = Literal["mydids", "numbers"]
KeyPlace = Literal["query", "bearer"]


@dataclass(frozen=True)
class Dialect:
    """`path` names the family of paths; `key_in`: the key goes as ``appid`` into the URL, or as a Bearer token into a header."""

    path: PathName
    key_in: KeyPlace

    @property
    def owned_path(self) -> str:
        return f"/v1/{self.path}"

    @property
    def route(self) -> tuple[str, str]:
        """Method and path that change the destinations of several records."""
        return ("POST", "/v1/mydids/update-destinations") if self.path == "mydids" else ("PATCH", "/v1/numbers")

    @property
    def update_method(self) -> str:
        return "PUT" if self.path == "mydids" else "PATCH"

    @property
    def sms_path(self) -> str | None:
        """Where SMS is turned on for one record; None: as any other update of it."""
        return "/v1/mydids/update-sms-enabled" if self.path == "mydids" else None

    def __str__(self) -> str:
        return f"{self.owned_path} with {'the key in the query' if self.key_in == 'query' else 'a Bearer token'}"


#: The dialects that a name stands for by itself: as each path was published first, or is now.
PUBLISHED: dict[PathName, Dialect] = {"mydids": Dialect("mydids", "query"), "numbers": Dialect("numbers", "bearer")}


def candidates(path: Literal["auto", "mydids", "numbers"], key_in: Literal["auto", "query", "bearer"]) -> tuple[Dialect, ...]:
    """The dialects that these settings allow, in the order in which they are tried: newest path first, and a Bearer token before a URL
    with the key in it, because URLs are logged on their way."""
    paths: tuple[PathName, ...] = ("numbers", "mydids") if path == "auto" else (path,)
    places: tuple[KeyPlace, ...] = ("bearer", "query") if key_in == "auto" else (key_in,)
    return tuple(Dialect(one, place) for place in places for one in paths)


def authenticated(request: httpx.Request, key: SecretStr, key_in: KeyPlace) -> httpx.Request:
    """A copy of the request that carries the key."""
    url, headers = request.url, httpx.Headers(request.headers)
    if key_in == "query":
        url = url.copy_add_param("appid", key.get_secret_value())
    else:
        headers["Authorization"] = f"Bearer {key.get_secret_value()}"
    return httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)
