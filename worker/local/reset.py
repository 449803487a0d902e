"""`didflow up --reset`: empty the embedded Valkey of this `up`, after saying what is in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from didflow.contract.errors import DidflowError, InvalidSettings, ServiceUnavailable
from didflow.ledger.client import LedgerClient
from didflow.ledger.connection import connect, translated
from didflow.ledger.provider_identity import noted_provider
from didflow.settings import SANDBOX, Settings
from didflow.terminal.confirmation import FOR_GOOD, confirmed
from didflow.terminal.output import WholeWords, clean
from didflow.urls import base_url
from worker.local.embedded_valkey import SANDBOX_STATE, EmbeddedValkey, OwnedElsewhere


@dataclass(frozen=True)
class Contents:
    """What a ledger holds: jobs, and the providers that its accounts belong to. `jobs` None: the server doesn't start on it."""

    jobs: int | None
    providers: tuple[str, ...]


def reset(settings: Settings, *, sandbox: bool, named: Sequence[str], yes: bool) -> None:
    """Delete the ledger of this `up`. `named`: the addresses of real providers whose ledger it may be.

    Raises InvalidSettings, InvalidRequest, ServiceUnavailable if another process has it; typer.Exit if the answer is no.
    """
    if settings.redis_url is not None:
        raise InvalidSettings(
            "--reset empties the embedded Valkey only, and DIDFLOW_REDIS_URL is set: unset it, or empty that Redis yourself"
        )
    valkey = EmbeddedValkey(settings.state_dir, sandbox=sandbox)
    try:
        contents = _contents(valkey, settings, sandbox=sandbox)
        if contents.jobs == 0 and not contents.providers:
            (valkey.folder / SANDBOX_STATE).unlink(missing_ok=True)
            return
        _say(contents, valkey.folder, settings.namespace)
        _check_named(contents, named)
        confirmed("Delete it?", FOR_GOOD, yes=yes)
        valkey.erase()
    finally:
        valkey.stop()


def _contents(valkey: EmbeddedValkey, settings: Settings, *, sandbox: bool) -> Contents:
    supposed = (SANDBOX,) if sandbox else tuple(sorted({account.server for account in settings.all_accounts().values()}))
    try:
        valkey.start()
    except OwnedElsewhere:
        raise
    except ServiceUnavailable:
        return Contents(None, supposed) if valkey.has_data else Contents(0, ())
    client = connect(valkey.url)
    ledger = LedgerClient(client, settings.namespace)
    try:
        with translated():
            if not client.dbsize():
                return Contents(0, ())
            accounts = [key.removeprefix(ledger.keys.provider("")) for key in client.scan_iter(match=ledger.keys.provider("*"))]
        notes = [noted_provider(ledger, account) for account in accounts]
        return Contents(sum(ledger.counts().values()), tuple(sorted({note.server for note in notes if note is not None})) or supposed)
    except DidflowError:
        return Contents(None, supposed)
    finally:
        client.close()


def _say(contents: Contents, folder: Path, namespace: str) -> None:
    jobs = f"{contents.jobs} jobs" if contents.jobs is not None else "jobs that can't be read"
    whose = ", ".join(contents.providers)
    WholeWords(stderr=True).print(
        f"This deletes the ledger in {clean(str(folder))}: {jobs} of namespace {namespace}, done at {whose}, with their results, keys,"
        " histories and events, and every other namespace there.",
        markup=False,
    )


def _check_named(contents: Contents, named: Sequence[str]) -> None:
    real = [server for server in contents.providers if server != SANDBOX]
    missing = [server for server in real if server not in set(map(_address, named))]
    if missing:
        raise InvalidSettings(
            "this is a real provider's ledger: without it, an order that is placed again buys again. To delete it all the same, name it:"
            f" `didflow up --reset {' '.join(real)}`"
        )


def _address(text: str) -> str:
    try:
        return base_url(text)
    except ValueError as error:
        raise InvalidSettings(f"--reset {text[:60]!r} {error}") from None
