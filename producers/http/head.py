"""Heads of requests that a proxy and this server could understand differently: then each would act on another request."""

from collections.abc import Iterable

from producers.http.problems import Refused

#: Headers that say what is done, and with what.
_ONCE = (b"idempotency-key", b"content-type")


def check_head(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raises Refused (400). With both lengths of a body the connection ends, too: what follows may be part of the body (RFC 9112, 6.1)."""
    names = [name for name, _ in headers]
    if b"transfer-encoding" in names and b"content-length" in names:
        what = "the request has both Content-Length and Transfer-Encoding: send one of them"
        raise Refused(400, "ambiguous_request", what, headers={"Connection": "close"})
    for name in _ONCE:
        if names.count(name) > 1:
            raise Refused(400, "ambiguous_request", f"the request has the header {name.decode().title()} more than once: send it once")
