# Written by `make generate` from didflow/client/aio/base.py: change that file.
"""What every part of a client shares: the ledger of one namespace, and the actor who requests changes."""

from copy import copy
from typing import Self

import redis

from didflow.client.provider_check import ProviderCheck
from didflow.contract.actors import actor_named, os_user
from didflow.contract.audit import reason_given, request_id_given
from didflow.contract.catalogue import MAX_AGE_S
from didflow.ledger.address import redis_url
from didflow.ledger.client import LedgerClient
from didflow.ledger.connection import connect
from didflow.settings import Network, load_settings
from didflow.tracing.process import process_traces


class Client:
    """A connection to the ledger of one namespace. The parts of `Didflow` add the methods."""

    def __init__(
        self,
        client: redis.Redis,
        namespace: str = "didflow",
        *,
        shebang: bool = True,
        actor: str | None = None,
        provider: ProviderCheck | None = None,
        catalogue_age_s: float = MAX_AGE_S,
        webhook_networks: tuple[Network, ...] = (),
    ) -> None:
        self.catalogue_age_s, self.webhook_networks = catalogue_age_s, webhook_networks
        name = os_user() if actor is None else actor_named(actor)
        self._ledger = LedgerClient(client, namespace, shebang=shebang, actor=name, first=provider)
        self._ledger.commands.traces = process_traces()

    @classmethod
    def from_env(cls, *, actor: str | None = None) -> Self:
        """Create a client from DIDFLOW_REDIS_URL, DIDFLOW_NAMESPACE and DIDFLOW_ACTOR.

        Raises InvalidSettings; InvalidRequest for an actor that can't be stored; ServiceUnavailable if no server is known. If the
        settings also name a provider's account, every method raises WrongLedger if the ledger belongs to another provider.
        """
        settings = load_settings()
        named = settings.actor if actor is None else actor
        return cls(
            connect(redis_url(settings)),
            settings.namespace,
            actor=named,
            provider=ProviderCheck.of(settings),
            catalogue_age_s=settings.catalogue_age_seconds,
            webhook_networks=settings.webhook_networks,
        )

    @classmethod
    def from_url(cls, url: str, namespace: str = "didflow", *, actor: str | None = None) -> Self:
        """Create a client for the Redis or Valkey server at `url`, such as ``redis://127.0.0.1:6379/0``.

        Raises InvalidSettings for a URL that can't be read; InvalidRequest for an actor that can't be stored.
        """
        return cls(connect(url), namespace, actor=actor)

    @property
    def actor(self) -> str:
        """The person or service that requests this client's changes."""
        return self._ledger.commands.actor

    @property
    def ledger(self) -> LedgerClient:
        """The ledger client behind the methods, for the parts of the client and for other modules of this package."""
        return self._ledger

    def close(self) -> None:
        """Close the connections to Redis. Jobs continue; the client can't be used afterwards."""
        self._ledger.client.close()

    def acting(
        self,
        *,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
        traceparent: str | None = None,
        tracestate: str | None = None,
    ) -> Self:
        """Return a client on the same connections whose changes have this actor, reason and request id in the audit.

            didflow.acting(reason="ordered twice").cancel(job_id)

        `traceparent` with its `tracestate`: W3C trace context of the jobs that it submits. None: as this client's.
        Raises InvalidRequest for an actor, a reason or an id that can't be stored.
        """
        before, other = self._ledger.commands, copy(self)
        said = before.reason if reason is None else reason_given(reason)
        asked = before.request_id if request_id is None else request_id_given(request_id)
        other._ledger = copy(self._ledger)
        other._ledger.commands = before.acting(self._acts(actor), said, asked).traced(traceparent, tracestate)
        return other

    def _acts(self, actor: str | None) -> str:
        return self.actor if actor is None else actor_named(actor)
