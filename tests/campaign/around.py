"""What stands around the workers in a campaign: HTTP, webhooks, and the receiver that they are posted to."""

import random
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from didflow.contract.states import REPORTED
from didflow.contract.webhooks import Endpoint, new_secret
from didflow.ledger.ledger import Ledger
from didflow.ledger.webhooks import endpoints
from tests.campaign.http_client import HttpClient
from tests.campaign.oracle import Heard
from tests.campaign.receiver import WebhookReceiver
from tests.campaign.roles import ROLES, Roles
from tests.campaign.webhook_oracle import webhook_violations

#: All events; the ends of jobs alone; and one that nothing listens at.
ALL, ENDS, DEAD = "all", "ends", "dead"
END_TYPES = tuple(f"didflow.job.{state.value}.v1" for state in sorted(REPORTED))
#: What is left when all is quiet is delivered within this.
DELIVERED_WITHIN_S = 60.0
STARTED_WITHIN_S = 120.0


@dataclass
class Around:
    """`secrets`: by endpoint."""

    ledger: Ledger
    roles: Roles
    http: HttpClient
    receiver: WebhookReceiver
    secrets: Mapping[str, str]

    def over_http(self) -> dict[str, int]:
        return {"answered": self.http.answered, "not answered": self.http.unanswered}

    def violations(self, heard: Heard) -> list[str]:
        """Once everything is delivered: what is wrong with it. Afterwards the endpoints are gone, so that nothing of them is left."""
        found = self._until_delivered(heard)
        for name in (ALL, ENDS):
            arrived = self.receiver.of(name)
            found += [f"{name}: {one}" for one in webhook_violations(arrived, heard, self.secrets[name], only_results=name == ENDS)]
        for name in self.secrets:
            self.ledger.perform(endpoints.delete(self.ledger.commands, name))
        return found

    def _until_delivered(self, heard: Heard) -> list[str]:
        wanted = {event.id for event in (*heard.results.values(), *heard.events.values())}
        deadline_s = time.monotonic() + DELIVERED_WITHIN_S
        while time.monotonic() < deadline_s:
            if wanted <= {one.event_id for one in self.receiver.of(ALL) if one.accepted} and not self._queued():
                break
            time.sleep(0.1)
        views = {name: self.ledger.perform(endpoints.view(self.ledger.commands, name)) for name in (ALL, ENDS)}
        found = [f"{name} misses {view.missed} events since {view.missed_since}" for name, view in views.items() if view.missed]
        return found + [f"{view.queued} events still wait for {name}: {view}" for name, view in views.items() if view.queued]

    def _queued(self) -> int:
        return sum(self.ledger.perform(endpoints.view(self.ledger.commands, name)).queued for name in (ALL, ENDS))


@contextmanager
def standing(ledger: Ledger, urls: tuple[str, ...], environment: Mapping[str, str], log: Path, rng: random.Random) -> Iterator[Around]:
    """All of it, for as long as the block runs."""
    with ExitStack() as stack:
        receiver = stack.enter_context(WebhookReceiver(random.Random(rng.random())))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        places = {ALL: (f"{receiver.url}/{ALL}", ()), ENDS: (f"{receiver.url}/{ENDS}", END_TYPES), DEAD: ("http://127.0.0.1:9/", ())}
        secrets = {name: _endpoint(ledger, name, url, types) for name, (url, types) in places.items()}
        roles = stack.enter_context(Roles(len(ROLES), urls, environment, log, rng, port=port))
        http = HttpClient(port, random.Random(rng.random()))
        http.wait_until_served(STARTED_WITHIN_S)  # Else the time for troubles passes while an interpreter starts.
        yield Around(ledger, roles, http, receiver, secrets)


def _endpoint(ledger: Ledger, name: str, url: str, types: tuple[str, ...]) -> str:
    secret = new_secret()
    made = Endpoint(id=endpoints.new_endpoint_id(), name=name, url=url, types=types)
    ledger.perform(endpoints.create(ledger.commands, made, secret))
    return secret
