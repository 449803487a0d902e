"""Every name that `from didflow import …` offers."""

from didflow.client.aio.catalogue import AsyncCatalogue
from didflow.client.aio.client import AsyncDidflow
from didflow.client.aio.deliveries import AsyncDelivery
from didflow.client.aio.documents import AsyncDocuments
from didflow.client.aio.inventory import AsyncInventory
from didflow.client.aio.number_pool import AsyncPool
from didflow.client.aio.routes import AsyncRoutes
from didflow.client.aio.webhooks import AsyncWebhooks
from didflow.client.quotes import QuotedSubmission
from didflow.client.sync.catalogue import Catalogue
from didflow.client.sync.client import Didflow
from didflow.client.sync.deliveries import Delivery
from didflow.client.sync.documents import Documents
from didflow.client.sync.inventory import Inventory
from didflow.client.sync.number_pool import Pool
from didflow.client.sync.routes import Routes
from didflow.client.sync.webhooks import Webhooks
from didflow.contract.catalogue import CatalogueAnswer, CatalogueOffer, CatalogueOffers
from didflow.contract.destinations import Destination
from didflow.contract.errors import (
    AlreadyLeaving,
    CatalogueTimeout,
    DeadLetterNotFound,
    DidflowError,
    IdempotencyConflict,
    InvalidRequest,
    InvalidSettings,
    InventoryTimeout,
    JobNotFound,
    LookFailed,
    PlanNotFound,
    SecondPersonNeeded,
    ServiceUnavailable,
    SweepFailed,
    UnknownAccount,
    UnknownPlace,
    WaitTimeout,
    WebhookNotFound,
    WrongJob,
)
from didflow.contract.events import Event
from didflow.contract.evidence import JobEvidence, NumberEvidence
from didflow.contract.freezes import Freeze, FreezeReport
from didflow.contract.history import Happening, History, HistoryEntry
from didflow.contract.inventory import InventoryFilter, InventoryNumber, InventoryPage, InventoryTotals, MirrorState, NumberFile
from didflow.contract.job_kinds import parse_request
from didflow.contract.jobs import Job, JobView, Step
from didflow.contract.past_routes import PastRoute, RouteDifference
from didflow.contract.requests import Failback, FollowDocuments, Release, Reroute, Rung, SearchAndBuy, Selector
from didflow.contract.results import Quote
from didflow.contract.states import JobState, Outcome
from didflow.contract.webhooks import EndpointChange, EndpointView, EndpointWithSecret, NewEndpoint
from didflow.ledger.dead_letters import DeadLetters
from didflow.ledger.script_calls import Submission

__all__ = [
    "AlreadyLeaving",
    "AsyncCatalogue",
    "AsyncDelivery",
    "AsyncDidflow",
    "AsyncDocuments",
    "AsyncInventory",
    "AsyncPool",
    "AsyncRoutes",
    "AsyncWebhooks",
    "Catalogue",
    "CatalogueAnswer",
    "CatalogueOffer",
    "CatalogueOffers",
    "CatalogueTimeout",
    "DeadLetterNotFound",
    "DeadLetters",
    "Delivery",
    "Destination",
    "Didflow",
    "DidflowError",
    "Documents",
    "EndpointChange",
    "EndpointView",
    "EndpointWithSecret",
    "Event",
    "Failback",
    "FollowDocuments",
    "Freeze",
    "FreezeReport",
    "Happening",
    "History",
    "HistoryEntry",
    "IdempotencyConflict",
    "InvalidRequest",
    "InvalidSettings",
    "Inventory",
    "InventoryFilter",
    "InventoryNumber",
    "InventoryPage",
    "InventoryTimeout",
    "InventoryTotals",
    "Job",
    "JobEvidence",
    "JobNotFound",
    "JobState",
    "JobView",
    "LookFailed",
    "MirrorState",
    "NewEndpoint",
    "NumberEvidence",
    "NumberFile",
    "Outcome",
    "PastRoute",
    "PlanNotFound",
    "Pool",
    "Quote",
    "QuotedSubmission",
    "Release",
    "Reroute",
    "RouteDifference",
    "Routes",
    "Rung",
    "SearchAndBuy",
    "SecondPersonNeeded",
    "Selector",
    "ServiceUnavailable",
    "Step",
    "Submission",
    "SweepFailed",
    "UnknownAccount",
    "UnknownPlace",
    "WaitTimeout",
    "WebhookNotFound",
    "Webhooks",
    "WrongJob",
    "parse_request",
]
