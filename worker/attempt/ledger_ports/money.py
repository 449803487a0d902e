"""Whether money may move: the reconcile gate and the spend limits."""

import threading
from collections.abc import Sequence

from didflow.contract.freezes import Freeze
from didflow.contract.spending import LimitReached, Spend, SpendLimit
from didflow.contract.states import WaitReason
from didflow.ledger.freezes import freeze_of
from didflow.ledger.ledger import Claim, Ledger
from worker.jobs.ports.attempt import Interrupts
from worker.jobs.ports.endings import Wait

#: A job that has settled waits in the ledger for the gate; this is only until it is claimed again and held there.
GATE_AGAIN_S = 1.0
#: How soon a new process checks again whether others have written since it came.
SEEN_AGAIN_S = 0.05

#: A freeze that is lifted wakes those that wait for it. Until then a job checks as often what it has to look after.
FROZEN_AGAIN_S = 60.0


class LedgerMoney:
    """`MoneyGate`."""

    def __init__(self, ledger: Ledger, claim: Claim, interrupts: Interrupts, stopping: threading.Event) -> None:
        self._ledger, self._claim, self._interrupts, self._stopping = ledger, claim, interrupts, stopping

    @property
    def epoch(self) -> int:
        return self._claim.epoch

    def check(self) -> None:
        if self._claim.gate_closed:
            raise Wait(WaitReason.RECONCILING, GATE_AGAIN_S)
        while not self._ledger.is_seen():  # A process that has just begun, for a second or some.
            self._interrupts.check_interrupts()
            self._stopping.wait(SEEN_AGAIN_S)

    def check_frozen(self) -> None:
        if freeze := self._ledger.perform(freeze_of(self._ledger.keys, self._claim.account)):
            raise waiting_for_end(freeze)

    def limit_against(self, spend: Spend, limits: Sequence[SpendLimit]) -> LimitReached | None:
        return self._ledger.limit_against(self._claim, spend, limits)


def waiting_for_end(freeze: Freeze) -> Wait:
    """The wait of a job that was about to let money move, or a number go."""
    return Wait(WaitReason.FROZEN, FROZEN_AGAIN_S, freeze.sentence)
