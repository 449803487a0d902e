"""What differs between the two dialects of the API. Search, cart and checkout have the same paths in both."""

from dataclasses import dataclass
from typing import Literal

import httpx
from pydantic import SecretStr


@dataclass(frozen=True)
class Dialect:
    """Paths and methods; `key_in_query`: the key goes as ``appid`` into the URL, else as a Bearer token into a header."""

    name: Literal["mydids", "numbers"]
    key_in_query: bool
    owned_path: str
    route: tuple[str, str]
    update_method: str
    sms_path: str | None  #: where SMS is turned on for one record; None: as any other update of it

    def authenticated(self, request: httpx.Request, key: SecretStr) -> httpx.Request:
        """A copy of the request that carries the key."""
        if self.key_in_query:
            url = request.url.copy_add_param("appid", key.get_secret_value())
            return httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions)
        headers = httpx.Headers(request.headers)
        headers["Authorization"] = f"Bearer {key.get_secret_value()}"
        return httpx.Request(request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions)


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("mydids", True, "/v1/mydids", ("POST", "/v1/mydids/update-destinations"), "PUT", "/v1/mydids/update-sms-enabled"),
        Dialect("numbers", False, "/v1/numbers", ("PATCH", "/v1/numbers"), "PATCH", None),
    )
}
