"""What needs a person: parked jobs, poison entries, foreign messages; and the decisions people made."""

from didflow.client.aio.base import AsyncClient
from didflow.contract.decisions import Decision
from didflow.ledger.dead_letters import DeadLetters, dead_letters, drop, replay
from didflow.ledger.decisions import decisions


class AsyncDeadLetterQueue(AsyncClient):
    """The dead letters of the namespace."""

    async def dead_letters(self, limit: int = 100) -> DeadLetters:
        """List what needs a person: parked jobs, poison results, refused business events and foreign messages.

            letters = await didflow.dead_letters()
            for view in letters.parked:
                print(view.id, view.request)

        At most `limit` of each: the newest jobs and messages, the oldest entries.
        """
        return await self.ledger.perform(dead_letters(self.ledger.commands, limit))

    async def replay(self, name: str) -> None:
        """Retry a parked job (by its id), or redeliver a poison entry to its consumer group (by its name).

            letters = await didflow.dead_letters()
            for entry in letters.poison:
                await didflow.replay(entry.name)

        Safe at any time; the group gets the entry at least once. Raises InvalidRequest, WrongJob, JobNotFound, DeadLetterNotFound.
        """
        await self.ledger.perform(replay(self.ledger.commands, name))

    async def drop(self, name: str) -> None:
        """Delete a poison entry or a foreign message permanently.

            letters = await didflow.dead_letters()
            for message in letters.undecodable:
                await didflow.drop(message.name)

        Raises InvalidRequest for a job, DeadLetterNotFound.
        """
        await self.ledger.perform(drop(self.ledger.commands, name))

    async def decisions(self, limit: int = 20) -> tuple[Decision, ...]:
        """List people's decisions that no job records, newest first.

            for decision in await didflow.decisions(limit=5):
                print(decision.at, decision.actor, decision.what)

        They are about plans, the pool, dead letters, consumer groups, and reconcile.
        """
        return await self.ledger.perform(decisions(self.ledger.commands, limit))
