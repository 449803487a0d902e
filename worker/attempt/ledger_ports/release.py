"""What a release checks before it sends, and what it learns about the account's server."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from didflow.contract.errors import ServiceUnavailable
from didflow.contract.ids_form import IdsForm
from didflow.contract.number_holders import Holder
from didflow.ledger.ledger import Claim, Ledger
from didflow.ledger.number_holders import holders
from didflow.ledger.observed_behaviour import IDS_FORM, Learned, ids_form_of, learn, learned
from didflow.ledger.release_guards import count_releases, quarantine
from worker.jobs.ports.endings import LostLease


class LedgerReleaseGuards:
    """`ReleaseGuards`."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger, self._claim = ledger, claim

    def quarantine(self, numbers: Sequence[str]) -> frozenset[str]:
        if (handed_out := quarantine(self._ledger, self._claim, numbers)) is None:
            raise LostLease
        return handed_out

    def holders(self, numbers: Sequence[str]) -> Mapping[str, Holder]:
        return self._ledger.perform(holders(self._ledger.keys, numbers))

    def count(self, record_ids: Sequence[int], most: int) -> tuple[frozenset[int], float]:
        quota = count_releases(self._ledger, self._claim, record_ids, most)
        if quota is None:
            raise LostLease
        return quota.may_go, quota.next_day_ms / 1000


class LedgerForms:
    """`LearnedForms`. `learned_here`: what this process knows of each account's server; shared by its attempts."""

    def __init__(self, ledger: Ledger, claim: Claim, learned_here: dict[str, Learned]) -> None:
        self._ledger, self._claim, self._learned = ledger, claim, learned_here

    def ids_form(self) -> IdsForm | None:
        """From the ledger, or from this process's memory where the ledger has forgotten it."""
        account = self._claim.account
        kept = self._ledger.perform(learned(self._ledger.keys, account, IDS_FORM)) or self._learned.get(account)
        return ids_form_of(kept, self._ledger.now_ms())

    def learn_ids_form(self, form: IdsForm) -> None:
        self._learned[self._claim.account] = Learned(value=form, seen_ms=self._ledger.now_ms())
        with suppress(ServiceUnavailable):
            if not self._ledger.run(learn(self._claim, IDS_FORM, form)):
                raise LostLease
