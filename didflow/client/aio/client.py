"""The client: all its parts in one class."""

from didflow.client.aio.activity import AsyncActivity
from didflow.client.aio.audit import AsyncAudit
from didflow.client.aio.catalogue import AsyncCatalogue
from didflow.client.aio.console import AsyncConsole
from didflow.client.aio.dead_letters import AsyncDeadLetterQueue
from didflow.client.aio.documents import AsyncDocuments
from didflow.client.aio.evidence import AsyncEvidence
from didflow.client.aio.freezes import AsyncFreezes
from didflow.client.aio.inventory import AsyncInventory
from didflow.client.aio.jobs import AsyncJobs
from didflow.client.aio.number_histories import AsyncNumberHistories
from didflow.client.aio.number_pool import AsyncPool
from didflow.client.aio.results import AsyncResults
from didflow.client.aio.routes import AsyncRoutes
from didflow.client.aio.spending import AsyncSpending
from didflow.client.aio.webhooks import AsyncWebhooks


class AsyncDidflow(
    AsyncJobs,
    AsyncEvidence,
    AsyncResults,
    AsyncDeadLetterQueue,
    AsyncNumberHistories,
    AsyncSpending,
    AsyncFreezes,
    AsyncAudit,
    AsyncActivity,
):
    """Submit, inspect and cancel jobs, and consume results. Every method may raise ServiceUnavailable; it is safe to repeat the call.

        didflow = AsyncDidflow.from_env()
        job = await didflow.submit(SearchAndBuy(country="US", city="LOS ANGELES, CA"), idempotency_key="order-4711")
        view = await didflow.wait(job.id, timeout_s=60)
        print(view.state, view.result)

    Submitting again with the same idempotency key returns the same job. Without a key, each submit creates a job.

    `actor` is the person or service that requests the changes, 1 to 100 printable characters. It is stored with each job, its steps and
    the histories of its numbers. None: the operating system's user. A method's own `actor` overrides it for that call.

    One object can serve the whole process. It keeps a pool of connections, which `aclose` closes.
    """

    @property
    def catalogue(self) -> AsyncCatalogue:
        """What the account ``default`` can buy. For another account: `AsyncCatalogue(didflow, account=…)`."""
        return AsyncCatalogue(self)

    @property
    def console(self) -> AsyncConsole:
        """The console's sessions, and saved views of the inventory."""
        return AsyncConsole(self)

    @property
    def documents(self) -> AsyncDocuments:
        """The numbers of the account ``default`` that wait for documents. For another account: `AsyncDocuments(didflow, account=…)`."""
        return AsyncDocuments(self)

    @property
    def inventory(self) -> AsyncInventory:
        """The numbers of the account ``default``, as the mirror shows them. For another account: `AsyncInventory(didflow, account=…)`."""
        return AsyncInventory(self)

    @property
    def pool(self) -> AsyncPool:
        """The numbers of the account ``default`` that purchases reuse. For another account: `AsyncPool(didflow, account=…)`."""
        return AsyncPool(self)

    @property
    def routes(self) -> AsyncRoutes:
        """Where the numbers of the account ``default`` went at a moment. For another account: `AsyncRoutes(didflow, account=…)`."""
        return AsyncRoutes(self)

    @property
    def webhooks(self) -> AsyncWebhooks:
        """The endpoints that get events by HTTP, and what became of the deliveries. URLs of private networks: as the settings allow."""
        return AsyncWebhooks(self, allowed_networks=self.webhook_networks)
