"""The pool: our own unused numbers, which purchases with ``reuse=True`` assign before they buy.

Which numbers are in it, the provider's account says: those with the label of ``DIDFLOW_REUSE_LABEL``, without destinations and
without an SMS callback. The ledger records which purchase an assigned number belongs to, until it is released or returned here.

    pool = AsyncPool(AsyncDidflow.from_env())
    for one in await pool.handed_out():
        print(one.number, one.job_id)
    await pool.take_back(["+12135550100"])     # its customer has left; its destinations are gone
"""

from collections.abc import Sequence

from didflow.client.aio.base import AsyncClient
from didflow.client.number_pool import taken_back
from didflow.ledger.number_pool import HandedOut, handed_out


class AsyncPool:
    """The pool of one account."""

    def __init__(self, didflow: AsyncClient, *, account: str = "default") -> None:
        self._ledger, self._account = didflow.ledger, account

    async def handed_out(self) -> tuple[HandedOut, ...]:
        """Return the numbers that purchases have, each with its purchase.

            for one in await didflow.pool.handed_out():
                print(one.number, one.job_id)

        Sorted by number.
        """
        return await self._ledger.perform(handed_out(self._ledger.keys, self._account))

    async def take_back(self, numbers: Sequence[str]) -> tuple[str, ...]:
        """Return these numbers to the pool; returns those that were assigned. Not while their purchase is running.

            returned = await didflow.pool.take_back(["+12135550100"])

        A number isn't in the pool before its destinations and its callback are gone. Raises InvalidRequest.
        """
        return await self._ledger.perform(taken_back(self._ledger.commands, self._account, numbers))
