"""The money of the account: its balance, and what it was charged."""

from datetime import date
from decimal import Decimal

from didflow.contract.provider import Page
from didflow.contract.transactions import Transaction
from worker.pages import PER_PAGE
from worker.wavix import parsing
from worker.wavix.parsing import Fields
from worker.wavix.reads import Reads


class AccountCalls(Reads):
    """Balance and transactions."""

    def balance_usd(self, *, insist: bool = True) -> Decimal:
        """`insist`: else it is requested once, and a refusal for the rate isn't waited out."""
        return self._read_known("/v1/profile/config", {}, parsing.balance_usd, insist=insist)

    def transactions(
        self,
        *,
        since: date,
        until: date,
        kind: int | None = None,
        details_contains: str | None = None,
        page: int = 1,
        insist: bool = True,
    ) -> Page[Transaction]:
        """What the account was charged on these days, both included, of this type alone. A server may ignore the filters.

        `insist`: else it is requested once, and a refusal for the rate isn't waited out.
        Raises ReadFailed, with `Barred` for a key that lacks the scope `billing`.
        """
        params: dict[str, str | int] = {"from_date": since.isoformat(), "to_date": until.isoformat(), "page": page, "per_page": PER_PAGE}
        if kind is not None:
            params["type"] = kind
        if details_contains is not None:
            params["details_contains"] = details_contains

        def read(raw: Fields) -> Page[Transaction]:
            return parsing.transactions_page(raw, page, self._max_pages)

        return self._read_known("/v1/billing/transactions", params, read, insist=insist)
