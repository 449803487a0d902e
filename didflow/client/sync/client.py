# Written by `make generate` from didflow/client/aio/client.py: change that file.
"""The client: all its parts in one class."""

from didflow.client.sync.activity import Activity
from didflow.client.sync.audit import Audit
from didflow.client.sync.catalogue import Catalogue
from didflow.client.sync.console import Console
from didflow.client.sync.dead_letters import DeadLetterQueue
from didflow.client.sync.documents import Documents
from didflow.client.sync.evidence import Evidence
from didflow.client.sync.freezes import Freezes
from didflow.client.sync.inventory import Inventory
from didflow.client.sync.jobs import Jobs
from didflow.client.sync.number_histories import NumberHistories
from didflow.client.sync.number_pool import Pool
from didflow.client.sync.results import Results
from didflow.client.sync.routes import Routes
from didflow.client.sync.spending import Spending
from didflow.client.sync.webhooks import Webhooks


class Didflow(
    Jobs,
    Evidence,
    Results,
    DeadLetterQueue,
    NumberHistories,
    Spending,
    Freezes,
    Audit,
    Activity,
):
    """Submit, inspect and cancel jobs, and consume results. Every method may raise ServiceUnavailable; it is safe to repeat the call.

        didflow = Didflow.from_env()
        job = didflow.submit(SearchAndBuy(country="US", city="LOS ANGELES, CA"), idempotency_key="order-4711")
        view = didflow.wait(job.id, timeout_s=60)
        print(view.state, view.result)

    Submitting again with the same idempotency key returns the same job. Without a key, each submit creates a job.

    `actor` is the person or service that requests the changes, 1 to 100 printable characters. It is stored with each job, its steps and
    the histories of its numbers. None: the operating system's user. A method's own `actor` overrides it for that call.

    One object can serve the whole process. It keeps a pool of connections, which `close` closes.
    """

    @property
    def catalogue(self) -> Catalogue:
        """What the account ``default`` can buy. For another account: `Catalogue(didflow, account=…)`."""
        return Catalogue(self)

    @property
    def console(self) -> Console:
        """The console's sessions, and saved views of the inventory."""
        return Console(self)

    @property
    def documents(self) -> Documents:
        """The numbers of the account ``default`` that wait for documents. For another account: `Documents(didflow, account=…)`."""
        return Documents(self)

    @property
    def inventory(self) -> Inventory:
        """The numbers of the account ``default``, as the mirror shows them. For another account: `Inventory(didflow, account=…)`."""
        return Inventory(self)

    @property
    def pool(self) -> Pool:
        """The numbers of the account ``default`` that purchases reuse. For another account: `Pool(didflow, account=…)`."""
        return Pool(self)

    @property
    def routes(self) -> Routes:
        """Where the numbers of the account ``default`` went at a moment. For another account: `Routes(didflow, account=…)`."""
        return Routes(self)

    @property
    def webhooks(self) -> Webhooks:
        """The endpoints that get events by HTTP, and what became of the deliveries. URLs of private networks: as the settings allow."""
        return Webhooks(self, allowed_networks=self.webhook_networks)
