# Written by `make generate` from didflow/client/aio/routes.py: change that file.
"""Where the account's numbers went at a moment, and what has changed between two. No call to the provider.

routes = Didflow.from_env().routes
for one in routes.at(datetime(2026, 11, 30, 16, 45, tzinfo=UTC)):
    print(one.number, one.destinations, one.source, one.why)
"""

from collections.abc import Collection, Iterator
from datetime import datetime

from didflow.client.job_numbers import number_named
from didflow.client.past_moments import past
from didflow.client.sync.base import Client
from didflow.contract.past_routes import PastRoute, RouteDifference
from didflow.ledger.past_routes import TOGETHER, numbers_ever, routes_at


class Routes:
    """The routes of one account's numbers over time, from their histories and the inventory."""

    def __init__(self, didflow: Client, *, account: str = "default") -> None:
        self._ledger, self._account = didflow.ledger, account

    def at(self, moment: datetime, *, numbers: Collection[str] | None = None) -> Iterator[PastRoute]:
        """Yield where each number's calls went at that moment, in the order of the numbers.

            for one in didflow.routes.at(moment, numbers=["+12135550100"]):
                print(one.destinations or one.why)

        Without `numbers`: every number that the account had then, as far as is known. Histories have the routes that didflow set, and
        those that a sweep of the inventory found changed; a change elsewhere that was undone between two sweeps isn't known. Raises
        InvalidRequest for a moment without a time zone or in the future, and for an invalid phone number.
        """
        at = past(moment, "moment")
        asked = sorted(map(number_named, numbers)) if numbers is not None else None
        names = asked if asked is not None else list(self._ledger.perform(numbers_ever(self._ledger.keys, self._account)))
        for start in range(0, len(names), TOGETHER):
            found = self._ledger.perform(routes_at(self._ledger.keys, self._account, names[start : start + TOGETHER], at))
            for one in found.values():
                if asked is not None or one.is_shown:
                    yield one

    def difference(self, first: datetime, second: datetime) -> Iterator[RouteDifference]:
        """Yield the numbers that went elsewhere at the second moment than at the first, in the order of the numbers.

            for one in didflow.routes.difference(before, after):
                print(one.number, one.before.destinations, one.after.destinations)

        A number that came, left, or whose route is known of one moment only is among them. Raises InvalidRequest as `at` does.
        """
        keys, account = self._ledger.keys, self._account
        moments = past(first, "first"), past(second, "second")
        names = self._ledger.perform(numbers_ever(keys, account))
        for start in range(0, len(names), TOGETHER):
            some = names[start : start + TOGETHER]
            before = self._ledger.perform(routes_at(keys, account, some, moments[0]))
            after = self._ledger.perform(routes_at(keys, account, some, moments[1]))
            for number in some:
                one = RouteDifference(number, before[number], after[number])
                if one.is_one:
                    yield one
