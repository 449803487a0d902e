# Written by `make generate` from didflow/client/aio/dead_letters.py: change that file.
"""What needs a person: parked jobs, poison entries, foreign messages; and the decisions people made."""

from didflow.client.sync.base import Client
from didflow.contract.decisions import Decision
from didflow.ledger.dead_letters import DeadLetters, dead_letters, drop, replay
from didflow.ledger.decisions import decisions


class DeadLetterQueue(Client):
    """The dead letters of the namespace."""

    def dead_letters(self, limit: int = 100) -> DeadLetters:
        """List what needs a person: parked jobs, poison results, refused business events and foreign messages.

            letters = didflow.dead_letters()
            for view in letters.parked:
                print(view.id, view.request)

        At most `limit` of each: the newest jobs and messages, the oldest entries.
        """
        return self.ledger.perform(dead_letters(self.ledger.commands, limit))

    def replay(self, name: str) -> None:
        """Retry a parked job (by its id), or redeliver a poison entry to its consumer group (by its name).

            letters = didflow.dead_letters()
            for entry in letters.poison:
                didflow.replay(entry.name)

        Safe at any time; the group gets the entry at least once. Raises InvalidRequest, WrongJob, JobNotFound, DeadLetterNotFound.
        """
        self.ledger.perform(replay(self.ledger.commands, name))

    def drop(self, name: str) -> None:
        """Delete a poison entry or a foreign message permanently.

            letters = didflow.dead_letters()
            for message in letters.undecodable:
                didflow.drop(message.name)

        Raises InvalidRequest for a job, DeadLetterNotFound.
        """
        self.ledger.perform(drop(self.ledger.commands, name))

    def decisions(self, limit: int = 20) -> tuple[Decision, ...]:
        """List people's decisions that no job records, newest first.

            for decision in didflow.decisions(limit=5):
                print(decision.at, decision.actor, decision.what)

        They are about plans, the pool, dead letters, consumer groups, and reconcile.
        """
        return self.ledger.perform(decisions(self.ledger.commands, limit))
