"""The account's numbers, as the mirror in Redis shows them: lists, totals, one number. No call to the provider.

inventory = AsyncDidflow.from_env().inventory
page = await inventory.page(matching=InventoryFilter(city="LOS ANGELES, CA"))
for number in page.numbers:
    print(number.number, number.status, number.monthly_usd)
print(page.state.age_s)
"""

import asyncio
from collections.abc import AsyncIterator

from didflow.client.aio.base import AsyncClient
from didflow.client.fresh_inventory import LOOK_AGAIN_S, TIMEOUT_S, ask_for_sweep, swept_since
from didflow.client.job_numbers import number_named
from didflow.client.number_file import number_file
from didflow.client.number_selection import selected_records
from didflow.contract.inventory import (
    ALL_NUMBERS,
    MOST_LISTED,
    InventoryFilter,
    InventoryNumber,
    InventoryPage,
    InventoryQuery,
    InventoryTotals,
    MirrorState,
    NumberFile,
    renewal_days_given,
)
from didflow.ledger.inventory import inventory_page, inventory_totals, look


class AsyncInventory:
    """The numbers of one account. Workers keep them, by what jobs confirm and by a sweep; `state` says how old they are."""

    def __init__(self, didflow: AsyncClient, *, account: str = "default") -> None:
        self._ledger, self._account = didflow.ledger, account

    async def state(self) -> MirrorState:
        """Return how old the mirror is, and what it may lack.

        state = await didflow.inventory.state()
        print(state.numbers, state.age_s, state.complete)
        """
        return (await self._ledger.perform(look(self._ledger.keys, self._account))).state

    async def refresh(self, *, max_age_s: float = 0.0, timeout_s: float = TIMEOUT_S) -> MirrorState:
        """Wait for a sweep that begins now or later, and return how old the mirror is then. Any number of callers share one sweep.

            await didflow.inventory.refresh(timeout_s=60)
            page = await didflow.inventory.page()

        max_age_s  no sweep is needed if the mirror is complete and no older
        timeout_s  how long to wait, in seconds; the sweep is made all the same. At the default share of the rate it reads one page of 100
                   numbers each second

        Raises InventoryTimeout (`reason` says what keeps the sweep), SweepFailed, UnknownAccount, and InvalidRequest with every fault.
        """
        asked = await self._ledger.perform(ask_for_sweep(self._ledger.commands, self._account, max_age_s, timeout_s))
        while (state := await self._ledger.perform(swept_since(self._ledger.commands, asked))) is None:
            await asyncio.sleep(LOOK_AGAIN_S)
        return state

    async def page(
        self, *, matching: InventoryFilter = ALL_NUMBERS, sort: str = "number", limit: int = 100, cursor: str | None = None
    ) -> InventoryPage:
        """Return one page of the numbers that match. Give its `next_cursor` to get the next one.

            page = await didflow.inventory.page(matching=InventoryFilter(trunk_id=144), sort="-monthly_usd", limit=10)

        A number that is there all the while is on exactly one page of a list by number, whatever else changes. `sort`: number,
        monthly_usd, setup_usd, channels, added, paid_until, seconds or unused_since, with ``-`` before it for the largest first.
        Raises InvalidRequest, with every fault; so for a cursor of another list.
        """
        query = InventoryQuery(matching=matching, sort=sort, limit=limit, cursor=cursor)
        return await self._ledger.perform(inventory_page(self._ledger.keys, self._account, query))

    async def numbers(self, *, matching: InventoryFilter = ALL_NUMBERS, sort: str = "number") -> AsyncIterator[InventoryNumber]:
        """Yield every number that matches, page by page.

        async for number in didflow.inventory.numbers(matching=InventoryFilter(status="inactive")):
            print(number.number, number.required_documents)
        """
        cursor: str | None = None
        while True:
            page = await self.page(matching=matching, sort=sort, limit=MOST_LISTED, cursor=cursor)
            for number in page.numbers:
                yield number
            if (cursor := page.next_cursor) is None:
                return

    async def record_ids(self, *, matching: InventoryFilter, expected_count: int | None = None) -> tuple[int, ...]:
        """Return the record ids of the numbers that match, for a reroute or a release of exactly these.

            idle = await didflow.inventory.record_ids(matching=InventoryFilter(unused_for=timedelta(days=30)), expected_count=12)
            job = await didflow.submit(Release(record_ids=idle, expected_count=12, dry_run=True))

        The job reads each record at the provider before it acts. Raises InvalidRequest if none matches, if their count isn't the expected
        one, or if the mirror may lack numbers.
        """
        return await self._ledger.perform(selected_records(self._ledger.keys, self._account, matching, expected_count))

    async def totals(self, *, matching: InventoryFilter = ALL_NUMBERS, renewal_days: int = 30) -> InventoryTotals:
        """Return how many numbers match, what they cost a month, and how many of them renew within `renewal_days`.

            totals = await didflow.inventory.totals(matching=InventoryFilter(country="US"), renewal_days=7)
            print(totals.numbers, totals.monthly_usd, totals.renewals)

        Raises InvalidRequest.
        """
        days = renewal_days_given(renewal_days)
        return await self._ledger.perform(inventory_totals(self._ledger.keys, self._account, matching, days))

    async def show(self, number: str) -> NumberFile:
        """Return all that is known of a number: as it is, its history, and what may be done with it now.

            file = await didflow.inventory.show("+12135550100")
            print(file.number and file.number.route, [one.action for one in file.possible if not one.why_not])

        `number` is None for a number that the mirror doesn't have. Raises InvalidRequest for an invalid phone number.
        """
        return await self._ledger.perform(number_file(self._ledger.commands, self._account, number_named(number)))
