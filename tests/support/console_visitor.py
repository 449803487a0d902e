"""A person's browser without a browser: cookies, forms with their token, and redirects, over HTTP."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser

import httpx

from producers.console.origin import csrf_of
from tests.support.http_server import WITHIN_S

_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


@dataclass
class Visitor:
    """`http` keeps the cookies."""

    http: httpx.Client

    def get(self, path: str = "/", **headers: str) -> httpx.Response:
        """A page; redirects are followed."""
        return self.http.get(f"/console{path}", headers={"Accept": "text/html", **headers}, follow_redirects=True)

    def post(
        self, path: str, fields: Mapping[str, str | list[str]] | None = None, *, csrf: str | None = None, origin: str | None = None
    ) -> httpx.Response:
        """Send a form as a page has it. `csrf` None: with the token that the pages of this session have."""
        token = csrf_of(self.token) if csrf is None else csrf
        headers = {"Origin": str(self.http.base_url).rstrip("/") if origin is None else origin}
        return self.http.post(f"/console{path}", data={"csrf": token, **(fields or {})}, headers=headers, follow_redirects=True)

    @property
    def token(self) -> str:
        """Of the cookie."""
        return str(self.http.cookies["didflow_console"])

    def csrf(self) -> str:
        """What the forms of a page have."""
        found = _CSRF.search(self.get("/jobs").text)
        assert found is not None, "the page has no form"
        return found[1]

    def log_in(self, secret: str, onward: str = "/console/login") -> httpx.Response:
        return self.post("/login", {"key": secret, "next": onward}, csrf="")


@contextmanager
def visiting(url: str, secret: str | None = None) -> Iterator[Visitor]:
    """A visitor of this server, logged in with a key or not."""
    with httpx.Client(base_url=url, timeout=WITHIN_S, trust_env=False) as http:
        visitor = Visitor(http)
        if secret is not None:
            visitor.http.post("/console/login", data={"key": secret}, headers={"Origin": url})
            assert visitor.token
        yield visitor


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(" ".join(data.split()))


def text_of(page: httpx.Response) -> str:
    """What the page says, without tags."""
    parser = _Texts()
    parser.feed(page.text)
    return unescape(" ".join(parser.texts))


def tags_of(page: httpx.Response) -> list[str]:
    """The names of the elements, in their order."""
    parser = _Texts()
    parser.feed(page.text)
    return parser.tags
