"""The job context: what an attempt may read and write. `worker.attempt.job_context` implements it over the ledger.

Every write names the attempt's lease token: if a newer attempt exists, the write changes nothing and `LostLease` is raised. A write has
reached the disk when it returns.
"""

from typing import Protocol

from worker.jobs.ports.attempt import AttemptContext, Clock, Interrupts, Record
from worker.jobs.ports.catalogue import Catalogue
from worker.jobs.ports.document_files import DocumentFiles
from worker.jobs.ports.events import Events
from worker.jobs.ports.inventory import MirroredNumbers
from worker.jobs.ports.large_jobs import Batches, Chunks
from worker.jobs.ports.money import MoneyGate, Quotes
from worker.jobs.ports.numbers import NumberPool, Reservations, SharedNotes
from worker.jobs.ports.other_jobs import OtherJobs
from worker.jobs.ports.release import LearnedForms, ReleaseGuards
from worker.jobs.ports.routes import ParkedNumbers, RouteClaims


class RouteChangeContext(Record, Clock, Interrupts, Protocol):
    """What changing routes needs, in a job of its own or as a part of a release."""

    @property
    def attempt(self) -> int: ...
    @property
    def jobs(self) -> OtherJobs: ...
    @property
    def routes(self) -> RouteClaims: ...


class PurchaseContext(AttemptContext, Protocol):
    """What a purchase uses."""

    @property
    def jobs(self) -> OtherJobs: ...
    @property
    def money(self) -> MoneyGate: ...
    @property
    def notes(self) -> SharedNotes: ...
    @property
    def pool(self) -> NumberPool: ...
    @property
    def quotes(self) -> Quotes: ...
    @property
    def reservations(self) -> Reservations: ...
    @property
    def routes(self) -> RouteClaims: ...


class RerouteContext(AttemptContext, Protocol):
    """What a reroute, a failback and their batches use."""

    @property
    def batches(self) -> Batches: ...
    @property
    def chunks(self) -> Chunks: ...
    @property
    def jobs(self) -> OtherJobs: ...
    @property
    def mirror(self) -> MirroredNumbers: ...
    @property
    def parked(self) -> ParkedNumbers: ...
    @property
    def routes(self) -> RouteClaims: ...


class ReleaseContext(AttemptContext, Protocol):
    """What a release uses."""

    @property
    def events(self) -> Events: ...
    @property
    def forms(self) -> LearnedForms: ...
    @property
    def guards(self) -> ReleaseGuards: ...
    @property
    def jobs(self) -> OtherJobs: ...
    @property
    def mirror(self) -> MirroredNumbers: ...
    @property
    def money(self) -> MoneyGate: ...
    @property
    def parked(self) -> ParkedNumbers: ...
    @property
    def pool(self) -> NumberPool: ...
    @property
    def routes(self) -> RouteClaims: ...


class DocumentsContext(AttemptContext, Protocol):
    """What following documents uses."""

    @property
    def events(self) -> Events: ...
    @property
    def jobs(self) -> OtherJobs: ...


class UploadContext(AttemptContext, Protocol):
    """What uploading a document uses."""

    @property
    def files(self) -> DocumentFiles: ...


class CatalogueContext(AttemptContext, Protocol):
    """What a look for the catalogue uses."""

    @property
    def catalogue(self) -> Catalogue: ...


class JobContext(PurchaseContext, RerouteContext, ReleaseContext, DocumentsContext, UploadContext, CatalogueContext, Protocol):
    """What any job may use: for what runs jobs of all kinds."""
