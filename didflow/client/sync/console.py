# Written by `make generate` from didflow/client/aio/console.py: change that file.
"""What the console keeps: who is logged in, and saved views of the inventory."""

from didflow.client.console_records import end_session, end_sessions_of, open_sessions, save_view
from didflow.client.sync.base import Client
from didflow.ledger import console_views
from didflow.ledger.console_sessions import KeptSession
from didflow.ledger.console_views import SavedView


class Console:
    """The sessions and the saved views of the console of a namespace."""

    def __init__(self, didflow: Client) -> None:
        self._ledger = didflow.ledger

    def sessions(self) -> tuple[KeptSession, ...]:
        """Return who is logged in to the console, the newest session first.

        for one in didflow.console.sessions():
            print(one.id, one.name, one.used_at)
        """
        return self._ledger.perform(open_sessions(self._ledger.commands))

    def end_session(self, session_id: str) -> None:
        """End a session. Raises ConsoleSessionNotFound.

        didflow.acting(reason="lost laptop").console.end_session("0f3a5c9d1b2e")
        """
        self._ledger.perform(end_session(self._ledger.commands, session_id))

    def end_sessions_of(self, key: str) -> int:
        """End every session of a key, by its name or id. Returns how many there were. Raises ApiKeyNotFound.

        didflow.console.end_sessions_of("ann")
        """
        return self._ledger.perform(end_sessions_of(self._ledger.commands, key))

    def views(self) -> tuple[SavedView, ...]:
        """Return the saved views of the inventory, by name.

        for view in didflow.console.views():
            print(view.name, view.query)
        """
        return self._ledger.perform(console_views.kept(self._ledger.commands))

    def save_view(self, name: str, query: str) -> SavedView:
        """Keep filters of the inventory under a name, in place of a view that has it. Raises InvalidRequest.

            didflow.console.save_view("idle in Germany", "country=DE&unused_for=30d")

        `query`: filters as `GET /v1/numbers` takes them.
        """
        return self._ledger.perform(save_view(self._ledger.commands, name, query))

    def delete_view(self, name: str) -> None:
        """Delete a view. Without effect if there is none of that name.

        didflow.console.delete_view("idle in Germany")
        """
        self._ledger.perform(console_views.delete(self._ledger.commands, name))
