"""Making an endpoint, changing it, and giving it another secret: a secret is returned once, to be shown once."""

from collections.abc import Sequence
from datetime import timedelta

from didflow.client.webhook_addresses import Network
from didflow.client.webhook_url import check_url
from didflow.contract.webhooks import Endpoint, EndpointChange, EndpointView, NewEndpoint, new_secret
from didflow.ledger.commands import Command, Commands
from didflow.ledger.webhooks import endpoints


def made(commands: Commands, new: NewEndpoint, allowed: Sequence[Network]) -> Command[tuple[EndpointView, str]]:
    """Store an endpoint. Returns it with its secret. Raises InvalidRequest for a name that is taken, and for a URL that isn't allowed."""
    check_url(new.url, allowed)
    endpoint, secret = Endpoint(id=endpoints.new_endpoint_id(), **new.model_dump()), new_secret()
    yield from endpoints.create(commands, endpoint, secret)
    return (yield from endpoints.view(commands, endpoint.id)), secret


def changed(commands: Commands, name: str, change: EndpointChange, allowed: Sequence[Network]) -> Command[EndpointView]:
    """Change an endpoint. Raises WebhookNotFound, and InvalidRequest for a URL that isn't allowed."""
    if change.url is not None:
        check_url(change.url, allowed)
    return (yield from endpoints.change(commands, name, change))


def rotated(commands: Commands, name: str, overlap: timedelta) -> Command[tuple[EndpointView, str]]:
    """Give an endpoint another secret; the old one signs beside it for the `overlap`. Raises WebhookNotFound."""
    secret = new_secret()
    return (yield from endpoints.rotate(commands, name, secret, overlap)), secret
