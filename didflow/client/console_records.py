"""What the console keeps in the ledger: sessions of people who are logged in, and saved views of the inventory."""

from urllib.parse import parse_qsl

from didflow.contract.api_keys import KeptKey
from didflow.contract.errors import ApiKeyNotFound, ConsoleSessionNotFound, InvalidRequest
from didflow.contract.inventory import InventoryFilter
from didflow.ledger import api_keys, console_sessions, console_views
from didflow.ledger.commands import Command, Commands
from didflow.ledger.console_sessions import KeptSession
from didflow.ledger.console_views import SavedView

#: Parameters of the list beside its filters.
_BESIDE = frozenset({"account", "sort"})


def open_sessions(commands: Commands) -> Command[tuple[KeptSession, ...]]:
    """Newest first, without those of keys that were revoked: these open nothing."""
    ids = {one.key.id for one in (yield from api_keys.kept(commands))}
    return tuple(one for one in (yield from console_sessions.kept(commands)) if one.key_id in ids)


def end_session(commands: Commands, session_id: str) -> Command[None]:
    """Raises ConsoleSessionNotFound."""
    if not (yield from console_sessions.end_named(commands, session_id)):
        raise ConsoleSessionNotFound(session_id)


def end_sessions_of(commands: Commands, key: str) -> Command[int]:
    """Of the key of that name or id. Returns how many ended. Raises ApiKeyNotFound."""
    keys: tuple[KeptKey, ...] = yield from api_keys.kept(commands)
    ids = {one.key.name: one.key.id for one in keys} | {one.key.id: one.key.id for one in keys}
    if key not in ids:
        raise ApiKeyNotFound(key)
    return (yield from console_sessions.end_of_key(commands, ids[key]))


def save_view(commands: Commands, name: str, query: str) -> Command[SavedView]:
    """Raises InvalidRequest for a name or a query that can't be kept."""
    names = {one for one, _ in parse_qsl(query, keep_blank_values=True)}
    if strange := sorted(names - _BESIDE - set(InventoryFilter.model_fields)):
        what = f"has no filter {strange[0][:60]!r}: use those of `didflow numbers`, with underscores"
        raise InvalidRequest(f"query: {what}", (("query", what),))
    view = SavedView(name, query, commands.actor)
    yield from console_views.save(commands, view)
    return view
