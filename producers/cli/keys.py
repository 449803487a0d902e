"""`didflow keys`: keys of the HTTP API."""

from datetime import timedelta
from typing import Annotated

import typer

from didflow.client.sync.client import Didflow
from didflow.contract.api_keys import ApiKey, ApiScope, KeptKey, new_key_id
from didflow.contract.errors import InvalidRequest
from didflow.contract.time_values import read_span
from didflow.ledger import api_keys
from didflow.terminal import options as given
from didflow.terminal.confirmation import FOR_GOOD, confirmed
from didflow.terminal.output import WholeWords, errors_told, plain, print_json, print_table
from didflow.terminal.tables import is_terminal

keys_app = typer.Typer(no_args_is_help=True, help="Create, list, rotate and revoke keys of the HTTP API.")

#: A key that is rotated is valid for this long beside the new one.
OVERLAP = "24h"

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
    rate: Annotated[float | None, typer.Option(help="requests a second, for each server process", show_default=False)] = None,
    expires: Expires = None,
    as_json: given.Json = False,
) -> None:
    """Create a key and print its secret, once. Only a digest of it is stored."""
    with errors_told(as_json=as_json):
        fields = {"account": account, "reference_prefix": reference_prefix, "rate_per_s": rate}
        key = ApiKey.model_validate({"id": new_key_id(), "name": name, "scopes": frozenset(scopes), **fields})
        ledger = Didflow.from_env().ledger
        secret = ledger.perform(api_keys.create(ledger.commands, key, valid_for=_span("expires", expires)))
        _show(key, secret, as_json=as_json)


@keys_app.command(name="list")
def list_keys(as_json: given.Json = False) -> None:
    """List the keys that are valid now: what each allows, and when it was last used."""
    with errors_told(as_json=as_json):
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
    expires: Expires = None,
    as_json: given.Json = False,
) -> None:
    """Give a key a new secret, and print it, once."""
    with errors_told(as_json=as_json):
        ledger = Didflow.from_env().ledger
        both = given.together(lambda: _span("overlap", overlap), lambda: _span("expires", expires))
        rotated, secret = ledger.perform(api_keys.rotate(ledger.commands, key, overlap=both[0] or timedelta(0), valid_for=both[1]))
        _show(rotated, secret, as_json=as_json)


@keys_app.command()
def revoke(key: Named, yes: given.Yes = False, as_json: given.Json = False) -> None:
    """Let a key be valid no more, at once."""
    with errors_told(as_json=as_json):
        confirmed(f"revoke the key {key!r}?", FOR_GOOD, yes=yes)
        ledger = Didflow.from_env().ledger
        ledger.perform(api_keys.revoke(ledger.commands, key))
        if as_json:
            print_json({"revoked": key})
        else:
            WholeWords().print(f"revoked {key}", markup=False)


def _span(name: str, text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        span = read_span(text)
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}", ((name, str(error)),)) from None
    if span is None or not timedelta(0) <= span <= timedelta(days=36_500) or (name == "expires" and not span):
        what = f"{text[:40]!r} is no duration: write 90s, 10m, 2h or 7d"
        raise InvalidRequest(f"{name}: {what}", ((name, what),))
    return span


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
    times = [f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in (kept.last_used_at, kept.expires_at)]
    return (key.name, key.id, " ".join(sorted(key.scopes)), ", ".join(limits), kept.secrets, *times, kept.created_by)
