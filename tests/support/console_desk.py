"""A person at the console, with a worker that a test runs and a sandbox."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape

from didflow.contract.api_keys import ApiScope
from didflow.contract.jobs import Job
from didflow.contract.states import JobState
from tests.support.console_visitor import Visitor, visiting
from tests.support.http_server import Api, api_of
from tests.support.inline_worker import InlineWorker


@dataclass
class Desk:
    """A person with a key for everything, a worker and a sandbox."""

    api: Api
    inline: InlineWorker
    admin: Visitor

    def run(self, path: str) -> str:
        """Let the worker finish the job that a page's address ends with; its id."""
        job_id = path.rpartition("/")[2]
        self.inline.finish(Job(job_id, is_new=True, state=JobState.QUEUED))
        return job_id

    def run_all(self) -> None:
        """Let the worker finish every job that is queued."""
        queued = self.inline.ledger.client.zrange(self.inline.ledger.keys.state(JobState.QUEUED), 0, -1)
        for job_id in queued:
            self.run(str(job_id))


@contextmanager
def desk_of(inline: InlineWorker, redis_url: str) -> Iterator[Desk]:
    with api_of(inline.ledger, redis_url) as api, visiting(api.url, api.key("ann", ApiScope.ADMIN)) as admin:
        yield Desk(api, inline, admin)


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of its forms."""
    return {name: unescape(value) for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)}
