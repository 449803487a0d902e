"""A client that lets the account change between two pages of a list."""

from collections.abc import Callable

from pydantic import SecretStr

from didflow.contract.provider import OwnedNumber, Page
from worker.wavix.client import WavixClient
from worker.wavix.sandbox import SandboxAdmin
from worker.wavix.sandbox.options import SANDBOX_KEY

PER_PAGE = 10


class Watched(WavixClient):
    """The real client, with small pages; after each of them `then` may change the account."""

    def __init__(self, sandbox: SandboxAdmin, then: Callable[[int], None]) -> None:
        super().__init__(sandbox.url, SecretStr(SANDBOX_KEY), "mydids", read_backoff_s=0.01)
        self.then, self.reads = then, 0

    def owned(self, *, page: int, search: str | None = None, label: str | None = None, per_page: int = PER_PAGE) -> Page[OwnedNumber]:
        shown = super().owned(page=page, search=search, label=label, per_page=min(per_page, PER_PAGE))
        self.reads += 1
        self.then(self.reads)
        return shown
