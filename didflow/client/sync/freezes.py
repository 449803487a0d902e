# Written by `make generate` from didflow/client/aio/freezes.py: change that file.
"""The freeze of purchases and releases."""

import time

from didflow.client.sync.base import Client
from didflow.contract.audit import reason_given
from didflow.contract.freezes import Freeze, FreezeReport
from didflow.ledger.freezes import freeze, freezes, sending, unfreeze

#: How often it is checked whether calls that were allowed before are through, seconds.
LOOK_EVERY_S = 0.05


class Freezes(Client):
    """Stop purchases and releases, of one account or of all, and let them continue."""

    def freeze(self, reason: str, *, account: str | None = None, timeout_s: float = 60.0, actor: str | None = None) -> FreezeReport:
        """Freeze purchases and releases, of one account or (None) of all, until `unfreeze`. Reroutes and failbacks continue.

            report = didflow.freeze("wrong customers are being released")
            print(report.under_way or "nothing is under way")

        It is in force at once. Then this waits until the calls that were allowed before it have their answers, at most `timeout_s`.
        Once `under_way` is empty no checkout and no release begins. A purchase or a release that may have happened is settled on.
        Jobs that are stopped wait with the reason `frozen`. A freeze that is in force already stays as it is.
        Raises InvalidRequest for a reason that can't be stored.
        """
        commands, ends_s = self.ledger.commands, time.monotonic() + timeout_s
        begun, is_new = self.ledger.perform(freeze(commands, account, reason_given(reason), self._acts(actor)))
        while under_way := self.ledger.perform(sending(commands, account)):
            if (left_s := ends_s - time.monotonic()) <= 0:
                break
            time.sleep(min(LOOK_EVERY_S, left_s))
        return FreezeReport(begun, is_new, under_way)

    def unfreeze(self, reason: str = "", *, account: str | None = None, actor: str | None = None) -> Freeze | None:
        """Lift the freeze of that account, or (None) the one of all accounts. The jobs that waited for it continue.

            lifted = didflow.unfreeze("the list was corrected")

        Returns the freeze that was lifted, or None if there was none. Raises InvalidRequest for a reason that can't be stored.
        """
        said = reason_given(reason, needed=False)
        return self.ledger.perform(unfreeze(self.ledger.commands, account, said, self._acts(actor)))

    def freezes(self) -> tuple[Freeze, ...]:
        """List the freezes that are in force.

            for one in didflow.freezes():
                print(one.sentence)

        The one of all accounts comes first.
        """
        return self.ledger.perform(freezes(self.ledger.keys))
