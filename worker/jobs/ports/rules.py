"""What the settings say to the jobs."""

from dataclasses import dataclass

from didflow.contract.ids_form import IdsFormSetting
from didflow.contract.spending import SpendLimit


@dataclass(frozen=True)
class Rules:
    """What the settings say to the jobs.

    settle_s        how long the provider's lists may lag behind its own writes (assumption A3)
    settle_limit_s  after this long without an answer a person must look
    batch_size      numbers in one provider call at most
    spend_limits    what may be spent, for the job's account and for one reference
    releases_per_day  numbers that the account may give back in a day (UTC)
    look_every_s    how often a number whose release counts down is checked for calls
    ids_form        how several record ids are written into one release
    card_linked     a card pays for what the balance doesn't cover
    reuse_label     numbers of ours with this label, without destinations and callback, may be assigned instead of buying
    documents_every_s, documents_deadline_s   how often a number that waits for documents is checked, and for how long
    mirror_max_age_s  how old the inventory may be for an emergency to go by it
    look_s          how often a standing order looks at the stock, about
    quote_s         how long a quote is good for
    catalogue_page_s  how long each request of a look for the catalogue gives way to the requests of other jobs
    catalogue_kept_s, catalogue_looks   how long looks of the catalogue are kept, and how many of the account
    """

    settle_s: float = 10.0
    settle_limit_s: float = 600.0
    batch_size: int = 100
    spend_limits: tuple[SpendLimit, ...] = ()
    mirror_max_age_s: float = 1800.0
    look_s: float = 60.0
    quote_s: float = 3600.0
    protected_numbers: frozenset[str] = frozenset()
    protected_labels: frozenset[str] = frozenset()
    releases_per_day: int | None = None
    look_every_s: float = 86_400.0
    documents_every_s: float = 3600.0
    documents_deadline_s: float = 30 * 86_400.0
    card_linked: bool = False
    reuse_label: str | None = None
    ids_form: IdsFormSetting = "auto"
    catalogue_page_s: float = 1.0
    catalogue_kept_s: float = 30 * 86_400.0
    catalogue_looks: int = 2000
