"""A purchase's record, written to the ledger: a step counts only once the ledger has it."""

from collections.abc import Iterable, Mapping

from didflow.contract.attempt_write import Write
from didflow.contract.requests import SearchAndBuy
from didflow.contract.spending import Spend
from worker.jobs.history_entries import purchase_history
from worker.jobs.ports.context import PurchaseContext
from worker.jobs.ports.provider import PurchasePorts
from worker.jobs.ports.rules import Rules
from worker.jobs.purchase.spend_limits import limits_for
from worker.jobs.purchase.state import ItemStatus, Phase, PurchaseItem, PurchaseRecord
from worker.jobs.shown_numbers import purchases_shown


class WrittenPurchase(PurchaseRecord):
    """One job's purchase, as this attempt sees and writes it."""

    def __init__(self, request: SearchAndBuy, context: PurchaseContext, provider: PurchasePorts, rules: Rules) -> None:
        super().__init__(request, context.checkpoint, context.numbers())
        self.context, self.provider, self.rules = context, provider, rules
        self.limits = limits_for(rules.spend_limits, context.reference)

    @property
    def floor(self) -> int:
        """How many numbers must be in the cart before any is checked out. Once some are bought, the rest is bought as it comes."""
        match self.request.policy:
            case "all_or_nothing":
                return 1 if self.bought else self.missing
            case "at_least":
                return max(1, (self.request.at_least or 1) - len(self.kept))
            case "best_effort":
                return 1

    def cost_of(self, numbers: Iterable[str]) -> Spend:
        """What these numbers cost together."""
        return Spend.of(self.items[number].total_usd for number in numbers)

    def write(
        self,
        step: str,
        detail: str = "",
        items: Mapping[str, PurchaseItem] | None = None,
        *,
        witness: str | None = None,
        reserve: Iterable[str] = (),
        taint: Iterable[str] = (),
        free: Iterable[str] = (),
        keep: Iterable[str] = (),
        hold: Spend | None = None,
        settle: Spend | None = None,
        **checkpoint_changes: object,
    ) -> None:
        """Write to the ledger, and only then believe it ourselves."""
        checkpoint = self.checkpoint.model_copy(update=checkpoint_changes | {"epoch": self.context.money.epoch})
        changed = dict(items or {})
        self.context.save(
            Write(
                step,
                detail=detail,
                witness=witness,
                phase=checkpoint.phase.value,
                checkpoint=checkpoint.model_dump_json(),
                numbers={number: item.model_dump_json() for number, item in changed.items()},
                reserve=sorted(reserve),
                taint=sorted(taint),
                free=sorted(free),
                keep=sorted(keep),
                hold=hold,
                limits=self.limits,
                settle=settle,
                progress=self._progress(changed) if step in ("settled", "looked") else None,
                money=step == "fence",
                history=purchase_history(self.items, changed),
                shown=purchases_shown(self.items, changed),
                unsettled=checkpoint.phase in (Phase.BOUND, Phase.CARTED),
            )
        )
        self.checkpoint = checkpoint
        self.items |= changed

    def _progress(self, changed: Mapping[str, PurchaseItem]) -> str:
        kept = sum(item.status == ItemStatus.KEPT for item in (self.items | dict(changed)).values())
        return f"{kept} of {self.request.quantity} bought"


def listed(numbers: Iterable[str]) -> str:
    """Numbers for the job's story, the first twenty of them."""
    shown = sorted(numbers)
    return " ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "") or "none"
