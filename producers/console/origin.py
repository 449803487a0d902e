"""Where a change comes from: a page of this server, in the browser that got the page."""

import hashlib
import hmac

from starlette.requests import HTTPConnection

from producers.http.problems import Refused


def csrf_of(token: str) -> str:
    """What a form of this browser has to bring. It says nothing of the token, which only the cookie has."""
    return hashlib.sha256(f"didflow console form {token}".encode()).hexdigest()


def check_csrf(token: str, given: str) -> None:
    """Raises Refused (403)."""
    if not hmac.compare_digest(csrf_of(token).encode(), given.encode()):
        raise Refused(403, "form_expired", "the form is of another session: open the page again, then send it once more")


def check_origin(connection: HTTPConnection) -> None:
    """A change needs an `Origin` of this server; every browser sends it. Raises Refused (403)."""
    _, _, name = connection.headers.get("origin", "").partition("://")
    site = connection.headers.get("sec-fetch-site", "same-origin")
    if not name or name.lower() != connection.headers.get("host", "").lower() or site != "same-origin":
        raise Refused(403, "foreign_origin", "the change comes from another site: open the console itself, and do it there")
