"""What accounts and references spend."""

from collections.abc import Iterable

from didflow.client.aio.base import AsyncClient
from didflow.contract.spending import Scope, ScopeSpending
from didflow.ledger import script_calls


class AsyncSpending(AsyncClient):
    """The spending of the namespace's accounts and references."""

    async def spending(self, scopes: Iterable[tuple[Scope, str]], newest: int = 0) -> tuple[ScopeSpending, ...]:
        """Return the spending of these accounts and references in the last hour and day, and what their open checkouts hold.

            (default,) = await didflow.spending([("account", "default")])

        Appends the `newest` scopes that spent last. Spending is counted whether or not a limit is set; dry runs don't count.
        """
        return await self.ledger.run(script_calls.spending(scopes, newest))
