"""The pool: our own unused numbers, which purchases with ``reuse=True`` assign before they buy.

Which numbers are in it, the provider's account says: those with the label of ``DIDFLOW_REUSE_LABEL``, without destinations and
without an SMS callback. The ledger records which purchase an assigned number belongs to, until it is released or returned here.

    pool = Pool(Didflow.from_env())
    for one in pool.handed_out():
        print(one.number, one.job_id)
    pool.take_back(["+12135550100"])     # its customer has left; its destinations are gone

`AsyncPool` has the same verbs for asyncio.
"""

from collections.abc import Sequence

from didflow.client.aio import AsyncDidflow
from didflow.client.sync import Didflow
from didflow.contract.errors import InvalidRequest
from didflow.contract.numbers import parse_e164
from didflow.ledger.commands import Command, Commands
from didflow.ledger.number_pool import HandedOut, handed_out, returned

#: Numbers that are put back with one script.
TOGETHER = 100


class Pool:
    """The pool of one account."""

    def __init__(self, didflow: Didflow, *, account: str = "default") -> None:
        self._ledger, self._account = didflow.ledger, account

    def handed_out(self) -> tuple[HandedOut, ...]:
        """What purchases have, by number. Raises ServiceUnavailable."""
        return self._ledger.perform(handed_out(self._ledger.keys, self._account))

    def take_back(self, numbers: Sequence[str]) -> tuple[str, ...]:
        """Return these numbers to the pool; returns those that were assigned. Not while their purchase is running.

        A number isn't in the pool before its destinations and its callback are gone. Raises InvalidRequest, ServiceUnavailable.
        """
        return self._ledger.perform(_taken_back(self._ledger.commands, self._account, numbers))


class AsyncPool:
    """See `Pool`: every verb is the same, to be awaited."""

    def __init__(self, didflow: AsyncDidflow, *, account: str = "default") -> None:
        self._didflow, self._account = didflow, account

    async def handed_out(self) -> tuple[HandedOut, ...]:
        return await self._didflow.perform(handed_out(self._didflow.commands.keys, self._account))

    async def take_back(self, numbers: Sequence[str]) -> tuple[str, ...]:
        return await self._didflow.perform(_taken_back(self._didflow.commands, self._account, numbers))


def _taken_back(commands: Commands, account: str, numbers: Sequence[str]) -> Command[tuple[str, ...]]:
    try:
        named = tuple(map(parse_e164, numbers))
    except ValueError as error:
        raise InvalidRequest(f"numbers: {error}", (("numbers", str(error)),)) from None
    back: list[str] = []
    for start in range(0, len(named), TOGETHER):
        back += yield from commands.run(returned(account, named[start : start + TOGETHER], commands.actor))
    return tuple(back)
