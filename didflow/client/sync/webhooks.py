# Written by `make generate` from didflow/client/aio/webhooks.py: change that file.
"""Endpoints of webhooks: which URL gets which events, and what became of the deliveries.

webhooks = Didflow.from_env().webhooks
made = webhooks.create(NewEndpoint(name="shop", url="https://shop.example.com/hook", types=("didflow.job.*",)))
keep_where_the_receiver_reads_it(made.secret)
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from didflow.client.sync.base import Client
from didflow.client.webhook_addresses import Network
from didflow.client.webhook_endpoints import changed, made, rotated
from didflow.contract.webhooks import OVERLAP, Attempt, EndpointChange, EndpointState, EndpointView, EndpointWithSecret, NewEndpoint
from didflow.ledger.webhooks import delivery_log, endpoints


class Webhooks:
    """The endpoints of a namespace. `allowed_networks`: private networks that URLs may name (DIDFLOW_WEBHOOK_NETWORKS).

    `name` is an endpoint's name or its id. Every method that takes one raises WebhookNotFound.
    """

    def __init__(self, didflow: Client, *, allowed_networks: Sequence[Network] = ()) -> None:
        self._ledger, self._allowed = didflow.ledger, tuple(allowed_networks)

    def create(self, endpoint: NewEndpoint) -> EndpointWithSecret:
        """Create an endpoint, which gets what happens from now on. Its secret is returned this once.

            made = didflow.webhooks.create(NewEndpoint(name="shop", url="https://shop.example.com/hook"))
            print(made.secret)

        Raises InvalidRequest for a name that is taken, and for a URL that isn't allowed.
        """
        found, secret = self._ledger.perform(made(self._ledger.commands, endpoint, self._allowed))
        return EndpointWithSecret.of(found, secret)

    def all(self) -> tuple[EndpointView, ...]:
        """Return every endpoint, by name: what it gets, whether it works, and how many events wait for it.

        for one in didflow.webhooks.all():
            print(one.name, one.state, one.queued)
        """
        return self._ledger.perform(endpoints.every(self._ledger.commands))

    def get(self, name: str) -> EndpointView:
        """Return an endpoint: its filters, its state and why, what waits and what it missed.

        shop = didflow.webhooks.get("shop")
        """
        return self._ledger.perform(endpoints.view(self._ledger.commands, name))

    def update(self, name: str, change: EndpointChange) -> EndpointView:
        """Change an endpoint's URL or filters, or whether it gets deliveries.

            didflow.webhooks.update("shop", EndpointChange(url="https://new.example.com/hook"))

        It holds at once. What waits goes to the new URL, in the same order, and what the new filters leave out isn't sent. A delivery
        that is under way ends at the old URL; if it fails, the event goes to the new one. Raises InvalidRequest.
        """
        return self._ledger.perform(changed(self._ledger.commands, name, change, self._allowed))

    def delete(self, name: str) -> None:
        """Delete an endpoint, with what waits for it and its delivery log.

        didflow.webhooks.delete("shop")
        """
        self._ledger.perform(endpoints.delete(self._ledger.commands, name))

    def rotate(self, name: str, *, overlap: timedelta = OVERLAP) -> EndpointWithSecret:
        """Give an endpoint another secret, which is returned this once. The old one signs beside it for the `overlap`.

        secret = (didflow.webhooks.rotate("shop", overlap=timedelta(hours=1))).secret
        """
        found, secret = self._ledger.perform(rotated(self._ledger.commands, name, overlap))
        return EndpointWithSecret.of(found, secret)

    def enable(self, name: str) -> EndpointView:
        """Deliver to an endpoint again: what was queued meanwhile, and what comes.

        didflow.webhooks.enable("shop")
        """
        return self._ledger.perform(endpoints.switch(self._ledger.commands, name, EndpointState.ENABLED))

    def disable(self, name: str) -> EndpointView:
        """Deliver nothing to an endpoint until it is enabled. Its events are queued, for seven days.

        didflow.webhooks.disable("shop")
        """
        return self._ledger.perform(endpoints.switch(self._ledger.commands, name, EndpointState.DISABLED))

    def test(self, name: str) -> str:
        """Have an event without meaning delivered to an endpoint. Returns the event's id; `deliveries` shows the answer.

        event_id = didflow.webhooks.test("shop")
        """
        return self._ledger.perform(delivery_log.test(self._ledger.commands, name))

    def deliveries(self, name: str, *, limit: int = 100, before: str | None = None) -> tuple[Attempt, ...]:
        """Return attempts to deliver, the newest first: status or why none came, duration, the beginning of the answer.

            for one in didflow.webhooks.deliveries("shop", limit=20):
                print(one.at, one.event_id, one.status or one.why)

        `before`: the `place` of the last attempt of the page before. The newest thousand are kept.
        """
        return self._ledger.perform(delivery_log.attempts(self._ledger.commands, name, limit, before))

    def redeliver(self, name: str, event_id: str) -> int:
        """Queue an event again. Returns 1, or 0 if it isn't kept any more, or isn't one that the endpoint gets.

        didflow.webhooks.redeliver("shop", "019ad3f27c5e8a1b2c3d4e5f6a:3")
        """
        return self._ledger.perform(delivery_log.redeliver(self._ledger.commands, name, event_id))

    def redeliver_since(self, name: str, since: datetime) -> int:
        """Queue again all that the endpoint gets of the events since then, as far as they are kept. Returns how many.

        didflow.webhooks.redeliver_since("shop", datetime.now(UTC) - timedelta(hours=2))
        """
        return self._ledger.perform(delivery_log.redeliver_since(self._ledger.commands, name, since))
