"""The cookies of the console: a session, or an unguessable text where no one logs in; and the appearance."""

import secrets
from typing import Literal, cast

from starlette.requests import HTTPConnection
from starlette.responses import Response

#: Of the session, over HTTPS and without. The prefix makes a browser refuse it from any other host, path, or without `Secure`.
SECURE_NAME, PLAIN_NAME = "__Host-didflow_console", "didflow_console"
THEME_NAME = "didflow_theme"
#: A year.
THEME_AGE_S = 31_536_000

Theme = Literal["auto", "light", "dark"]


def is_https(connection: HTTPConnection) -> bool:
    """As the browser sees it; behind a proxy that is named, as that says."""
    return bool(connection.scope.get("scheme") == "https")


def token_in(connection: HTTPConnection) -> str | None:
    """The token of the browser's cookie."""
    token = connection.cookies.get(SECURE_NAME if is_https(connection) else PLAIN_NAME)
    return token if token and len(token) <= 100 else None


def new_token() -> str:
    """For a browser that has no session: what its forms are checked against."""
    return secrets.token_urlsafe(32)


def give_token(response: Response, connection: HTTPConnection, token: str) -> None:
    """Set the cookie. The browser forgets it when it is closed; the ledger knows when the session ends."""
    secure = is_https(connection)
    response.set_cookie(SECURE_NAME if secure else PLAIN_NAME, token, path="/", secure=secure, httponly=True, samesite="strict")


def take_token(response: Response, connection: HTTPConnection) -> None:
    secure = is_https(connection)
    response.delete_cookie(SECURE_NAME if secure else PLAIN_NAME, path="/", secure=secure, httponly=True, samesite="strict")


def theme_in(connection: HTTPConnection) -> Theme:
    given = connection.cookies.get(THEME_NAME)
    return cast("Theme", given) if given in ("light", "dark") else "auto"


def give_theme(response: Response, connection: HTTPConnection, theme: Theme) -> None:
    response.set_cookie(THEME_NAME, theme, max_age=THEME_AGE_S, path="/", secure=is_https(connection), httponly=True, samesite="strict")
