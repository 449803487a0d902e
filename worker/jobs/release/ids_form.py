"""In which form record ids are written into a release."""

from collections import Counter
from collections.abc import Sequence

from didflow.contract.ids_form import IdsForm
from worker.jobs.ports.context import ReleaseContext
from worker.jobs.ports.rules import Rules


class IdForms:
    """As it is set, or was learned of the account, or as the published contract has it.

    The comma list is never tried unasked: a server that reads ``1,2`` as one number would release another record.
    """

    def __init__(self, context: ReleaseContext, rules: Rules) -> None:
        self._context, self._set = context, rules.ids_form
        self._learned = context.forms.ids_form() if self._set == "auto" else None
        self._helped: Counter[IdsForm] = Counter()

    def together(self) -> IdsForm:
        """For several ids; `single`: one at a time."""
        return self._set if self._set != "auto" else self._learned or "repeat"

    def alone(self) -> Sequence[IdsForm]:
        """For one id, in the order in which they are tried."""
        if self._set != "auto":
            return (self._set,)
        return ("brackets", "single") if self._learned == "brackets" else ("single", "brackets")

    def helped(self, form: IdsForm) -> None:
        """One id went in this form, which had not gone in another one. Once that may be chance; twice it is how the server is."""
        self._helped[form] += 1
        if self._helped[form] > 1:
            self.learn(form)

    def learn(self, form: IdsForm) -> None:
        """It was seen that the server takes this form; for `single`, that it takes no more than one id a call."""
        if self._set == "auto" and form != self._learned:
            self._learned = form
            self._context.forms.learn_ids_form(form)
