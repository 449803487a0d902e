"""`didflow keys`: keys of the HTTP API."""

from datetime import datetime
from typing import Annotated

import typer

from didflow.client.sync.client import Didflow
from didflow.contract.api_keys import ApiKey, ApiScope, KeptKey, new_key_id
from didflow.contract.errors import InvalidRequest
from didflow.ledger import api_keys
from didflow.terminal import options as given
from didflow.terminal.confirmation import FOR_GOOD, confirmed
from didflow.terminal.output import WholeWords, errors_shown, nothing_done, plain, print_json, print_table
from didflow.terminal.tables import is_terminal
from producers.key_spans import OVERLAP, expiry
from producers.key_spans import overlap as overlap_of

keys_app = typer.Typer(no_args_is_help=True, help="Create, list, rotate and revoke keys of the HTTP API, and end sessions of the console.")

Named = Annotated[str, typer.Argument(metavar="KEY", help="the key's name, or its id")]
Expires = Annotated[str | None, typer.Option(help="how long it is valid: 90d, 12h; none: until it is revoked", show_default=False)]


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(help="who uses it: the actor of every change that is made with it")],
    scopes: Annotated[list[ApiScope], typer.Option("--scope", help="what it allows; may be repeated; admin allows all")],
    account: Annotated[str | None, typer.Option(help="the only account that it is for", show_default=False)] = None,
    reference_prefix: Annotated[
        str | None, typer.Option(help="it sees and submits only jobs whose reference begins so", show_default=False)
    ] = None,
    rate: Annotated[float | None, typer.Option(help="requests a second, over all servers", show_default=False)] = None,
    expires: Expires = None,
    reason: given.Reason = None,
    as_json: given.Json = False,
) -> None:
    """Create a key and print its secret, once. Only a digest of it is stored."""
    with errors_shown(as_json=as_json):
        fields = {"account": account, "reference_prefix": reference_prefix, "rate_per_s": rate}
        key = ApiKey.model_validate({"id": new_key_id(), "name": name, "scopes": frozenset(scopes), **fields})
        ledger = Didflow.from_env().acting(reason=reason).ledger
        secret = ledger.perform(api_keys.create(ledger.commands, key, valid_for=expiry(expires)))
        _show(key, secret, as_json=as_json)
        if not any(one.key.is_full_admin for one in ledger.perform(api_keys.kept(ledger.commands))):
            what = "no key may make others yet, and the console needs one for keys, webhooks and the audit"
            WholeWords(stderr=True).print(f"{what}: `didflow keys create boss --scope admin` makes it", markup=False, style="yellow")


@keys_app.command(name="list")
def list_keys(as_json: given.Json = False) -> None:
    """List the keys that are valid now: what each allows, and when it was last used."""
    with errors_shown(as_json=as_json):
        ledger = Didflow.from_env().ledger
        found = ledger.perform(api_keys.kept(ledger.commands))
        if as_json:
            print_json([_plain(one) for one in found])
        elif not found and is_terminal():
            WholeWords().print("no keys: `didflow keys create` makes one", style="dim")
        else:
            print_table(
                ("key", "id", "scopes", "limits", "secrets", "last used (UTC)", "expires (UTC)", "by"), [_row(one) for one in found]
            )


@keys_app.command()
def rotate(
    key: Named,
    overlap: Annotated[str, typer.Option(help="how long the old secret is valid beside the new one: 24h, 0s")] = OVERLAP,
    expires: Annotated[
        str | None, typer.Option(help="how long the new secret is valid: 90d, 12h; none: as long as the old one was", show_default=False)
    ] = None,
    reason: given.Reason = None,
    as_json: given.Json = False,
) -> None:
    """Give a key a new secret, and print it, once."""
    with errors_shown(as_json=as_json):
        ledger = Didflow.from_env().acting(reason=reason).ledger
        both = given.together(lambda: overlap_of(overlap), lambda: expiry(expires))
        rotated, secret = ledger.perform(api_keys.rotate(ledger.commands, key, overlap=both[0], valid_for=both[1]))
        _show(rotated, secret, as_json=as_json)


@keys_app.command()
def revoke(key: Named, reason: given.Reason = None, yes: given.Yes = False, as_json: given.Json = False) -> None:
    """Let a key be valid no more, at once."""
    with errors_shown(as_json=as_json):
        confirmed(f"revoke the key {key!r}?", FOR_GOOD, yes=yes)
        ledger = Didflow.from_env().acting(reason=reason).ledger
        ledger.perform(api_keys.revoke(ledger.commands, key))
        if as_json:
            print_json({"revoked": key})
        else:
            WholeWords().print(f"revoked {key}", markup=False)


@keys_app.command()
def sessions(as_json: given.Json = False) -> None:
    """List who is logged in to the console, and with which key."""
    with errors_shown(as_json=as_json):
        didflow = Didflow.from_env()
        found = didflow.console.sessions()
        if as_json:
            print_json([plain(one) for one in found])
            return
        names = {one.key.id: one.key.name for one in didflow.ledger.perform(api_keys.kept(didflow.ledger.commands))}
        rows = [(one.id, one.name, names.get(one.key_id, one.key_id), *map(_minute, (one.created_at, one.used_at))) for one in found]
        print_table(("session", "person", "key", "logged in (UTC)", "last used (UTC)"), rows)


@keys_app.command()
def end_session(
    session: Annotated[str | None, typer.Argument(help="its id, as `sessions` shows it", show_default=False)] = None,
    key: Annotated[str | None, typer.Option(help="every session of this key, by its name or id", show_default=False)] = None,
    reason: given.Reason = None,
    as_json: given.Json = False,
) -> None:
    """End a session of the console, or all of a key: the person has to log in again. Exit code 6 if the key has none."""
    with errors_shown(as_json=as_json):
        if (session is None) == (key is None):
            raise InvalidRequest("session: give a session, or --key", (("session", "give a session, or --key"),))
        console = Didflow.from_env().acting(reason=reason).console
        ended = 1
        if session is not None:
            console.end_session(session)
        else:
            ended = console.end_sessions_of(key or "")
        if as_json:
            print_json({"ended": ended})
        else:
            WholeWords().print(f"{ended} session{'' if ended == 1 else 's'} ended", markup=False)
        if not ended:
            nothing_done("the key has no session", as_json=as_json)


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def _show(key: ApiKey, secret: str, *, as_json: bool) -> None:
    if as_json:
        print_json({**plain(key), "secret": secret})
        return
    WholeWords(stderr=True).print("the secret is shown once, and stored nowhere: keep it where only its user can read it", style="yellow")
    typer.echo(secret)


def _plain(kept: KeptKey) -> dict[str, object]:
    found: dict[str, object] = plain(kept)
    key = found.pop("key")
    return {**(key if isinstance(key, dict) else {}), **found}


def _row(kept: KeptKey) -> tuple[object, ...]:
    key = kept.key
    limits = [f"account {key.account}"] if key.account else []
    limits += [f"references {key.reference_prefix}…"] if key.reference_prefix else []
    limits += [f"{key.rate_per_s:g} a second"] if key.rate_per_s else []
    times = map(_minute, (kept.last_used_at, kept.expires_at))
    return (key.name, key.id, " ".join(sorted(key.scopes)), ", ".join(limits), kept.secrets, *times, kept.created_by)
