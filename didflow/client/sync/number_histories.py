# Written by `make generate` from didflow/client/aio/number_histories.py: change that file.
"""The histories of numbers: everything that jobs and people did to them."""

from collections.abc import Iterator

from didflow.client.job_numbers import number_named
from didflow.client.sync.base import Client
from didflow.contract.history import History
from didflow.ledger import script_calls
from didflow.ledger.histories import numbers_with_history


class NumberHistories(Client):
    """The histories of the namespace's numbers."""

    def history(self, number: str) -> History:
        """Return the history of a number (E.164), oldest entry first. Its hash chain is verified: see `.faults`.

            history = didflow.history("+12135550100")
            for entry in history.entries:
                print(entry.at, entry.happened.what, entry.job)

        Empty for a number that no job ever had. Raises InvalidRequest for an invalid phone number.
        """
        return self.ledger.run(script_calls.history(number_named(number)))

    def histories(self) -> Iterator[History]:
        """Yield the history of every number that has one, ordered by number.

            for history in didflow.histories():
                print(history.number, history.faults or "intact")

        Reads each number's history when it is requested.
        """
        for number in self.ledger.perform(numbers_with_history(self.ledger.keys)):
            yield self.ledger.run(script_calls.history(number))
